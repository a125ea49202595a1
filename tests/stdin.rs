//! The standard input: a pipe, a terminal, or nothing to read from, for the `console` service and for `socket.stdin`.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::Duration;

use fulmar_tests::{Run, Scratch};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// The files of a node whose main service runs this code in a coroutine.
fn scratch(main: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(
        "main.lua",
        &format!(
            r#"
            local skynet = require "skynet"
            require "skynet.manager"
            local socket = require "skynet.socket"
            skynet.start(function() skynet.fork(function() {main} end) end)
            "#
        ),
    );
    scratch.config(&[("start", "main")]);
    scratch
}

/// Starts the node with a pipe.
fn piped(scratch: &Scratch) -> (Run, ChildStdin) {
    let mut command = Run::command(&["run", "config"]);
    command.current_dir(scratch.path()).stdin(Stdio::piped());
    Run::start_with_input(command)
}

#[test]
fn the_console_starts_a_service_for_each_line() {
    let scratch = scratch(r#"skynet.newservice "console" skynet.exit()"#);
    scratch.write(
        "greeter.lua",
        r#"
        local skynet = require "skynet"
        local words = table.concat({ ... }, "+")
        skynet.start(function() skynet.error(("hello %s (%d)"):format(words:sub(1, 20), #words)) end)
        "#,
    );
    let (node, mut input) = piped(&scratch);
    input.write_all(b"greeter one two\n\n \t \ngree").unwrap();
    node.expect("hello one+two (7)");
    input.write_all(b"ter three").unwrap();
    input
        .write_all(b"\nno_such_service\nsnax no_such_either\nsnax\ngreeter four\n")
        .unwrap();
    node.expect("hello three (5)").expect("hello four (4)");
    let long = format!("greeter {}\n", "x".repeat(300_000));
    input.write_all(long.as_bytes()).unwrap();
    node.expect("(300000)");
    // The end comes in the middle of a line, which is none then.
    input.write_all(b"greeter five").unwrap();
    drop(input);
    node.expect("end of standard input");
    node.signal(Signal::TERM);
    let ended = node.end();
    let all = ended.text();
    assert_eq!(all.matches("end of standard input").count(), 1, "{all}");
    assert!(!all.contains("hello five"), "{all}");
    ended.expect_code(0);
}

#[test]
fn a_pipe_is_read_as_a_socket_is() {
    let scratch = scratch(
        r#"
        local id = assert(socket.stdin())
        print("line", socket.readline(id))
        print("three", socket.read(id, 3))
        print("rest", socket.read(id))
        print "and now"
        print("all", socket.readall(id))
        print("then", socket.disconnected(id), socket.read(id))
        socket.close(id)
        id = assert(socket.stdin())
        print("again", socket.read(id))
        socket.close(id)
        skynet.abort()
        "#,
    );
    let (node, mut input) = piped(&scratch);
    input.write_all(b"one\nabcdef").unwrap();
    node.expect("and now");
    input.write_all(b"to ").unwrap();
    input.write_all(b"the end").unwrap();
    drop(input);
    let ended = node.end().expect_code(0);
    let words: Vec<&str> = ended.out.lines().collect();
    let want =
        "line\tone\nthree\tabc\nrest\tdef\nand now\nall\tto the end\nthen\ttrue\tfalse\t\nagain\tfalse\t";
    let found: Vec<&str> = words.into_iter().filter(|line| want.contains(line)).collect();
    assert_eq!(found.join("\n"), want, "{}", ended.text());
}

#[test]
fn what_cannot_be_waited_for_is_an_error() {
    let scratch = scratch(
        r#"print("stdin", socket.stdin()) skynet.newservice "console" skynet.sleep(1) skynet.abort()"#,
    );
    let file = scratch.write("input", "greeter\n");
    for input in [File::open("/dev/null").unwrap(), File::open(file).unwrap()] {
        let mut command = Run::command(&["run", "config"]);
        command.current_dir(scratch.path()).stdin(input);
        let ended = Run::start(command).end().expect_code(0);
        assert!(
            ended.out.contains("stdin\tnil\tOperation not permitted"),
            "{}",
            ended.text()
        );
    }
}

/// The terminal is shared with others, who do not expect that a write would block: among them our own output.
#[test]
fn a_terminal_is_read_and_stays_as_it_was_for_others() {
    const LINES: usize = 5000;
    let scratch = scratch(&format!(
        r#"
        local id = assert(socket.stdin())
        local word = socket.readline(id)
        for i = 1, {LINES} do print(("%05d %s"):format(i, word)) end
        print("bye", socket.readline(id))
        skynet.abort()
        "#
    ));
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let shared = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut attributes = tcgetattr(&shared).unwrap();
    attributes.make_raw();
    tcsetattr(&shared, OptionalActions::Now, &attributes).unwrap();

    let mut command = Run::command(&["run", "config"]);
    let end = || Stdio::from(shared.try_clone().unwrap());
    let mut node = command
        .current_dir(scratch.path())
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    terminal.write_all(b"typed\n").unwrap();
    let mut seen = Vec::new();
    let mut piece = [0; 1024];
    // Slowly, so that there is not always room for more.
    while !seen.windows(6).any(|words| words == b"05000 ") {
        let read = terminal.read(&mut piece).unwrap();
        seen.extend_from_slice(&piece[..read]);
        thread::sleep(Duration::from_micros(200));
        assert!(seen.len() < 1 << 20);
    }
    let flags = rustix::fs::fcntl_getfl(&shared).unwrap();
    terminal.write_all(b"farewell\n").unwrap();
    drop(shared);
    // Ends with an error when nobody has the terminal open any more.
    while let Ok(read @ 1..) = terminal.read(&mut piece) {
        seen.extend_from_slice(&piece[..read]);
    }
    assert!(node.wait().unwrap().success());
    let seen = String::from_utf8_lossy(&seen);
    let lines: Vec<&str> = seen.lines().filter(|line| line.ends_with(" typed")).collect();
    assert_eq!(lines.len(), LINES, "lines are lost");
    assert!(seen.contains("bye\tfarewell"), "{}", &seen[seen.len() - 200..]);
    assert!(!flags.contains(OFlags::NONBLOCK));
}

#[test]
fn a_named_pipe_ends_when_its_writers_have_gone_before() {
    let scratch = scratch(
        r#"
        skynet.sleep(30)
        local id = assert(socket.stdin())
        print("line", socket.readline(id))
        print("then", (socket.readline(id)))
        skynet.abort()
        "#,
    );
    let path = scratch.path().join("input");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let input = File::open(&path).unwrap();
    (&both).write_all(b"words\n").unwrap();
    let mut command = Run::command(&["run", "config"]);
    command.current_dir(scratch.path()).stdin(input);
    let node = Run::start(command);
    drop(both);
    node.expect("line\twords").expect("then\tfalse");
    node.end().expect_code(0);
}
