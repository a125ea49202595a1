//! Bytes as text: hexadecimal and base 64.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Appends the digits of `bytes`, in lower case.
pub fn hex_encode(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// Appends the bytes whose digits, in lower case, are `text`; none when it is something else. A `g`
/// counts as a digit of 16, as in skynet.
pub fn hex_decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'g' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_chunks() else {
        return None;
    };
    for &[high, low] in pairs {
        out.push(digit(high)? << 4 | digit(low)?);
    }
    Some(())
}

/// Appends `bytes` in the standard alphabet, padded.
pub fn base64_encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    BASE64
        .encode_slice(bytes, &mut out[start..])
        .expect("four characters for three bytes");
}

/// Appends the bytes of `text`, as skynet's clients write it: characters outside of the alphabet are skipped, but none may come
/// behind the last whole group; the last padding may be missing; groups may follow a padded one.
pub fn base64_decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    if text.iter().all(known) {
        return decode_groups(text, out);
    }
    let clean: Vec<u8> = text.iter().copied().filter(known).collect();
    let opens_group = clean.len().is_multiple_of(4) && !text.last().is_some_and(known);
    if opens_group {
        return None;
    }
    decode_groups(&clean, out)
}

fn decode_groups(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while !text.is_empty() {
        let padded = text.iter().position(|byte| *byte == b'=');
        let end = padded.map_or(text.len(), |place| text.len().min((place / 4 + 1) * 4));
        let (groups, rest) = text.split_at(end);
        BASE64.decode_vec(groups, out).ok()?;
        text = rest;
    }
    Some(())
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        base64_decode(text, &mut out)?;
        Some(out)
    }

    #[test]
    fn odd_texts_are_read_as_skynet_reads_them() {
        for (text, bytes) in [
            ("Zg", &b"f"[..]),
            ("Zg=", b"f"),
            ("Zg\n", b"f"),
            ("Zg=\n", b"f"),
            ("\nZ g = =", b"f"),
            ("Zg==Zg==", b"ff"),
            ("Zg==Zg", b"ff"),
            ("Zm9vYg\n\n", b"foob"),
            ("", b""),
        ] {
            assert_eq!(decoded(text.as_bytes()).as_deref(), Some(bytes), "{text:?}");
        }
        for text in [
            "Z", "Z\n", "Zg==\n", "\n", "!!!", "Zm9v\n", "Zh==", "=", "Zm=v", "Z=", "Zg=a", "Zm9vZ", "Zm9v=",
            "Zm9v==", "Zm9v====", "Zg=Zg", "Zg===",
        ] {
            assert_eq!(decoded(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(bytes in proptest::collection::vec(any::<u8>(), 0..100), cut in 0..3usize) {
            let mut text = Vec::new();
            base64_encode(&bytes, &mut text);
            let padding = text.iter().filter(|byte| **byte == b'=').count();
            text.truncate(text.len() - cut.min(padding));
            prop_assert_eq!(decoded(&text), Some(bytes.clone()));
            let (mut hex, mut back) = (Vec::new(), Vec::new());
            hex_encode(&bytes, &mut hex);
            prop_assert!(hex_decode(&hex, &mut back).is_some());
            prop_assert_eq!(back, bytes);
        }

        #[test]
        fn any_text_is_taken(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut out = Vec::new();
            if base64_decode(&text, &mut out).is_some() {
                prop_assert!(out.len() <= text.len().div_ceil(4) * 3);
            }
            out.clear();
            if hex_decode(&text, &mut out).is_some() {
                prop_assert_eq!(out.len() * 2, text.len());
            }
        }
    }
}
