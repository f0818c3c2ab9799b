//! The texts of the two files that `floe tune` makes: kernel variables for `/etc/sysctl.d`, and
//! limits of the user `floe` for `/etc/security/limits.d`. It touches no disk.

use std::fmt::Write as _;

use crate::base::limits::LOCKED_BYTES_MIN;
use crate::domain::tuning::{Aim, Change, SYSCTLS, Sysctl};

use super::show::thousands;

/// The first line of a file that `--apply` wrote; a file without it is somebody else's.
pub(super) const MARK: &str = "# Written by floe tune --apply; floe tune --undo takes it back.";

/// What a value was before, in the line above the value.
const BEFORE: &str = "# before: ";

/// Columns of a comment.
const COLUMNS: usize = 96;

/// Locked memory that the kernel allows to everybody since Linux 5.16, in KiB.
const LOCKED_KIB: u64 = 8 * 1024;

/// A value that a file of `--apply` set, and what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) key: String,
    pub(super) before: String,
    pub(super) value: String,
}

/// The variables that `--apply` sets, each with what it was.
pub(super) fn sysctls(aim: &Aim, changes: &[Change]) -> String {
    let mut text = format!("{MARK}\n");
    comment(&mut text, &plan(aim));
    for Change { sysctl, before, wanted } in changes {
        reasons(&mut text, sysctl);
        let _ = writeln!(text, "{BEFORE}{before}");
        setting(&mut text, sysctl.key, wanted);
    }
    text
}

/// The variables for a host nobody has looked at.
pub(super) fn any_sysctls(aim: &Aim) -> String {
    let mut text = String::new();
    let made_by = made_by(aim, "--sysctl-file");
    comment(
        &mut text,
        &format!(
            "Kernel variables for a Floe server: {} {made_by} Install it as \
             /etc/sysctl.d/60-floe.conf and run sysctl --system. To undo, remove the file and \
             reboot. It knows nothing of the host: where floe tune shows a higher value \
             already, take that line out, or it would be lowered. floe tune --apply sees to that \
             by itself, and fits tcp_mem to the memory there is.",
            plan(aim)
        ),
    );
    for sysctl in SYSCTLS.iter().filter(|sysctl| !sysctl.by_hand) {
        let Some(value) = sysctl.wanted(aim) else { continue };
        reasons(&mut text, sysctl);
        let key = sysctl.key;
        let default = sysctl.default;
        comment(&mut text, &format!("Undo: remove this line and reboot. Default: {default}."));
        setting(&mut text, key, &value);
    }
    text
}

/// The limits that `--apply` sets.
pub(super) fn limits(aim: &Aim) -> String {
    let mut text = format!("{MARK}\n");
    comment(&mut text, &plan(aim));
    limit_lines(&mut text, aim);
    text
}

/// The limits for a host nobody has looked at.
pub(super) fn any_limits(aim: &Aim) -> String {
    let mut text = String::new();
    let made_by = made_by(aim, "--limits-file");
    comment(
        &mut text,
        &format!(
            "Limits of the user floe: {} {made_by} Install it as \
             /etc/security/limits.d/60-floe.conf; it counts from the next sign-in. To undo, remove \
             the file.",
            plan(aim)
        ),
    );
    limit_lines(&mut text, aim);
    text
}

fn limit_lines(text: &mut String, aim: &Aim) {
    let files = aim.open_files();
    let locked = (LOCKED_BYTES_MIN / 1024 * (aim.cores + 1)).max(LOCKED_KIB);
    text.push_str("#\n");
    comment(
        text,
        "For sessions that sign in through PAM (sudo -u floe, su, ssh). A systemd service takes no \
         notice of it: its limits are LimitNOFILE and LimitMEMLOCK.",
    );
    text.push_str("#\n");
    comment(text, "Descriptors of each core's table. Above fs.nr_open nobody could sign in.");
    let _ = writeln!(text, "floe soft nofile {files}\nfloe hard nofile {files}");
    comment(text, "KiB of locked memory: 512 for each ring, which Linux before 5.12 counts.");
    let _ = writeln!(text, "floe soft memlock {locked}\nfloe hard memlock {locked}");
}

/// What it is for, as a sentence.
fn plan(aim: &Aim) -> String {
    let cores = match aim.cores {
        1 => "one core".to_owned(),
        cores => format!("{cores} cores"),
    };
    let listeners = thousands(aim.listeners);
    format!("{listeners} listeners at {} kbit/s on {cores}.", aim.kbit_per_second)
}

fn made_by(aim: &Aim, option: &str) -> String {
    let Aim { listeners, kbit_per_second, .. } = aim;
    format!("Made by floe tune --listeners {listeners} --bitrate {kbit_per_second} {option}.")
}

fn reasons(text: &mut String, sysctl: &Sysctl) {
    let mut why = sysctl.why.to_owned();
    if let Some(first) = why.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text.push('\n');
    comment(text, &format!("{why}. {}", sysctl.breaks));
}

/// A line that sets a variable. One that comes with a module is not there before the module is, and
/// its dash tells sysctl that this is no fault (sysctl.d(5)).
fn setting(text: &mut String, key: &str, value: &str) {
    let dash = if key.starts_with("net.netfilter.") { "-" } else { "" };
    let _ = writeln!(text, "{dash}{key} = {value}");
}

/// Adds `words` as comment lines, broken at blanks.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// What a file of `--apply` says it set. A line that was edited since is passed over: nobody knows
/// what it was before.
pub(super) fn kept(text: &str) -> Vec<Kept> {
    let pairs = text.lines().zip(text.lines().skip(1));
    pairs
        .filter_map(|(above, line)| {
            let before = above.strip_prefix(BEFORE)?;
            let (key, value) = line.trim_start_matches('-').split_once('=')?;
            let key = key.trim();
            let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let kept = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            key.chars().all(known).then(|| Kept {
                key: key.to_owned(),
                before: kept(before),
                value: kept(value),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let aim = Aim::anywhere(100_000, 128);
        let changes: Vec<_> = SYSCTLS
            .iter()
            .filter(|sysctl| !sysctl.by_hand)
            .map(|sysctl| Change { sysctl, before: "1 2".into(), wanted: "3".into() })
            .collect();
        let text = sysctls(&aim, &changes);
        assert!(text.starts_with(MARK));
        let kept = kept(&text);
        assert_eq!(kept.len(), changes.len());
        for (kept, change) in kept.iter().zip(&changes) {
            assert_eq!(kept.key, change.sysctl.key);
            assert_eq!((kept.before.as_str(), kept.value.as_str()), ("1 2", "3"));
        }
    }

    #[test]
    fn lines_of_others_are_passed_over() {
        assert_eq!(kept(""), []);
        assert_eq!(kept("net.core.somaxconn = 1\n# before: 2\n"), []);
        assert_eq!(kept("# before: 2\n# a word\nnet.core.somaxconn = 1\n"), []);
        assert_eq!(kept("# before: 2\n../../etc/passwd = 1\n"), []);
    }

    #[test]
    fn comments_are_broken_at_blanks() {
        for text in [any_sysctls(&Aim::anywhere(1, 1)), any_limits(&Aim::anywhere(1, 1))] {
            for line in text.lines() {
                assert!(line.len() <= COLUMNS && line.trim_end() == line, "{line}");
            }
        }
    }

    #[test]
    fn the_committed_files_are_what_the_table_says() {
        let aim = Aim::anywhere(100_000, 128);
        let cases = [
            (include_str!("../../../tuning/60-floe.conf"), any_sysctls(&aim), "sysctl"),
            (include_str!("../../../tuning/limits.d/60-floe.conf"), any_limits(&aim), "limits"),
        ];
        for (committed, made, name) in cases {
            assert!(
                committed == made,
                "renew it: floe tune --listeners 100000 --{name}-file\n{made}"
            );
        }
    }
}
