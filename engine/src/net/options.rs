//! What a program may ask of its sockets.

use super::frame::Framing;

/// What a connection is told when it begins, or by [`Sockets::configure`](crate::Sockets::configure).
///
/// The defaults are skynet's behaviour, but for two limits that skynet does not have: of what waits to be sent, and of how long that
/// may take once the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Small packets go at once (`TCP_NODELAY`). Off.
    pub nodelay: bool,
    /// The system asks a silent peer whether it is still there (`SO_KEEPALIVE`). On.
    pub keepalive: bool,
    /// How many bytes may wait to be sent. 256 MiB.
    ///
    /// Warnings come first: at 1, 2, 4 ... MiB. A packet of which more is left than fits ends the connection: an ERROR, a CLOSE, and
    /// what waited is dropped.
    pub queued_bytes: usize,
    /// How long nothing may arrive while the socket is being read, in centiseconds; 0, the default, is for ever. Of a stream of
    /// frames only whole frames count. After that the connection ends: an ERROR and a CLOSE.
    pub idle_cs: u32,
    /// How long a peer may take nothing of what waits when the connection has been closed, in centiseconds: 60 seconds; 0 is for
    /// ever. Then the rest is dropped. A shorter `idle_cs` counts here, too.
    pub linger_cs: u32,
    /// How the stream is cut: none, the default, gives bytes as they come.
    pub framing: Option<Framing>,
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            nodelay: false,
            keepalive: true,
            queued_bytes: 256 << 20,
            idle_cs: 0,
            linger_cs: 60_00,
            framing: None,
        }
    }
}

impl SocketOptions {
    /// With small packets sent at once.
    pub fn nodelay(self, nodelay: bool) -> SocketOptions {
        SocketOptions { nodelay, ..self }
    }

    /// With the system's own probes of silent peers, or without.
    pub fn keepalive(self, keepalive: bool) -> SocketOptions {
        SocketOptions { keepalive, ..self }
    }

    /// With another cap of what waits to be sent.
    pub fn queued_bytes(self, queued_bytes: usize) -> SocketOptions {
        SocketOptions { queued_bytes, ..self }
    }

    /// With an end for silent connections.
    pub fn idle_cs(self, idle_cs: u32) -> SocketOptions {
        SocketOptions { idle_cs, ..self }
    }

    /// With another end for closed connections whose peers take nothing.
    pub fn linger_cs(self, linger_cs: u32) -> SocketOptions {
        SocketOptions { linger_cs, ..self }
    }

    /// With frames.
    pub fn framing(self, framing: Framing) -> SocketOptions {
        SocketOptions {
            framing: Some(framing),
            ..self
        }
    }
}

/// What a listener is told.
///
/// ```
/// use fulmar_engine::{FramePrefix, Framing, ListenOptions, SocketOptions};
///
/// let frames = Framing { prefix: FramePrefix::U16Be, limit_bytes: 65535 };
/// let options = ListenOptions::default().backlog(4096).accepted(SocketOptions::default().framing(frames));
/// assert!(!options.reuse_port);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Connections that the system keeps until they are accepted, and may limit further. 1024: when there are more, their clients try
    /// again after a second.
    pub backlog: i32,
    /// Several listeners may share the port; the system spreads connections over them (`SO_REUSEPORT`). Off.
    pub reuse_port: bool,
    /// What each accepted connection begins with.
    pub accepted: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            backlog: 1024,
            reuse_port: false,
            accepted: SocketOptions::default(),
        }
    }
}

impl ListenOptions {
    /// With another backlog.
    pub fn backlog(self, backlog: i32) -> ListenOptions {
        ListenOptions { backlog, ..self }
    }

    /// With a port that others may share.
    pub fn reuse_port(self, reuse_port: bool) -> ListenOptions {
        ListenOptions { reuse_port, ..self }
    }

    /// With other options for what it accepts.
    pub fn accepted(self, accepted: SocketOptions) -> ListenOptions {
        ListenOptions { accepted, ..self }
    }
}
