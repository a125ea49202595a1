//! Tests that need the crate's inside, or that look at it as a whole. `loom_*` are models and run under `--cfg loom`
//! only; the others need real memory and run without it.

#[cfg(loom)]
mod loom_block;
#[cfg(loom)]
mod loom_page;

#[cfg(not(loom))]
mod attachments;
#[cfg(not(loom))]
mod buffers;
#[cfg(not(loom))]
mod limits;
#[cfg(not(loom))]
mod prop_arena;
#[cfg(not(loom))]
mod prop_segment;
#[cfg(not(loom))]
mod scripts;
#[cfg(not(loom))]
mod threads;

/// An arena of the size that checkers allow, for one test.
#[cfg(not(loom))]
fn small_arena() -> crate::Arena {
    let config = crate::ArenaConfig {
        reserve_bytes: 256 << 20,
        ..Default::default()
    };
    crate::Arena::new(config).expect("256 MiB of address space")
}

/// Nothing is live, and the numbers agree with each other.
#[cfg(not(loom))]
#[track_caller]
fn assert_empty(arena: crate::Arena) {
    let sites: Vec<String> = arena.call_sites().iter().map(ToString::to_string).collect();
    assert_eq!(arena.stats().live_blocks, 0, "{sites:?}");
    assert_consistent(arena);
    assert_eq!(arena.bytes_by_owner(), []);
}

/// The numbers of an arena that no thread is using add up.
#[cfg(not(loom))]
#[track_caller]
fn assert_consistent(arena: crate::Arena) {
    let stats = arena.stats();
    let blocks: u64 = stats.classes.iter().map(|class| class.live_blocks).sum();
    let bytes: u64 = stats.classes.iter().map(|class| class.live_bytes).sum();
    assert_eq!(blocks + stats.large.live_blocks, stats.live_blocks);
    assert_eq!(bytes + stats.large.live_bytes, stats.live_bytes);
    let by_owner: usize = arena.bytes_by_owner().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(by_owner as u64, stats.live_bytes);
    assert!(stats.live_bytes <= stats.used_bytes, "{stats:?}");
    assert_eq!(stats.used_bytes + stats.cached_bytes, stats.committed_bytes);
    assert!(stats.system_bytes <= stats.committed_bytes, "{stats:?}");
    assert!(stats.used_bytes <= stats.high_water_bytes, "{stats:?}");
    assert!(stats.committed_bytes <= stats.reserved_bytes, "{stats:?}");
}
