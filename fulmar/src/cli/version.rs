//! `fulmar version`.

use std::process::ExitCode;

use super::report::{self, Failure};

pub(crate) fn version() -> Result<ExitCode, Failure> {
    report::show(&format!(
        "fulmar {}\n{} with skynet's API\n{}-{}\n",
        env!("CARGO_PKG_VERSION"),
        fulmar_lualib::lua_version(),
        std::env::consts::ARCH,
        std::env::consts::OS
    ))?;
    Ok(ExitCode::SUCCESS)
}
