//! What the sessions of a service wait for, by session number.
//!
//! Sessions count up, so those that wait at one time are nearly always neighbours: a table that is indexed by the number's low bits
//! finds each with one look, and arming or firing many timers walks through it in order. A session whose place is taken by one that
//! waits much longer goes to a map.
//!
//! # Invariants
//! 1. A session waits in its place of `near` or in `far`, never in both.
//! 2. `near` has no places or a power of two of them.

use super::{FastMap, Wait};

#[derive(Default)]
pub(crate) struct Waits {
    near: Box<[Place]>,
    /// Occupied places of `near`.
    near_len: usize,
    far: FastMap<i32, Wait>,
}

#[derive(Default)]
struct Place {
    session: i32,
    wait: Option<Wait>,
}

const _: () = assert!(size_of::<Place>() == 32);

impl Waits {
    #[inline]
    pub(crate) fn contains(&self, session: i32) -> bool {
        self.get(session).is_some()
    }

    #[inline]
    pub(crate) fn get(&self, session: i32) -> Option<&Wait> {
        match self.near.get(self.place_of(session)) {
            Some(Place {
                session: found,
                wait: Some(wait),
            }) if *found == session => Some(wait),
            _ if self.far.is_empty() => None,
            _ => self.far.get(&session),
        }
    }

    /// Enters what a session waits for, in place of what it waited for.
    #[inline]
    pub(crate) fn insert(&mut self, session: i32, wait: Wait) {
        let index = self.place_of(session);
        match self.near.get_mut(index) {
            Some(place) if place.wait.is_none() && self.far.is_empty() => {
                *place = Place {
                    session,
                    wait: Some(wait),
                };
                self.near_len += 1;
            }
            _ => self.insert_anywhere(session, wait),
        }
    }

    #[cold]
    fn insert_anywhere(&mut self, session: i32, wait: Wait) {
        self.remove(session);
        loop {
            let index = self.place_of(session);
            let places = self.near.len();
            match self.near.get_mut(index) {
                Some(place) if place.wait.is_none() => {
                    *place = Place {
                        session,
                        wait: Some(wait),
                    };
                    self.near_len += 1;
                    return;
                }
                // A few that wait long are no reason to grow.
                Some(_) if self.near_len * 2 < places => {
                    self.far.insert(session, wait);
                    return;
                }
                _ => self.grow(),
            }
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, session: i32) -> Option<Wait> {
        let index = self.place_of(session);
        if let Some(place) = self.near.get_mut(index)
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
            .filter_map(|place| Some((place.session, place.wait.as_ref()?)));
        near.chain(self.far.iter().map(|(session, wait)| (*session, wait)))
    }

    #[inline]
    fn place_of(&self, session: i32) -> usize {
        session as u32 as usize & self.near.len().wrapping_sub(1)
    }

    /// Doubles `near`. What meets in a place of the new one did so in the old one, so nothing has to go to `far`.
    fn grow(&mut self) {
        let places = (self.near.len() * 2).max(FIRST_PLACES);
        let old = std::mem::replace(&mut self.near, (0..places).map(|_| Place::default()).collect());
        for place in old {
            if place.wait.is_some() {
                let index = self.place_of(place.session);
                self.near[index] = place;
            }
        }
    }
}

/// Most services wait for one thing at a time.
const FIRST_PLACES: usize = 2;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), prop_oneof![0..40i32, 990..1060i32, Just(i32::MAX), Just(i32::MIN)]), 0..400)) {
            let mut waits = Waits::default();
            let mut model = HashMap::new();
            for (number, (enter, session)) in steps.into_iter().enumerate() {
                if enter {
                    waits.insert(session, Wait::Sleep { task: number as u32, timer: true, token: super::super::Token::Own });
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
