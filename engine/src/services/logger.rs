//! The stock `logger`: writes every line that is logged on the node to standard output or to a file.
//!
//! A log call is a text message to this service, so lines appear in the order in which they reached its mailbox. A line is
//! flushed once no other line waits; until then lines are collected and written together. The engine ends this service
//! last, after everything that could still log, and [`stop`](Service::stop) writes what was collected, so an ordered
//! shutdown loses nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::local_time::LocalTime;
use crate::{Context, Handle, Message, MessageType, Module, Service, StartError};

/// The module `logger`. Its argument is the path of a file to append to; without one, lines go to standard output.
///
/// | message | effect |
/// |---|---|
/// | `TEXT` | one line: `[:%08x] <text>`, and before it `DD/MM/YY HH:MM:SS.cc ` when writing to a file |
/// | `SYSTEM` | the file is opened anew, so that a rotated log continues under its old name |
///
/// Launching fails when the file cannot be opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logger {
    colour: bool,
}

impl Logger {
    /// `colour` dims addresses and reddens errors on standard output; it is for terminals. Files are never coloured.
    pub fn new(colour: bool) -> Logger {
        Logger { colour }
    }
}

impl Module for Logger {
    fn create(&self) -> Box<dyn Service> {
        Box::new(Writer {
            colour: self.colour,
            sink: Sink::Stdout,
            waiting: Vec::new(),
            stamp: Stamp::default(),
        })
    }
}

/// One running logger.
struct Writer {
    colour: bool,
    sink: Sink,
    /// Whole lines that are not written yet.
    waiting: Vec<u8>,
    stamp: Stamp,
}

impl Service for Writer {
    fn start(&mut self, _cx: &Context, args: &str) -> Result<(), StartError> {
        if !args.is_empty() {
            let path = PathBuf::from(args);
            let file =
                open(&path).map_err(|error| StartError::new(format!("cannot open {args}: {error}")))?;
            self.sink = Sink::File { path, file };
        }
        Ok(())
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        match message.message_type() {
            MessageType::TEXT => self.line(cx, message.source(), message.bytes()),
            MessageType::SYSTEM => self.reopen(cx),
            _ => {}
        }
        if cx.mailbox_len() == 0 || self.waiting.len() >= WRITE_BYTES {
            self.flush();
        }
    }

    fn stop(&mut self, _cx: &Context) {
        self.flush();
    }
}

impl Writer {
    fn line(&mut self, cx: &Context, source: Handle, text: &[u8]) {
        if let Sink::File { .. } = self.sink {
            self.stamp
                .write(&mut self.waiting, cx.engine().clock().start_time(), cx.now_cs());
        }
        let colour = self.colour && matches!(self.sink, Sink::Stdout);
        write_line(&mut self.waiting, colour, source, text);
    }

    /// Continues in a new file of the same name. When it cannot be opened the old one stays in use, and says why.
    fn reopen(&mut self, cx: &Context) {
        self.flush();
        let Sink::File { path, file } = &mut self.sink else {
            return;
        };
        match open(path) {
            Ok(opened) => *file = opened,
            Err(error) => {
                let text = format!("error: cannot reopen {}: {error}", path.display());
                self.line(cx, cx.handle(), text.as_bytes());
            }
        }
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let written = match &mut self.sink {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.waiting).and_then(|()| stdout.flush())
            }
            Sink::File { file, .. } => file.write_all(&self.waiting),
        };
        if written.is_err() {
            // The place for complaints is the one that failed. Standard error is the last resort, and may be gone as well.
            let _ = io::stderr().write_all(&self.waiting);
        }
        self.waiting.clear();
        self.waiting.shrink_to(WRITE_BYTES);
    }
}

enum Sink {
    Stdout,
    File { path: PathBuf, file: File },
}

/// Writes `[:%08x] <text>`, with the address dimmed and an error in red where colours are wanted.
fn write_line(out: &mut Vec<u8>, colour: bool, source: Handle, text: &[u8]) {
    let address = format!("[{source}]");
    let is_error = text.starts_with(b"error");
    let parts: [&[u8]; 5] = match colour {
        true if is_error => [DIM, address.as_bytes(), b"\x1b[0;31m ", text, PLAIN],
        true => [DIM, address.as_bytes(), b"\x1b[0m ", text, b""],
        false => [b"", address.as_bytes(), b" ", text, b""],
    };
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b'\n');
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The date of the last line, kept because the next one is usually of the same second.
#[derive(Default)]
struct Stamp {
    second: Option<u64>,
    text: String,
}

impl Stamp {
    /// Writes `DD/MM/YY HH:MM:SS.cc ` for `now_cs`.
    fn write(&mut self, out: &mut Vec<u8>, start_time: u64, now_cs: u64) {
        let second = start_time + now_cs / 100;
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = LocalTime::at(second).short();
        }
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(format!(".{:02} ", now_cs % 100).as_bytes());
    }
}

const DIM: &[u8] = b"\x1b[2m";
const PLAIN: &[u8] = b"\x1b[0m";
/// Collected lines are written when they reach this size, even if more are waiting.
const WRITE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(colour: bool, text: &str) -> String {
        let mut out = Vec::new();
        write_line(&mut out, colour, Handle::from_bits(0x1a), text.as_bytes());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn colours_are_added_only_where_they_are_wanted() {
        assert_eq!(line(false, "error: no"), "[:0000001a] error: no\n");
        assert_eq!(line(true, "fine"), "\x1b[2m[:0000001a]\x1b[0m fine\n");
        assert_eq!(
            line(true, "error: no"),
            "\x1b[2m[:0000001a]\x1b[0;31m error: no\x1b[0m\n"
        );
    }
}
