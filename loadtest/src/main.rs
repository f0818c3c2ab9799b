//! The `floe-loadtest` command: exit code 0 if all stated limits were kept, 1 if not, 2 if the
//! command could not run.

use clap::Parser;
use floe_loadtest::args::Cli;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With standard error closed there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "floe-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
