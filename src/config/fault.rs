//! What can be wrong with a configuration, as comparable facts. Tests and callers meet these; the
//! sentences that people read derive from them in `words` and nowhere else.

use std::path::PathBuf;
use std::sync::Arc;

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// The key's dotted path, as in `mounts."/live".burst`; empty for faults of the text itself.
    pub key: String,
    /// What is wrong.
    pub wrong: Wrong,
}

/// Where a fault stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file.
    File {
        /// Its name as given to [`super::load`].
        file: Arc<str>,
        /// Counted from 1.
        line: usize,
        /// In characters from 1; given where a key is no help.
        column: Option<usize>,
    },
    /// In an environment variable, which the key names.
    Environment,
}

/// All faults of one reading, in the order of their lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

/// What is wrong with a key or its value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the line above a variant says what its fields hold")]
pub enum Wrong {
    /// The text is not TOML; the parser's words.
    Syntax(String),
    /// The text is beyond [`super::FILE_BYTES_MAX`].
    FileTooLarge { bytes: usize, max: usize },
    /// No such section; the nearest one, if any is near.
    UnknownSection { nearest: Option<&'static str> },
    /// No such key in this section.
    UnknownKey { nearest: Option<&'static str>, known: Vec<&'static str> },
    /// A key that belongs in another section.
    Misplaced { section: &'static str },
    /// The value has another TOML type.
    Kind { wanted: Wanted, found: Found },
    /// A bare number where the unit decides what it means.
    NoUnit { number: String },
    /// A number, time or size outside its range (ends included); `or_zero` if 0 is allowed too.
    Range { found: String, min: String, max: String, or_zero: bool },
    /// A list or table with too few or too many entries.
    Count { found: usize, min: usize, max: usize },
    /// None of the allowed words.
    Choice { found: String, choices: &'static [&'static str] },
    /// The text breaks a rule.
    Text { found: String, rule: Rule },
    /// The password breaks a rule. It is not repeated here.
    Password(Rule),
    /// The same entry twice.
    Twice(String),
    /// The file that the setting names cannot be used; `words` say why, and the cure.
    File { path: PathBuf, words: String },
    /// Two settings that are sound alone and not together.
    Pair(Pair),
}

/// Two settings that are sound alone and not together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the line above a variant says what its fields hold")]
pub enum Pair {
    /// `beat_min` is above `beat_max`.
    BeatsCrossed { min: String, max: String },
    /// The burst is larger than `lag_bytes`: a newcomer would be too far behind at once.
    BurstBeyondLag { burst: String, lag: String },
    /// The burst that every newcomer gets is more than the most one may ask for.
    BurstBeyondMax { burst: String, max: String },
    /// A ceiling that `limits.listeners` makes unreachable.
    BeyondListeners { found: u32, listeners: u32 },
    /// A network that is both allowed and denied.
    AllowedAndDenied(String),
    /// A mount both hidden and listed.
    HiddenAndPublic,
}

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A `[section]`.
    Section,
    /// Text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A time with its unit.
    Duration,
    /// Bytes, bare or with a unit.
    Size,
    /// A time or bytes.
    Burst,
    /// A list of texts.
    Texts,
    /// `"auto"` or a list of CPU numbers.
    Cores,
    /// A table of texts.
    Pairs,
}

/// What kind of value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A number with a fraction.
    Fraction,
    /// `true` or `false`.
    Flag,
    /// A date or time of day.
    Date,
    /// A list.
    List,
    /// A table.
    Table,
}

/// The rules of text values; each with what is wrong and the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A listen address.
    Address,
    /// A network.
    Net,
    /// A host name.
    Hostname,
    /// One line of printable text.
    Line,
    /// A user name.
    User,
    /// A mount path or pattern.
    MountPath,
    /// A content type.
    ContentType,
    /// A header's name.
    HeaderName,
    /// A header that the server itself sets.
    HeaderReserved,
    /// A header's value.
    HeaderValue,
    /// An origin.
    Origin,
    /// Where a log goes.
    LogTarget,
    /// The path of a file.
    File,
    /// A time.
    Duration,
    /// A size.
    Size,
    /// A time or a size.
    Burst,
    /// `"auto"` as the only word for cores.
    Cores,
    /// An empty password.
    PasswordEmpty,
    /// A password every scanner knows.
    PasswordFamous,
    /// A password too long or with control characters.
    PasswordText,
    /// Something that begins like an argon2 hash and is none.
    PasswordHash,
}

/// What is allowed but probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Neither `[auth]` nor any mount has a password for sources.
    NoSourcePassword,
    /// `[auth]` has no password for the administrator.
    NoAdminPassword,
    /// The same plain password for sources and the administrator.
    SharedPassword,
    /// A plain password that is guessed in hours.
    ShortPassword {
        /// Its key in `[auth]`.
        key: &'static str,
    },
}

impl Faults {
    /// `faults` in the order of their places. The caller has at least one.
    pub fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|left, right| left.place.cmp(&right.place));
        Self(faults)
    }

    /// Each fault, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true of what [`super::load`] returns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: usize, wrong: Wrong) -> Fault {
        let place = Place::File { file: "floe.toml".into(), line, column: None };
        Fault { place, key: "server.x".to_owned(), wrong }
    }

    #[test]
    fn faults_are_sorted_by_line_with_the_environment_last() {
        let environment = Fault {
            place: Place::Environment,
            key: "FLOE_LISTEN".to_owned(),
            wrong: Wrong::Pair(Pair::HiddenAndPublic),
        };
        let faults = Faults::new(vec![
            environment,
            fault(10, Wrong::Pair(Pair::HiddenAndPublic)),
            fault(9, Wrong::Twice("a".to_owned())),
        ]);
        let text = faults.to_string();
        let starts: Vec<_> = text.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(starts, ["floe.toml:9", "floe.toml:10", "environment"]);
        assert_eq!((faults.len(), faults.is_empty()), (3, false));
    }
}
