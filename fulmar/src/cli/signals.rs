//! Signals: Ctrl-C and SIGTERM end the node in order, a second one ends it at once, SIGHUP reopens the logs.
//!
//! SIGPIPE is ignored by Rust's runtime before `main`, as skynet ignores it. Signals are caught from
//! [`Signals::listen`] on and kept until [`Signals::serve`] has an engine to hand them to.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fulmar_engine::Engine;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;
use signal_hook::low_level;

use super::report::Failure;

/// How long services may take to end after the first signal.
const GRACE: Duration = Duration::from_secs(10);

/// Signals caught and not yet acted on.
pub(crate) struct Signals(iterator::Signals);

impl Signals {
    /// Catches signals from here on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map(Self)
            .map_err(no_thread)
    }

    /// Acts on signals from a thread of its own until the process ends. `pid_file` is removed when a signal ends the
    /// process from here.
    pub(crate) fn serve(mut self, engine: &Engine, pid_file: Option<PathBuf>) -> Result<(), Failure> {
        let engine = engine.clone();
        let serve = move || {
            let mut ending = false;
            for signal in self.0.forever() {
                match signal {
                    SIGHUP => engine.reopen_logs(),
                    _ if ending => end(pid_file.as_deref(), 128 + signal),
                    _ => {
                        ending = true;
                        shut_down(&engine, pid_file.clone());
                    }
                }
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(serve)
            .map(drop)
            .map_err(no_thread)
    }
}

/// Ends the services in order while the caller goes on listening for the second signal.
fn shut_down(engine: &Engine, pid_file: Option<PathBuf>) {
    if io::stderr().is_terminal() {
        eprintln!("shutting down; once more ends at once");
    }
    let (engine, late) = (engine.clone(), pid_file.clone());
    let work = move || {
        if !engine.shutdown(GRACE) {
            eprintln!("services still at work after {} s are cut off", GRACE.as_secs());
            end(late.as_deref(), 1);
        }
    };
    if thread::Builder::new()
        .name("shutdown".into())
        .spawn(work)
        .is_err()
    {
        end(pid_file.as_deref(), 1);
    }
}

/// Ends the process now. No destructor runs: other threads are still at work.
fn end(pid_file: Option<&Path>, status: i32) -> ! {
    if let Some(path) = pid_file {
        // A pid file that stays behind names a dead process, which the next start recognises.
        let _ = std::fs::remove_file(path);
    }
    low_level::exit(status)
}

fn no_thread(error: io::Error) -> Failure {
    Failure::new(format!("cannot listen for signals: {error}"))
        .advise("raise the limits on files and threads (ulimit)")
}
