//! The Rust example, in small.

#[path = "../../examples/rust/newsroom.rs"]
mod newsroom;

#[test]
fn every_reader_reads_every_letter() {
    assert_eq!(newsroom::run(10).expect("it runs"), 10 << 20);
}
