//! Sockets of an engine against real peers. Each test counts descriptors and blocks before and after: none is lost.

mod backlog;
mod broadcast;
mod caps;
mod crowd;
mod ends;
mod frames;
mod harness;
mod places;
mod storms;
mod strangers;
