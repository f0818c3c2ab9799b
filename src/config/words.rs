//! The sentences about faults and warnings. Each fault names the place, the key, what is wrong and
//! the cure: `floe.toml:7: limits.listenrs: unknown key; did you mean "listeners"?`. Text from
//! outside is shown escaped and cut; a password is never shown.

use super::fault::{Fault, Faults, Found, Pair, Place, Rule, Wanted, Warning, Wrong};
use super::keys::SECTIONS;
use std::fmt;

impl fmt::Display for Faults {
    /// One fault a line, no line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.wrong)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column: None } => write!(f, "{file}:{line}"),
            Self::File { file, line, column: Some(column) } => write!(f, "{file}:{line}:{column}"),
            Self::Environment => f.write_str("environment"),
        }
    }
}

impl fmt::Display for Wrong {
    /// What is wrong, a semicolon, the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(words) => {
                write!(
                    f,
                    "not TOML: {words}; mend this line, settings are written as key = \"text\""
                )
            }
            Self::FileTooLarge { bytes, max } => {
                write!(f, "the text has {bytes} bytes, more than {max}; ")?;
                f.write_str("give the path of a configuration file")
            }
            Self::UnknownSection { nearest: Some(name) } => {
                write!(f, "unknown section; did you mean \"{name}\"?")
            }
            Self::UnknownSection { nearest: None } => {
                write!(f, "unknown section; the sections are {}", SECTIONS.join(", "))
            }
            Self::UnknownKey { nearest: Some(name), .. } => {
                write!(f, "unknown key; did you mean \"{name}\"?")
            }
            Self::UnknownKey { nearest: None, known } => {
                write!(f, "unknown key; the keys here are {}", known.join(", "))
            }
            Self::Misplaced { section } => {
                write!(f, "not a key of this place; move it below [{section}]")
            }
            Self::Kind { wanted, found } => {
                let (noun, example) = wanted.words();
                write!(f, "wants {noun}, found {}; write {example}", found.words())
            }
            Self::NoUnit { number } => {
                write!(f, "the bare number {number} has no unit; ")?;
                write!(f, "write \"{number}s\" or \"{number}ms\"")
            }
            Self::Range { found, min, max, or_zero } => {
                let zero = if *or_zero { ", or 0" } else { "" };
                write!(f, "{found} is out of range; choose from {min} to {max}{zero}")
            }
            Self::Count { found, min, max } => {
                write!(f, "has {found} entries; give {min} to {max}")
            }
            Self::Choice { found, choices } => {
                write!(f, "{} is not a choice; write {}", Shown(found), Choices(choices))
            }
            Self::Text { found, rule } => {
                let (what, cure) = rule.words();
                write!(f, "{} {what}; {cure}", Shown(found))
            }
            Self::Password(rule) => {
                let (what, cure) = rule.words();
                write!(f, "the password {what}; {cure}")
            }
            Self::Twice(entry) => write!(f, "{} stands here twice; remove one", Shown(entry)),
            Self::File { path, words } => {
                write!(f, "{} {words}", Shown(&path.display().to_string()))
            }
            Self::Pair(pair) => pair.fmt(f),
        }
    }
}

impl fmt::Display for Pair {
    /// Why the two cannot stand together, a semicolon, the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeatsCrossed { min, max } => {
                write!(f, "beat_min {min} is above beat_max {max}; ")?;
                f.write_str("lower beat_min or raise beat_max")
            }
            Self::BurstBeyondLag { burst, lag } => {
                write!(f, "{burst} is more than limits.lag_bytes {lag}, so a newcomer would lag ")?;
                f.write_str("at once; lower the burst or raise lag_bytes")
            }
            Self::BurstBeyondMax { burst, max } => {
                write!(f, "burst {burst} is above burst_max {max}; ")?;
                f.write_str("lower burst or raise burst_max")
            }
            Self::BeyondListeners { found, listeners } => {
                write!(f, "{found} is more than limits.listeners {listeners} and would never be ")?;
                f.write_str("reached; lower it or raise listeners")
            }
            Self::AllowedAndDenied(net) => {
                write!(f, "{net} is in allow and in deny; remove it from one of them")
            }
            Self::HiddenAndPublic => {
                f.write_str("a hidden mount cannot be listed in directories; ")?;
                f.write_str("remove hidden = true or public = true")
            }
        }
    }
}

impl Wanted {
    /// What it is called, and an example of how it is written.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Section => ("a section", "it as a [section] head with its keys below"),
            Self::Text => ("text", "it in quotes"),
            Self::Flag => ("true or false", "true"),
            Self::Number => ("a whole number", "it without quotes, as in 100"),
            Self::Duration => ("a duration", "it as in \"500ms\" or \"5s\""),
            Self::Size => ("a size", "it as in \"64KiB\" or 65536"),
            Self::Burst => ("a duration or a size", "it as in \"5s\" or \"64KiB\""),
            Self::Texts => ("a list of texts", "it as in [\"one\", \"two\"]"),
            Self::Cores => ("\"auto\" or a list of CPU numbers", "it as in [0, 1]"),
            Self::Pairs => ("a table of texts", "it as in { \"X-Name\" = \"value\" }"),
        }
    }
}

impl Found {
    /// What it is called.
    fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Fraction => "a fraction",
            Self::Flag => "true or false",
            Self::Date => "a date",
            Self::List => "a list",
            Self::Table => "a table",
        }
    }
}

impl Rule {
    /// What is wrong with the text, and the cure.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Address => (
                "is not an address with a port",
                "write it as in \"0.0.0.0:8000\" or \"[::]:8000\"",
            ),
            Self::Net => (
                "is not a network",
                "write it as in \"192.0.2.0/24\", \"192.0.2.7\" or \"2001:db8::/32\"",
            ),
            Self::Hostname => (
                "is not a host name",
                "use letters, digits, dots and hyphens, as in \"radio.example\"",
            ),
            Self::Line => {
                ("is not one line of text", "use 1 to 512 bytes without control characters")
            }
            Self::User => {
                ("is not a user name", "use 1 to 64 bytes without colon or control characters")
            }
            Self::MountPath => (
                "is not a mount path",
                "write it as in [mounts.\"/live\"] or [mounts.\"/radio/*\"], the * only at the end",
            ),
            Self::ContentType => ("is not a content type", "write it as in \"audio/mpeg\""),
            Self::HeaderName => ("is not a header name", "use letters, digits and hyphens"),
            Self::HeaderReserved => ("is set by the server itself", "remove it"),
            Self::HeaderValue => {
                ("is not a header value", "use 1 to 512 bytes without control characters")
            }
            Self::Origin => (
                "is not an origin",
                "write \"*\" or it as in \"https://radio.example\", without a path",
            ),
            Self::LogTarget => (
                "is not a place for a log",
                "write \"off\", \"stdout\", \"stderr\" or a path with a /",
            ),
            Self::File => (
                "is not a path of a file",
                "write it as in \"intro.mp3\" or \"/var/lib/floe/intro.mp3\"",
            ),
            Self::Duration => (
                "is not a duration",
                "write a whole number and ms, s, m or h, as in \"500ms\" or \"5s\"",
            ),
            Self::Size => {
                ("is not a size", "write a whole number and B, KB, KiB, MB or MiB, as in \"64KiB\"")
            }
            Self::Burst => {
                ("is neither a duration nor a size", "write it as in \"5s\" or \"64KiB\"")
            }
            Self::Cores => {
                ("is not a placement of cores", "write \"auto\" or CPU numbers as in [0, 1]")
            }
            Self::PasswordEmpty => ("is empty", "set one, or remove the key to keep the role shut"),
            Self::PasswordFamous => (
                "is one that every scanner tries first",
                "choose another, as from openssl rand -hex 16",
            ),
            Self::PasswordText => {
                ("is too long or has control characters", "use up to 256 bytes of printable text")
            }
            Self::PasswordHash => (
                "begins with $argon2 but is not an argon2 hash",
                "copy the whole line that floe hash-password prints",
            ),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSourcePassword => f.write_str(
                "no source can sign in; set auth.source_password or FLOE_SOURCE_PASSWORD",
            ),
            Self::NoAdminPassword => f.write_str(
                "no administrator can sign in; set auth.admin_password or FLOE_ADMIN_PASSWORD",
            ),
            Self::SharedPassword => f.write_str(
                "every encoder knows the administrator's password; \
                 give auth.source_password and auth.admin_password different values",
            ),
            Self::ShortPassword { key } => write!(
                f,
                "auth.{key} has fewer than 8 characters and is soon guessed; choose a longer one"
            ),
        }
    }
}

/// Text from outside as it may stand in a message: quoted, control characters escaped so that a
/// terminal does not obey them, and cut where it would bury the message.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.char_indices();
        let Some((end, _)) = rest.nth(SHOWN_CHARS_MAX) else { return write!(f, "{:?}", self.0) };
        write!(f, "{:?}…", &self.0[..end])
    }
}

/// Characters of a value that a message repeats: enough to recognise it.
const SHOWN_CHARS_MAX: usize = 60;

/// The allowed words: `"a", "b" or "c"`.
struct Choices(&'static [&'static str]);

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, choice) in self.0.iter().enumerate() {
            let joint = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{joint}\"{choice}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_is_escaped_and_cut() {
        assert_eq!(Shown("a\u{1b}[2J").to_string(), "\"a\\u{1b}[2J\"");
        let long = "é".repeat(1000);
        let shown = Shown(&long).to_string();
        assert_eq!(shown.chars().filter(|letter| *letter == 'é').count(), SHOWN_CHARS_MAX);
        assert!(shown.ends_with("\"…"));
    }

    #[test]
    fn every_choice_is_offered() {
        let wrong = Wrong::Choice { found: "xml".to_owned(), choices: &["text", "json"] };
        assert_eq!(wrong.to_string(), "\"xml\" is not a choice; write \"text\" or \"json\"");
        assert_eq!(Choices(&["a", "b", "c"]).to_string(), "\"a\", \"b\" or \"c\"");
    }
}
