//! The `fulmar` binary: one file that runs skynet programs, with the libraries and stock services inside.

mod cli;

use std::process::ExitCode;

/// Under AddressSanitizer the system's allocator stays, or it would not see a use after free.
#[cfg(not(fulmar_asan))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
