//! Takes the names of local variables and upvalues out of compiled code.
//!
//! The libraries inside the binary are loaded by every service. Lua interns each of those names in each state, only for
//! messages like `(local 'x')`. Line numbers stay, so positions and tracebacks are what they were. The format is that of
//! the Lua which is compiled into this crate (`ldump.c`), and the input comes from its `lua_dump` only.

/// A binary chunk without names; none when it does not look as expected.
pub(crate) fn without_names(chunk: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Copy {
        from: chunk,
        at: 0,
        to: Vec::with_capacity(chunk.len()),
        strings: Vec::new(),
        saved: 0,
    };
    copy.bytes(HEADER_BYTES)?;
    copy.bytes(1)?;
    copy.function(0)?;
    (copy.at == chunk.len()).then_some(copy.to)
}

/// Signature, version, format, check data; then a size and a sample of int, instruction, integer and number.
const HEADER_BYTES: usize = 4 + 1 + 1 + 6 + (1 + 4) + (1 + 4) + (1 + 8) + (1 + 8);
/// Functions inside functions; the compiler's own limit is 200 levels.
const MAX_DEPTH: usize = 250;

struct Copy<'a> {
    from: &'a [u8],
    at: usize,
    to: Vec<u8>,
    /// The strings read so far: their bytes, and their number in the copy once they are there.
    strings: Vec<(&'a [u8], Option<u64>)>,
    saved: u64,
}

impl<'a> Copy<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.from.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.take(len)?;
        self.to.extend_from_slice(bytes);
        Some(bytes)
    }

    /// Most significant group of seven bits first; the last byte has no high bit.
    fn read_number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        loop {
            let byte = self.take(1)?[0];
            number = number.checked_mul(128)? | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    }

    fn write_number(&mut self, number: u64) {
        let groups = (64 - number.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            self.to.push((number >> (7 * group)) as u8 & 0x7f | more);
        }
    }

    fn number(&mut self) -> Option<usize> {
        let number = self.read_number()?;
        self.write_number(number);
        usize::try_from(number).ok()
    }

    /// Both sides pad to multiples of `size`, each from its own beginning.
    fn aligned(&mut self, len: usize, size: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(size) - self.at)?;
        self.to.resize(self.to.len().next_multiple_of(size), 0);
        self.bytes(len.checked_mul(size)?)?;
        Some(())
    }

    /// Reads a string: its place in `strings`, or none for the absent string.
    fn read_string(&mut self) -> Option<Option<usize>> {
        let size = self.read_number()?;
        if size > 0 {
            let bytes = self.take(usize::try_from(size).ok()?)?;
            self.strings.push((bytes, None));
            return Some(Some(self.strings.len() - 1));
        }
        let number = usize::try_from(self.read_number()?).ok()?;
        match number.checked_sub(1) {
            None => Some(None),
            Some(place) => (place < self.strings.len()).then_some(Some(place)),
        }
    }

    fn string(&mut self) -> Option<()> {
        let Some(place) = self.read_string()? else {
            self.to.extend_from_slice(&[0, 0]);
            return Some(());
        };
        let (bytes, number) = self.strings[place];
        if let Some(number) = number {
            self.to.push(0);
            self.write_number(number);
        } else {
            self.write_number(bytes.len() as u64);
            self.to.extend_from_slice(bytes);
            self.saved += 1;
            self.strings[place].1 = Some(self.saved);
        }
        Some(())
    }

    fn function(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.number()?; // first line
        self.number()?; // last line
        self.bytes(3)?; // parameters, flags, stack
        let instructions = self.number()?;
        self.aligned(instructions, 4)?;
        for _ in 0..self.number()? {
            self.constant()?;
        }
        let upvalues = self.number()?;
        self.bytes(upvalues.checked_mul(3)?)?;
        for _ in 0..self.number()? {
            self.function(depth + 1)?;
        }
        self.string()?; // source
        let lines = self.number()?;
        self.bytes(lines)?;
        let absolute = self.number()?;
        if absolute > 0 {
            self.aligned(absolute.checked_mul(2)?, 4)?;
        }
        for _ in 0..self.read_number()? {
            self.read_string()?;
            self.read_number()?;
            self.read_number()?;
        }
        self.write_number(0); // local variables
        for _ in 0..self.read_number()? {
            self.read_string()?;
        }
        self.write_number(0); // upvalue names
        Some(())
    }

    fn constant(&mut self) -> Option<()> {
        match self.bytes(1)?[0] {
            0x00 | 0x01 | 0x11 => {} // nil, false, true
            0x03 => {
                self.number()?;
            }
            0x13 => {
                self.bytes(8)?;
            }
            0x04 | 0x14 => self.string()?,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{c_int, c_void};

    use mlua::ffi::{self, lua_State};

    use super::without_names;

    unsafe extern "C-unwind" fn write(
        _: *mut lua_State,
        data: *const c_void,
        len: usize,
        to: *mut c_void,
    ) -> c_int {
        // SAFETY: `to` is the vector of `dump`.
        unsafe {
            if len > 0 {
                (*to.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(data.cast(), len));
            }
        }
        0
    }

    /// Compiles, takes the names out, loads and runs; the text that the program returns.
    fn run(program: &str) -> String {
        // SAFETY: a state of our own; the program returns one string.
        unsafe {
            let state = ffi::luaL_newstate();
            ffi::luaL_openlibs(state);
            let (source, name) = (program.as_ptr().cast(), c"@program".as_ptr());
            assert_eq!(
                ffi::luaL_loadbufferx(state, source, program.len(), name, c"t".as_ptr()),
                ffi::LUA_OK
            );
            let mut dump: Vec<u8> = Vec::new();
            ffi::lua_dump(state, write, (&raw mut dump).cast(), 0);
            let bare = without_names(&dump).expect("a chunk of this Lua");
            assert!(bare.len() < dump.len());
            for len in 0..dump.len() {
                assert!(without_names(&dump[..len]).is_none(), "cut off after {len} bytes");
            }
            assert_eq!(
                ffi::luaL_loadbufferx(state, bare.as_ptr().cast(), bare.len(), name, c"b".as_ptr()),
                ffi::LUA_OK
            );
            assert_eq!(ffi::lua_pcall(state, 0, 1, 0), ffi::LUA_OK);
            let text = crate::stack::text_at(state, -1).expect("a text");
            ffi::lua_close(state);
            text
        }
    }

    #[test]
    fn code_runs_as_before_and_keeps_its_lines() {
        let text = run("local counter, step = 0, 2.5\n\
             local function add(n)\n\
             \tcounter = counter + n * step\n\
             \treturn ('%s %s'):format(counter, n)\n\
             end\n\
             local long = ('x'):rep(100) .. 'a string that is longer than forty bytes, as a constant'\n\
             add(1 << 40)\n\
             local ok, err = pcall(function()\n\
             \terror 'here'\n\
             end)\n\
             return add(-3) .. ' ' .. #long .. ' ' .. err .. ' ' .. tostring(ok) .. tostring(nil)");
        assert_eq!(text, "2748779069432.5 -3 155 program:9: here falsenil");
    }

    #[test]
    fn many_lines_need_absolute_line_information() {
        let blank = "\n".repeat(400);
        let text = run(&format!(
            "local a = 1{blank}local ok, err = pcall(function(){blank} error 'far' end) return err"
        ));
        assert_eq!(text, "program:801: far");
    }

    #[test]
    fn bytes_that_are_no_chunk_are_refused() {
        assert!(without_names(b"").is_none());
        assert!(without_names(&[0xff; 200]).is_none());
    }
}
