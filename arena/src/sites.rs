//! Which line loaned a block: in debug builds every loan records its caller as a number in the header, so that what
//! is still live can be listed by call site. Release builds record nothing. Called by `arena` and `walk`.

use std::fmt;
use std::panic::Location;

/// Live blocks that one line of code loaned.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallSite {
    /// Where `loan` was called.
    pub location: &'static Location<'static>,
    /// Live blocks from there.
    pub blocks: usize,
    /// Their sizes together, headers included.
    pub bytes: usize,
}

impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} blocks, {} bytes",
            self.location, self.blocks, self.bytes
        )
    }
}

/// The number of the caller's line; 0 in a release build, or when there are more lines than numbers.
#[cfg(debug_assertions)]
#[track_caller]
pub(crate) fn here() -> u16 {
    table::number(Location::caller())
}

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn here() -> u16 {
    0
}

/// The line with this number.
pub(crate) fn location(number: u16) -> Option<&'static Location<'static>> {
    #[cfg(debug_assertions)]
    return table::location(number);
    #[cfg(not(debug_assertions))]
    {
        let _ = number;
        None
    }
}

#[cfg(debug_assertions)]
mod table {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::panic::Location;

    use crate::sync::plain::{Mutex, PoisonError};

    type Site = &'static Location<'static>;

    #[derive(Default)]
    struct Table {
        numbers: HashMap<Site, u16>,
        sites: Vec<Site>,
    }

    static TABLE: Mutex<Option<Table>> = Mutex::new(None);

    const CACHE: usize = 64;

    thread_local! {
        /// The lines seen last, by address: most loans come from a few.
        static SEEN: [Cell<Option<(Site, u16)>>; CACHE] = const { [const { Cell::new(None) }; CACHE] };
    }

    pub(super) fn number(site: Site) -> u16 {
        let slot = std::ptr::from_ref(site).addr() / align_of::<Location<'_>>() % CACHE;
        SEEN.with(|seen| match seen[slot].get() {
            Some((known, number)) if std::ptr::eq(known, site) => number,
            _ => {
                let number = look_up(site);
                seen[slot].set(Some((site, number)));
                number
            }
        })
    }

    fn look_up(site: Site) -> u16 {
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { numbers, sites } = table.get_or_insert_default();
        *numbers.entry(site).or_insert_with(|| {
            sites.push(site);
            u16::try_from(sites.len()).unwrap_or(0)
        })
    }

    pub(super) fn location(number: u16) -> Option<Site> {
        let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::from(number).checked_sub(1)?;
        table.as_ref()?.sites.get(index).copied()
    }
}
