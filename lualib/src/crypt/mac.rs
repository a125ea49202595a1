//! The short keyed hashes of skynet's login: 8 bytes, made for programs in any language to follow, not against attackers.

use ::md5::{Digest as _, Md5};

/// Eight bytes: two words of 32 bits, or one of 64, little-endian.
pub type Short = [u8; 8];

/// DJB's hash of `text`, then JS's.
pub fn hashkey(text: &[u8]) -> Short {
    let (djb, js) = text.iter().fold((5381u32, 1_315_423_911u32), |(djb, js), &byte| {
        let byte = u32::from(byte);
        let mixed = (js << 5).wrapping_add(byte).wrapping_add(js >> 2);
        (djb.wrapping_mul(33).wrapping_add(byte), js ^ mixed)
    });
    join(djb, js)
}

/// One compression of MD5 over the words of both, four times, without the final addition.
pub fn hmac64(x: Short, y: Short) -> Short {
    let mut block = [0; 64];
    for part in block.chunks_exact_mut(16) {
        for (place, half) in [&x[4..], &x[..4], &y[4..], &y[..4]].into_iter().enumerate() {
            part[place * 4..][..4].copy_from_slice(half);
        }
    }
    let mut words = MD5_START;
    ::md5::block_api::compress(&mut words, &[block]);
    for (word, start) in words.iter_mut().zip(MD5_START) {
        *word = word.wrapping_sub(start);
    }
    let [a, b, c, d] = words;
    join(c ^ d, a ^ b)
}

/// MD5 of both, three times over, folded.
pub fn hmac64_md5(x: Short, y: Short) -> Short {
    let mut hash = Md5::new();
    for _ in 0..3 {
        hash.update(x);
        hash.update(y);
    }
    let sum = hash.finalize();
    std::array::from_fn(|place| sum[place] ^ sum[place + 8])
}

fn join(low: u32, high: u32) -> Short {
    (u64::from(high) << 32 | u64::from(low)).to_le_bytes()
}

/// The start values of MD5 (RFC 1321, section 3.3).
const MD5_START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
