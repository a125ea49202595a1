//! Random lives of many buffers against a model that counts with `Rc`: contents, owners, states, attachments, numbers.

use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Mutex;

use proptest::prelude::*;

use super::{assert_consistent, assert_empty, small_arena};
use crate::{Arena, BlockState, Buf, BufMut, ClaimError, Scripts};

#[derive(Clone, Debug)]
enum Op {
    Loan { len: usize, owner: u32 },
    Drop(prop::sample::Index),
    SetLen(prop::sample::Index, usize),
    SetOwner(prop::sample::Index, u32),
    Freeze(prop::sample::Index),
    Clone(prop::sample::Index),
    Slice(prop::sample::Index, prop::sample::Index, prop::sample::Index),
    Attach(prop::sample::Index, prop::sample::Index),
    TakeAttachments(prop::sample::Index),
    Lend(prop::sample::Index, u32),
    Claim(prop::sample::Index, u32),
    View(prop::sample::Index, u32),
    EndScripts(u32),
    Trim,
}

/// What a block should hold.
struct Block {
    owner: u32,
    bytes: Vec<u8>,
    links: Vec<Rc<Block>>,
}

/// A handle with what it should show.
enum Held {
    Loaned(BufMut, Block),
    Script(*const u8, Block),
    Frozen(Buf, Rc<Block>, std::ops::Range<usize>),
}

const OWNERS: std::ops::Range<u32> = 1..4;

fn op() -> impl Strategy<Value = Op> {
    use prop::sample::Index;
    let len = prop_oneof![
        10 => 0..600usize,
        4 => 600..17_000usize,
        1 => 60_000..200_000usize,
    ];
    let index = any::<Index>;
    prop_oneof![
        12 => (len.clone(), OWNERS).prop_map(|(len, owner)| Op::Loan { len, owner }),
        8 => index().prop_map(Op::Drop),
        2 => (index(), len).prop_map(|(at, len)| Op::SetLen(at, len)),
        1 => (index(), OWNERS).prop_map(|(at, owner)| Op::SetOwner(at, owner)),
        5 => index().prop_map(Op::Freeze),
        3 => index().prop_map(Op::Clone),
        2 => (index(), index(), index()).prop_map(|(at, from, to)| Op::Slice(at, from, to)),
        8 => (index(), index()).prop_map(|(to, what)| Op::Attach(to, what)),
        1 => index().prop_map(Op::TakeAttachments),
        3 => (index(), OWNERS).prop_map(|(at, owner)| Op::Lend(at, owner)),
        3 => (index(), OWNERS).prop_map(|(at, owner)| Op::Claim(at, owner)),
        1 => (index(), OWNERS).prop_map(|(at, owner)| Op::View(at, owner)),
        1 => OWNERS.prop_map(Op::EndScripts),
        1 => Just(Op::Trim),
    ]
}

/// The handles of one run, and every model block that was ever frozen.
struct Run {
    arena: Arena,
    /// By owner.
    scripts: HashMap<u32, Scripts>,
    held: Vec<Held>,
    frozen: Vec<Weak<Block>>,
    serial: u8,
}

impl Run {
    fn step(&mut self, op: Op) {
        match op {
            Op::Loan { len, owner } => {
                let mut buf = self.arena.loan(len, owner).unwrap();
                self.serial = self.serial.wrapping_add(1);
                buf.fill(self.serial);
                let block = Block {
                    owner,
                    bytes: vec![self.serial; len],
                    links: Vec::new(),
                };
                self.held.push(Held::Loaned(buf, block));
            }
            Op::EndScripts(owner) => {
                let before = self.held.len();
                self.held
                    .retain(|held| !matches!(held, Held::Script(_, block) if block.owner == owner));
                let ended = self.scripts.insert(owner, Scripts::new(self.arena, owner));
                assert_eq!(
                    ended.map(|scripts| scripts.held()),
                    Some(before - self.held.len())
                );
            }
            Op::Trim => self.arena.trim(),
            Op::Attach(to, what) => self.attach(to, what),
            Op::Drop(at) => drop(self.pick(at)),
            Op::SetLen(at, len) => self.change(at, |held| {
                if let Held::Loaned(buf, block) = held {
                    let len = len.min(buf.capacity());
                    let kept = len.min(buf.len());
                    buf.set_len(len);
                    buf[kept..].fill(7);
                    block.bytes.resize(len, 7);
                }
            }),
            Op::SetOwner(at, owner) => self.change(at, |held| {
                if let Held::Loaned(buf, block) = held {
                    buf.set_owner(owner);
                    block.owner = owner;
                }
            }),
            Op::TakeAttachments(at) => self.take_attachments(at),
            Op::Freeze(at) => self.replace(at, |run, held| match held {
                Held::Loaned(buf, block) => {
                    let block = Rc::new(block);
                    run.frozen.push(Rc::downgrade(&block));
                    let range = 0..block.bytes.len();
                    Held::Frozen(buf.freeze(), block, range)
                }
                other => other,
            }),
            Op::Clone(at) => self.copy(at, |buf, range| (buf.clone(), range)),
            Op::Slice(at, from, to) => self.copy(at, |buf, range| {
                let (a, b) = (from.index(buf.len() + 1), to.index(buf.len() + 1));
                let (a, b) = (a.min(b), a.max(b));
                (buf.slice(a..b), range.start + a..range.start + b)
            }),
            Op::Lend(at, owner) => self.replace(at, |run, held| match held {
                Held::Loaned(buf, block) => {
                    let address = run.scripts(owner).lend(buf).as_ptr();
                    Held::Script(address, Block { owner, ..block })
                }
                other => other,
            }),
            Op::Claim(at, owner) => self.replace(at, |run, held| match held {
                Held::Script(address, block) => match run.scripts(owner).claim(address) {
                    Ok(buf) => {
                        assert_eq!(block.owner, owner);
                        Held::Loaned(buf, block)
                    }
                    Err(error) => {
                        assert_eq!(
                            error,
                            ClaimError::NotOwner {
                                expected: owner,
                                found: block.owner
                            }
                        );
                        Held::Script(address, block)
                    }
                },
                other => other,
            }),
            Op::View(at, owner) => self.replace(at, |run, held| {
                if let Held::Script(address, block) = &held {
                    let expected = if owner == block.owner {
                        Ok(&block.bytes[..])
                    } else {
                        Err(ClaimError::NotOwner {
                            expected: owner,
                            found: block.owner,
                        })
                    };
                    assert_eq!(run.scripts(owner).view(*address), expected);
                }
                held
            }),
        }
    }

    fn scripts(&mut self, owner: u32) -> &mut Scripts {
        self.scripts.get_mut(&owner).expect("every owner has some")
    }

    /// Takes a handle out, unless it is a bare address, which has nothing to drop.
    fn pick(&mut self, at: prop::sample::Index) -> Option<Held> {
        if self.held.is_empty() {
            return None;
        }
        let at = at.index(self.held.len());
        if let Held::Script(..) = self.held[at] {
            return None;
        }
        Some(self.held.swap_remove(at))
    }

    fn change(&mut self, at: prop::sample::Index, f: impl FnOnce(&mut Held)) {
        if !self.held.is_empty() {
            let at = at.index(self.held.len());
            f(&mut self.held[at]);
        }
    }

    fn replace(&mut self, at: prop::sample::Index, f: impl FnOnce(&mut Run, Held) -> Held) {
        if !self.held.is_empty() {
            let held = self.held.swap_remove(at.index(self.held.len()));
            let held = f(self, held);
            self.held.push(held);
        }
    }

    fn copy(
        &mut self,
        at: prop::sample::Index,
        f: impl FnOnce(&Buf, std::ops::Range<usize>) -> (Buf, std::ops::Range<usize>),
    ) {
        let mut copied = None;
        self.change(at, |held| {
            if let Held::Frozen(buf, block, range) = held {
                let (buf, range) = f(buf, range.clone());
                copied = Some(Held::Frozen(buf, block.clone(), range));
            }
        });
        self.held.extend(copied);
    }

    fn attach(&mut self, to: prop::sample::Index, what: prop::sample::Index) {
        let bufs: Vec<usize> = (0..self.held.len())
            .filter(|at| matches!(self.held[*at], Held::Frozen(..)))
            .collect();
        let loans: Vec<usize> = (0..self.held.len())
            .filter(|at| matches!(self.held[*at], Held::Loaned(..)))
            .collect();
        if bufs.is_empty() || loans.is_empty() {
            return;
        }
        let Held::Frozen(buf, block, _) = &self.held[bufs[what.index(bufs.len())]] else {
            unreachable!()
        };
        let (buf, block) = (buf.clone(), block.clone());
        let whole = buf.is_whole_body();
        let Held::Loaned(target, model) = &mut self.held[loans[to.index(loans.len())]] else {
            unreachable!()
        };
        match target.attach(buf) {
            Ok(()) => {
                assert!(whole);
                model.links.push(block);
            }
            Err(error) => {
                assert!(!whole, "{error}");
                drop(error.into_buf());
            }
        }
    }

    fn take_attachments(&mut self, at: prop::sample::Index) {
        let mut taken = Vec::new();
        self.change(at, |held| {
            if let Held::Loaned(buf, block) = held {
                let bufs = buf.take_attachments();
                assert_eq!(bufs.len(), block.links.len());
                taken.extend(bufs.into_iter().zip(block.links.drain(..)));
            }
        });
        for (buf, block) in taken {
            let range = 0..block.bytes.len();
            self.held.push(Held::Frozen(buf, block, range));
        }
    }

    fn check(&mut self) {
        self.frozen.retain(|block| block.strong_count() > 0);
        let mut blocks = 0;
        for held in &self.held {
            match held {
                Held::Loaned(buf, block) => {
                    assert_eq!(buf[..], block.bytes);
                    check_links(buf.attachments(), block);
                    let info = self.arena.inspect(buf.body_ptr().as_ptr()).unwrap();
                    assert_eq!(
                        (info.state, info.owner, info.len),
                        (BlockState::Loaned, block.owner, buf.len())
                    );
                    assert_eq!(info.capacity, buf.capacity());
                    blocks += 1 + usize::from(block.links.len() > 1);
                }
                Held::Script(address, block) => {
                    let info = self.arena.inspect(*address).unwrap();
                    assert_eq!((info.state, info.owner), (BlockState::Script, block.owner));
                    assert_eq!(self.scripts[&block.owner].view(*address), Ok(&block.bytes[..]));
                    blocks += 1 + usize::from(block.links.len() > 1);
                }
                Held::Frozen(buf, block, range) => {
                    assert_eq!(buf[..], block.bytes[range.clone()]);
                    check_links(buf.attachments(), block);
                    let info = self.arena.inspect(buf.body_ptr().as_ptr()).unwrap();
                    assert_eq!((info.state, info.owner), (BlockState::Frozen, block.owner));
                    assert_eq!(info.references as usize, Rc::strong_count(block));
                }
            }
        }
        let frozen = self.frozen.iter().filter_map(Weak::upgrade);
        blocks += frozen
            .map(|block| 1 + usize::from(block.links.len() > 1))
            .sum::<usize>();
        // A list of links that was emptied is given back at once; one that never had two was never made.
        assert_eq!(self.arena.stats().live_blocks, blocks as u64);
    }
}

fn check_links(attachments: crate::Attachments<'_>, block: &Block) {
    assert_eq!(attachments.len(), block.links.len());
    for (attached, link) in attachments.zip(&block.links) {
        assert_eq!(attached[..], link.bytes);
        assert!(attached.is_whole_body());
    }
}

static ARENA: Mutex<Option<Arena>> = Mutex::new(None);

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(fulmar_asan) { 32 } else { 256 }, ..Default::default() })]
    #[test]
    fn an_arena_keeps_what_the_model_keeps(ops in prop::collection::vec(op(), 1..120)) {
        let mut slot = ARENA.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let arena = *slot.get_or_insert_with(small_arena);
        let scripts = OWNERS.map(|owner| (owner, Scripts::new(arena, owner))).collect();
        let mut run = Run { arena, scripts, held: Vec::new(), frozen: Vec::new(), serial: 0 };
        for op in ops {
            run.step(op);
            run.check();
        }
        assert_consistent(arena);
        OWNERS.for_each(|owner| run.step(Op::EndScripts(owner)));
        drop(run);
        assert_empty(arena);
    }
}
