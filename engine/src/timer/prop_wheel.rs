//! The wheel against the obvious ordered map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::wheel::Wheel;

#[derive(Clone, Debug)]
enum Step {
    /// Arm this many milliseconds from now (negative: overdue).
    Arm(i64),
    /// Let this much time pass.
    Pass(u64),
    /// Go to the wheel's next event.
    NextEvent,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let delay = prop_oneof![
        4 => -20i64..200,
        2 => (0i64..64).prop_map(|cs| cs * 10), // many timers of one tick
        2 => 0i64..20_000,
        1 => 0i64..(1i64 << 31) * 10,
        1 => Just((1i64 << 31) * 10),
    ];
    let pass = prop_oneof![4 => 0u64..100, 2 => 0u64..5_000, 1 => 0u64..1 << 36];
    prop::collection::vec(
        prop_oneof![6 => delay.prop_map(Step::Arm), 2 => pass.prop_map(Step::Pass), 1 => Just(Step::NextEvent)],
        1..300,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn expires_what_an_ordered_map_would(
        start in prop_oneof![0u64..1000, (1u64 << 36) - 300..(1u64 << 36) + 300, (1u64 << 60) - 300..1u64 << 60],
        steps in steps(),
    ) {
        let mut wheel = Wheel::new(start);
        let mut model = BTreeMap::new();
        let (mut now, mut order) = (start, 0u32);
        for step in steps {
            let later = match step {
                Step::Arm(delay) => {
                    let deadline = now.saturating_add_signed(delay);
                    wheel.insert(deadline, order);
                    model.insert((deadline, order), ());
                    order += 1;
                    prop_assert_eq!(wheel.len(), model.len());
                    continue;
                }
                Step::Pass(ms) => now + ms,
                Step::NextEvent => {
                    let next = wheel.next_event_ms();
                    prop_assert_eq!(next.is_some(), !model.is_empty());
                    let Some(next) = next else { continue };
                    let (first, _) = *model.keys().next().expect("checked above");
                    prop_assert!(next <= first.max(now), "would sleep past a deadline");
                    next
                }
            };
            now = later;
            let mut expired = Vec::new();
            wheel.advance(now, |deadline, entry| expired.push((deadline, entry)));
            let rest = model.split_off(&(now + 1, 0));
            prop_assert_eq!(expired, model.into_keys().collect::<Vec<_>>());
            model = rest;
            prop_assert_eq!(wheel.len(), model.len());
        }
    }
}
