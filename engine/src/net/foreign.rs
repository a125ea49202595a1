//! Descriptors that somebody else has opened.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::termios::isatty;

use super::address;
use super::event::EventKind;
use super::options::SocketOptions;
use super::shared::Shared;
use super::socket::{Io, Phase, SocketKind};
use crate::handle::Handle;

impl Shared {
    pub(super) fn bind(self: &Arc<Self>, owner: Handle, fd: RawFd) -> io::Result<i32> {
        let socket = self.insert(
            SocketKind::Bind,
            owner,
            Phase::Open,
            None,
            SocketOptions::default(),
        )?;
        let mut state = socket.lock();
        let adopted = adopt(fd).and_then(|fd| {
            state.io = Some(Io::Foreign(fd));
            state.reading = true;
            socket.watch(&mut state)
        });
        match adopted {
            Ok(()) => self.emit(&state, &socket, EventKind::Connect, 0, "binding"),
            Err(error) => {
                self.emit(&state, &socket, EventKind::Error, 0, &address::text(&error));
                self.remove(&socket, &mut state);
            }
        }
        Ok(socket.id)
    }
}

/// A descriptor of our own for what a foreign one stands for, which does not block. Terminals and pipes are opened anew, for others
/// share them and do not expect that: a terminal often is our own output.
fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    let shared = duplicate(fd)?;
    let is_pipe = FileType::from_raw_mode(fs::fstat(&shared)?.st_mode) == FileType::Fifo;
    if (is_pipe || isatty(&shared))
        && let Ok(own) = open_anew(&shared)
    {
        return Ok(own);
    }
    rustix::io::ioctl_fionbio(&shared, true)?;
    Ok(shared)
}

/// Opens what a descriptor stands for once more. Fails where the system has no such way, or it may not be opened by us.
fn open_anew(shared: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let mode = fs::fcntl_getfl(shared)? & OFlags::RWMODE;
    fs::open(
        format!("/proc/self/fd/{}", shared.as_raw_fd()),
        mode | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC touches no memory, and says EBADF when there is no such descriptor.
    let own = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if own < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: made by the call above, so nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}
