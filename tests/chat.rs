//! The chat of `examples/chat`, as its README runs it: with its own client, with raw clients, and with clients that misbehave.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use fulmar_sproto::{Host, Incoming, Schema, Struct, parse};
use fulmar_tests::{LIMIT, Run, Scratch, here};

/// A chat server on a free port.
struct Chat {
    node: Run,
    port: u16,
    _scratch: Scratch,
}

impl Chat {
    fn start() -> Self {
        let scratch = Scratch::new();
        let example = here("../examples/chat");
        let files = format!("{}/?.lua", example.display());
        let keys = [("luaservice", &*files), ("lua_path", &*files), ("chat_port", "0")];
        let node = scratch.node(&keys);
        node.expect("In another terminal:\n");
        let out = node.out();
        let line = out
            .lines()
            .find(|line| line.starts_with("The chat is open at "))
            .expect("it says where it is");
        let port = line.trim_end_matches(". In another terminal:").rsplit_once(':');
        let port = port.and_then(|(_, port)| port.parse().ok()).expect("a port");
        Self {
            node,
            port,
            _scratch: scratch,
        }
    }

    /// The example's own client, with its standard input.
    fn client(&self, name: &str) -> (Run, std::process::ChildStdin) {
        let script = here("../examples/chat/client.lua");
        let address = format!("127.0.0.1:{}", self.port);
        let mut command = Run::command(&["exec", "--log", "/dev/null"]);
        command
            .arg(script)
            .args([name, "lobby", &address])
            .stdin(Stdio::piped());
        Run::start_with_input(command)
    }

    fn raw(&self) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the chat listens");
        stream
            .set_read_timeout(Some(LIMIT))
            .expect("a socket takes a timeout");
        let to_server = schema(include_str!("../examples/chat/client.sproto"));
        let to_client = schema(include_str!("../examples/chat/server.sproto"));
        Raw {
            stream,
            host: Host::new(to_client, "package").expect("the schema has its package"),
            to_server,
        }
    }
}

fn schema(text: &str) -> Arc<Schema> {
    Arc::new(parse(text, "chat.sproto").expect("the example's schema is one"))
}

/// A client of nothing but bytes and the schema.
struct Raw {
    stream: TcpStream,
    host: Host,
    to_server: Arc<Schema>,
}

impl Raw {
    fn send(&mut self, name: &str, fields: &Struct, session: Option<i64>) {
        let packed = self
            .host
            .request(&self.to_server, name, Some(fields), session, None);
        self.send_frame(&packed.expect("the fields are the schema's"));
    }

    fn send_frame(&mut self, frame: &[u8]) {
        let len = u16::try_from(frame.len()).expect("a frame of the test's own");
        let bytes = [&len.to_be_bytes(), frame].concat();
        self.stream.write_all(&bytes).expect("the server reads");
    }

    /// The next message: its name, empty for a response, and its fields.
    fn read(&mut self) -> (String, Struct) {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len).expect("a frame");
        let mut frame = vec![0; u16::from_be_bytes(len).into()];
        self.stream.read_exact(&mut frame).expect("the whole frame");
        let (name, content) = match self.host.dispatch(&frame).expect("a message of the schema") {
            Incoming::Request(request) => (request.name.to_string(), request.content),
            Incoming::Response(reply) => (String::new(), reply.content),
        };
        (name, content.value().expect("valid fields").unwrap_or_default())
    }

    fn join(&mut self, name: &str, room: &str) -> Struct {
        self.send(
            "join",
            &Struct::new().with("name", name).with("room", room),
            Some(1),
        );
        loop {
            if let (name, fields) = self.read()
                && name.is_empty()
            {
                return fields;
            }
        }
    }

    /// Waits for the server to close the connection.
    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest);
    }
}

fn text<'a>(fields: &'a Struct, name: &str) -> &'a str {
    fields.get(name).and_then(|value| value.as_str()).unwrap_or("")
}

#[test]
fn its_own_client_talks_to_a_raw_one() {
    let chat = Chat::start();
    let (ann, mut keyboard) = chat.client("ann");
    ann.expect("You are in lobby, with ann.");
    let mut raw = chat.raw();
    let people = raw.join("raw", "lobby");
    let people = people
        .get("people")
        .and_then(|value| value.as_array())
        .map(<[_]>::len);
    assert_eq!(people, Some(2));
    ann.expect("raw comes in");

    keyboard.write_all(b"hello, raw\n").expect("ann reads");
    let (name, fields) = raw.read();
    assert_eq!(
        (&*name, text(&fields, "name"), text(&fields, "text")),
        ("said", "ann", "hello, raw")
    );
    raw.send("say", &Struct::new().with("text", "hello, ann"), None);
    ann.expect("raw: hello, ann");

    keyboard.write_all(b"/join nook\n").expect("ann reads");
    ann.expect("You are in nook, with ann.");
    let (name, fields) = raw.read();
    assert_eq!((&*name, text(&fields, "text")), ("said", "hello, ann"));
    let (name, fields) = raw.read();
    assert_eq!((&*name, text(&fields, "name")), ("left", "ann"));
    keyboard.write_all(b"/quit\n").expect("ann reads");
    ann.end().expect_code(0);
}

#[test]
fn a_name_is_there_once_and_must_be_one() {
    let chat = Chat::start();
    let (mut one, mut two) = (chat.raw(), chat.raw());
    assert_eq!(text(&one.join("same", "room"), "refused"), "");
    assert_eq!(
        text(&two.join("same", "room"), "refused"),
        "somebody of that name is in the room"
    );
    for name in ["", "two words", "a\nb", &"x".repeat(33)] {
        assert!(
            text(&two.join(name, "room"), "refused").starts_with("a name has"),
            "{name:?}"
        );
    }
    assert_eq!(text(&two.join("other", "room"), "refused"), "");
    drop(one);
    // its name is free when the others have heard that it left
    while two.read().0 != "left" {}
    assert_eq!(text(&chat.raw().join("same", "room"), "refused"), "");
}

#[test]
fn strangers_who_send_anything_are_dropped_and_nobody_else_notices() {
    let chat = Chat::start();
    let mut friend = chat.raw();
    friend.join("friend", "lobby");
    let frames: [&[u8]; 6] = [b"", b"garbage", &[0xff; 100], &[0], &[0x55, 2, 1, 1], &[0; 4000]];
    for frame in frames {
        let mut stranger = chat.raw();
        stranger.send_frame(frame);
        stranger.expect_end();
    }
    let mut half = chat.raw();
    half.stream
        .write_all(&[0xff, 0xff, 1, 2, 3])
        .expect("the server reads");
    drop(half);
    let mut silent = chat.raw();

    friend.send("say", &Struct::new().with("text", "still here"), None);
    assert_eq!(text(&friend.read().1, "text"), "still here");
    // a connection that joins no room is dropped after a while
    silent
        .stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    silent.expect_end();
    friend.send("say", &Struct::new().with("text", "and still"), None);
    assert_eq!(text(&friend.read().1, "text"), "and still");
    drop(chat.node);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let chat = Chat::start();
    let (mut friend, mut deaf) = (chat.raw(), chat.raw());
    friend.join("friend", "lobby");
    deaf.join("deaf", "lobby");
    let text = Struct::new().with("text", "x".repeat(1000));
    let mut heard = String::new();
    for _ in 0..SAYINGS {
        friend.send("say", &text, None);
        heard = friend.read().0;
        if heard == "left" {
            break;
        }
    }
    assert_eq!(heard, "left");
    chat.node.expect("KiB wait to be sent");
    assert!(!chat.node.out().contains("nknown"), "{}", chat.node.out());
}

#[test]
fn its_bench_hears_everything_that_is_said() {
    let args = [
        "bench",
        "chat",
        "--clients",
        "100",
        "--room",
        "30",
        "--rate",
        "200",
        "--seconds",
        "1",
    ];
    let done = Run::start(Run::command(&args)).end().expect_code(0);
    assert!(
        done.out.starts_with("100 clients in rooms of 30: "),
        "{}",
        done.text()
    );
    assert!(!done.out.contains("MISSING"), "{}", done.text());
    assert!(done.out.contains("p50 "), "{}", done.text());
}

/// More than the system and the server keep for one connection.
const SAYINGS: usize = 30_000;
