//! `md5` and `md5.core`, which are one table: sums, their use as a keyed hash, and a cipher in feedback mode made of them.

use std::ffi::{CStr, c_int};

use ::md5::{Digest as _, Md5};
use hmac::{Hmac, KeyInit as _, Mac as _};
use mlua::ffi::{self, lua_State};

use crate::buffers::push_written;
use crate::crypt::text::hex_encode;
use crate::random;
use crate::stack::{self, check_bytes, native};

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"sum", sum),
    (c"sumhexa", sumhexa),
    (c"hmacmd5", hmacmd5),
    (c"exor", exor),
    (c"crypt", crypt),
    (c"decrypt", decrypt),
];

/// Opens the module under either name: whichever comes second gets the table of the first.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: at most two values, one result.
    unsafe {
        ffi::luaL_getsubtable(state, ffi::LUA_REGISTRYINDEX, c"_LOADED".as_ptr());
        for name in [c"md5", c"md5.core"] {
            if ffi::lua_getfield(state, -1, name.as_ptr()) == ffi::LUA_TTABLE {
                return 1;
            }
            ffi::lua_pop(state, 1);
        }
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

native! {
    /// `sum(bytes) -> 16 bytes`
    fn sum(state) {
        // SAFETY: the check may raise; nothing is owned. Stack: one result.
        unsafe {
            let sum: Block = Md5::digest(check_bytes(state, 1)).into();
            stack::push_bytes(state, &sum);
            Ok(1)
        }
    }
}

native! {
    /// `sumhexa(bytes) -> 32 digits`
    fn sumhexa(state) {
        // SAFETY: the check comes first. Stack: one result.
        unsafe {
            let sum: Block = Md5::digest(check_bytes(state, 1)).into();
            push_digits(state, sum)
        }
    }
}

native! {
    /// `hmacmd5(bytes, key) -> 32 digits`
    fn hmacmd5(state) {
        // SAFETY: the checks may raise; the state of the hash has no destructor. Stack: one result.
        unsafe {
            let bytes = check_bytes(state, 1);
            let key = check_bytes(state, 2);
            let code = Hmac::<Md5>::new_from_slice(key).expect("any key will do").chain_update(bytes);
            push_digits(state, code.finalize().into_bytes().into())
        }
    }
}

unsafe fn push_digits(state: *mut lua_State, sum: Block) -> stack::Outcome {
    // SAFETY: by the caller. Stack: one string more.
    unsafe {
        push_written(state, |out| {
            hex_encode(&sum, out);
            Ok(())
        })
    }
}

native! {
    /// `exor(a, b) -> string`: both of one length.
    fn exor(state) {
        // SAFETY: the checks come first. Stack: one result.
        unsafe {
            let (a, b) = (check_bytes(state, 1), check_bytes(state, 2));
            if a.len() != b.len() {
                return Ok(ffi::luaL_argerror(state, 2, c"lengths must be equal".as_ptr()));
            }
            push_written(state, |out| {
                out.extend(a.iter().zip(b).map(|(a, b)| a ^ b));
                Ok(())
            })
        }
    }
}

native! {
    /// `crypt(text, key [, seed]) -> string`: the seed's length, the seed, the encrypted text.
    fn crypt(state) {
        // SAFETY: the checks come first. Stack: one result.
        unsafe {
            let (text, key) = (check_bytes(state, 1), check_bytes(state, 2));
            let fresh: [u8; 8];
            let seed = if ffi::lua_isnoneornil(state, 3) != 0 {
                fresh = random::bytes()?;
                &fresh[..]
            } else {
                check_bytes(state, 3)
            };
            let mut stream = Stream::new(seed, key)?;
            push_written(state, |out| {
                out.push(seed.len() as u8);
                out.extend_from_slice(seed);
                stream.apply(text, out, |_, cipher| cipher);
                Ok(())
            })
        }
    }
}

native! {
    /// `decrypt(string, key) -> text`
    fn decrypt(state) {
        // SAFETY: the checks come first. Stack: one result.
        unsafe {
            let whole = check_bytes(state, 1);
            let split = whole
                .split_first()
                .filter(|(len, _)| usize::from(**len) <= size_of::<Block>())
                .and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)));
            let Some((seed, cipher)) = split else {
                return Ok(ffi::luaL_argerror(state, 1, c"invalid cyphered string".as_ptr()));
            };
            let mut stream = Stream::new(seed, check_bytes(state, 2))?;
            push_written(state, |out| {
                stream.apply(cipher, out, |cipher, _| cipher);
                Ok(())
            })
        }
    }
}

type Block = [u8; 16];

/// What a text is mixed with: each block is the sum of the encrypted block before it and the key.
struct Stream<'a> {
    block: Block,
    key: &'a [u8],
}

impl<'a> Stream<'a> {
    fn new(seed: &[u8], key: &'a [u8]) -> Result<Stream<'a>, &'static str> {
        let mut block = Block::default();
        let start = block.get_mut(..seed.len()).ok_or("seed too long (> 16)")?;
        start.copy_from_slice(seed);
        if key.len() > MAX_KEY_BYTES {
            return Err("key too long (> 256)");
        }
        let mut stream = Stream { block, key };
        stream.advance(block);
        Ok(stream)
    }

    fn advance(&mut self, encrypted: Block) {
        self.block = Md5::new()
            .chain_update(encrypted)
            .chain_update(self.key)
            .finalize()
            .into();
    }

    /// Appends `text` mixed with the stream; `encrypted` says which of (what came in, what goes out) is the encrypted half.
    fn apply(&mut self, text: &[u8], out: &mut Vec<u8>, encrypted: fn(Block, Block) -> Block) {
        for part in text.chunks(size_of::<Block>()) {
            let mut before = Block::default();
            before[..part.len()].copy_from_slice(part);
            let after = std::array::from_fn(|place| before[place] ^ self.block[place]);
            out.extend_from_slice(&after[..part.len()]);
            self.advance(encrypted(before, after));
        }
    }
}

const MAX_KEY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encrypted_decrypts(
            text in proptest::collection::vec(any::<u8>(), 0..70),
            key in proptest::collection::vec(any::<u8>(), 0..40),
            seed in proptest::collection::vec(any::<u8>(), 0..=16),
        ) {
            let (mut coded, mut back) = (Vec::new(), Vec::new());
            Stream::new(&seed, &key).unwrap().apply(&text, &mut coded, |_, cipher| cipher);
            Stream::new(&seed, &key).unwrap().apply(&coded, &mut back, |cipher, _| cipher);
            prop_assert_eq!(back, text);
        }
    }
}
