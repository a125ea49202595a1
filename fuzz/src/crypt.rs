//! Texts of bytes, as logins and web pages send them.

use fulmar_lualib::crypt::des::{self, Padding};
use fulmar_lualib::crypt::text;

/// Decodes the bytes as each of the texts, and decrypts them under their first eight bytes. What comes out is no longer than what went
/// in, and encoding it gives what decodes alike.
pub fn crypt(data: &[u8]) {
    check(data, text::hex_decode, text::hex_encode);
    check(data, text::base64_decode, text::base64_encode);
    let Some((key, coded)) = data.split_first_chunk::<{ des::BLOCK }>() else {
        return;
    };
    for padding in [Padding::Iso7816, Padding::Pkcs7] {
        check(
            coded,
            |coded, out| des::decrypt(*key, coded, padding, out),
            |plain, out| des::encrypt(*key, plain, padding, out),
        );
    }
}

fn check(
    data: &[u8],
    decode: impl Fn(&[u8], &mut Vec<u8>) -> Option<()>,
    encode: impl Fn(&[u8], &mut Vec<u8>),
) {
    let (mut plain, mut coded, mut again) = (Vec::new(), Vec::new(), Vec::new());
    if decode(data, &mut plain).is_some() {
        assert!(plain.len() <= data.len());
    }
    plain.truncate(data.len()); // what a refusal leaves is as good as any
    encode(&plain, &mut coded);
    assert!(decode(&coded, &mut again).is_some(), "what was encoded decodes");
    assert_eq!(again, plain);
}
