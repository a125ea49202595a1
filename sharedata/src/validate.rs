//! Whether a block of a file is one that this crate could have written.
//!
//! A block is checked once, before anything in it is read. Its nodes and texts must lie one behind the other, in the order of
//! the slots that refer to them, and so must its links: there is one way to write a node, each byte belongs to one thing, and the
//! check takes one pass. What a link leads to is checked when it is followed.

use crate::layout::*;

/// A block on trial.
pub(crate) struct Trial<'a> {
    bytes: &'a [u8],
    /// How many links have been used.
    links: u64,
}

type Verdict<T = ()> = Result<T, &'static str>;

/// # Errors
/// What is wrong with it.
pub(crate) fn block(bytes: &[u8], links: u64) -> Verdict {
    if bytes.len() >= HEAD && bytes[..HEAD] == [LONG, 0, 0, 0] {
        return match links {
            0 => Ok(()),
            _ => Err("a text with links"),
        };
    }
    let mut trial = Trial { bytes, links: 0 };
    let end = trial.node(0, 0)?;
    if end != bytes.len() || trial.links != links {
        return Err("more than its nodes");
    }
    Ok(())
}

impl<'a> Trial<'a> {
    fn take(&self, at: usize, len: usize) -> Verdict<&'a [u8]> {
        let end = at.checked_add(len).ok_or("a node outside of its block")?;
        self.bytes.get(at..end).ok_or("a node outside of its block")
    }

    /// Checks the node at a place, and gives its end.
    fn node(&mut self, at: usize, nesting: usize) -> Verdict<usize> {
        if nesting > MAX_NESTING {
            return Err("nodes nested too deep");
        }
        let head = self.take(at, HEAD)?;
        let (kind, aux) = (head[0], head[1]);
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let tags = self.take(at + HEAD, len)?;
        let payloads = self.take(at + HEAD + len, len * 8)?;
        let payload = |slot: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&payloads[slot * 8..slot * 8 + 8]);
            u64::from_le_bytes(bytes)
        };
        shape(kind, aux, tags, &payload)?;
        if kind == ONE && at != 0 {
            return Err("a node that cannot be there");
        }
        let first_link = self.links;
        let mut end = at + HEAD + len * SLOT;
        for (slot, tag) in tags.iter().enumerate() {
            let (low, high) = (payload(slot) as u32 as usize, (payload(slot) >> 32) as usize);
            match *tag {
                NIL | FALSE | TRUE if payload(slot) == 0 => {}
                INTEGER | FLOAT => {}
                TEXT if low == end - at => {
                    let text = usize::from(high as u16);
                    self.take(end, text)?;
                    end += text;
                }
                NODE if low == end - at && high as u64 == self.links - first_link => {
                    end = self.node(end, nesting + 1)?;
                }
                LINK if payload(slot) == self.links - first_link => self.links += 1,
                tag if tag >= SHORT && usize::from(tag - SHORT) <= MAX_SHORT => {}
                _ => return Err("a slot that cannot be"),
            }
        }
        Ok(end)
    }
}

/// Whether a node of this kind may have such slots.
fn shape(kind: u8, aux: u8, tags: &[u8], payload: &dyn Fn(usize) -> u64) -> Verdict {
    let is_node = |tag: u8| matches!(tag, NODE | LINK);
    let is_key = |tag: u8| matches!(tag, INTEGER | TEXT | LINK) || tag >= SHORT;
    let fits = match kind {
        SMALL => {
            let array = usize::from(aux);
            match tags.len().checked_sub(array) {
                Some(rest) if rest % 2 == 0 => {
                    array <= SMALL_LEN && tags[array..array + rest / 2].iter().all(|tag| is_key(*tag))
                }
                _ => false,
            }
        }
        WIDE => {
            let part = |tree: usize, count: usize| match tags[tree] {
                NIL => payload(count) == 0,
                tag => is_node(tag),
            };
            aux == 0
                && tags.len() == WIDE_SLOTS
                && tags[WIDE_ARRAY_LEN] == INTEGER
                && tags[WIDE_HASH_LEN] == INTEGER
                && part(WIDE_ARRAY, WIDE_ARRAY_LEN)
                && part(WIDE_HASH, WIDE_HASH_LEN)
        }
        ARRAY => {
            aux < MAX_LEVEL
                && (1..=ARRAY_LEN).contains(&tags.len())
                && (aux == 0 || tags.iter().all(|tag| is_node(*tag)))
        }
        BRANCH => {
            let trees = tags.len().saturating_sub(BRANCH_COUNTS) / 2;
            let counts = BRANCH_COUNTS..BRANCH_COUNTS + trees;
            aux < MAX_HASH_DEPTH
                && tags.len() == BRANCH_COUNTS + 2 * trees
                && tags[..counts.end].iter().all(|tag| *tag == INTEGER)
                && tags[counts.end..].iter().all(|tag| is_node(*tag))
                && payload(BRANCH_BITMAP) < 1 << (1 << HASH_BITS)
                && payload(BRANCH_BITMAP).count_ones() as usize == trees
                && counts.clone().all(|slot| {
                    let before = if slot == BRANCH_COUNTS {
                        0
                    } else {
                        payload(slot - 1)
                    };
                    payload(slot) > before
                })
        }
        ONE => aux == 0 && tags == [NODE, INTEGER],
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err("a node that cannot be")
    }
}
