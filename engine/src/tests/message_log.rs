//! The message log of a service: LOGON and LOGOFF.

use std::collections::BTreeMap;

use super::logger::Folder;
use super::probe::Probe;
use crate::local_time::LocalTime;
use crate::{Body, Clock, Engine, MessageType};

struct Node {
    engine: Engine,
    log: Probe,
    caller: Probe,
    target: Probe,
}

fn node(logpath: Option<&str>) -> Node {
    let clock = Clock::manual(1_000_000_000);
    clock.advance_to_ns(250_000_000);
    let env: BTreeMap<String, String> = logpath
        .map(|path| ("logpath".to_owned(), path.to_owned()))
        .into_iter()
        .collect();
    let engine = Engine::builder()
        .clock(clock)
        .env(env)
        .deterministic(1)
        .build()
        .expect("an engine");
    let log = Probe::logger(&engine);
    let (caller, target) = (Probe::spawn(&engine), Probe::spawn(&engine));
    engine.run_until_idle();
    log.take();
    Node {
        engine,
        log,
        caller,
        target,
    }
}

impl Node {
    fn command(&self, name: &str) {
        let target = format!(":{:x}", self.target.handle().bits());
        assert_eq!(self.caller.cx.command(name, &target), None);
    }

    fn send(&self, message_type: MessageType, session: i32, bytes: &[u8]) {
        let cx = &self.caller.cx;
        cx.send(
            self.target.handle(),
            message_type,
            session,
            cx.bytes(bytes).expect("there is room"),
        )
        .expect("the target is there");
        self.engine.run_until_idle();
    }

    fn file(&self) -> String {
        format!("{:08x}.log", self.target.handle().bits())
    }
}

#[test]
fn every_message_between_logon_and_logoff_is_written() {
    let folder = Folder::new();
    let path = folder.path("").display().to_string();
    let node = node(Some(path.trim_end_matches('/')));
    node.send(MessageType::LUA, 1, b"before");
    node.command("LOGON");
    node.command("LOGON"); // is on: no second header
    node.send(MessageType::LUA, 2, b"\x00\xffA");
    node.engine.clock().advance_to_ns(1_000_000_000);
    node.send(MessageType(200), 0, b"");
    node.command("LOGOFF");
    node.command("LOGOFF");
    node.send(MessageType::LUA, 3, b"after");

    let (source, date) = (node.caller.handle(), LocalTime::at(1_000_000_000).ctime());
    assert_eq!(
        folder.read(&node.file()),
        format!("open time: 25 {date}\n{source} 10 2 25 00ff41\n{source} 200 0 100 \nclose time: 100\n")
    );
    let log = node.log.take();
    assert!(log.iter().all(|line| line.source == node.caller.handle()));
    let path = folder.path(&node.file()).display().to_string();
    let texts: Vec<&str> = log.iter().map(|line| line.text()).collect();
    assert_eq!(
        texts,
        [
            &format!("Open log file {path}"),
            &format!("Close log file {}", node.target.handle())
        ]
    );
}

#[test]
fn a_second_log_is_appended_and_the_end_of_the_service_closes_it() {
    let folder = Folder::new();
    let path = folder.path("").display().to_string();
    let node = node(Some(&path));
    node.command("LOGON");
    node.command("LOGOFF");
    node.command("LOGON");
    node.target.cx.exit();
    node.engine.run_until_idle();
    let text = folder.read(&node.file());
    let heads: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" time"))
        .map(|(head, _)| head)
        .collect();
    assert_eq!(heads, ["open", "close", "open", "close"], "{text}");
}

#[test]
fn a_folder_that_is_missing_is_reported() {
    let folder = Folder::new();
    let path = folder.path("missing").display().to_string();
    let node = node(Some(&path));
    node.command("LOGON");
    node.send(MessageType::TEXT, 0, b"goes on");
    assert_eq!(node.target.take_texts(), ["goes on"]);
    assert_eq!(
        node.log.take_texts(),
        [format!("Open log file {path}/{} fail", node.file())]
    );
}

#[test]
fn nothing_happens_without_logpath_or_service() {
    let node = node(None);
    node.command("LOGON");
    node.command("LOGOFF");
    node.engine.run_until_idle();
    assert_eq!(node.log.take_texts(), Vec::<String>::new());

    let folder = Folder::new();
    let path = folder.path("").display().to_string();
    let node = self::node(Some(&path));
    assert_eq!(node.caller.cx.command("LOGON", ":ffff"), None);
    node.caller
        .cx
        .send(node.target.handle(), MessageType::TEXT, 0, Body::Empty)
        .expect("the target is there");
    node.engine.run_until_idle();
    assert_eq!(node.log.take_texts(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(folder.path("")).expect("our folder").count(), 0);
}
