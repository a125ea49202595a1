//! A box against a plain list of everything that was committed.

use proptest::prelude::*;

use crate::{Reader, Writer};

#[derive(Clone, Debug)]
enum Step {
    Commit,
    /// With the version that was the newest so many commits ago.
    CommitIf(usize),
    Copy,
    Clone(usize),
    Update(usize),
    Latest(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Commit),
        2 => (0usize..3).prop_map(Step::CommitIf),
        2 => Just(Step::Copy),
        1 => any::<usize>().prop_map(Step::Clone),
        4 => any::<usize>().prop_map(Step::Update),
        2 => any::<usize>().prop_map(Step::Latest),
        1 => any::<usize>().prop_map(Step::Drop),
    ]
}

proptest! {
    #[test]
    fn a_box_is_a_list_of_which_readers_know_a_place(steps in proptest::collection::vec(step(), 0..100)) {
        let writer = Writer::new(1usize);
        let mut versions = vec![writer.snapshot().version()];
        // Each with how many versions there were when it moved last; 0: it has taken none.
        let mut readers: Vec<(Reader<usize>, usize)> = Vec::new();
        for step in steps {
            let newest = versions.len();
            match step {
                Step::Commit => versions.push(writer.commit(newest + 1)),
                Step::CommitIf(ago) => {
                    let expected = versions[newest.saturating_sub(ago + 1)];
                    let result = writer.commit_if(expected, newest + 1);
                    prop_assert_eq!(result.is_ok(), expected == versions[newest - 1]);
                    versions.extend(result.ok());
                }
                Step::Copy => readers.push((writer.copy(), 0)),
                Step::Clone(index) if !readers.is_empty() => {
                    let index = index % readers.len();
                    let twin = (readers[index].0.clone(), readers[index].1);
                    readers.push(twin);
                }
                Step::Update(index) if !readers.is_empty() => {
                    let index = index % readers.len();
                    let (reader, place) = &mut readers[index];
                    prop_assert_eq!(reader.has_new(), *place < newest);
                    let updated = reader.update().map(|snapshot| **snapshot);
                    prop_assert_eq!(updated, (*place < newest).then_some(newest));
                    *place = newest;
                }
                Step::Latest(index) if !readers.is_empty() => {
                    let index = index % readers.len();
                    let (reader, place) = &mut readers[index];
                    prop_assert_eq!(**reader.latest(), newest);
                    *place = newest;
                }
                Step::Drop(index) if !readers.is_empty() => {
                    let index = index % readers.len();
                    readers.swap_remove(index);
                }
                _ => {}
            }
            for (reader, place) in &readers {
                prop_assert_eq!(reader.snapshot().map_or(0, |snapshot| **snapshot), *place);
            }
        }
        prop_assert!(versions.windows(2).all(|pair| pair[0].number() + 1 == pair[1].number()));
    }
}
