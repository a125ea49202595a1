//! `$NAME` replacement: plain text in, plain text out, before Lua sees anything.
//!
//! It works anywhere in the file, comments included, because skynet's does. Bytes, not characters: a file in another
//! encoding keeps its comments.

/// Why a text could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// The variable is not set; `offset` is where its `$` stands in the text.
    Unset { name: String, offset: usize },
    /// The result would exceed the bound.
    TooLarge,
}

/// Replaces each `$` that letters, digits or `_` follow by what `lookup` has for that name.
pub(super) fn expand(
    text: &[u8],
    limit_bytes: usize,
    lookup: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, ExpandError> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let name = if text[at] == b'$' {
            name_at(&text[at + 1..])
        } else {
            ""
        };
        if name.is_empty() {
            out.push(text[at]);
            at += 1;
        } else {
            let value = lookup(name).ok_or_else(|| ExpandError::Unset {
                name: name.to_owned(),
                offset: at,
            })?;
            out.extend_from_slice(&value);
            at += 1 + name.len();
        }
        if out.len() > limit_bytes {
            return Err(ExpandError::TooLarge);
        }
    }
    Ok(out)
}

/// The name that `text` begins with; empty when it begins with none.
fn name_at(text: &[u8]) -> &str {
    let end = text
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
        .unwrap_or(text.len());
    str::from_utf8(&text[..end]).expect("ASCII letters, digits and underscores are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<Vec<u8>> {
        match name {
            "WORD" => Some(b"replaced".to_vec()),
            "EMPTY" => Some(Vec::new()),
            "1" => Some(b"one".to_vec()),
            _ => None,
        }
    }

    fn text(text: &str) -> Result<String, ExpandError> {
        expand(text.as_bytes(), 1000, &lookup)
            .map(|out| String::from_utf8(out).expect("test texts are UTF-8"))
    }

    #[test]
    fn names_are_replaced_anywhere() {
        assert_eq!(
            text("a = '$WORD' -- $WORD").as_deref(),
            Ok("a = 'replaced' -- replaced")
        );
        assert_eq!(
            text("before_$WORD/after$EMPTY.").as_deref(),
            Ok("before_replaced/after.")
        );
        assert_eq!(text("$1$WORD$1").as_deref(), Ok("onereplacedone"));
    }

    #[test]
    fn a_dollar_without_a_name_stays() {
        assert_eq!(text("$ $- $$WORD $").as_deref(), Ok("$ $- $replaced $"));
    }

    #[test]
    fn the_longest_name_counts() {
        let unset = ExpandError::Unset {
            name: "WORDS".into(),
            offset: 2,
        };
        assert_eq!(text("x $WORDS"), Err(unset));
    }

    #[test]
    fn the_result_is_bounded() {
        assert_eq!(expand(b"$WORD$WORD", 15, &lookup), Err(ExpandError::TooLarge));
        assert!(expand(b"$WORD$WORD", 16, &lookup).is_ok());
    }
}
