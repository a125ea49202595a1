//! Message logs: every message that a service is given, written to a file of its own (commands `LOGON` and `LOGOFF`).
//!
//! ```text
//! <logpath>/<8 hex digits of the handle>.log, opened for appending
//!   open time: <now in cs> <date>
//!   :<source> <type> <session> <now in cs> <payload in hex>       one line per message, written before it is dispatched
//!   close time: <now in cs>
//! ```
//!
//! The dispatcher asks [`MessageLogSlot::is_on`] before each message, one load while no log is open. The file is written
//! under the slot's lock, by the thread that dispatches and by the one that switches the log.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fulmar_arena::sync::atomic::{AtomicBool, Ordering};

use crate::local_time::LocalTime;
use crate::{Clock, Context, Handle, Message};

/// A service's message log, if it has one.
#[derive(Debug, Default)]
pub(crate) struct MessageLogSlot {
    on: AtomicBool,
    file: Mutex<Option<BufWriter<File>>>,
}

impl MessageLogSlot {
    /// Whether messages are to be [recorded](Self::record).
    pub(crate) fn is_on(&self) -> bool {
        // Relaxed: only a hint. `record` looks again under the lock, and a message or two more or fewer around the
        // moment of LOGON cannot be told from another order of the two.
        self.on.load(Ordering::Relaxed)
    }

    /// Writes down a message that is about to be dispatched.
    pub(crate) fn record(&self, message: &Message, now_cs: u64) {
        if let Some(file) = &mut *self.lock() {
            // A full disk loses lines of this log; the service has to go on.
            let _ = write_message(file, message, now_cs).and_then(|()| file.flush());
        }
    }

    /// Ends the log; says whether there was one.
    pub(crate) fn close(&self, clock: &Clock) -> bool {
        let Some(mut file) = self.lock().take() else {
            return false;
        };
        self.on.store(false, Ordering::Relaxed); // as in `is_on`
        let _ = writeln!(file, "close time: {}", clock.now_cs()); // as in `record`; dropping the file flushes it
        true
    }

    fn open(&self, path: &Path, clock: &Clock) -> Result<Opened, std::io::Error> {
        let mut slot = self.lock();
        if slot.is_some() {
            return Ok(Opened::Before);
        }
        let mut file = BufWriter::new(OpenOptions::new().append(true).create(true).open(path)?);
        let now_cs = clock.now_cs();
        let date = LocalTime::at(clock.start_time() + now_cs / 100).ctime();
        writeln!(file, "open time: {now_cs} {date}")?;
        file.flush()?;
        *slot = Some(file);
        self.on.store(true, Ordering::Relaxed); // as in `is_on`
        Ok(Opened::Now)
    }

    fn lock(&self) -> MutexGuard<'_, Option<BufWriter<File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Opened {
    Now,
    Before,
}

/// The command `LOGON`: opens the message log of `handle`, and says so in the name of the caller. Does nothing when the
/// setting `logpath` is missing, the service is gone, or its log is open.
pub(crate) fn log_on(cx: &Context, handle: Handle) {
    let engine = cx.engine();
    let Some(folder) = engine.env().get("logpath") else {
        return;
    };
    let path = format!("{folder}/{:08x}.log", handle.bits());
    match engine.with_message_log(handle, |slot| slot.open(Path::new(&path), engine.clock())) {
        Some(Ok(Opened::Now)) => cx.log(format!("Open log file {path}")),
        Some(Err(_)) => cx.log(format!("Open log file {path} fail")),
        Some(Ok(Opened::Before)) | None => {}
    }
}

/// The command `LOGOFF`: closes the message log of `handle`, and says so in the name of the caller.
pub(crate) fn log_off(cx: &Context, handle: Handle) {
    if cx
        .engine()
        .with_message_log(handle, |slot| slot.close(cx.engine().clock()))
        == Some(true)
    {
        cx.log(format!("Close log file :{:08x}", handle.bits()));
    }
}

fn write_message(out: &mut impl Write, message: &Message, now_cs: u64) -> std::io::Result<()> {
    let (source, session) = (message.source().bits(), message.session());
    write!(
        out,
        ":{source:08x} {} {session} {now_cs} ",
        message.message_type().0
    )?;
    message
        .bytes()
        .iter()
        .try_for_each(|byte| write!(out, "{byte:02x}"))?;
    writeln!(out)
}
