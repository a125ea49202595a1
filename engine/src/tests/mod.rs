//! Tests that need the engine's private parts.

#[cfg(loom)]
mod loom_idle;
#[cfg(loom)]
mod loom_mailbox;
#[cfg(loom)]
mod loom_table;

#[cfg(not(loom))]
mod command;
#[cfg(not(loom))]
mod harbor;
#[cfg(not(loom))]
mod lifecycle;
#[cfg(not(loom))]
mod logger;
#[cfg(not(loom))]
mod message_log;
#[cfg(not(loom))]
mod probe;
#[cfg(not(loom))]
mod prop_mailbox;
#[cfg(not(loom))]
mod prop_table;
#[cfg(not(loom))]
mod route;
#[cfg(not(loom))]
mod threads;
