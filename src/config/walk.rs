//! The walk over the parsed text: each key meets its row in the table of keys, and what has no row
//! is a fault with the nearest name as its cure.

use super::fault::{Fault, Rule, Wanted, Wrong};
use super::keys::{self, Key};
use super::model::Config;
use super::mounts::{MountSettings, Mounts};
use super::read::{Source, Value};
use super::values;
use super::words::Shown;
use crate::base::limits::{MOUNT_PATH_BYTES_MAX, MOUNTS_MAX};
use toml::de::DeTable;

/// Fills `config` from the tree; gives every fault in it.
pub(super) fn sections(source: &Source<'_>, tree: &DeTable<'_>, config: &mut Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, node) in tree {
        let path = key_text(name.get_ref());
        let value = Value { source, key: &path, node };
        let out = &mut faults;
        match name.get_ref().as_ref() {
            "server" => section(value, keys::SERVER, &mut config.server, out),
            "limits" => section(value, keys::LIMITS, &mut config.limits, out),
            "auth" => section(value, keys::AUTH, &mut config.auth, out),
            "log" => section(value, keys::LOG, &mut config.log, out),
            "mounts" => config.mounts = mounts(value, out),
            unknown => {
                let wrong = match home_of(unknown) {
                    Some(section) => Wrong::Misplaced { section },
                    None => Wrong::UnknownSection { nearest: nearest(unknown, keys::SECTIONS) },
                };
                out.push(source.fault(name.span().start, path.clone(), wrong));
            }
        }
    }
    faults
}

/// Fills one section from its table of keys.
fn section<T>(value: Value<'_>, keys: &[Key<T>], into: &mut T, faults: &mut Vec<Fault>) {
    let table = match value.table(Wanted::Section) {
        Ok(table) => table,
        Err(wrong) => return faults.extend(wrong),
    };
    for (name, node) in table {
        let path = format!("{}.{}", value.key, key_text(name.get_ref()));
        let entry = Value { key: &path, node, ..value };
        let wrong = match keys.iter().find(|key| key.name == name.get_ref()) {
            Some(key) => (key.set)(into, &entry).err(),
            None => {
                let wrong = unknown_key(name.get_ref(), keys);
                Some(vec![value.source.fault(name.span().start, path.clone(), wrong)])
            }
        };
        faults.extend(wrong.into_iter().flatten());
    }
}

fn unknown_key<T>(name: &str, keys: &[Key<T>]) -> Wrong {
    let known: Vec<_> = keys.iter().map(|key| key.name).collect();
    match home_of(name) {
        Some(section) => Wrong::Misplaced { section },
        None => Wrong::UnknownKey { nearest: nearest(name, &known), known },
    }
}

/// Reads `[mounts."…"]`, one section for each path or pattern.
fn mounts(value: Value<'_>, faults: &mut Vec<Fault>) -> Mounts {
    let table = match value.table(Wanted::Section) {
        Ok(table) if table.len() <= MOUNTS_MAX => table,
        Ok(table) => {
            let (found, max) = (table.len(), MOUNTS_MAX);
            faults.extend(value.wrong(Wrong::Count { found, min: 0, max }));
            return Mounts::default();
        }
        Err(wrong) => {
            faults.extend(wrong);
            return Mounts::default();
        }
    };
    let mut sections = Vec::new();
    for (name, node) in table {
        let path = mount_key(name.get_ref());
        if let Err(rule) = values::mount_path(name.get_ref()) {
            let wrong = mount_name_fault(name.get_ref(), rule);
            faults.push(value.source.fault(name.span().start, path.clone(), wrong));
        }
        let mut settings = MountSettings::default();
        section(Value { key: &path, node, ..value }, keys::MOUNT, &mut settings, faults);
        sections.push((name.get_ref().clone().into_owned(), settings));
    }
    Mounts::new(sections)
}

/// A setting written straight below `[mounts]` is told apart from a path without its slash.
fn mount_name_fault(name: &str, rule: Rule) -> Wrong {
    match home_of(name) {
        Some(section) => Wrong::Misplaced { section },
        None => Wrong::Text { found: name.to_owned(), rule },
    }
}

/// The path of a mount's section, as messages and `check` name it.
pub(super) fn mount_key(name: &str) -> String {
    // A sound path is shown whole, for two may differ only at their ends.
    if name.len() <= MOUNT_PATH_BYTES_MAX {
        format!("mounts.{name:?}")
    } else {
        format!("mounts.{}", Shown(name))
    }
}

/// A key as TOML would have it: bare if it can be, else quoted, and never long.
fn key_text(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(bare) {
        name.to_owned()
    } else {
        Shown(name).to_string()
    }
}

/// The section that has a key of just this name.
fn home_of(name: &str) -> Option<&'static str> {
    let home = keys::every().find(|(_, key, _)| *key == name)?.0;
    Some(if home == "mounts" { "mounts.\"/path\"" } else { home })
}

/// The known name that takes the fewest edits to reach, if they are few enough to be a slip: one
/// for each three letters. More would offer a name that has nothing to do with what was meant.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let edits =
        known.iter().map(|candidate| (edits(name.as_bytes(), candidate.as_bytes()), candidate));
    let (fewest, candidate) = edits.min_by_key(|(edits, _)| *edits)?;
    (fewest <= (candidate.len() / 3).max(1)).then_some(*candidate)
}

/// Insertions, removals and replacements of bytes that lead from one name to the other
/// (Levenshtein's distance), row by row.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, left) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// Twice the longest key. Longer names are near to none.
const NAME_BYTES_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    fn first_fault(text: &str) -> String {
        load(text, "f", &|_| None).map_or_else(
            |faults| faults.to_string().lines().next().unwrap().to_owned(),
            |_| "no fault".to_owned(),
        )
    }

    #[test]
    fn edits_are_counted_both_ways() {
        for (left, right, distance) in
            [("", "", 0), ("a", "", 1), ("listenrs", "listeners", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(edits(left.as_bytes(), right.as_bytes()), distance);
            assert_eq!(edits(right.as_bytes(), left.as_bytes()), distance);
        }
    }

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        assert_eq!(
            first_fault("[server]\nbeat-min = \"20ms\""),
            "f:2: server.beat-min: unknown key; did you mean \"beat_min\"?"
        );
        assert_eq!(
            first_fault("[log]\nxyzzy = 1"),
            "f:2: log.xyzzy: unknown key; the keys here are level, format, access"
        );
        assert_eq!(
            first_fault("[xyzzy]"),
            "f:1: xyzzy: unknown section; the sections are server, limits, auth, log, mounts"
        );
        assert_eq!(
            first_fault("[server]\n\"a\\u001b[2J\" = 1").split(" unknown").next().unwrap(),
            "f:2: server.\"a\\u{1b}[2J\":"
        );
    }

    #[test]
    fn a_key_of_another_section_is_sent_there() {
        assert_eq!(
            first_fault("[server]\nlag_bytes = 65536"),
            "f:2: server.lag_bytes: not a key of this place; move it below [limits]"
        );
        assert_eq!(
            first_fault("burst = \"5s\""),
            "f:1: burst: not a key of this place; move it below [mounts.\"/path\"]"
        );
        assert_eq!(
            first_fault("[mounts]\nburst = \"5s\""),
            "f:2: mounts.\"burst\": not a key of this place; move it below [mounts.\"/path\"]"
        );
    }

    #[test]
    fn a_section_that_is_none_is_refused() {
        let words = "wants a section, found a number; \
                     write it as a [section] head with its keys below";
        assert_eq!(first_fault("server = 1"), format!("f:1: server: {words}"));
        assert_eq!(first_fault("mounts = 1"), format!("f:1: mounts: {words}"));
        assert_eq!(first_fault("[mounts]\n\"/a\" = 1"), format!("f:2: mounts.\"/a\": {words}"));
        assert!(first_fault("[[server]]").contains("found a list"));
    }

    #[test]
    fn a_mount_without_its_slash_is_refused_with_its_settings_still_read() {
        let faults = load("[mounts.live]\nbust = 1\n", "f", &|_| None).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "f:1: mounts.\"live\": \"live\" is not a mount path; write it as in \
             [mounts.\"/live\"] or [mounts.\"/radio/*\"], the * only at the end\n\
             f:2: mounts.\"live\".bust: unknown key; did you mean \"burst\"?"
        );
    }

    #[test]
    fn mount_sections_reach_the_model_by_path_and_pattern() {
        let text = "[mounts.\"/*\"]\nmax_listeners = 5\n[mounts.\"/live\"]\nname = \"Live\"\n";
        let mounts = load(text, "f", &|_| None).unwrap().config.mounts;
        assert_eq!(mounts.settings("/live").name.as_deref(), Some("Live"));
        assert_eq!(mounts.settings("/other").max_listeners, 5);
    }
}
