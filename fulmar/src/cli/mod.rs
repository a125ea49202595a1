//! The command line: one file per subcommand. Each returns a status, or a [`report::Failure`] that is printed here.
//!
//! Exit status: 0 done, 1 a failure that the text on standard error explains, 2 a command line that is not
//! understood, 128 plus the signal's number when a second signal cut a shutdown short.

mod bench;
mod check;
mod daemon;
mod data;
mod exec;
mod node;
mod report;
mod run;
mod signals;
mod sproto;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Runs Lua services with skynet's API on a zero-copy engine.
#[derive(Parser)]
#[command(name = "fulmar", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a node from a skynet config.
    Run {
        /// The config file.
        config: PathBuf,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Run one Lua script as a service, without a config; ends when the services that came of it have ended, or by `skynet.abort()`.
    Exec {
        #[command(flatten)]
        overrides: Overrides,
        /// The script.
        script: PathBuf,
        /// Handed to the script as `...`, word by word: an argument with blanks becomes several.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Say what a config would start and what is missing, without starting anything.
    Check {
        /// The config file.
        config: PathBuf,
    },
    /// Build images of shared tables from Lua or JSON, print them, compare two.
    Data {
        #[command(subcommand)]
        command: data::Command,
    },
    /// Look at sproto schemas, compare versions, turn JSON into messages and back, generate types.
    Sproto {
        #[command(subcommand)]
        command: sproto::Command,
    },
    /// Measure this machine.
    Bench {
        #[command(subcommand)]
        command: bench::Command,
    },
    /// Print the version of Fulmar and of the Lua inside.
    Version,
}

/// Settings that the command line may give in place of the config.
#[derive(Args)]
struct Overrides {
    /// Worker threads (1 to 1024), in place of the config's `thread`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Log to this file, in place of the config's `logger`.
    #[arg(long, value_name = "FILE")]
    log: Option<String>,
}

pub(crate) fn main() -> ExitCode {
    // The first touch of a huge page clears 2 MiB, which can hold a message up for milliseconds; a heap of many small services seldom
    // gets that time back. Programs that services start inherit this. A system that has none refuses.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let outcome = match Cli::parse().command {
        Command::Run { config, overrides } => run::run(&config, &overrides),
        Command::Exec {
            overrides,
            script,
            args,
        } => exec::exec(&script, &args, &overrides),
        Command::Check { config } => check::check(&config),
        Command::Data { command } => data::data(&command),
        Command::Sproto { command } => sproto::sproto(&command),
        Command::Bench { command } => bench::bench(&command),
        Command::Version => version::version(),
    };
    outcome.unwrap_or_else(|failure| {
        failure.print();
        ExitCode::FAILURE
    })
}
