//! What the sessions of a service wait for, by session number.
//!
//! Sessions count up, so those that wait at one time are nearly always neighbours: a table that is indexed by the number's low bits
//! finds each with one look, and arming or firing many timers walks through it in order. A session whose place is taken by one that
//! waits much longer goes to a map.
//!
//! The table doubles by a new segment, so it is never copied: fresh memory is what arming many timers costs most.
//!
//! # Invariants
//! 1. A session waits in its place of `near` or in `far`, never in both.
//! 2. `names` has the destinations of requests that wait and were sent by a name.
//! 3. `near` has no places or a power of two of them: eight in its first segment, as many as in all before in each other. A segment is as
//!    long as it has been used.

use fulmar_engine::Handle;

use super::{Destination, FastMap, Wait};
use crate::lines::PAIR_BYTES;

#[derive(Default)]
pub(crate) struct Waits {
    near: Vec<Vec<Place>>,
    /// Occupied places of `near`.
    near_len: usize,
    far: FastMap<i32, Wait>,
    /// By session.
    names: FastMap<i32, Box<[u8]>>,
}

#[derive(Default)]
struct Place {
    session: i32,
    wait: Option<Wait>,
}

impl Waits {
    #[inline]
    pub(crate) fn contains(&self, session: i32) -> bool {
        self.get(session).is_some()
    }

    #[inline]
    pub(crate) fn get(&self, session: i32) -> Option<&Wait> {
        let (segment, offset) = split(self.index_of(session));
        match self.near.get(segment).and_then(|segment| segment.get(offset)) {
            Some(Place {
                session: found,
                wait: Some(wait),
            }) if *found == session => Some(wait),
            _ if self.far.is_empty() => None,
            _ => self.far.get(&session),
        }
    }

    /// Enters a session that waits for an answer, by a `wait` for the handle that stands for whoever gives it.
    #[inline]
    pub(crate) fn insert_for(&mut self, session: i32, to: &Destination, wait: impl FnOnce(Handle) -> Wait) {
        match to {
            Destination::Handle(to) => self.insert(session, wait(*to)),
            Destination::Name(name) => {
                self.insert(session, wait(Handle::SYSTEM));
                self.names.insert(session, name.clone());
            }
        }
    }

    /// Enters what a session waits for, in place of what it waited for.
    #[inline]
    pub(crate) fn insert(&mut self, session: i32, wait: Wait) {
        let (segment, offset) = split(self.index_of(session));
        if let Some(segment) = self.near.get_mut(segment)
            && self.far.is_empty()
        {
            // Where sessions that count up come to next.
            if segment.len() == offset && offset < segment.capacity() {
                segment.push(Place::default());
            }
            if let Some(place) = segment.get_mut(offset)
                && place.wait.is_none()
            {
                *place = Place {
                    session,
                    wait: Some(wait),
                };
                self.near_len += 1;
                return;
            }
        }
        self.insert_anywhere(session, wait);
    }

    #[cold]
    fn insert_anywhere(&mut self, session: i32, wait: Wait) {
        self.remove(session);
        loop {
            let index = self.index_of(session);
            let places = self.places();
            if index < places {
                let place = self.place(index);
                if place.wait.is_none() {
                    *place = Place {
                        session,
                        wait: Some(wait),
                    };
                    self.near_len += 1;
                    return;
                }
                // A few that wait long are no reason to grow.
                if self.near_len * 2 < places {
                    self.far.insert(session, wait);
                    return;
                }
            }
            self.grow();
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, session: i32) -> Option<Wait> {
        let removed = self.take(session);
        if let Some(Wait::Call { to, .. } | Wait::Request { to, .. }) = removed
            && to.is_system()
        {
            self.names.remove(&session);
        }
        removed
    }

    #[inline]
    fn take(&mut self, session: i32) -> Option<Wait> {
        let (segment, offset) = split(self.index_of(session));
        if let Some(place) = self
            .near
            .get_mut(segment)
            .and_then(|segment| segment.get_mut(offset))
            && place.session == session
            && let Some(wait) = place.wait.take()
        {
            self.near_len -= 1;
            return Some(wait);
        }
        if self.far.is_empty() {
            None
        } else {
            self.far.remove(&session)
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.near_len + self.far.len()
    }

    /// Every session that waits, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, &Wait)> {
        let near = self
            .near
            .iter()
            .flatten()
            .filter_map(|place| Some((place.session, place.wait.as_ref()?)));
        near.chain(self.far.iter().map(|(session, wait)| (*session, wait)))
    }

    /// Every session that waits for an answer, and whose.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = (i32, Destination)> {
        self.iter().filter_map(|(session, wait)| match *wait {
            Wait::Call { to, .. } | Wait::Request { to, .. } => Some((
                session,
                match self.names.get(&session) {
                    Some(name) => Destination::Name(name.clone()),
                    None => Destination::Handle(to),
                },
            )),
            _ => None,
        })
    }

    fn places(&self) -> usize {
        if self.near.is_empty() {
            0
        } else {
            (FIRST_PLACES / 2) << self.near.len()
        }
    }

    /// Where a session belongs; nowhere when there are no places.
    #[inline]
    fn index_of(&self, session: i32) -> usize {
        session as u32 as usize & (((FIRST_PLACES / 2) << self.near.len()) - 1)
    }

    /// The place at `index`, which is below the number of places.
    fn place(&mut self, index: usize) -> &mut Place {
        let (segment, offset) = split(index);
        let segment = &mut self.near[segment];
        if segment.len() <= offset {
            segment.resize_with(offset + 1, Place::default);
        }
        &mut segment[offset]
    }

    /// Doubles `near`. What meets in a place of the new one did so in the old one, so nothing has to go to `far`.
    fn grow(&mut self) {
        let places = self.places();
        self.near.push(Vec::with_capacity(places.max(FIRST_PLACES)));
        for old in 0..places {
            let (segment, offset) = split(old);
            let Some(place) = self.near[segment].get_mut(offset) else {
                continue;
            };
            if place.wait.is_some() && place.session as u32 as usize & places != 0 {
                *self.place(old + places) = std::mem::take(place);
            }
        }
    }
}

/// Segment and offset of a place.
#[inline]
fn split(index: usize) -> (usize, usize) {
    let segment = (index | (FIRST_PLACES - 1)).ilog2() + 1 - FIRST_PLACES.ilog2();
    (
        segment as usize,
        index & !(((FIRST_PLACES / 2) << segment) & !(FIRST_PLACES - 1)),
    )
}

/// Most services wait for one thing at a time, so this is the least that nobody else's memory lies beside: see [`lines`](crate::lines).
const FIRST_PLACES: usize = PAIR_BYTES / size_of::<Place>();
const _: () = assert!(FIRST_PLACES == 8);

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_by_name_is_known_by_it_as_long_as_it_waits() {
        let mut waits = Waits::default();
        let name = |text: &str| Destination::Name(text.as_bytes().into());
        for (session, to) in [
            (1, name(".a")),
            (2, Destination::Handle(Handle::from_bits(9))),
            (3, name(".b")),
        ] {
            waits.insert_for(session, &to, |to| Wait::Call { task: 0, to });
        }
        waits.insert(1, Wait::Cancelled);
        waits.remove(3);
        waits.insert_for(3, &name(".c"), |to| Wait::Call { task: 0, to });
        let mut all: Vec<_> = waits.destinations().collect();
        all.sort_unstable();
        assert_eq!(
            all,
            [(2, Destination::Handle(Handle::from_bits(9))), (3, name(".c"))]
        );
        waits.remove(3);
        assert!(waits.names.is_empty());
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), prop_oneof![0..40i32, 990..1060i32, Just(i32::MAX), Just(i32::MIN)]), 0..400)) {
            let mut waits = Waits::default();
            let mut model = HashMap::new();
            for (number, (enter, session)) in steps.into_iter().enumerate() {
                if enter {
                    waits.insert(session, Wait::Sleep { task: number as u32, timer: true, token: None });
                    model.insert(session, number as u32);
                } else {
                    let removed = waits.remove(session).map(|wait| matches!(wait, Wait::Sleep { .. }));
                    prop_assert_eq!(removed.is_some(), model.remove(&session).is_some());
                }
                prop_assert_eq!(waits.len(), model.len());
                prop_assert_eq!(waits.contains(session), model.contains_key(&session));
            }
            let mut all: Vec<_> = waits.iter().map(|(session, wait)| match wait {
                Wait::Sleep { task, .. } => (session, *task),
                _ => unreachable!(),
            }).collect();
            let mut expected: Vec<_> = model.into_iter().collect();
            all.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
        }
    }
}
