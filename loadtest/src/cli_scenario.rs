//! The commands about scenarios: reading the file, running it, and writing results and report where
//! they are wanted. Nothing here measures.

use crate::args::{CompareArgs, FileArgs, RunArgs};
use crate::cli::CliError;
use crate::clock;
use crate::compare;
use crate::html;
use crate::run;
use crate::scenario::{self, Scenario};
use crate::server::Choice;
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

impl RunArgs {
    pub(crate) fn run(self) -> Result<bool, CliError> {
        let (scenario, text) = read_scenario(&self.scenario)?;
        let results = run::run(&scenario, &text, None)?;
        io::stdout().write_all(results.table().as_bytes())?;
        self.files.write(&results.name, &results, &html::run_page(&results))?;
        Ok(results.is_kept())
    }
}

impl CompareArgs {
    pub(crate) fn run(self) -> Result<bool, CliError> {
        let (scenario, text) = read_scenario(&self.scenario)?;
        let Ok(servers) = <[Choice; 2]>::try_from(self.servers) else {
            return Err(CliError::Io(io::Error::other("--servers takes two, e.g. floe,icecast2")));
        };
        let comparison = compare::run(&scenario, &text, &servers, self.rounds)?;
        io::stdout().write_all(comparison.table().as_bytes())?;
        let name = format!("{}-compared", comparison.name);
        self.files.write(&name, &comparison, &html::comparison_page(&comparison))?;
        Ok(comparison.is_kept())
    }
}

impl FileArgs {
    /// Writes results and report, and says where they are.
    fn write(self, name: &str, results: &impl Serialize, page: &str) -> io::Result<()> {
        let stamp: String =
            clock::wall().icecast_iso8601().chars().filter(char::is_ascii_alphanumeric).collect();
        let path = |given: Option<PathBuf>, extension: &str| -> io::Result<PathBuf> {
            let Some(given) = given else {
                std::fs::create_dir_all(RESULTS)?;
                let stamp = stamp.get(..15).unwrap_or(&stamp);
                return Ok(Path::new(RESULTS).join(format!("{name}-{stamp}Z.{extension}")));
            };
            Ok(given)
        };
        let (json, html) = (path(self.json, "json")?, path(self.html, "html")?);
        std::fs::write(&json, serde_json::to_string(results)? + "\n")?;
        std::fs::write(&html, page)?;
        let line = format!("written          {} and {}\n", json.display(), html.display());
        io::stdout().write_all(line.as_bytes())
    }
}

fn read_scenario(path: &Path) -> Result<(Scenario, String), CliError> {
    let at = |what: String| CliError::Scenario(path.to_owned(), what);
    let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
    let scenario = scenario::parse(&text).map_err(|error| at(error.to_string()))?;
    Ok((scenario, text))
}

/// Where results go by default; git ignores it.
const RESULTS: &str = "loadtest-results";
