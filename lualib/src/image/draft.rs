//! Memory that a template of the node's image is set up in: what stays lies close together, what was only needed on the way
//! lies apart.
//!
//! Which blocks stay is found by setting up a template once without knowing it: the next ones ask for the same blocks in
//! the same order. No place is used twice, so all that is not written is zero.

#![expect(
    clippy::disallowed_methods,
    reason = "the heap of a Lua state is counted by its allocator; it holds no message memory"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::rc::Rc;

use super::WORD;

/// Memory for one template.
pub(crate) struct Draft {
    start: NonNull<u8>,
    /// Where `kept` begins.
    base: NonNull<u64>,
    kept: Bump,
    passing: Bump,
    plan: Rc<Plan>,
    /// How many blocks have been asked for.
    asked: usize,
    /// The blocks that live, by address, each with how many had been asked for before.
    live: HashMap<usize, usize>,
}

/// Which blocks stay, by the order in which they were asked for.
#[derive(Default)]
pub(crate) struct Plan(Vec<bool>);

/// Words taken one behind the other.
struct Bump {
    next: usize,
    end: usize,
}

/// Copies begin at multiples of this, and two drafts of which one is skewed are a multiple of 64 KiB and this apart. So correcting an
/// address never changes its lowest byte, which may be the tag of a value with an old address behind it; and a word that is the
/// same in its two lowest bytes, as objects' headers are, never looks like an address.
pub(super) const SKEW_BYTES: usize = 256;

const ALIGNMENT: usize = 1 << 16;
const KEPT_WORDS: usize = 1 << 14;
const PASSING_WORDS: usize = 1 << 17;
const BYTES: usize = (KEPT_WORDS + PASSING_WORDS) * WORD + SKEW_BYTES;

impl Draft {
    /// Memory that begins at a multiple of 64 KiB, or [`SKEW_BYTES`] behind one. None when there is none.
    pub(crate) fn new(plan: Rc<Plan>, is_skewed: bool) -> Option<Draft> {
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(Draft::layout()) })?;
        // SAFETY: the layout has room for the skew.
        let base = unsafe { start.add(usize::from(is_skewed) * SKEW_BYTES) }.cast();
        Some(Draft {
            start,
            base,
            kept: Bump {
                next: 0,
                end: KEPT_WORDS,
            },
            passing: Bump {
                next: KEPT_WORDS,
                end: KEPT_WORDS + PASSING_WORDS,
            },
            plan,
            asked: 0,
            live: HashMap::new(),
        })
    }

    /// A block, at a multiple of two words if it `is_userdata`. None when the draft is full.
    pub(crate) fn take(&mut self, bytes: usize, is_userdata: bool) -> Option<*mut c_void> {
        let stays = self.plan.0.get(self.asked).copied().unwrap_or(false);
        let bump = if stays { &mut self.kept } else { &mut self.passing };
        let place = if is_userdata {
            bump.next.next_multiple_of(2)
        } else {
            bump.next
        };
        bump.next = place
            .checked_add(bytes.div_ceil(WORD))
            .filter(|&next| next <= bump.end)?;
        // SAFETY: the place lies in the draft.
        let block = unsafe { self.base.add(place) };
        self.live.insert(block.addr().get(), self.asked);
        self.asked += 1;
        Some(block.as_ptr().cast())
    }

    /// The block is no longer needed.
    #[inline(never)]
    pub(crate) fn give_back(&mut self, block: *mut c_void) {
        self.live.remove(&block.addr());
    }

    /// What has stayed.
    pub(crate) fn plan(&self) -> Plan {
        let mut stays = vec![false; self.asked];
        for &order in self.live.values() {
            stays[order] = true;
        }
        Plan(stays)
    }

    /// The words of the blocks that were to stay.
    pub(crate) fn words(&self) -> &[u64] {
        // SAFETY: the words belong to the draft, and began as zeros.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.kept.next) }
    }

    fn layout() -> Layout {
        // SAFETY: the alignment is a power of two, the size is small.
        unsafe { Layout::from_size_align_unchecked(BYTES, ALIGNMENT) }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // SAFETY: made with this layout; the state that used it is closed.
        unsafe { dealloc(self.start.as_ptr(), Draft::layout()) };
    }
}
