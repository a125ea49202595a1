//! Blocks that scripts hold as bare addresses: lent, and claimed back from addresses that nobody has to trust.

use std::ptr::NonNull;

use crate::arena::Arena;
use crate::block::{Block, BlockState, Snapshot};
use crate::buf::BufMut;
use crate::error::ClaimError;
use crate::walk;

/// What the scripts of one owner hold: blocks by their addresses, and nothing else that shows whose they are.
///
/// A script may come up with any address. One is good for a block only while the block is lent, and only here: every
/// `Scripts` has a number of its own, which a lent block carries. Dropping it frees what the scripts still hold, by a walk over all
/// blocks; they must not run any more.
///
/// ```
/// # use fulmar_arena::{Arena, ArenaConfig, ClaimError, Scripts};
/// # let arena = Arena::new(ArenaConfig { reserve_bytes: 4 << 20, ..Default::default() })?;
/// let (mut mine, mut others) = (Scripts::new(arena, 7), Scripts::new(arena, 8));
/// let address = mine.lend(arena.loan(10, 7)?).as_ptr();
/// assert_eq!(others.claim(address).unwrap_err(), ClaimError::NotOwner { expected: 8, found: 7 });
/// let buf = mine.claim(address)?;
/// assert!(matches!(mine.claim(address), Err(ClaimError::NotScript { .. })));
/// # drop(buf);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Invariants
/// 1. No two live `Scripts` of an arena have the same number, so a header that says "a script of this owner and number" was written by this
///    `lend`, and nobody but this value, which its methods borrow alone, changes it.
#[derive(Debug)]
pub struct Scripts {
    arena: Arena,
    owner: u32,
    number: u32,
    held: usize,
}

impl Scripts {
    /// For scripts that hold blocks of `arena`. `owner` is shown where blocks are counted by owner.
    ///
    /// # Panics
    /// When half a billion of them are alive.
    pub fn new(arena: Arena, owner: u32) -> Scripts {
        Scripts {
            arena,
            owner,
            number: arena.core().script_numbers().take(),
            held: 0,
        }
    }

    /// How many blocks the scripts hold.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Hands a block of the arena to the scripts, as the address of its body. It is the owner's from now on.
    ///
    /// Cost: a look at the header and one store.
    ///
    /// # Panics
    /// When the block is another arena's.
    #[inline]
    pub fn lend(&mut self, block: BufMut) -> NonNull<u8> {
        let held = block.block();
        assert!(self.arena.core().has(held), "scripts hold blocks of one arena");
        self.held += 1;
        held.header().word.set_script(self.lent());
        block.into_raw()
    }

    /// Takes back what the scripts hold at an address.
    ///
    /// Cost: a look at the side table, and a look at the block.
    ///
    /// # Errors
    /// `ClaimError::NotABlock` when no live block starts there, `NotScript` when it is not (or no longer) a script's,
    /// `NotOwner` when it is that of others.
    #[inline]
    pub fn claim(&mut self, address: *const u8) -> Result<BufMut, ClaimError> {
        let block = self.find(address)?;
        block.header().word.set_loaned(self.owner);
        self.held -= 1;
        // SAFETY: it was lent by us and nobody else could end that (1); now it is Loaned, and this is its handle.
        Ok(unsafe { BufMut::from_block(block) })
    }

    /// Reads what the scripts hold at an address.
    ///
    /// # Errors
    /// As for [`claim`](Self::claim).
    #[inline]
    pub fn view(&self, address: *const u8) -> Result<&[u8], ClaimError> {
        let block = self.find(address)?;
        // SAFETY: it was lent by us and nobody else can end that (1); we cannot either, for as long as we are borrowed.
        Ok(unsafe { block.bytes() })
    }

    /// The block at an address, if it is lent to these scripts.
    #[inline]
    fn find(&self, address: *const u8) -> Result<Block, ClaimError> {
        let located = self.arena.core().locate(address).ok_or(ClaimError::NotABlock)?;
        let found = located.block.header().word.snapshot_before_look();
        if found != self.lent() {
            return Err(match found.state() {
                _ if !found.is_live() => ClaimError::NotABlock,
                BlockState::Script => ClaimError::NotOwner {
                    expected: self.owner,
                    found: found.owner(),
                },
                state => ClaimError::NotScript { state },
            });
        }
        // A stale address whose page has changed its use since it was located: those were bytes that happened to compare equal. When
        // the use is the same, the word was a header's, and stays as it is (1), which keeps the page's use from changing.
        if located.is_current() {
            Ok(located.block)
        } else {
            Err(ClaimError::NotABlock)
        }
    }

    /// What the header of a block says that is lent to these scripts.
    #[inline]
    fn lent(&self) -> Snapshot {
        Snapshot::script(self.owner, self.number)
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        if self.held > 0 {
            let lent = self.lent();
            let left = walk::blocks_with(self.arena.core(), lent);
            debug_assert_eq!(left.len(), self.held);
            for block in left {
                block.header().word.set_loaned(self.owner);
                // SAFETY: as in `claim`; the walk shows each block once.
                drop(unsafe { BufMut::from_block(block) });
            }
        }
        self.arena.core().script_numbers().free.push(self.number);
    }
}

/// The numbers of all `Scripts` of an arena.
#[derive(Default)]
pub(crate) struct Numbers {
    last: u32,
    free: Vec<u32>,
}

impl Numbers {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            assert!(self.last < Snapshot::LAST_NUMBER, "too many owners of scripts");
            self.last += 1;
            self.last
        })
    }
}
