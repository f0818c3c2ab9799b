//! FLOOR 4 · boot: what happens before the cores run and after they stop. It alone knows every
//! room; no room knows it. It runs on the main thread.

pub mod cli;

mod fresh;
mod lanes;
mod logging;
mod serve;
mod shelf;
mod threads;
mod tools;
mod tune;

use std::process::ExitCode;

use cli::Command;

/// The whole program: reads the command line and does what it says.
pub fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(words) => words.exit(),
    };
    let done = match command {
        Command::Serve(args) => serve::serve(&args),
        Command::Check(args) => tools::check(&args),
        Command::Tune(args) => tune::tune(&args),
        Command::HashPassword => tools::hash_password(),
        Command::Completions { shell } => {
            tools::written(cli::write_completions(shell, &mut std::io::stdout().lock()))
        }
        Command::Man => tools::written(cli::write_man(&mut std::io::stdout().lock())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            tools::say(&format!("floe: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a command failed: sentences for the person who gave it, the cure included.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
