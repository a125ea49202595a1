//! The native logger, writing to files.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::probe::Probe;
use crate::local_time::LocalTime;
use crate::services::logger::Logger;
use crate::{Body, Clock, Context, Engine, Handle, Message, MessageType, Service, ServiceOptions};

/// A folder that goes away with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "fulmar-engine-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder of our own");
        Folder(path)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub(super) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("the file was written")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the folder for temporary files harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An engine whose log goes to `log.txt` in the folder; its time is 12 cs past second 1,000,000,000.
fn engine_with_log(folder: &Folder) -> (Engine, Handle) {
    let clock = Clock::manual(1_000_000_000);
    clock.advance_to_ns(120_000_000);
    let engine = Engine::builder()
        .clock(clock)
        .deterministic(1)
        .module("logger", Logger::new(true))
        .build()
        .expect("an engine");
    let path = folder.path("log.txt");
    let logger = engine
        .launch("logger", path.to_str().expect("the path is text"))
        .expect("the logger starts");
    assert!(engine.names().register("logger", logger));
    (engine, logger)
}

#[test]
fn a_line_has_date_source_and_text() {
    let folder = Folder::new();
    let (engine, _) = engine_with_log(&folder);
    let probe = Probe::spawn(&engine);
    engine.run_until_idle();
    let before = folder.read("log.txt");
    probe.cx.log("hello");
    probe.cx.log("two\nlines, and error: no colour in a file");
    engine.run_until_idle();
    engine.clock().advance_to_ns(61_990_000_000);
    probe.cx.log("");
    engine.run_until_idle();
    let (text, from) = (folder.read("log.txt"), probe.handle());
    let (early, late) = (
        LocalTime::at(1_000_000_000).short(),
        LocalTime::at(1_000_000_061).short(),
    );
    assert_eq!(
        text.strip_prefix(&before).expect("the log only grows"),
        format!(
            "{early}.12 [{from}] hello\n{early}.12 [{from}] two\nlines, and error: no colour in a file\n{late}.99 [{from}] \n"
        )
    );
}

#[test]
fn a_burst_of_lines_is_complete_and_in_order() {
    let folder = Folder::new();
    let (engine, _) = engine_with_log(&folder);
    let probe = Probe::spawn(&engine);
    (0..20_000).for_each(|line| probe.cx.log(format!("line {line}")));
    engine.run_until_idle();
    let text = folder.read("log.txt");
    let numbers: Vec<usize> = text
        .lines()
        .filter_map(|line| line.rsplit_once("line "))
        .map(|(_, number)| number.parse().expect("a number"))
        .collect();
    assert_eq!(numbers, (0..20_000).collect::<Vec<_>>());
}

#[test]
fn lines_that_wait_are_written_when_the_logger_is_killed() {
    let folder = Folder::new();
    let (engine, logger) = engine_with_log(&folder);
    let probe = Probe::spawn(&engine);
    (0..100).for_each(|line| probe.cx.log(format!("line {line}")));
    probe.cx.kill(logger);
    probe.cx.log("too late");
    engine.run_until_idle();
    let text = folder.read("log.txt");
    assert_eq!(text.lines().filter(|line| line.contains("] line ")).count(), 100);
    assert!(text.ends_with(&format!("KILL :{:x}\n", logger.bits())), "{text}");
}

#[test]
fn a_rotated_log_continues_under_its_old_name() {
    let folder = Folder::new();
    let (engine, _) = engine_with_log(&folder);
    let probe = Probe::spawn(&engine);
    probe.cx.log("before");
    engine.run_until_idle();
    fs::rename(folder.path("log.txt"), folder.path("old.txt")).expect("renamed");
    probe.cx.log("still the old file");
    engine.reopen_logs();
    probe.cx.log("the new file");
    engine.run_until_idle();
    let (old, new) = (folder.read("old.txt"), folder.read("log.txt"));
    assert!(
        old.contains("before\n") && old.ends_with("still the old file\n"),
        "{old}"
    );
    assert!(
        new.ends_with("the new file\n") && !new.contains("old file"),
        "{new}"
    );
}

#[test]
fn a_log_that_cannot_be_reopened_goes_on_in_the_old_file() {
    let folder = Folder::new();
    let (engine, _) = engine_with_log(&folder);
    let probe = Probe::spawn(&engine);
    fs::rename(folder.path("log.txt"), folder.path("old.txt")).expect("renamed");
    fs::create_dir(folder.path("log.txt")).expect("in the way");
    engine.reopen_logs();
    probe.cx.log("after");
    engine.run_until_idle();
    let old = folder.read("old.txt");
    assert!(
        old.contains("error: cannot reopen ") && old.ends_with("after\n"),
        "{old}"
    );
}

#[test]
fn an_existing_file_is_appended_to() {
    let folder = Folder::new();
    fs::write(folder.path("log.txt"), "kept\n").expect("written");
    let (engine, _) = engine_with_log(&folder);
    Probe::spawn(&engine).cx.log("more");
    engine.run_until_idle();
    let text = folder.read("log.txt");
    assert!(text.starts_with("kept\n") && text.ends_with("more\n"), "{text}");
}

#[test]
fn it_does_not_start_without_its_file() {
    let folder = Folder::new();
    let engine = Engine::builder()
        .deterministic(1)
        .module("logger", Logger::default())
        .build()
        .expect("an engine");
    let path = folder.path("missing/log.txt");
    assert!(
        engine
            .launch("logger", path.to_str().expect("the path is text"))
            .is_err()
    );
}

/// Logs a few lines when it is told to, and one when it stops.
struct Talker;

impl Service for Talker {
    fn receive(&mut self, cx: &Context, _message: Message) {
        (0..LINES).for_each(|line| cx.log(format!("line {line}")));
    }

    fn stop(&mut self, cx: &Context) {
        cx.log("goodbye");
    }
}

/// Runs talkers on threads, ends the engine by `end`, and counts their lines.
fn talk_until(end: impl FnOnce(&Engine)) {
    let folder = Folder::new();
    let engine = Engine::builder()
        .threads(2)
        .module("logger", Logger::default())
        .build()
        .expect("an engine");
    let path = folder.path("log.txt");
    let logger = engine
        .launch("logger", path.to_str().expect("the path is text"))
        .expect("the logger starts");
    assert!(engine.names().register("logger", logger));
    let probe = Probe::spawn(&engine);
    for _ in 0..TALKERS {
        let talker = engine
            .spawn(Talker, ServiceOptions::default())
            .expect("it starts");
        probe
            .cx
            .send(talker, MessageType::TEXT, 0, Body::Empty)
            .expect("it is there");
    }
    (0..LINES).for_each(|line| probe.cx.log(format!("line {line}")));
    engine.start();
    end(&engine);
    engine.wait();
    let text = folder.read("log.txt");
    let count = |ending: &str| text.lines().filter(|line| line.ends_with(ending)).count();
    assert_eq!(count("goodbye"), TALKERS, "what is said while everything ends");
    let of_probe = format!("[{}] line", probe.handle());
    assert_eq!(
        text.lines().filter(|line| line.contains(&of_probe)).count(),
        LINES,
        "what was said before"
    );
}

#[test]
fn no_line_is_lost_by_a_shutdown() {
    talk_until(|engine| assert!(engine.shutdown(Duration::from_secs(60))));
}

#[test]
fn no_line_is_lost_by_an_abort() {
    talk_until(Engine::abort);
}

#[test]
fn other_messages_are_ignored() {
    let folder = Folder::new();
    let (engine, logger) = engine_with_log(&folder);
    let probe = Probe::spawn(&engine);
    engine.run_until_idle();
    let before = folder.read("log.txt");
    for message_type in [MessageType::LUA, MessageType::RESPONSE, MessageType::ERROR] {
        probe
            .cx
            .send(logger, message_type, 0, Body::Empty)
            .expect("the logger is there");
    }
    engine.run_until_idle();
    assert_eq!(folder.read("log.txt"), before);
}

const TALKERS: usize = 20;
const LINES: usize = 5_000;
