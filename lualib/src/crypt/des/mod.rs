//! DES in single blocks (ECB) with padding, as skynet's clients speak it. Its keys of 56 bits protect from nobody with time.

mod cipher;

use self::cipher::Cipher;

/// How a text is filled up to whole blocks; at least one byte is always added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// ISO/IEC 7816-4: 0x80, then zeros.
    Iso7816 = 0,
    /// PKCS #7: bytes that tell their number.
    Pkcs7 = 1,
}

impl Padding {
    /// By its number in Lua.
    pub fn from_number(number: i32) -> Option<Padding> {
        match number {
            0 => Some(Padding::Iso7816),
            1 => Some(Padding::Pkcs7),
            _ => None,
        }
    }

    fn add(self, text: &mut Vec<u8>, len: usize) {
        let count = BLOCK - len % BLOCK;
        let (first, others) = match self {
            Padding::Iso7816 => (0x80, 0),
            Padding::Pkcs7 => (count as u8, count as u8),
        };
        text.push(first);
        text.resize(text.len() + count - 1, others);
    }

    /// How many bytes of the last block are padding.
    fn count(self, block: &[u8]) -> Option<usize> {
        match self {
            Padding::Iso7816 => {
                let marker = block.iter().rposition(|byte| *byte != 0)?;
                (block[marker] == 0x80).then_some(block.len() - marker)
            }
            Padding::Pkcs7 => {
                let count = usize::from(*block.last()?);
                let padding = block.len().checked_sub(count)?;
                let sound = count > 0 && block[padding..].iter().all(|byte| usize::from(*byte) == count);
                sound.then_some(count)
            }
        }
    }
}

/// Appends `text`, padded and encrypted.
pub fn encrypt(key: [u8; BLOCK], text: &[u8], padding: Padding, out: &mut Vec<u8>) {
    let cipher = Cipher::new(key);
    let start = out.len();
    out.extend_from_slice(text);
    padding.add(out, text.len());
    cipher.encrypt(blocks(&mut out[start..]));
}

/// Appends what was encrypted; none when there is no sound padding at its end.
pub fn decrypt(key: [u8; BLOCK], text: &[u8], padding: Padding, out: &mut Vec<u8>) -> Option<()> {
    let cipher = Cipher::new(key);
    let start = out.len();
    out.extend_from_slice(text);
    cipher.decrypt(blocks(&mut out[start..]));
    let last = out.len().checked_sub(BLOCK).filter(|last| *last >= start)?;
    let count = padding.count(&out[last..])?;
    out.truncate(out.len() - count);
    Some(())
}

fn blocks(text: &mut [u8]) -> &mut [[u8; BLOCK]] {
    text.as_chunks_mut().0
}

/// Bytes of a block, and of a key.
pub const BLOCK: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encrypted_decrypts(key: [u8; BLOCK], text in proptest::collection::vec(any::<u8>(), 0..40), pkcs7: bool) {
            let padding = if pkcs7 { Padding::Pkcs7 } else { Padding::Iso7816 };
            let (mut coded, mut back) = (Vec::new(), Vec::new());
            encrypt(key, &text, padding, &mut coded);
            prop_assert_eq!(coded.len(), (text.len() / BLOCK + 1) * BLOCK);
            prop_assert!(decrypt(key, &coded, padding, &mut back).is_some());
            prop_assert_eq!(back, text);
        }

        #[test]
        fn any_text_is_taken(key: [u8; BLOCK], text in proptest::collection::vec(any::<u8>(), 0..40)) {
            for padding in [Padding::Iso7816, Padding::Pkcs7] {
                let mut out = Vec::new();
                if decrypt(key, &text, padding, &mut out).is_some() {
                    prop_assert!(out.len() < text.len() && text.len() - out.len() <= BLOCK);
                }
            }
        }
    }
}
