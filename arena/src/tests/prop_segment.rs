//! The page maps against a plain list of pages.

use proptest::prelude::*;

use crate::layout::SEGMENT_PAGES;
use crate::segment::{Segments, Span};

#[derive(Clone, Debug)]
enum Op {
    Take(usize),
    Give(prop::sample::Index),
    TakeDirty(usize),
    GiveClean(prop::sample::Index),
    GiveDirty(prop::sample::Index),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Clean,
    Dirty,
    Used,
    Leaving,
}

fn op() -> impl Strategy<Value = Op> {
    let pages = prop_oneof![8 => 1..4usize, 4 => 4..=SEGMENT_PAGES, 2 => SEGMENT_PAGES..4 * SEGMENT_PAGES];
    prop_oneof![
        8 => pages.prop_map(Op::Take),
        6 => any::<prop::sample::Index>().prop_map(Op::Give),
        2 => (1..2 * SEGMENT_PAGES).prop_map(Op::TakeDirty),
        1 => any::<prop::sample::Index>().prop_map(Op::GiveClean),
        1 => any::<prop::sample::Index>().prop_map(Op::GiveDirty),
    ]
}

const LIMIT: usize = 6;

/// The plain list, with what it expects of each call.
struct Model(Vec<Page>);

impl Model {
    fn new() -> Model {
        let mut pages = vec![Page::Clean; LIMIT * SEGMENT_PAGES];
        pages[0] = Page::Used;
        Model(pages)
    }

    fn set(&mut self, span: Span, from: &[Page], to: Page) {
        for page in &mut self.0[span.first..span.first + span.pages] {
            assert!(from.contains(page), "{span:?}: {page:?}");
            *page = to;
        }
    }

    fn count(&self, which: Page) -> usize {
        self.0.iter().filter(|page| **page == which).count()
    }

    /// Whether a run of this many pages can be had: inside a segment, or from whole ones.
    fn has_room(&self, pages: usize) -> bool {
        let free: Vec<bool> = self
            .0
            .iter()
            .map(|page| matches!(page, Page::Clean | Page::Dirty))
            .collect();
        if pages <= SEGMENT_PAGES {
            let fits = |segment: &[bool]| segment.windows(pages).any(|run| run.iter().all(|free| *free));
            return free.chunks(SEGMENT_PAGES).any(fits);
        }
        let whole: Vec<bool> = free
            .chunks(SEGMENT_PAGES)
            .map(|segment| segment.iter().all(|free| *free))
            .collect();
        whole
            .windows(pages.div_ceil(SEGMENT_PAGES))
            .any(|run| run.iter().all(|whole| *whole))
    }
}

proptest! {
    #[test]
    fn runs_are_disjoint_and_found_whenever_there_is_room(ops in prop::collection::vec(op(), 1..200)) {
        let mut segments = Segments::new(LIMIT);
        let mut model = Model::new();
        let (mut taken, mut leaving): (Vec<Span>, Vec<Span>) = Default::default();
        for op in ops {
            match op {
                Op::Take(pages) => match segments.take(pages) {
                    Some(span) => {
                        prop_assert_eq!(span.pages, pages);
                        model.set(span, &[Page::Clean, Page::Dirty], Page::Used);
                        taken.push(span);
                    }
                    None => prop_assert!(!model.has_room(pages), "{} pages", pages),
                },
                Op::Give(at) if !taken.is_empty() => {
                    let span = taken.swap_remove(at.index(taken.len()));
                    model.set(span, &[Page::Used], Page::Dirty);
                    segments.give(span);
                }
                Op::TakeDirty(most) => match segments.take_dirty(most) {
                    Some(span) => {
                        prop_assert!(span.pages <= most);
                        model.set(span, &[Page::Dirty], Page::Leaving);
                        leaving.push(span);
                    }
                    None => prop_assert_eq!(model.count(Page::Dirty), 0),
                },
                Op::GiveClean(at) if !leaving.is_empty() => {
                    let span = leaving.swap_remove(at.index(leaving.len()));
                    model.set(span, &[Page::Leaving], Page::Clean);
                    segments.give_clean(span);
                }
                Op::GiveDirty(at) if !leaving.is_empty() => {
                    let span = leaving.swap_remove(at.index(leaving.len()));
                    model.set(span, &[Page::Leaving], Page::Dirty);
                    segments.give_dirty(span);
                }
                Op::Give(_) | Op::GiveClean(_) | Op::GiveDirty(_) => {}
            }
            prop_assert_eq!(segments.used_pages() + 1, model.count(Page::Used));
            prop_assert_eq!(segments.cached_pages(), model.count(Page::Dirty));
        }
    }
}

#[test]
fn a_freed_run_is_taken_again_while_it_is_warm() {
    let mut segments = Segments::new(LIMIT);
    let low = segments.take(3).unwrap();
    let between = segments.take(1).unwrap();
    let high = segments.take(17).unwrap();
    let above = segments.take(2).unwrap();
    segments.give(low);
    segments.give(high);
    segments.give(above);
    // Two pages fit lower down; the warm run that was just freed is the first in which seventeen do.
    assert_eq!(segments.take(17), Some(high));
    assert_eq!(segments.take(2), Some(Span { pages: 2, ..low }));
    assert_eq!(segments.cached_pages(), 1 + above.pages);
    segments.give(between);
    assert_eq!(segments.used_pages(), high.pages + 2);
}
