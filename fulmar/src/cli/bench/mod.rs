//! `fulmar bench`: measurements of whole programs, for people who want numbers of their own machine.

mod chat;
mod crowd;
mod plot;

use std::process::ExitCode;

use clap::Subcommand;

use super::report::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put many clients on the chat server of examples/chat and draw how long what they say is under way.
    Chat(chat::Options),
}

pub(crate) fn bench(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Chat(options) => chat::chat(options),
    }
}
