//! Sources that are nothing but data, `return { ... }` with literals in it: read as they lie there, where running them would take
//! Lua's compiler most of the time. Whatever is not plain here is left to Lua, and so are all errors.

use fulmar_sharedata::{Image, Item, Items, Key, KeyRef, MAX_DEPTH, Store};

/// The image of the table that a source returns; none when it takes Lua to tell.
pub(crate) fn image(store: &Store, source: &[u8]) -> Option<Image> {
    let mut reader = Reader { store, source, at: 0 };
    reader.skip_space()?;
    if reader.name()? != b"return" {
        return None;
    }
    reader.skip_space()?;
    reader.take(b'{').then_some(())?;
    let root = reader.table(1)?;
    reader.skip_space()?;
    reader.take(b';');
    reader.skip_space()?;
    match reader.peek() {
        None => store.image_of(root).ok(),
        Some(_) => None,
    }
}

/// Every method leaves the source at what comes next, and gives nothing when that is left to Lua.
struct Reader<'a> {
    store: &'a Store,
    source: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.source[self.at..];
        let len = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Space, and comments to the end of a line.
    #[inline]
    fn skip_space(&mut self) -> Option<()> {
        loop {
            self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
            if !self.source[self.at..].starts_with(b"--") {
                return Some(());
            }
            self.at += 2;
            if self.peek() == Some(b'[') {
                return None;
            }
            self.take_while(|byte| byte != b'\n' && byte != b'\r');
        }
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let first = *name.first()?;
        (!first.is_ascii_digit()).then_some(name)
    }

    /// A table, behind its brace.
    fn table(&mut self, depth: usize) -> Option<Item<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut items = Items::new();
        let (mut has_list, mut has_numbers) = (false, false);
        loop {
            self.skip_space()?;
            match self.peek()? {
                b'}' => break,
                b'[' => {
                    self.at += 1;
                    let key = self.key()?;
                    has_numbers |= matches!(key, TableKey::Number(_));
                    let value = self.value_behind_equals(depth)?;
                    match key {
                        TableKey::Number(number) => items.insert(KeyRef::Integer(number), value),
                        TableKey::Text(Text::Plain(text)) => items.insert(text, value),
                        TableKey::Text(Text::Escaped(text)) => {
                            items.insert_owned(Key::Text(text.into_boxed_slice()), value);
                        }
                    }
                }
                byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                    let name = self.name()?;
                    match constant(name) {
                        Some(constant) => {
                            has_list = true;
                            items.push(constant);
                        }
                        None if is_reserved(name) => return None,
                        None => items.insert(name, self.value_behind_equals(depth)?),
                    }
                }
                _ => {
                    has_list = true;
                    items.push(self.value(depth)?);
                }
            }
            self.skip_space()?;
            match self.peek()? {
                b',' | b';' => self.at += 1,
                b'}' => {}
                _ => return None,
            }
        }
        self.at += 1;
        // Which of two values of one place counts depends on how Lua's compiler goes about lists.
        if has_list && has_numbers {
            return None;
        }
        self.store.table(items).ok()
    }

    /// A key, behind its bracket, and the bracket behind it.
    fn key(&mut self) -> Option<TableKey<'a>> {
        self.skip_space()?;
        let key = match self.peek()? {
            quote @ (b'"' | b'\'') => TableKey::Text(self.text(quote)?),
            _ => match self.number()? {
                Number::Integer(integer) => TableKey::Number(integer),
                Number::Float(_) => return None,
            },
        };
        self.skip_space()?;
        self.take(b']').then_some(key)
    }

    fn value_behind_equals(&mut self, depth: usize) -> Option<Item<'a>> {
        self.skip_space()?;
        self.take(b'=').then_some(())?;
        self.skip_space()?;
        self.value(depth)
    }

    fn value(&mut self, depth: usize) -> Option<Item<'a>> {
        match self.peek()? {
            b'{' => {
                self.at += 1;
                self.table(depth + 1)
            }
            quote @ (b'"' | b'\'') => Some(match self.text(quote)? {
                Text::Plain(text) => text.into(),
                Text::Escaped(text) => text.into(),
            }),
            byte if byte.is_ascii_alphabetic() => constant(self.name()?),
            _ => Some(match self.number()? {
                Number::Integer(integer) => integer.into(),
                Number::Float(float) => float.into(),
            }),
        }
    }

    /// A text, from its quote on.
    fn text(&mut self, quote: u8) -> Option<Text<'a>> {
        self.at += 1;
        let is_plain = |byte: u8| byte != quote && !matches!(byte, b'\\' | b'\n' | b'\r');
        let plain = self.take_while(is_plain);
        if self.take(quote) {
            return Some(Text::Plain(plain));
        }
        let mut text = plain.to_vec();
        while self.take(b'\\') {
            text.push(self.escape()?);
            text.extend(self.take_while(is_plain));
        }
        self.take(quote).then_some(Text::Escaped(text))
    }

    /// The byte that an escape stands for, behind its backslash.
    fn escape(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 0x07,
            b'b' => 0x08,
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'\\' | b'"' | b'\'' => byte,
            b'x' => {
                let digits = self.source.get(self.at..self.at + 2)?;
                self.at += 2;
                let digit = |digit: u8| char::from(digit).to_digit(16);
                (digit(digits[0])? * 16 + digit(digits[1])?) as u8
            }
            b'0'..=b'9' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    match self.peek() {
                        Some(digit @ b'0'..=b'9') => code = code * 10 + u32::from(digit - b'0'),
                        _ => break,
                    }
                    self.at += 1;
                }
                u8::try_from(code).ok()?
            }
            _ => return None,
        })
    }

    /// A number, negative or not. One of base 16 is an integer here.
    fn number(&mut self) -> Option<Number> {
        let is_negative = self.take(b'-');
        if is_negative {
            self.skip_space()?;
        }
        let start = self.at;
        let mut last = 0;
        while let Some(byte) = self.peek()
            && (byte.is_ascii_alphanumeric()
                || byte == b'.'
                || (matches!(byte, b'+' | b'-') && matches!(last, b'e' | b'E')))
        {
            last = byte;
            self.at += 1;
        }
        let magnitude = number(&self.source[start..self.at])?;
        Some(match (is_negative, magnitude) {
            (false, number) => number,
            (true, Number::Integer(integer)) => Number::Integer(integer.wrapping_neg()),
            (true, Number::Float(float)) => Number::Float(-float),
        })
    }
}

enum TableKey<'a> {
    Number(i64),
    Text(Text<'a>),
}

enum Text<'a> {
    Plain(&'a [u8]),
    Escaped(Vec<u8>),
}

enum Number {
    Integer(i64),
    Float(f64),
}

/// What Lua reads from these letters, digits, points and signs.
fn number(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let mut integer = 0u64;
        for digit in digits.chars() {
            integer = integer << 4 | u64::from(digit.to_digit(16)?);
        }
        return (!digits.is_empty()).then_some(Number::Integer(integer.cast_signed()));
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(integer) = text.parse()
    {
        return Some(Number::Integer(integer));
    }
    let is_decimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let float = text.bytes().all(is_decimal).then(|| text.parse().ok())??;
    Some(Number::Float(float))
}

fn constant(name: &[u8]) -> Option<Item<'static>> {
    match name {
        b"true" => Some(true.into()),
        b"false" => Some(false.into()),
        b"nil" => Some(Item::NIL),
        _ => None,
    }
}

fn is_reserved(name: &[u8]) -> bool {
    const WORDS: [&[u8]; 20] = [
        b"and",
        b"break",
        b"do",
        b"else",
        b"elseif",
        b"end",
        b"for",
        b"function",
        b"global",
        b"goto",
        b"if",
        b"in",
        b"local",
        b"not",
        b"or",
        b"repeat",
        b"return",
        b"then",
        b"until",
        b"while",
    ];
    WORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use fulmar_sharedata::Store;
    use proptest::prelude::*;

    use super::image;
    use crate::data;

    /// Whether the source was read here; what is read is what Lua makes of it.
    fn is_read(source: &str) -> bool {
        let store = Store::new();
        let here = image(&store, source.as_bytes());
        let lua = data::run(&store, source.as_bytes(), "test");
        match (&here, &lua) {
            (Some(here), Ok(lua)) => {
                let changed = here.changed_keys(lua).expect("both are whole");
                assert!(changed.is_empty(), "{source}: {here:?} is not {lua:?}");
            }
            (Some(here), Err(error)) => panic!("{source}: {here:?}, and Lua says {error}"),
            (None, _) => {}
        }
        here.is_some()
    }

    #[test]
    fn data_is_read() {
        for source in [
            "return {}",
            "return{1,2,3;nil,5,nil};",
            " -- a comment\nreturn { a = 1, ['b c'] = \"d\", [\"e\"] = 'f', } -- and another",
            "return { 1, 1.5, -1, - 2, -0, -0.0, 0.0, .5, 5., 1e3, 1E-3, 1e+2, 0x10, 0Xff, 0xffffffffffffffffff }",
            "return { 9223372036854775807, 9223372036854775808, -9223372036854775808, 1e400, -1e400 }",
            "return { [1] = 'a', [2] = 'b', [4] = 'd', [-7] = 'e', [0x20] = 'f' }",
            "return { [3] = 3, [1] = 1, [2] = 2, [1] = nil, [2] = 4 }",
            "return { a = 1, a = 2, b = 1, b = nil, c = { d = {} } }",
            r#"return { "\n\t\r\a\b\v\f\\\"\'\0\65\065a\x41\255", ['\110'] = 1, "it's", 'say "so"' }"#,
            "return { true, false, nil, x = true, _y1 = false, z = nil }",
            "return { {}, { {} }, { { 1 }, x = { y = 2 } } }",
        ] {
            assert!(is_read(source), "{source}");
        }
        let wide: String = (0..3000)
            .map(|i| format!("k{i} = {{ {i}, n = '{i}' }}, "))
            .collect();
        assert!(is_read(&format!("return {{ {wide} }}")));
        let list: String = (0..3000).map(|i| format!("{i},")).collect();
        assert!(is_read(&format!("return {{ {list} }}")));
    }

    #[test]
    fn the_rest_is_left_to_lua() {
        for source in [
            "",
            "return",
            "return {",
            "return 1",
            "return { 1 } + 1",
            "return { f() }",
            "return { 1 + 2 }",
            "return { a.b }",
            "return { 'a' .. 'b' }",
            "return { [1.5] = 1 }",
            "return { [1] = 1, 2 }",
            "return { [true] = 1 }",
            "return { x }",
            "return { end = 1 }",
            "return { global = 1 }",
            "return { a == 1 }",
            "return { 'a\nb' }",
            "return { 'a }",
            "return { 1 2 }",
            "return { [[a]] }",
            "return { '\\u{41}', '\\z a' }",
            "--[[ ]] return {}",
            "return { 3x, 1..2, 0x, 1e, . }",
            "return { 0x1p4, 0x.8 }",
            "return { '\\300' }",
            "return { '\\xg0' }",
            "return { - }",
            "return { - - 1 }",
            "return { (1) }",
            "return { function() end }",
            "return {} {}",
            "return {}, 1",
            "x = {} return {}",
            "return { ,1 }",
            "return { 1,, }",
            "return { infinity, nan }",
            "return { -true }",
            "return { inf = 1, 1e }",
            "\u{1b}Lua",
        ] {
            assert!(!is_read(source), "{source}");
        }
        assert!(!is_read(&format!("return {}", "{".repeat(5000))));
        let deep = format!("return {}{}", "{".repeat(101), "}".repeat(101));
        assert!(image(&Store::new(), deep.as_bytes()).is_none());
    }

    proptest! {
        /// What is put together of the pieces of sources.
        #[test]
        fn pieces_mean_what_they_mean_to_lua(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "{", "}", ",", ";", "=", "[", "]", "a", "b = ", "['k'] =", "[1] =", "[2] = ", "-", "--", "\n", " ", "1", "2.5",
                "0x1F", "1e9", ".", "..", "'s'", "\"t\"", "'\\n'", "'\\", "nil", "true", "false", "end", "1, 2, 3", "{ 1 }", "{ x = {} }", "+", "(", ")",
            ]), 0..24),
        ) {
            is_read(&format!("return {{{}}}", pieces.concat()));
            is_read(&pieces.concat());
        }

        /// A table of anything, cut and with a byte changed: never a panic.
        #[test]
        fn bytes_are_read_or_left(cut in 0..80usize, place in 0..80usize, byte in any::<u8>()) {
            let mut source = br#"return { a = { 1, -2.5, "x\n\65" }, ['b'] = true, [7] = 0x1f, c = { d = nil } }"#.to_vec();
            let len = source.len();
            source[place % len] = byte;
            source.truncate(len - cut % len);
            image(&Store::new(), &source);
            if let Ok(source) = std::str::from_utf8(&source) {
                is_read(source);
            }
        }
    }
}
