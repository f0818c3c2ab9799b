//! How much a run does, from the environment: a few joins of everything by default.

use std::path::PathBuf;
use std::time::Duration;

use crate::formats::{FORMATS, Format};

/// Names formats by their mounts: `FLOE_JOINS_ONLY=flac,vp8`.
const ONLY: &str = "FLOE_JOINS_ONLY";
/// Asks for all joins instead of a few: `FLOE_JOINS=all`.
const HOW_MANY: &str = "FLOE_JOINS";
/// Names the document that the tables are written to.
const TABLE: &str = "FLOE_JOINS_TABLE";

/// How much a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Joins that are recorded and decoded, for each format and server.
    pub recorded: usize,
    /// Of the recorded, every how manyth is asked how soon it is heard.
    pub asked_every: usize,
    /// Joins of each player that runs by itself.
    pub played: usize,
    /// Joins of the browser.
    pub browsed: usize,
    /// How long after the source recorded joins begin, at most.
    pub window: Duration,
    /// How many formats are on air at once.
    pub at_once: usize,
    /// What is joined.
    pub formats: Vec<&'static Format>,
    /// The document that the table is written to.
    pub table: Option<PathBuf>,
}

impl Plan {
    /// What the environment asks for.
    pub fn asked() -> Self {
        let table = std::env::var_os(TABLE).map(PathBuf::from);
        let formats = chosen(std::env::var(ONLY).ok().as_deref());
        match std::env::var(HOW_MANY).is_ok_and(|asked| asked == "all") {
            true => Self {
                recorded: 200,
                asked_every: 5,
                played: 20,
                browsed: 100,
                window: Duration::from_secs(40),
                at_once: 3,
                formats,
                table,
            },
            false => Self {
                recorded: 8,
                asked_every: 4,
                played: 1,
                browsed: 2,
                window: Duration::from_secs(12),
                at_once: 8,
                formats,
                table,
            },
        }
    }
}

/// The formats that `only` names; all if it names none.
fn chosen(only: Option<&str>) -> Vec<&'static Format> {
    let Some(only) = only else { return FORMATS.iter().collect() };
    let named = |mount: &str| {
        let found = FORMATS.iter().find(|format| format.mount == mount);
        found.unwrap_or_else(|| panic!("{ONLY}: no format has the mount {mount:?}"))
    };
    only.split(',').map(|mount| named(mount.trim())).collect()
}

#[test]
fn formats_are_chosen_by_their_mounts() {
    assert_eq!(chosen(None).len(), FORMATS.len());
    let two: Vec<_> = chosen(Some("flac, vp8")).iter().map(|format| format.mount).collect();
    assert_eq!(two, ["flac", "vp8"]);
}
