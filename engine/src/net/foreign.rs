//! Descriptors that somebody else has opened.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

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
        let adopted = duplicate(fd).and_then(|fd| {
            rustix::io::ioctl_fionbio(&fd, true)?;
            state.io = Some(Io::Fd(fd));
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

/// A descriptor of our own for what a foreign one stands for.
fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC touches no memory, and says EBADF when there is no such descriptor.
    let own = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if own < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: made by the call above, so nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}
