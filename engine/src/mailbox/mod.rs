//! Mailboxes: where messages wait, and what decides that a service has to run.
//!
//! # Who may touch what
//! A mailbox is two things that every sender touches once per message, the [`queue`] and the [`state`] word. There are three
//! roles:
//!
//! | role | who | how many |
//! |---|---|---|
//! | sender | any thread that has the service pinned, or is its runner | any number |
//! | runner | the thread that holds the service's turn | at most one |
//! | table | the handle table, or the close unit that took over its count | exactly one, until the shell is retired |
//!
//! | field | idle | scheduled | running | closed |
//! |---|---|---|---|---|
//! | `queue` tail, links | senders append | senders append | senders append | late senders append |
//! | head | nobody | nobody | runner pops | runner, then the late sender that drains |
//! | state: units | sender 0 -> 1 | senders add | senders add, runner subtracts | as running |
//! | state: closed bit | clear | clear | runner sets it, once | set for ever |
//! | the service itself | nobody | nobody | runner | gone |
//!
//! # Rules
//! 1. A sender first links its message, then adds a unit. So whoever sees a unit can pop its message, or a gap that a sender which
//!    has not added its own unit yet will close.
//! 2. The turn belongs to whoever raised the units from zero, until it is handed to a run queue; then to the worker that takes it
//!    from there; it ends with the subtraction that reaches zero. Nobody else ever holds it: hence one runner.
//! 3. A new service starts with one unit in its creator's hands. Messages that arrive while it starts wait.
//! 4. The close is a unit too, added once by whoever took the handle out of the table. It carries the table's count of the shell,
//!    so the shell outlives every turn that is scheduled without counting.
//! 5. The runner that finds the close stops the service, sets the closed bit, and answers what is queued until its subtraction
//!    reaches zero; then the table's count is retired through the epoch.
//! 6. A sender that was pinned before the removal may still append after that. Its unit meets `closed` with no other unit, and
//!    it becomes the runner itself: it takes a count of its own while it is pinned, unpins, and drains.
//!
//! # Cases
//! *A send meets a runner that is about to let go.* Both work on one word. If the sender's addition comes first, the subtraction
//! does not reach zero and the runner goes on; if the subtraction comes first, the addition starts from zero and schedules.
//!
//! *A send meets the close.* If its unit comes before the final subtraction, the closing runner answers it; otherwise rule 6 does.
//! Either way it is answered exactly once.

#[cfg(not(loom))]
mod bounded;
#[cfg(not(loom))]
mod messages;
mod overload;
mod queue;
mod state;

#[cfg(not(loom))]
pub(crate) use bounded::Bounded;
#[cfg(not(loom))]
pub use bounded::{MailboxLimit, Policy};
#[cfg(all(test, not(loom)))]
pub(crate) use messages::MessageQueue;
#[cfg(not(loom))]
pub(crate) use messages::{Mailbox, MessageHead, Pushed};
pub(crate) use overload::Overload;
pub(crate) use queue::{Head, Link, Popped, Queue};
pub(crate) use state::{Added, Done, State};
