//! Daemon mode (`daemon = "FILE"`): the process leaves its terminal and holds a locked file with its pid.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

use super::report::Failure;

/// A detached process. Dropping it removes the pid file.
#[derive(Debug)]
pub(crate) struct Daemon {
    path: PathBuf,
    /// Holds the lock for as long as the process lives.
    _file: File,
}

impl Daemon {
    /// Leaves the terminal, keeping the working directory, and writes the pid file. Call it while the process has one
    /// thread. Messages still reach the terminal until [`Daemon::silence`].
    pub(crate) fn detach(path: &Path) -> Result<Self, Failure> {
        if let Some(pid) = running(path) {
            return Err(already_running(pid));
        }
        // Before the fork: whoever starts the daemon sees by its status that the file cannot be written.
        let file = open(path)?;
        // SAFETY: daemon(3) forks; this is the only thread, so the child misses none and no lock is held in it.
        let outcome = unsafe { libc::daemon(1, 1) };
        if outcome != 0 {
            return Err(Failure::new(format!(
                "cannot detach: {}",
                io::Error::last_os_error()
            )));
        }
        Self::write(path, file)
    }

    fn write(path: &Path, mut file: File) -> Result<Self, Failure> {
        let failed = |error| unwritable(path, &error);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // Another start was faster between the check and the lock.
            Err(Errno::WOULDBLOCK) => return Err(already_running(pid_in(&mut file).unwrap_or(0))),
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", getpid().as_raw_nonzero()).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            _file: file,
        })
    }

    /// Points the standard streams at `/dev/null`.
    pub(crate) fn silence(&self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new(format!("cannot use /dev/null: {error}"));
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(failed)?;
        rustix::stdio::dup2_stdin(&null).map_err(|e| failed(e.into()))?;
        rustix::stdio::dup2_stdout(&null).map_err(|e| failed(e.into()))?;
        rustix::stdio::dup2_stderr(&null).map_err(|e| failed(e.into()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A pid file that stays behind names a dead process, which the next start recognises.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644);
    options.open(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write the pid file {}: {error}", path.display()))
        .advise("daemon names a file in a folder that exists and can be written")
}

/// The live process that the pid file names, if it names one.
pub(crate) fn running(path: &Path) -> Option<i32> {
    let pid = pid_in(&mut File::open(path).ok()?)?;
    let process = Pid::from_raw(pid)?;
    let alive = process != getpid() && test_kill_process(process) != Err(Errno::SRCH);
    alive.then_some(pid)
}

fn pid_in(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

fn already_running(pid: i32) -> Failure {
    Failure::new(format!("Skynet is already running, pid = {pid}.")).advise(format!(
        "stop it first (kill {pid}), or give this node another pid file"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("fulmar-pid-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the temporary folder can be written");
        path
    }

    #[test]
    fn a_pid_file_counts_only_when_it_names_another_live_process() {
        let parent = std::os::unix::process::parent_id();
        let own = std::process::id();
        let cases = [
            (format!("{parent}\n"), Some(parent.cast_signed())),
            (format!("{own}\n"), None),
            ("".into(), None),
            ("0\n".into(), None),
            ("-1\n".into(), None),
            ("words\n".into(), None),
            // Above the highest pid that Linux can be told to give out.
            (i32::MAX.to_string(), None),
        ];
        for (text, expected) in cases {
            let path = file("names", &text);
            assert_eq!(running(&path), expected, "{text:?}");
            std::fs::remove_file(&path).expect("the file is there");
        }
        assert_eq!(running(Path::new("/nonexistent/pid")), None);
    }

    #[test]
    fn the_pid_file_is_locked_while_held_and_removed_after() {
        let path = file("lock", "an old line that is longer than a pid\n");
        let hold = || Daemon::write(&path, open(&path).expect("the file can be opened"));
        let daemon = hold().expect("the file can be written");
        let text = std::fs::read_to_string(&path).expect("the file is there");
        assert_eq!(text, format!("{}\n", std::process::id()));
        let second = hold().expect_err("the first one holds the lock");
        assert!(format!("{second:?}").contains("already running"), "{second:?}");
        drop(daemon);
        assert!(!path.exists());
    }
}
