//! The small commands, and words to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::config::{self, Faults};
use crate::control::secret;

use super::Failure;
use super::cli::{CheckArgs, ConfigFile};
use super::shelf;

/// Prints a line to standard error. If nobody reads it there is nobody else to tell.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a line to standard output.
pub(super) fn print(line: &str) -> Result<(), Failure> {
    written(writeln!(std::io::stdout(), "{line}"))
}

/// What writing to standard output came to. A reader that has seen enough, such as `head`, is no
/// failure.
pub(super) fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A variable of the environment.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where the configuration is.
pub(super) fn locate(named: Option<&std::path::Path>) -> ConfigFile {
    ConfigFile::locate(named, &|name| std::env::var_os(name), &|path| path.exists())
}

/// Reads a configuration file; the fault names it and the cure.
pub(super) fn read_config(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "name another with --config, or start floe without it to have one written"
            }
            std::io::ErrorKind::PermissionDenied => "run floe as a user who may read it",
            std::io::ErrorKind::InvalidData => "the file must be UTF-8 text",
            _ => "check the path",
        };
        Failure::new(format!("cannot read the configuration {path}: {error}; {cure}"))
    })
}

/// `floe check`.
pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = locate(args.config.as_deref());
    let path = file.path();
    let text = read_config(path)?;
    let name = path.display().to_string();
    let loaded = config::load(&text, &name, &env).map_err(faulty)?;
    shelf::fill(&loaded.attachments, path).map_err(faulty)?;
    for warning in &loaded.warnings {
        say(&format!("warning: {warning}"));
    }
    print(&format!("{name}: no faults"))
}

/// The failure of a configuration with faults.
pub(super) fn faulty(faults: Faults) -> Failure {
    Failure::new(format!("the configuration has faults:\n{faults}"))
}

/// `floe hash-password`.
pub(super) fn hash_password() -> Result<(), Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let _ = write!(std::io::stderr(), "Password (it will be shown): ");
    }
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::new("no password was given; type one, or pipe it in"));
    }
    let hash = secret::hash(password)
        .map_err(|error| Failure::new(format!("the password cannot be hashed: {error}")))?;
    print(&hash)
}
