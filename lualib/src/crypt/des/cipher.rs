//! DES itself (FIPS 46-3), by tables that the compiler makes of the standard's. The crate `des`, with which the tests compare it, takes
//! almost three times as long. As with all such tables, the time it takes tells of the key.

/// A key, spread over the rounds: for each the bits for S-boxes 1, 3, 5, 7 and for 2, 4, 6, 8, where [`round`] wants them.
pub(super) struct Cipher([[u32; 2]; ROUNDS]);

impl Cipher {
    pub(super) fn new(key: [u8; 8]) -> Cipher {
        let key = u64::from_be_bytes(key);
        // Two registers of 28 bits that turn from round to round.
        let mut halves = [select(key, &CHOICE_1[..28]), select(key, &CHOICE_1[28..])];
        let mut rounds = [[0; 2]; ROUNDS];
        for (round, turn) in rounds.iter_mut().zip(TURNS) {
            let mut bits = 0;
            for (half, table) in halves.iter_mut().zip(&KEY_BITS) {
                *half = (*half << turn | *half >> (28 - turn)) & ((1 << 28) - 1);
                for (place, table) in table.iter().enumerate() {
                    bits |= table[(*half >> (21 - 7 * place)) as usize & 127];
                }
            }
            *round = [(bits >> 32) as u32, bits as u32];
        }
        Cipher(rounds)
    }

    pub(super) fn encrypt(&self, blocks: &mut [[u8; 8]]) {
        self.run_all(blocks, self.0.iter());
    }

    pub(super) fn decrypt(&self, blocks: &mut [[u8; 8]]) {
        self.run_all(blocks, self.0.iter().rev());
    }

    fn run_all<'a>(&self, blocks: &mut [[u8; 8]], keys: impl Iterator<Item = &'a [u32; 2]> + Clone) {
        let (lanes, rest) = blocks.as_chunks_mut::<LANES>();
        lanes.iter_mut().for_each(|lanes| run(lanes, keys.clone()));
        rest.iter_mut()
            .for_each(|block| run(std::array::from_mut(block), keys.clone()));
    }
}

/// Several blocks side by side: the processor does not have to wait for one table after the other.
#[inline(always)]
fn run<'a, const N: usize>(blocks: &mut [[u8; 8]; N], mut keys: impl Iterator<Item = &'a [u32; 2]>) {
    let mut halves = blocks.map(|block| {
        let whole = u64::from_be_bytes(block);
        let (mut left, mut right) = ((whole >> 32) as u32, whole as u32);
        exchange(&mut left, &mut right, 4, 0x0f0f_0f0f);
        exchange(&mut left, &mut right, 16, 0x0000_ffff);
        exchange(&mut right, &mut left, 2, 0x3333_3333);
        exchange(&mut right, &mut left, 8, 0x00ff_00ff);
        exchange(&mut left, &mut right, 1, 0x5555_5555);
        [left, right]
    });
    while let (Some(one), Some(two)) = (keys.next(), keys.next()) {
        for [left, right] in &mut halves {
            *left ^= round(*right, one);
        }
        for [left, right] in &mut halves {
            *right ^= round(*left, two);
        }
    }
    // The halves change places at the end.
    *blocks = halves.map(|[mut left, mut right]| {
        exchange(&mut right, &mut left, 1, 0x5555_5555);
        exchange(&mut left, &mut right, 8, 0x00ff_00ff);
        exchange(&mut left, &mut right, 2, 0x3333_3333);
        exchange(&mut right, &mut left, 16, 0x0000_ffff);
        exchange(&mut right, &mut left, 4, 0x0f0f_0f0f);
        (u64::from(right) << 32 | u64::from(left)).to_be_bytes()
    });
}

/// One half through the S-boxes, each of which sees six bits, two of them shared with its neighbours.
#[inline(always)]
fn round(half: u32, key: &[u32; 2]) -> u32 {
    let odd = half.rotate_right(1) ^ key[0];
    let even = half.rotate_left(3) ^ key[1];
    let out = |box_: usize, bits: u32| BOXES[box_][bits as usize & 63];
    out(0, odd >> 26)
        ^ out(1, even >> 26)
        ^ out(2, odd >> 18)
        ^ out(3, even >> 18)
        ^ out(4, odd >> 10)
        ^ out(5, even >> 10)
        ^ out(6, odd >> 2)
        ^ out(7, even >> 2)
}

/// Exchanges bits of `b` with bits of `a` that stand higher by `by`: the steps of the initial permutation and its inverse.
#[inline(always)]
fn exchange(a: &mut u32, b: &mut u32, by: u32, mask: u32) {
    let different = (*a >> by ^ *b) & mask;
    *b ^= different;
    *a ^= different << by;
}

/// The bits of `from`, of 64, that stand at these places, counted from 1 at the highest.
fn select(from: u64, places: &[u8]) -> u32 {
    places
        .iter()
        .fold(0, |bits, place| bits << 1 | (from >> (64 - place) & 1) as u32)
}

/// What each S-box gives for its six bits, where the permutation of the round puts it.
static BOXES: [[u32; 64]; 8] = {
    let mut boxes = [[0; 64]; 8];
    let mut number = 0;
    while number < 8 {
        let mut bits = 0;
        while bits < 64 {
            // The outer two bits are the row.
            let place = (bits >> 4 & 2 | bits & 1) * 16 + (bits >> 1 & 15);
            let nibble = S_BOXES[number][place];
            let mut bit = 0;
            while bit < 32 {
                let from = P[bit] as usize - 1;
                if from / 4 == number && nibble >> (3 - from % 4) & 1 == 1 {
                    boxes[number][bits] |= 1 << (31 - bit);
                }
                bit += 1;
            }
            bits += 1;
        }
        number += 1;
    }
    boxes
};

/// The bits of a round's key that seven bits of a register bring, for both registers; those of the odd boxes in the upper half.
static KEY_BITS: [[[u64; 128]; 4]; 2] = {
    let mut tables = [[[0; 128]; 4]; 2];
    let mut bit = 0;
    while bit < 48 {
        let from = CHOICE_2[bit] as usize - 1;
        let (half, place, within) = (from / 28, from % 28 / 7, from % 7);
        // Boxes have six bits each, two boxes stand in a row of eight bits of their half.
        let (number, at) = (bit / 6, bit % 6);
        let shift = if number % 2 == 0 { 32 } else { 0 } + 26 - 8 * (number / 2) + (5 - at);
        let mut bits = 0;
        while bits < 128 {
            if bits >> (6 - within) & 1 == 1 {
                tables[half][place][bits] |= 1 << shift;
            }
            bits += 1;
        }
        bit += 1;
    }
    tables
};

const ROUNDS: usize = 16;

/// Blocks that are worked on side by side.
const LANES: usize = 4;

/// By how many bits the registers of the key turn before each round.
const TURNS: [u32; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

#[rustfmt::skip]
const S_BOXES: [[u8; 64]; 8] = [
    [14,4,13,1,2,15,11,8,3,10,6,12,5,9,0,7,0,15,7,4,14,2,13,1,10,6,12,11,9,5,3,8,
     4,1,14,8,13,6,2,11,15,12,9,7,3,10,5,0,15,12,8,2,4,9,1,7,5,11,3,14,10,0,6,13],
    [15,1,8,14,6,11,3,4,9,7,2,13,12,0,5,10,3,13,4,7,15,2,8,14,12,0,1,10,6,9,11,5,
     0,14,7,11,10,4,13,1,5,8,12,6,9,3,2,15,13,8,10,1,3,15,4,2,11,6,7,12,0,5,14,9],
    [10,0,9,14,6,3,15,5,1,13,12,7,11,4,2,8,13,7,0,9,3,4,6,10,2,8,5,14,12,11,15,1,
     13,6,4,9,8,15,3,0,11,1,2,12,5,10,14,7,1,10,13,0,6,9,8,7,4,15,14,3,11,5,2,12],
    [7,13,14,3,0,6,9,10,1,2,8,5,11,12,4,15,13,8,11,5,6,15,0,3,4,7,2,12,1,10,14,9,
     10,6,9,0,12,11,7,13,15,1,3,14,5,2,8,4,3,15,0,6,10,1,13,8,9,4,5,11,12,7,2,14],
    [2,12,4,1,7,10,11,6,8,5,3,15,13,0,14,9,14,11,2,12,4,7,13,1,5,0,15,10,3,9,8,6,
     4,2,1,11,10,13,7,8,15,9,12,5,6,3,0,14,11,8,12,7,1,14,2,13,6,15,0,9,10,4,5,3],
    [12,1,10,15,9,2,6,8,0,13,3,4,14,7,5,11,10,15,4,2,7,12,9,5,6,1,13,14,0,11,3,8,
     9,14,15,5,2,8,12,3,7,0,4,10,1,13,11,6,4,3,2,12,9,5,15,10,11,14,1,7,6,0,8,13],
    [4,11,2,14,15,0,8,13,3,12,9,7,5,10,6,1,13,0,11,7,4,9,1,10,14,3,5,12,2,15,8,6,
     1,4,11,13,12,3,7,14,10,15,6,8,0,5,9,2,6,11,13,8,1,4,10,7,9,5,0,15,14,2,3,12],
    [13,2,8,4,6,15,11,1,10,9,3,14,5,0,12,7,1,15,13,8,10,3,7,4,12,5,6,11,0,14,9,2,
     7,11,4,1,9,12,14,2,0,6,10,13,15,3,5,8,2,1,14,7,4,10,8,13,15,12,9,0,3,5,6,11],
];

/// The permutation at the end of a round.
const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6,
    22, 11, 4, 25,
];

/// Which bits of a key the registers begin with.
const CHOICE_1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44,
    36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20,
    12, 4,
];

/// Which bits of the registers a round takes.
const CHOICE_2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37,
    47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

#[cfg(test)]
mod tests {
    use ::des::Des;
    use ::des::cipher::{BlockCipherEncrypt as _, KeyInit as _};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_standards(key: [u8; 8], text in proptest::collection::vec(any::<[u8; 8]>(), 0..LANES * 2 + 1)) {
            let mut blocks = text.clone();
            Cipher::new(key).encrypt(&mut blocks);
            for (block, text) in blocks.iter().zip(&text) {
                let mut expected = (*text).into();
                Des::new(&key.into()).encrypt_block(&mut expected);
                prop_assert_eq!(&block[..], &expected[..]);
            }
            Cipher::new(key).decrypt(&mut blocks);
            prop_assert_eq!(blocks, text);
        }
    }
}
