//! `fulmar version`.

use std::process::ExitCode;

use super::report::Failure;

pub(crate) fn version() -> Result<ExitCode, Failure> {
    println!("fulmar {}", env!("CARGO_PKG_VERSION"));
    println!("{} with skynet's API", fulmar_lualib::lua_version());
    println!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    Ok(ExitCode::SUCCESS)
}
