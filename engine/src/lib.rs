//! Fulmar's engine: services that exchange messages, and the threads that run them.
//!
//! A [`Service`] has a [`Handle`], handles one [`Message`] at a time and sends others through its [`Context`]. An [`Engine`] finds the
//! receiver in its handle table, links the message into the receiver's mailbox, and lets one of its workers run it. Nothing is copied on
//! the way: a message is one block of the arena, moved by pointer.
//!
//! | part | what it does |
//! |---|---|
//! | `handle` | addresses, the table that resolves them, local names |
//! | `message`, `mailbox` | what is sent, and where it waits |
//! | `scheduler` | which service runs next, on which worker |
//! | `service` | the trait, the context, start, turn and close of a service |
//! | `engine`, `post` | what holds them together: launch, retirement, shutdown; delivery |
//! | `timer`, `clock`, `random` | time and chance, both passed in |
//! | `net` | sockets, and the thread that watches them |
//! | `command`, `env`, `monitor`, [`services`] | skynet's text commands, its environment, endless loops, logger and harbor |
//!
//! # Example
//! A service that answers, and one that asks: see [`Service`].

// A model builds only the protocols: what they are parts of has no model.
#![cfg_attr(loom, allow(dead_code, unused_imports, unreachable_pub))]

#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
mod command;
#[cfg(not(loom))]
mod engine;
#[cfg(not(loom))]
mod env;
#[cfg(not(loom))]
mod error;
mod handle;
#[cfg(not(loom))]
mod local_time;
mod mailbox;
#[cfg(not(loom))]
mod message;
#[cfg(not(loom))]
mod message_log;
#[cfg(not(loom))]
mod monitor;
#[cfg(not(loom))]
mod net;
#[cfg(not(loom))]
mod owed;
#[cfg(not(loom))]
mod post;
#[cfg(not(loom))]
mod random;
mod scheduler;
#[cfg(not(loom))]
mod service;
#[cfg(not(loom))]
pub mod services;
#[cfg(not(loom))]
mod session;
mod timer;

#[cfg(test)]
mod tests;

#[cfg(not(loom))]
mod public {
    pub use crate::clock::Clock;
    pub use crate::engine::{Engine, EngineBuilder};
    pub use crate::env::Env;
    pub use crate::error::{BuildError, LaunchError, MAX_WORKERS, SendError, SendFailure, StartError};
    pub use crate::handle::{Handle, Names};
    pub use crate::mailbox::{MailboxLimit, Policy};
    pub use crate::message::{Body, Message, MessageType, Payload, RemoteMessage, RemoteName};
    pub use crate::net::{
        Event, EventKind, FrameError, FramePrefix, FrameReader, FrameTooLong, Framing, ListenOptions,
        OwnSockets, SocketInfo, SocketKind, SocketOptions, Sockets, unpack_address,
    };
    pub use crate::random::Random;
    pub use crate::service::{
        Context, Module, Notice, Placement, Request, Route, Service, ServiceOptions, ServiceStats,
        SignalTarget,
    };
    pub use crate::session::SessionBlock;
}
#[cfg(not(loom))]
pub use public::*;
