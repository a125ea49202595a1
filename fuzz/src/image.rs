//! Images of shared tables in files.

use std::io::Write as _;

use fulmar_sharedata::{Damaged, Image, MAX_DEPTH, Store, Table, Value};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

/// Reads a file of these bytes, and one whose blocks they describe: the number of a block's links, the length of its content, the links
/// as distances, the content. All hashes of the second are right.
pub fn image(data: &[u8]) {
    read(data);
    read(&assemble(data));
}

fn assemble(mut data: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 40];
    let mut index = Vec::new();
    while let [links, low, high, rest @ ..] = data {
        let (links, rest) = rest.split_at(rest.len().min((*links).into()));
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let (content, rest) = rest.split_at(rest.len().min(len));
        data = rest;
        let number = index.len() as u32;
        index.push(file.len() as u64);
        let mut block: Vec<u8> = [number, content.len() as u32, links.len() as u32]
            .iter()
            .flat_map(|part| part.to_le_bytes())
            .collect();
        for distance in links {
            block.extend(number.wrapping_sub(1 + u32::from(*distance)).to_le_bytes());
        }
        block.extend(content);
        file.extend(&block[4..12]);
        file.extend(xxh3_64(&block).to_le_bytes());
        file.extend(&block[12..]);
    }
    let index_at = file.len() as u64;
    file.extend(index.iter().flat_map(|at| at.to_le_bytes()));
    let mut head = Vec::from(*b"FULMARSD");
    head.extend(2u32.to_le_bytes());
    head.extend((index.len() as u32).to_le_bytes());
    head.extend(index_at.to_le_bytes());
    head.extend((file.len() as u64).to_le_bytes());
    head.extend(xxh3_64(&head).to_le_bytes());
    file[..40].copy_from_slice(&head);
    file
}

/// What the file says is read or refused; when all of it can be read, it can also be written, changed and compared.
fn read(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("the file is written");
    let store = Store::new();
    let Ok(image) = store.map(file.path()) else { return };
    let mut entries = 2000;
    let table = image.table().expect("it was read when it was mapped");
    let Ok(true) = walk(table, MAX_DEPTH, &mut entries) else {
        return;
    };
    let _ = Value::Table(table).deserialize::<serde_json::Value>();
    let _ = format!("{image:?}");
    let other = store
        .build(&json!({ "a": 1, "b": [1, 2, 3] }))
        .expect("it is a table");
    let _ = image.changed_keys(&other);
    let _ = table.bytes();
    let copy = tempfile::NamedTempFile::new().expect("a temporary file");
    image.save(copy.path()).expect("all of it was read");
    let again = store.map(copy.path()).expect("it was just saved");
    assert_eq!(image.changed_keys(&again), Ok(Vec::new()));
    change(&image);
}

fn change(image: &Image) {
    for key in ["a", "a key that has no short form"] {
        let Ok(patched) = image.patch(&[key.into()], Some(7.into())) else {
            continue;
        };
        assert_eq!(patched.get(key).map(Value::as_i64), Ok(Some(7)));
        if let Ok(removed) = patched.patch(&[key.into()], None) {
            assert!(removed.get(key).is_err());
        }
    }
    for place in [1, 2, 33, 1 << 40] {
        if let Ok(patched) = image.patch(&[place.into()], Some(true.into())) {
            assert_eq!(patched.get(place).map(Value::as_bool), Ok(Some(true)));
        }
    }
}

/// Whether all of a table is there: false when it is more than so many entries, or nested deeper.
fn walk(table: Table<'_>, depth: usize, entries: &mut usize) -> Result<bool, Damaged> {
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(false);
    };
    if table.array_len()? > *entries as u64 {
        return Ok(false);
    }
    for entry in table.entries() {
        let (key, value) = entry?;
        let Some(left) = entries.checked_sub(1) else {
            return Ok(false);
        };
        *entries = left;
        // A tree that was made up may hide a key; it may not do more.
        table.find(key)?;
        table.position(key)?;
        if let Value::Table(inner) = value
            && !walk(inner, depth, entries)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}
