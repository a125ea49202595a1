//! What an arena holds, as numbers that add up: blocks by class, pages, and what the system has put behind them.

use crate::core::Core;
use crate::layout::PAGE_BYTES;
use crate::size_class::Class;

/// The numbers of one arena at one moment.
///
/// Shape: a snapshot. While other threads loan and free, each number is right for some moment during the call; when
/// they are still, all of them agree: the classes and `large` sum up to `live_blocks` and `live_bytes`, and
/// `live_bytes <= used_bytes <= committed_bytes`, `system_bytes <= committed_bytes`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Blocks that somebody holds.
    pub live_blocks: u64,
    /// Their sizes, headers and slack included.
    pub live_bytes: u64,
    /// Address space that the configuration asked for.
    pub requested_bytes: u64,
    /// Address space that the system granted: less than was asked for when it refused.
    pub reserved_bytes: u64,
    /// The limit on used and cached pages.
    pub limit_bytes: u64,
    /// Pages handed out, for blocks of a class or for large ones.
    pub used_bytes: u64,
    /// Free pages that keep their memory to be loaned again soon.
    pub cached_bytes: u64,
    /// Used and cached: the most memory that can be behind the arena.
    pub committed_bytes: u64,
    /// The highest `used_bytes` so far.
    pub high_water_bytes: u64,
    /// Memory that the system reports behind the arena's file.
    pub system_bytes: u64,
    /// Blocks by size class, smallest first.
    pub classes: Vec<ClassStats>,
    /// Blocks with pages of their own.
    pub large: ClassStats,
}

/// The blocks of one size class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ClassStats {
    /// Size of each block, header included; 0 for large blocks, which differ.
    pub block_bytes: usize,
    /// Blocks that somebody holds.
    pub live_blocks: u64,
    /// Their sizes together.
    pub live_bytes: u64,
    /// Loans since the start.
    pub loans: u64,
}

impl Stats {
    pub(crate) fn of(core: &Core) -> Stats {
        let classes: Vec<ClassStats> = Class::all().map(|class| class_stats(core, class)).collect();
        let pool = core.pool();
        let (pages, large) = {
            let inner = pool.lock();
            (pool.counts(&inner), inner.large)
        };
        let large = ClassStats {
            block_bytes: 0,
            live_blocks: large.loans - large.frees,
            live_bytes: bytes(large.pages),
            loans: large.loans,
        };
        Stats {
            live_blocks: classes.iter().map(|class| class.live_blocks).sum::<u64>() + large.live_blocks,
            live_bytes: classes.iter().map(|class| class.live_bytes).sum::<u64>() + large.live_bytes,
            requested_bytes: core.requested_bytes as u64,
            reserved_bytes: core.bytes() as u64,
            limit_bytes: bytes(pool.limit_pages()).min(core.bytes() as u64),
            used_bytes: bytes(pages.used),
            cached_bytes: bytes(pages.cached),
            committed_bytes: bytes(pages.used + pages.cached),
            high_water_bytes: bytes(pages.high_water),
            system_bytes: pool.backing().system_bytes(),
            classes,
            large,
        }
    }
}

fn class_stats(core: &Core, class: Class) -> ClassStats {
    let (loans, frees) = core.class_counts(class);
    // Saturating: a block that is loaned and freed while we sum can be seen freed first.
    let live_blocks = loans.saturating_sub(frees);
    ClassStats {
        block_bytes: class.block_bytes(),
        live_blocks,
        live_bytes: live_blocks * class.block_bytes() as u64,
        loans,
    }
}

fn bytes(pages: usize) -> u64 {
    (pages * PAGE_BYTES) as u64
}
