//! The table: joins and failures of each format, player and server, for people and for
//! docs/formats.md.

use std::fmt::Write as _;
use std::path::Path;

use crate::formats::{FORMATS, Format};
use crate::players::Player;
use crate::station::Who;

/// Failures of one kind that are printed, and lines of each.
const SHOWN_MAX: usize = 3;
/// See [`SHOWN_MAX`].
const LINES_MAX: usize = 6;

/// Joins of one format by one player to one server.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Which format, by its place in the plan.
    pub format: &'static Format,
    /// Who played.
    pub player: Player,
    /// Whose server.
    pub who: Who,
    /// How many joined.
    pub joins: usize,
    /// What went wrong with those that failed.
    pub failures: Vec<String>,
    /// Of those asked, how many were heard from the bytes of the first moment.
    pub at_once: (usize, usize),
}

/// All that was counted.
#[derive(Debug, Default)]
pub struct Table {
    tallies: Vec<Tally>,
}

impl Table {
    /// The tally of one format, player and server.
    pub fn of(&mut self, format: &'static Format, player: Player, who: Who) -> &mut Tally {
        let same = |tally: &Tally| {
            tally.format.mount == format.mount && tally.player == player && tally.who == who
        };
        let index = self.tallies.iter().position(same).unwrap_or_else(|| {
            let failures = Vec::new();
            self.tallies.push(Tally { format, player, who, joins: 0, failures, at_once: (0, 0) });
            self.tallies.len() - 1
        });
        &mut self.tallies[index]
    }

    /// Counts a join.
    pub fn count(&mut self, format: &'static Format, player: Player, who: Who, joined: Joined) {
        let tally = self.of(format, player, who);
        tally.joins += 1;
        tally.failures.extend(joined.err());
    }

    /// Joins of one server that failed.
    pub fn failures(&self, who: Who) -> usize {
        let ours = self.tallies.iter().filter(|tally| tally.who == who);
        ours.map(|tally| tally.failures.len()).sum()
    }

    /// What went wrong at our server, in words.
    pub fn told(&self, who: Who) -> String {
        let mut text = String::new();
        for tally in self.tallies.iter().filter(|tally| tally.who == who) {
            let (failed, joins) = (tally.failures.len(), tally.joins);
            if failed > 0 {
                let (format, player) = (tally.format.mount, tally.player.name());
                let _ = writeln!(text, "{who:?} {format} {player}: {failed} of {joins} failed");
            }
            for failure in tally.failures.iter().take(SHOWN_MAX) {
                for line in failure.lines().take(LINES_MAX) {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
        text
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| format |");
        for player in Player::ALL {
            let _ = write!(text, " {} |", player.name());
        }
        text.push_str(" heard at once |\n|---|");
        text.push_str(&"---|".repeat(Player::ALL.len() + 1));
        let is_joined = |format: &&Format| self.joined_by(format).next().is_some();
        for format in FORMATS.iter().filter(is_joined) {
            let _ = write!(text, "\n| {} |", format.name);
            for player in Player::ALL {
                let _ = write!(text, " {} |", self.cell(format, *player));
            }
            let _ = write!(text, " {} |", self.heard(format));
        }
        text.push('\n');
        text
    }

    fn joined_by(&self, format: &Format) -> impl Iterator<Item = &Tally> {
        self.tallies.iter().filter(move |tally| tally.format.mount == format.mount)
    }

    fn find(&self, format: &Format, player: Player, who: Who) -> Option<&Tally> {
        self.joined_by(format).find(|tally| tally.player == player && tally.who == who)
    }

    /// Failures of both and how many joined: `0 : 17 of 200`.
    fn cell(&self, format: &Format, player: Player) -> String {
        let [ours, theirs] = [Who::Floe, Who::Icecast].map(|who| self.find(format, player, who));
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return "–".into() };
        format!("{} : {} of {}", ours.failures.len(), theirs.failures.len(), ours.joins)
    }

    fn heard(&self, format: &Format) -> String {
        let part = |who| match self.find(format, Player::Ffmpeg, who).map(|tally| tally.at_once) {
            Some((heard, asked @ 1..)) => format!("{} %", heard * 100 / asked),
            _ => "–".into(),
        };
        format!("{} : {}", part(Who::Floe), part(Who::Icecast))
    }
}

/// What came of a join.
pub type Joined = Result<(), String>;

/// Puts `table` between the marks of `name` in the document at `path`.
pub fn write(path: &Path, name: &str, table: &str) {
    let document = std::fs::read_to_string(path).expect("the document is there");
    let written = between_marks(&document, name, table).expect("the document has both marks");
    std::fs::write(path, written).expect("the document is writable");
}

/// The document with `table` between the marks of `name`.
fn between_marks(document: &str, name: &str, table: &str) -> Option<String> {
    let [begin, end] = ["begin", "end"].map(|place| format!("<!-- {name}: {place} -->"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{table}\n{end}{after}"))
}

#[test]
fn the_table_replaces_the_last_one() {
    let marked =
        |inside: &str| format!("# A\n\n<!-- b: begin -->{inside}<!-- b: end -->\n\nMore.\n");
    let written = between_marks(&marked("\nold\n"), "b", "| new |\n").expect("both marks");
    assert_eq!(written, marked("\n\n| new |\n\n"));
    assert_eq!(between_marks(&written, "b", "| new |\n").as_ref(), Some(&written));
    assert_eq!(between_marks(&written, "c", ""), None);
}

#[test]
fn failures_of_both_servers_stand_side_by_side() {
    let format = &FORMATS[0];
    let mut table = Table::default();
    table.count(format, Player::Ffmpeg, Who::Floe, Ok(()));
    table.count(format, Player::Ffmpeg, Who::Icecast, Err("Header missing".into()));
    table.of(format, Player::Ffmpeg, Who::Floe).at_once = (3, 4);
    let text = table.markdown();
    assert!(text.ends_with("| 0 : 1 of 1 | – | – | – | 75 % : – |\n"), "{text}");
    assert_eq!((table.failures(Who::Floe), table.failures(Who::Icecast)), (0, 1));
    assert!(table.told(Who::Icecast).contains("Header missing"));
}
