//! A process under test: what it prints is collected as it comes, so a test waits for words, not for time.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::binary;

/// The longest that anything is waited for. Far above what is needed: reaching it means that it will never come.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A running process. Dropping it kills it.
pub struct Run {
    child: Child,
    printed: Arc<Printed>,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ended {
    /// The exit status, `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Fails unless the process ended with `code`; hands itself back for more questions.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{}", self.text());
        self
    }

    /// Everything printed, for messages.
    pub fn text(&self) -> String {
        format!(
            "{}\n-- standard output\n{}-- standard error\n{}",
            self.status, self.out, self.err
        )
    }
}

impl Run {
    /// A command that runs the binary, with nothing on its standard input and no wish for colours either way.
    pub fn command(args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR");
        command
    }

    /// Starts a command and collects its output.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the process can be started");
        let printed = Arc::new(Printed::default());
        let out = child.stdout.take().expect("piped above");
        let err = child.stderr.take().expect("piped above");
        collect(out, printed.clone(), |text| &mut text.out);
        collect(err, printed.clone(), |text| &mut text.err);
        Self { child, printed }
    }

    /// [`Run::start`] for a command with a piped standard input, which is handed back.
    pub fn start_with_input(command: Command) -> (Self, ChildStdin) {
        let mut run = Self::start(command);
        let input = run.child.stdin.take().expect("the command pipes its input");
        (run, input)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `words` have been printed on either stream.
    ///
    /// # Panics
    /// When the process ends without them, or [`LIMIT`] passes.
    pub fn expect(&self, words: &str) -> &Self {
        let text = self.printed.wait(|text| text.finished == 2 || text.has(words));
        let (out, err, found) = (text.out.clone(), text.err.clone(), text.has(words));
        drop(text);
        assert!(
            found,
            "not printed: {words:?}\n-- standard output\n{out}-- standard error\n{err}"
        );
        self
    }

    /// What standard output has had so far.
    pub fn out(&self) -> String {
        self.printed.lock().out.clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> &Self {
        let pid = i32::try_from(self.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id is positive");
        kill_process(pid, signal).expect("the process is ours and not waited for yet");
        self
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it has not ended after [`LIMIT`].
    pub fn end(mut self) -> Ended {
        let text = self.printed.wait(|text| text.finished == 2);
        let (out, err, finished) = (text.out.clone(), text.err.clone(), text.finished);
        drop(text);
        assert_eq!(
            finished, 2,
            "still running\n-- standard output\n{out}-- standard error\n{err}"
        );
        let status = self.child.wait().expect("our own child");
        Ended { status, out, err }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two streams of a process, filled by a thread each.
#[derive(Default)]
struct Printed {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Default)]
struct Text {
    out: String,
    err: String,
    /// Streams that have come to their end.
    finished: u32,
}

impl Text {
    fn has(&self, words: &str) -> bool {
        self.out.contains(words) || self.err.contains(words)
    }
}

impl Printed {
    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().expect("no collector panics")
    }

    /// Waits until `enough` or [`LIMIT`].
    fn wait(&self, enough: impl Fn(&Text) -> bool) -> MutexGuard<'_, Text> {
        let last = Instant::now() + LIMIT;
        let mut text = self.lock();
        while !enough(&text) {
            let left = last.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            text = self.more.wait_timeout(text, left).expect("no collector panics").0;
        }
        text
    }
}

fn collect(
    mut stream: impl Read + Send + 'static,
    printed: Arc<Printed>,
    field: fn(&mut Text) -> &mut String,
) {
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        loop {
            let n = stream.read(&mut bytes).unwrap_or(0);
            let mut text = printed.lock();
            if n == 0 {
                text.finished += 1;
            } else {
                field(&mut text).push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
            drop(text);
            printed.more.notify_all();
            if n == 0 {
                break;
            }
        }
    });
}
