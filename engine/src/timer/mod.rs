//! Timers: a service asks to be told when a delay is over, and gets an empty response from the system.
//!
//! | file | what it is |
//! |---|---|
//! | `wheel` | the set of armed timers, pure |
//! | `alarm` | who wakes the timer thread, and when nobody has to |
//! | `driver` | the thread between the two, the clock and the mailboxes |

mod alarm;
#[cfg(not(loom))]
mod driver;
#[cfg(not(loom))]
mod wheel;

#[cfg(not(loom))]
pub(crate) use driver::Timer;

#[cfg(all(test, loom))]
mod loom_alarm;
#[cfg(all(test, not(loom)))]
mod prop_wheel;
#[cfg(all(test, not(loom)))]
mod tests;
