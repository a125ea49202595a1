//! Answers of name servers, and the names that programs ask for.

use fulmar_lualib::dns::{Family, Refusal, question, read_answer};

/// Reads the bytes as an answer to a fixed question, as they are and behind that question; and asks for them as a name. What is
/// believed answers the question and holds no more addresses than fit in; a question answers nothing.
pub fn dns(data: &[u8]) {
    for family in [Family::V4, Family::V6] {
        let asked = question("name.test", family, 7).expect("a name");
        check(&asked, data);
        let mut answer = asked.clone();
        answer[2] |= 0x80;
        if let Some((count, records)) = data.split_first() {
            answer[7] = *count;
            answer.extend(records);
            check(&asked, &answer);
        }
        if let Some(other) = question(&String::from_utf8_lossy(data), family, 7) {
            assert_eq!(read_answer(&other, &other), Err(Refusal::Foreign));
        }
    }
}

fn check(asked: &[u8], bytes: &[u8]) {
    if let Ok(addresses) = read_answer(asked, bytes) {
        assert_eq!(bytes[..2], asked[..2], "the id");
        assert!(bytes[2] & 0x80 != 0, "it is an answer");
        assert!(!addresses.list.is_empty());
        assert!(addresses.list.len() * 14 <= bytes.len(), "each takes a record");
    }
}
