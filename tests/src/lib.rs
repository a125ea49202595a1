//! The harness that the integration tests share: finds the binary, runs it in a folder of its own, collects what it
//! prints, and runs the Lua programs of `compat/` and `bad_input/`.
//!
//! Nothing here sleeps for a fixed time to let something happen; every wait ends with the event it waits for, or with
//! the process, or after [`LIMIT`], which fails the test and shows the output so far.

mod binary;
mod run;
mod scratch;
mod script;

pub use binary::binary;
pub use run::{Ended, LIMIT, Run};
pub use scratch::Scratch;
pub use script::{here, run_script};
