//! Questions to a name server and its answers, over crate `domain`. Pure: no socket, no Lua, no clock.

use std::net::IpAddr;
use std::str::FromStr as _;

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName as _};
use domain::rdata::{A, Aaaa};

/// The kind of address that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The addresses of a name, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// In the order of the answer.
    pub list: Vec<IpAddr>,
    /// For how many seconds the answer may be used: the shortest time of its records.
    pub ttl_s: u32,
}

/// What came back is no answer to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It answers another question, or is no answer at all: the true one may still come.
    #[error("not an answer to this question")]
    Foreign,
    /// The server says so.
    #[error("the server cannot answer, or knows no such name")]
    Failed,
    /// Not all of it fits into a datagram.
    #[error("the answer is truncated")]
    Truncated,
    /// The bytes are not what they should be.
    #[error("the answer is malformed")]
    Malformed,
    /// The name has no address of this kind.
    #[error("the name has no such address")]
    NoAddress,
}

/// The message that asks for the addresses of `name`; none when that is no name of a host.
///
/// ```
/// use fulmar_lualib::dns::{Family, Refusal, question, read_answer};
///
/// let asked = question("example.org", Family::V4, 7).unwrap();
/// assert_eq!(read_answer(&asked, &asked), Err(Refusal::Foreign));
/// assert!(question("not..a.name", Family::V4, 7).is_none());
/// ```
pub fn question(name: &str, family: Family, id: u16) -> Option<Vec<u8>> {
    let name = Name::<Vec<u8>>::from_str(name)
        .ok()
        .filter(|name| !name.is_root())?;
    let record = match family {
        Family::V4 => Rtype::A,
        Family::V6 => Rtype::AAAA,
    };
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((name, record, Class::IN)).ok()?;
    Some(message.finish())
}

/// The id of a message.
pub fn id(message: &[u8]) -> Option<u16> {
    Message::from_octets(message)
        .ok()
        .map(|message| message.header().id())
}

/// Reads the answer to `question`: addresses of the name that was asked for, or of what the answer says it is an alias of.
/// Records of other names are not believed.
///
/// # Errors
/// Why these bytes are of no use.
pub fn read_answer(question: &[u8], bytes: &[u8]) -> Result<Addresses, Refusal> {
    let question = Message::from_octets(question).map_err(|_| Refusal::Foreign)?;
    let answer = Message::from_octets(bytes).map_err(|_| Refusal::Foreign)?;
    if !answer.is_answer(&question) {
        return Err(Refusal::Foreign);
    }
    if answer.header().tc() {
        return Err(Refusal::Truncated);
    }
    if answer.header().rcode() != Rcode::NOERROR {
        return Err(Refusal::Failed);
    }
    let name = answer.canonical_name().ok_or(Refusal::Malformed)?;
    let wanted = question.qtype();
    let mut found = Addresses {
        list: Vec::new(),
        ttl_s: u32::MAX,
    };
    for record in answer.answer().map_err(|_| Refusal::Malformed)? {
        let record = record.map_err(|_| Refusal::Malformed)?;
        if record.class() != Class::IN {
            continue;
        }
        // Aliases count as well: the answer holds no longer than any part of it.
        if record.rtype() == Rtype::CNAME {
            found.ttl_s = found.ttl_s.min(record.ttl().as_secs());
        }
        if Some(record.rtype()) != wanted || !record.owner().name_eq(&name) {
            continue;
        }
        let ttl_s = record.ttl().as_secs();
        let address: IpAddr = if wanted == Some(Rtype::A) {
            let record = record.into_record::<A>().map_err(|_| Refusal::Malformed)?;
            record.ok_or(Refusal::Malformed)?.data().addr().into()
        } else {
            let record = record.into_record::<Aaaa>().map_err(|_| Refusal::Malformed)?;
            record.ok_or(Refusal::Malformed)?.data().addr().into()
        };
        found.list.push(address);
        found.ttl_s = found.ttl_s.min(ttl_s);
    }
    if found.list.is_empty() {
        return Err(Refusal::NoAddress);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Flags, counts and records behind the question of `asked`.
    fn answer(asked: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = asked[..2].to_vec();
        for word in [flags, 1, records.len() as u16, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(&asked[12..]);
        bytes.extend(records.concat());
        bytes
    }

    fn record(owner: &[u8], kind: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = owner.to_vec();
        bytes.extend(kind.to_be_bytes());
        bytes.extend(1u16.to_be_bytes());
        bytes.extend(ttl_s.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        bytes
    }

    const ASKED: &[u8] = b"\xc0\x0c";
    const OTHER: &[u8] = b"\x05other\x04test\0";
    const GOOD: u16 = 0x8180;

    #[test]
    fn addresses_of_the_name_and_of_its_alias() {
        let asked = question("name.test", Family::V4, 9).unwrap();
        let plain = answer(
            &asked,
            GOOD,
            &[
                record(ASKED, 1, 60, &[1, 2, 3, 4]),
                record(ASKED, 1, 50, &[1, 2, 3, 5]),
            ],
        );
        let list = vec![[1, 2, 3, 4].into(), [1, 2, 3, 5].into()];
        assert_eq!(read_answer(&asked, &plain), Ok(Addresses { list, ttl_s: 50 }));
        let alias = answer(
            &asked,
            GOOD,
            &[record(ASKED, 5, 30, OTHER), record(OTHER, 1, 60, &[9, 9, 9, 9])],
        );
        assert_eq!(
            read_answer(&asked, &alias),
            Ok(Addresses {
                list: vec![[9, 9, 9, 9].into()],
                ttl_s: 30
            })
        );
        let asked = question("NAME.test", Family::V6, 9).unwrap();
        let six = answer(
            &asked,
            GOOD,
            &[
                record(ASKED, 1, 60, &[1, 2, 3, 4]),
                record(ASKED, 28, 60, &[0xfe; 16]),
            ],
        );
        assert_eq!(
            read_answer(&asked, &six).unwrap().list,
            [IpAddr::from([0xfe; 16])]
        );
    }

    #[test]
    fn lies_are_told_from_failures() {
        let asked = question("name.test", Family::V4, 9).unwrap();
        let record_of = |owner| record(owner, 1, 60, &[6, 6, 6, 6]);
        let refused = |bytes: &[u8]| read_answer(&asked, bytes).unwrap_err();
        assert_eq!(
            refused(&answer(&asked, 0x0100, &[record_of(ASKED)])),
            Refusal::Foreign
        );
        let other = question("other.test", Family::V4, 9).unwrap();
        assert_eq!(
            refused(&answer(&other, GOOD, &[record_of(ASKED)])),
            Refusal::Foreign
        );
        let other = question("name.test", Family::V4, 10).unwrap();
        assert_eq!(
            refused(&answer(&other, GOOD, &[record_of(ASKED)])),
            Refusal::Foreign
        );
        let other = question("name.test", Family::V6, 9).unwrap();
        assert_eq!(
            refused(&answer(&other, GOOD, &[record_of(ASKED)])),
            Refusal::Foreign
        );
        assert_eq!(refused(b"short"), Refusal::Foreign);
        assert_eq!(
            refused(&answer(&asked, GOOD, &[record_of(OTHER)])),
            Refusal::NoAddress
        );
        assert_eq!(refused(&answer(&asked, GOOD, &[])), Refusal::NoAddress);
        assert_eq!(
            refused(&answer(&asked, GOOD | 0x200, &[record_of(ASKED)])),
            Refusal::Truncated
        );
        assert_eq!(refused(&answer(&asked, 0x8183, &[])), Refusal::Failed);
        assert_eq!(
            refused(&answer(&asked, GOOD, &[record(ASKED, 1, 60, &[1, 2, 3])])),
            Refusal::Malformed
        );
        let whole = answer(&asked, GOOD, &[record_of(ASKED)]);
        for len in 0..whole.len() {
            assert!(read_answer(&asked, &whole[..len]).is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn aliases_in_a_ring_end() {
        let asked = question("name.test", Family::V4, 9).unwrap();
        let ring = answer(
            &asked,
            GOOD,
            &[record(ASKED, 5, 60, OTHER), record(OTHER, 5, 60, ASKED)],
        );
        assert!(read_answer(&asked, &ring).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(tail in proptest::collection::vec(any::<u8>(), 0..80), count in 0..4u16, id: u16) {
            let asked = question("name.test", Family::V4, id).unwrap();
            let mut bytes = answer(&asked, GOOD, &[]);
            bytes[6..8].copy_from_slice(&count.to_be_bytes());
            bytes.extend(tail);
            if let Ok(found) = read_answer(&asked, &bytes) {
                prop_assert!(found.list.len() <= usize::from(count));
            }
        }

        #[test]
        fn any_name_is_taken(name in "\\PC{0,80}") {
            if let Some(asked) = question(&name, Family::V6, 3) {
                prop_assert!(asked.len() <= 12 + 255 + 4);
            }
        }
    }
}
