//! A table of a gibibyte: built, saved, mapped by another process, patched a hundred times.
//!
//! `cargo run --release -p fulmar-sharedata --example large [ROWS]`; 5,000,000 rows of about 200 bytes by default, which takes some 4 GiB
//! of memory and a file of the table's size in the temporary folder (or `TMPDIR`). The file stays when `KEEP` is set, for
//! `benches/lua/share_large.lua`.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use fulmar_sharedata::{Items, Key, Registry, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("read") => read(Path::new(&arguments.next().ok_or("a file")?)),
        Some(rows) => run(rows.parse()?),
        None => run(5_000_000),
    }
}

/// The other process: how long until the first value.
fn read(path: &Path) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let image = Store::new().map(path)?;
    let price = image.get("item77")?.get("price")?.as_f64();
    let taken = start.elapsed();
    assert_eq!(price, Some(115.5));
    println!("another process maps it and has its first value after {taken:?}");
    Ok(())
}

fn run(rows: i64) -> Result<(), Box<dyn Error>> {
    let store = Store::new();
    let registry = Registry::new();
    let start = Instant::now();
    let mut items = Items::new();
    for id in 1..=rows {
        let text = format!(
            "{id:08}, of which there is a description of some length, so that the row has about 200 bytes"
        );
        let mut row = Items::with_capacity(0, 4);
        row.insert("id", id);
        row.insert("price", id as f64 * 1.5);
        row.insert("text", text);
        row.insert("on", id % 2 == 0);
        let row = store.table(row)?;
        items.insert_owned(Key::from(format!("item{id}").as_str()), row);
    }
    let image = store.image(items)?;
    println!("{rows} rows built in {:?}", start.elapsed());
    let (_, bytes) = image.sizes_beside(&image)?;
    println!("blocks: {} MiB, {} bytes a row", bytes >> 20, bytes as i64 / rows);

    let path = std::env::temp_dir().join(format!("fulmar-large-{}.image", std::process::id()));
    let start = Instant::now();
    image.save(&path)?;
    println!(
        "saved in {:?}: {} MiB",
        start.elapsed(),
        path.metadata()?.len() >> 20
    );
    let reader = Command::new(std::env::current_exe()?)
        .arg("read")
        .arg(&path)
        .status()?;
    if std::env::var_os("KEEP").is_some() {
        println!("kept: {}", path.display());
    } else {
        std::fs::remove_file(&path)?;
    }
    if !reader.success() {
        return Err("the other process failed".into());
    }

    registry.publish("large", image.clone());
    drop(image);
    let before = resident_kib()?;
    let mut slowest = std::time::Duration::ZERO;
    let (mut total, mut cost) = (std::time::Duration::ZERO, 0);
    for patch in 0..100 {
        let old = registry.current("large").ok_or("published")?;
        let key = format!("item{}", 1 + (patch * 7919) % rows);
        let start = Instant::now();
        let new = old.patch(&[Key::from(key.as_str()), "price".into()], Some((-patch).into()))?;
        registry.publish("large", new.clone());
        let seen = registry.current("large").ok_or("published")?;
        let price = seen.get(key.as_str())?.get("price")?.as_i64();
        let taken = start.elapsed();
        assert_eq!(price, Some(-patch));
        (slowest, total) = (slowest.max(taken), total + taken);
        if patch == 99 {
            cost = seen.sizes_beside(&old)?.0;
        }
    }
    let after = resident_kib()?;
    println!(
        "100 patches, from the change to a reader that sees it: {:?} on average, {slowest:?} at most",
        total / 100
    );
    println!("the last one cost {} KiB of blocks", cost >> 10);
    println!(
        "resident: {} MiB before, {} MiB after 100 patches",
        before >> 10,
        after >> 10
    );
    Ok(())
}

fn resident_kib() -> Result<i64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("a number")?.parse()?)
}
