//! The face of the crate: making an arena, loaning from it, checking addresses that come from scripts, and numbers.

use std::{fmt, io};

use crate::block::BlockState;
use crate::buf::{Buf, BufMut};
use crate::core::{Core, Located};
use crate::error::{ConfigureError, LoanError, ReserveError};
use crate::heap;
use crate::layout::{MAX_RESERVE_BYTES, OVERHEAD_BYTES, PAGE_BYTES, SEGMENT_BYTES};
use crate::os::{self, Backing};
use crate::sites::CallSite;
use crate::stats::Stats;
use crate::sync::plain::{Mutex, OnceLock, Ordering, PoisonError};
use crate::walk;

/// A range of shared memory from which blocks are loaned.
///
/// Shape: one reference; an arena lives as long as the process. Any thread may use it.
#[derive(Clone, Copy)]
pub struct Arena {
    core: &'static Core,
}

/// The settings of an arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArenaConfig {
    /// Address space to reserve, in bytes, rounded up to whole segments of 4 MiB. Nothing of it is committed. When the
    /// system refuses, it is halved until it agrees; [`Stats::reserved_bytes`] says what was granted.
    pub reserve_bytes: usize,
    /// The most memory, in bytes, that blocks and cached pages may take together, counted in pages of 64 KiB.
    pub limit_bytes: usize,
}

/// What an address was found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BlockInfo {
    /// Who holds the block.
    pub state: BlockState,
    /// The service it is charged to.
    pub owner: u32,
    /// Bytes of the body.
    pub len: usize,
    /// The longest body it can hold.
    pub capacity: usize,
    /// Counts, when it is frozen; 1 otherwise.
    pub references: u32,
}

static PROCESS: OnceLock<Arena> = OnceLock::new();
static PROCESS_CONFIG: Mutex<Option<ArenaConfig>> = Mutex::new(None);

impl Default for ArenaConfig {
    /// 64 GiB of address space, no limit.
    fn default() -> Self {
        ArenaConfig {
            reserve_bytes: 64 << 30,
            limit_bytes: usize::MAX,
        }
    }
}

impl Arena {
    /// Makes an arena of its own, for tests and for embedders that want memory apart. It is never given back.
    ///
    /// # Errors
    /// `ReserveError::TooLarge` above [`MAX_RESERVE_BYTES`]; `Refused` when the system does not even grant one segment;
    /// `TooMany` after [`MAX_ARENAS`](crate::MAX_ARENAS).
    pub fn new(config: ArenaConfig) -> Result<Arena, ReserveError> {
        let requested_bytes = config.reserve_bytes;
        if requested_bytes > MAX_RESERVE_BYTES {
            return Err(ReserveError::TooLarge {
                requested_bytes,
                max_bytes: MAX_RESERVE_BYTES,
            });
        }
        let (bytes, (backing, pages)) = halve_until_granted(requested_bytes, |bytes| {
            Ok((Backing::reserve(bytes)?, os::page_table(bytes / PAGE_BYTES)?))
        })
        .map_err(|source| ReserveError::Refused {
            requested_bytes,
            source,
        })?;
        let core = Core::create(backing, pages, bytes, requested_bytes, config.limit_bytes)?;
        Ok(Arena { core })
    }

    /// Sets what [`process`](Arena::process) will make.
    ///
    /// # Errors
    /// `ConfigureError::InUse` once it has been made.
    pub fn configure(config: ArenaConfig) -> Result<(), ConfigureError> {
        let mut slot = PROCESS_CONFIG.lock().unwrap_or_else(PoisonError::into_inner);
        if PROCESS.get().is_some() {
            return Err(ConfigureError::InUse);
        }
        *slot = Some(config);
        Ok(())
    }

    /// The arena that the engines of this process share; made at the first call.
    ///
    /// # Panics
    /// When the system does not grant even one segment: without memory there is no engine.
    pub fn process() -> Arena {
        *PROCESS.get_or_init(|| {
            let slot = PROCESS_CONFIG.lock().unwrap_or_else(PoisonError::into_inner);
            Arena::new(slot.unwrap_or_default()).unwrap_or_else(|error| panic!("the process arena: {error}"))
        })
    }

    /// Takes a unique buffer whose body is `len` bytes, with anything in them, and a zero after them.
    ///
    /// Shape: the block is 65 bytes and the body, rounded up to a size class (64 B to 16 KiB, slack at most a fifth) or to
    /// pages of 64 KiB, of which untouched parts take no memory. Cost: no read-modify-write while the thread's page of the class
    /// has a free block; a lock once per page, and for every block above 16 KiB.
    ///
    /// ```
    /// # let arena = fulmar_arena::Arena::new(fulmar_arena::ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
    /// let mut buf = arena.loan(3, 0x0100_0001)?;
    /// buf.copy_from_slice(b"abc");
    /// assert_eq!(buf.owner(), 0x0100_0001);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `LoanError::TooLarge` when no block of this arena can be that long; `Exhausted` when the limit or the reservation
    /// is reached (retry after releases).
    ///
    /// # Panics
    /// When the free block it would hand out was written to after it was freed.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn loan(self, len: usize, owner: u32) -> Result<BufMut, LoanError> {
        BufMut::loan(self.core, len, owner)
    }

    #[inline]
    pub(crate) fn core(self) -> &'static Core {
        self.core
    }

    /// What lives at an address, if it is the start of a live block's body. Any address may be asked about.
    ///
    /// Shape: for information. When the caller does not hold the block, the answer may be out of date at once.
    ///
    /// ```
    /// # use fulmar_arena::{Arena, ArenaConfig, BlockState};
    /// # let arena = Arena::new(ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
    /// let buf = arena.loan(100, 7)?;
    /// let body = buf.body_ptr().as_ptr();
    /// assert_eq!(arena.inspect(body).unwrap().state, BlockState::Loaned);
    /// assert_eq!(arena.inspect(body.wrapping_add(1)), None);
    /// drop(buf);
    /// assert_eq!(arena.inspect(body), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn inspect(self, address: *const u8) -> Option<BlockInfo> {
        let Located {
            block, block_bytes, ..
        } = self.core.locate(address)?;
        let word = block.header().word.snapshot();
        word.is_live().then(|| BlockInfo {
            state: word.state(),
            owner: word.owner(),
            // Relaxed: for information.
            len: block.header().len.load(Ordering::Relaxed) as usize,
            capacity: block_bytes - OVERHEAD_BYTES,
            references: word.count(),
        })
    }

    /// One more count of a frozen block that the caller holds a count of by address; `None` when no frozen block starts
    /// there.
    ///
    /// # Safety
    /// If a frozen block's body starts at `address`, the caller holds a count of it during the call.
    pub unsafe fn shared(self, address: *const u8) -> Option<Buf> {
        let Located { block, .. } = self.core.locate(address)?;
        let word = &block.header().word;
        let found = word.snapshot();
        if found.state() != BlockState::Frozen || !found.is_live() {
            return None;
        }
        word.add_count();
        // SAFETY: frozen, and the count was just added; it could not fall to zero before, for the caller holds one.
        Some(unsafe { Buf::from_block(block) })
    }

    /// Bytes of live blocks by owner, largest first. A walk over all blocks.
    pub fn bytes_by_owner(self) -> Vec<(u32, usize)> {
        walk::bytes_by_owner(self.core)
    }

    /// Live blocks by the line that loaned them, most bytes first. A walk over all blocks; empty in a release build,
    /// which does not record lines.
    pub fn call_sites(self) -> Vec<CallSite> {
        walk::call_sites(self.core)
    }

    /// The numbers of the arena.
    ///
    /// Cost: a lock, a few reads per thread and class, one system call.
    pub fn stats(self) -> Stats {
        Stats::of(self.core)
    }

    /// Gives up the pages from which the calling thread loans. They are taken again when it loans; until then, another
    /// thread can use what is free in them. For a thread that is about to sleep for long.
    pub fn flush_thread(self) {
        heap::flush_current(self.core);
    }

    /// Gives some of what is free beyond 64 MiB back to the system, up to 4 MiB of what nobody has wanted for a second or two; false when
    /// there is no such memory. Who frees memory does the same, so only who frees nothing has to call this: an engine's monitor does,
    /// once in its period.
    ///
    /// Cost: a lock; system calls when there is a surplus.
    pub fn shrink(self) -> bool {
        self.core.pool().shrink()
    }

    /// Gives the memory of every free page back to the system. What other threads loan from stays theirs: at most
    /// a page per size class each.
    ///
    /// Cost: system calls; for idle moments.
    pub fn trim(self) {
        self.flush_thread();
        self.core.pool().discard(0);
    }
}

/// Tries to reserve whole segments, half as many after each refusal.
fn halve_until_granted<T>(
    requested_bytes: usize,
    mut reserve: impl FnMut(usize) -> io::Result<T>,
) -> io::Result<(usize, T)> {
    let mut bytes = requested_bytes.max(1).next_multiple_of(SEGMENT_BYTES);
    loop {
        match reserve(bytes) {
            Ok(granted) => return Ok((bytes, granted)),
            Err(refusal) if bytes == SEGMENT_BYTES => return Err(refusal),
            Err(_) => bytes = (bytes / 2).next_multiple_of(SEGMENT_BYTES),
        }
    }
}

impl PartialEq for Arena {
    /// Whether both are the same arena.
    fn eq(&self, other: &Arena) -> bool {
        std::ptr::eq(self.core, other.core)
    }
}

impl Eq for Arena {}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("id", &self.core.id())
            .field("reserved_bytes", &self.core.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_reservation_is_halved_down_to_a_segment() {
        let refuse_above = |most: usize| {
            let mut asked = Vec::new();
            let granted = halve_until_granted(21 * SEGMENT_BYTES - 1, |bytes| {
                asked.push(bytes / SEGMENT_BYTES);
                if bytes <= most {
                    Ok(())
                } else {
                    Err(io::ErrorKind::OutOfMemory.into())
                }
            });
            (granted.map(|(bytes, ())| bytes / SEGMENT_BYTES).ok(), asked)
        };
        assert_eq!(refuse_above(usize::MAX), (Some(21), vec![21]));
        assert_eq!(refuse_above(6 * SEGMENT_BYTES), (Some(6), vec![21, 11, 6]));
        assert_eq!(refuse_above(0), (None, vec![21, 11, 6, 3, 2, 1]));
    }
}
