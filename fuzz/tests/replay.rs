//! Every input of every corpus, without a fuzzer.

use std::fs;
use std::path::Path;

use fulmar_fuzz::TARGETS;

#[test]
fn every_corpus_replays() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let data = fs::read(entry.unwrap().path()).unwrap();
            target(&data);
            // And cut short, and with a byte changed, wherever that is cheap.
            if data.len() < 512 {
                for len in 0..data.len() {
                    target(&data[..len]);
                    let mut changed = data.clone();
                    changed[len] ^= 0xff;
                    target(&changed);
                }
            }
            inputs += 1;
        }
        assert!(inputs >= 5, "the corpus of {name} has {inputs} inputs");
    }
}

#[test]
fn every_target_has_a_binary_and_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
