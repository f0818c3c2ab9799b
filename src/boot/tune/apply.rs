//! `floe tune --apply` and `--undo`: two files below `/etc` that only this command writes, and the
//! values in the running kernel.
//!
//! The file of variables is written before the first of them is changed and removed after the last
//! one is restored, so at no moment is there a changed value without a note of what it was. A file
//! that somebody else wrote is never touched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::domain::tuning::{self, Aim, Need, Sysctl};

use super::super::Failure;
use super::files::{self, Kept, MARK};
use super::host::Host;

const SYSCTL_FILE: &str = "/etc/sysctl.d/60-floe.conf";
const LIMITS_FILE: &str = "/etc/security/limits.d/60-floe.conf";

/// The most that a limit of descriptors may be.
const NR_OPEN: &str = "fs.nr_open";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What was done, a line each.
    pub(super) lines: Vec<String>,
    /// What the kernel refused, a line each.
    pub(super) refused: Vec<String>,
    /// Whether something of that is needed.
    pub(super) failed: bool,
}

/// Sets what is too low, now and for later boots.
pub(super) fn apply(host: &Host, aim: &Aim) -> Result<Done, Failure> {
    allowed(host, "--apply")?;
    let kept = own_file(host, SYSCTL_FILE)?.map_or_else(Vec::new, |text| files::kept(&text));
    own_file(host, LIMITS_FILE)?;
    // What an earlier `--apply` set is judged by what it was before that, so that a smaller aim
    // takes back what it does not need, and `--undo` leads back to the very beginning.
    let in_force = |kept: &&Kept| host.sysctl(&kept.key).as_deref() == Some(kept.value.as_str());
    let earlier: Vec<&Kept> = kept.iter().filter(in_force).collect();
    let mut facts = host.facts();
    for kept in &earlier {
        facts.sysctls.insert(kept.key.clone(), kept.before.clone());
    }
    let mut changes = tuning::changes(aim, &facts);

    let mut done = Done::default();
    let dropped = |kept: &&&Kept| !changes.iter().any(|change| change.sysctl.key == kept.key);
    for kept in earlier.iter().filter(dropped) {
        done.set(host, &kept.key, &kept.before, Need::Must);
    }
    if done.failed {
        // The file that says what it was is still there, for `--undo`.
        return Ok(done);
    }
    if !changes.is_empty() {
        write_file(host, SYSCTL_FILE, &files::sysctls(aim, &changes))?;
    }
    changes.retain_mut(|change| {
        let Sysctl { key, need, .. } = change.sysctl;
        if done.set(host, key, &change.wanted, *need) {
            return true;
        }
        // What an earlier `--apply` set is still in force, so the note of what it was stays.
        let Some(kept) = earlier.iter().find(|kept| kept.key == *key) else { return false };
        change.wanted.clone_from(&kept.value);
        true
    });
    match changes.len() {
        0 => {
            remove_file(host, SYSCTL_FILE)?;
            done.lines.push(format!("no kernel variable to be set, so no {SYSCTL_FILE}"));
        }
        _ => {
            if !done.refused.is_empty() {
                // What the kernel refused now would be refused again at each boot.
                write_file(host, SYSCTL_FILE, &files::sysctls(aim, &changes))?;
            }
            done.lines.push(format!("wrote {SYSCTL_FILE}"));
        }
    }
    apply_limits(host, aim, &mut done).map_err(|Failure(text)| {
        // The lines of what was done are not printed now, so this one has to say it.
        Failure::new(format!("{text}. Kernel variables are set; floe tune --undo restores them"))
    })?;
    let rows = tuning::table(aim, &host.facts());
    for row in rows.iter().filter(|row| row.fails()) {
        let how = row.set.as_deref().unwrap_or_default();
        done.lines.push(format!("still to be done by hand: {}: {how}", row.name));
    }
    Ok(done)
}

/// Writes the limits of the user `floe`, unless they would keep everybody from signing in as it.
fn apply_limits(host: &Host, aim: &Aim, done: &mut Done) -> Result<(), Failure> {
    if !host.path(LIMITS_FILE).parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    let most = host.sysctl(NR_OPEN).and_then(|most| most.parse::<u64>().ok());
    match most.filter(|most| aim.open_files() > *most) {
        // The kernel refused to raise it, as in a container, and pam_limits(8) ends a session
        // whose limits it cannot set.
        Some(most) => {
            remove_file(host, LIMITS_FILE)?;
            done.lines.push(format!(
                "no {LIMITS_FILE}: with more descriptors than {NR_OPEN}, which is {most}, nobody \
                 could sign in as floe"
            ));
        }
        None => {
            write_file(host, LIMITS_FILE, &files::limits(aim))?;
            done.lines.push(format!("wrote {LIMITS_FILE}"));
        }
    }
    Ok(())
}

/// Takes back what [`apply`] did. Where nothing was done it does nothing.
pub(super) fn undo(host: &Host) -> Result<Done, Failure> {
    allowed(host, "--undo")?;
    let sysctls = own_file(host, SYSCTL_FILE)?;
    let limits = own_file(host, LIMITS_FILE)?;
    let mut done = Done::default();
    for Kept { key, before, value } in files::kept(sysctls.as_deref().unwrap_or_default()) {
        match host.sysctl(&key) {
            None => done.lines.push(format!("{key}: not here any more")),
            Some(now) if now == value => {
                done.set(host, &key, &before, Need::Must);
            }
            Some(now) if now == before => {}
            Some(now) => {
                let line = format!("{key}: left at {now}; somebody changed it from {value}");
                done.lines.push(line);
            }
        }
    }
    // As long as something could not be restored, the note of what it was stays.
    if sysctls.is_some() && done.refused.is_empty() {
        remove_file(host, SYSCTL_FILE)?;
        done.lines.push(format!("removed {SYSCTL_FILE}"));
    }
    if limits.is_some() {
        remove_file(host, LIMITS_FILE)?;
        done.lines.push(format!("removed {LIMITS_FILE}"));
    }
    if done.lines.is_empty() && done.refused.is_empty() {
        done.lines.push("nothing to undo: floe tune --apply has left no file here".to_owned());
    }
    Ok(done)
}

impl Done {
    /// Sets a variable and notes it; whether the kernel took it.
    fn set(&mut self, host: &Host, key: &str, value: &str, need: Need) -> bool {
        let before = host.sysctl(key).unwrap_or_default();
        let taken = host.set_sysctl(key, value);
        match &taken {
            Ok(()) => self.lines.push(format!("{key}: {before} -> {value}")),
            Err(error) => self.refused.push(format!("{key} = {value}: {error}")),
        }
        self.failed |= taken.is_err() && need == Need::Must;
        taken.is_ok()
    }
}

fn allowed(host: &Host, option: &str) -> Result<(), Failure> {
    if host.may_change() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "only root may change kernel variables: run sudo floe tune {option}, or floe tune to see \
         the commands"
    )))
}

/// The text of a file that an earlier `--apply` wrote; none if there is no file.
fn own_file(host: &Host, path: &str) -> Result<Option<String>, Failure> {
    let foreign = || {
        Failure::new(format!(
            "{path} was not written by floe tune --apply and stays as it is; move it out of the \
             way first (what it has set stays set until then)"
        ))
    };
    let real = host.path(path);
    match fs::symlink_metadata(&real) {
        Ok(meta) if !meta.is_file() => return Err(foreign()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble("read", path, &error)),
    }
    let text = fs::read_to_string(&real).map_err(|error| trouble("read", path, &error))?;
    if text.lines().next() == Some(MARK) { Ok(Some(text)) } else { Err(foreign()) }
}

fn trouble(what: &str, path: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot {what} {path}: {error}; check that its folder is there"))
}

/// Puts a whole file in place of none or an older one: whoever reads it, also after a crash, sees
/// one or the other.
fn write_file(host: &Host, path: &str, text: &str) -> Result<(), Failure> {
    let real = host.path(path);
    // No `.conf` at its end, so that nobody reads it as a setting.
    let new = real.with_extension("conf.new");
    let write = || {
        // One may be left over from a crash.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &real)?;
        sync_folder(&real)
    };
    write().map_err(|error| {
        // On a full disk a part of it would stay, and `--undo` would not find it.
        let _ = fs::remove_file(&new);
        trouble("write", path, &error)
    })
}

/// Removes a file; one that is not there is removed already.
fn remove_file(host: &Host, path: &str) -> Result<(), Failure> {
    let real = host.path(path);
    match fs::remove_file(&real).and_then(|()| sync_folder(&real)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(trouble("remove", path, &error)),
        _ => Ok(()),
    }
}

fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &[(&str, &str)] = &[
        ("net/ipv4/tcp_mem", "287898\t383867\t575796\n"),
        ("net/core/somaxconn", "4096\n"),
        ("net/ipv4/tcp_slow_start_after_idle", "1\n"),
        ("fs/nr_open", "1048576\n"),
    ];

    /// A host of a few variables below a folder of its own.
    struct Fake {
        folder: tempfile::TempDir,
        host: Host,
    }

    impl Fake {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let host = Host::at(folder.path());
            for (path, value) in VALUES {
                let path = folder.path().join("proc/sys").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, value).unwrap();
            }
            for path in [SYSCTL_FILE, LIMITS_FILE] {
                fs::create_dir_all(host.path(path).parent().unwrap()).unwrap();
            }
            Self { folder, host }
        }

        fn values(&self) -> Vec<Option<String>> {
            let key = |path: &str| path.replace('/', ".");
            VALUES.iter().map(|(path, _)| self.host.sysctl(&key(path))).collect()
        }

        fn files(&self) -> Vec<String> {
            let folders = [SYSCTL_FILE, LIMITS_FILE].map(|path| {
                let path = self.host.path(path);
                path.parent().unwrap().to_owned()
            });
            let names = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
            names.map(|entry| entry.unwrap().path().display().to_string()).collect()
        }
    }

    fn aim(listeners: u64) -> Aim {
        Aim { paced: false, ..Aim::anywhere(listeners, 128) }
    }

    #[test]
    fn what_was_applied_is_undone_to_the_last_value() {
        let fake = Fake::new();
        let before = fake.values();
        let lines = apply(&fake.host, &aim(150_000)).unwrap().lines;
        assert!(lines.contains(&"net.ipv4.tcp_slow_start_after_idle: 1 -> 0".to_owned()));
        assert_eq!(fake.values()[0].as_deref(), Some("750000 1500000 2250000"));
        assert_eq!(fake.values()[1], before[1], "what suffices is left");
        assert_eq!(fake.files().len(), 2, "and no half-written one");
        undo(&fake.host).unwrap();
        assert_eq!(fake.values(), before);
        assert_eq!(fake.files(), [""; 0]);
        assert!(undo(&fake.host).unwrap().lines[0].starts_with("nothing to undo"));
    }

    #[test]
    fn applied_twice_it_still_leads_back_to_the_beginning() {
        let fake = Fake::new();
        let before = fake.values();
        apply(&fake.host, &aim(150_000)).unwrap();
        apply(&fake.host, &aim(1_500_000)).unwrap();
        assert_eq!(fake.values()[3].as_deref(), Some("2097152"));
        apply(&fake.host, &aim(150_000)).unwrap();
        assert_eq!(fake.values()[0].as_deref(), Some("750000 1500000 2250000"));
        assert_eq!(fake.values()[3], before[3], "a smaller aim takes back what it does not need");
        undo(&fake.host).unwrap();
        assert_eq!(fake.values(), before);
    }

    #[test]
    fn a_value_that_somebody_changed_since_is_left_to_them() {
        let fake = Fake::new();
        apply(&fake.host, &aim(150_000)).unwrap();
        fake.host.set_sysctl("net.ipv4.tcp_mem", "9000000 9000000 9000000").unwrap();
        let lines = undo(&fake.host).unwrap().lines;
        assert!(lines[0].contains("left at 9000000 9000000 9000000"), "{lines:?}");
        assert_eq!(fake.values()[0].as_deref(), Some("9000000 9000000 9000000"));
        assert_eq!(fake.values()[2].as_deref(), Some("1"));
    }

    #[test]
    fn a_file_of_somebody_else_is_never_touched() {
        for path in [SYSCTL_FILE, LIMITS_FILE] {
            let fake = Fake::new();
            let before = fake.values();
            fs::write(fake.host.path(path), "mine\n").unwrap();
            assert!(apply(&fake.host, &aim(150_000)).is_err());
            assert!(undo(&fake.host).is_err());
            assert_eq!(fs::read_to_string(fake.host.path(path)).unwrap(), "mine\n");
            assert_eq!(fake.values(), before);
            assert_eq!(fake.files().len(), 1);
        }
        let fake = Fake::new();
        let target = fake.folder.path().join("target");
        fs::write(&target, format!("{MARK}\n")).unwrap();
        std::os::unix::fs::symlink(&target, fake.host.path(SYSCTL_FILE)).unwrap();
        assert!(apply(&fake.host, &aim(150_000)).is_err(), "a link may lead anywhere");
    }

    #[test]
    fn what_the_kernel_refuses_is_told_and_not_written_for_the_next_boot() {
        let fake = Fake::new();
        let before = fake.values();
        // It can be read, and refuses to be written even by root.
        let path = fake.host.path("/proc/sys/net/ipv4/tcp_slow_start_after_idle");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/proc/version", &path).unwrap();
        let done = apply(&fake.host, &aim(150_000)).unwrap();
        assert_eq!((done.refused.len(), done.failed), (1, false), "it is better, not needed");
        assert!(done.refused[0].starts_with("net.ipv4.tcp_slow_start_after_idle = 0: "));
        let text = fs::read_to_string(fake.host.path(SYSCTL_FILE)).unwrap();
        let keys: Vec<_> = files::kept(&text).into_iter().map(|kept| kept.key).collect();
        assert_eq!(keys, ["net.ipv4.tcp_mem"]);
        assert!(undo(&fake.host).unwrap().refused.is_empty());
        assert_eq!(fake.values()[0], before[0]);
    }

    /// Makes a variable read 65536 and refuse to be written, even by root: every Linux has such a
    /// variable (`NGROUPS_MAX`).
    fn freeze(fake: &Fake, path: &str) {
        let path = fake.host.path(path);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/proc/sys/kernel/ngroups_max", &path).unwrap();
    }

    #[test]
    fn a_refused_second_apply_forgets_nothing_of_what_the_first_one_set() {
        let fake = Fake::new();
        apply(&fake.host, &Aim { backlog: 65_536, ..aim(150_000) }).unwrap();
        freeze(&fake, "/proc/sys/net/core/somaxconn");
        let done = apply(&fake.host, &Aim { backlog: 131_072, ..aim(150_000) }).unwrap();
        assert!(done.failed && done.refused[0].starts_with("net.core.somaxconn = 131072: "));
        let text = fs::read_to_string(fake.host.path(SYSCTL_FILE)).unwrap();
        let kept = files::kept(&text).into_iter().find(|kept| kept.key == "net.core.somaxconn");
        let kept = kept.expect("65536 is still in force, and was set by --apply");
        assert_eq!((kept.before.as_str(), kept.value.as_str()), ("4096", "65536"));
    }

    #[test]
    fn a_file_that_cannot_be_put_in_place_leaves_no_part_and_says_what_is_set() {
        let fake = Fake::new();
        let before = fake.values();
        // A file cannot be renamed over a folder. It comes after the look at what is there, as a
        // disk that becomes full does.
        let path = fake.host.path(LIMITS_FILE);
        fs::create_dir(&path).unwrap();
        assert!(write_file(&fake.host, LIMITS_FILE, "").is_err());
        assert_eq!(fake.files(), [path.display().to_string()], "no part of the new one");
        fs::remove_dir(&path).unwrap();
        fs::create_dir(path.with_extension("conf.new")).unwrap();
        let Err(Failure(text)) = apply(&fake.host, &aim(150_000)) else {
            panic!("it cannot write")
        };
        assert!(text.contains("limits.d") && text.contains("--undo restores"), "{text}");
        undo(&fake.host).unwrap();
        assert_eq!(fake.values(), before);
    }

    #[test]
    fn no_limit_above_what_the_kernel_allows_locks_anybody_out() {
        let fake = Fake::new();
        apply(&fake.host, &aim(150_000)).unwrap();
        assert!(fake.host.path(LIMITS_FILE).exists());
        freeze(&fake, "/proc/sys/fs/nr_open");
        let done = apply(&fake.host, &aim(150_000)).unwrap();
        assert!(done.lines.iter().any(|line| line.contains("65536, nobody")), "{:?}", done.lines);
        assert!(!fake.host.path(LIMITS_FILE).exists(), "an older one is as bad");
    }

    #[test]
    fn where_nothing_is_too_low_no_file_of_variables_is_left() {
        let fake = Fake::new();
        apply(&fake.host, &aim(150_000)).unwrap();
        undo(&fake.host).unwrap();
        fake.host.set_sysctl("net.ipv4.tcp_slow_start_after_idle", "0").unwrap();
        let lines = apply(&fake.host, &aim(1_000)).unwrap().lines;
        assert!(lines[0].starts_with("no kernel variable to be set"), "{lines:?}");
        assert_eq!(fake.files().len(), 1, "limits alone");
    }

    #[test]
    fn a_variable_that_went_with_its_module_does_not_keep_the_rest_from_being_undone() {
        let fake = Fake::new();
        let before = fake.values();
        apply(&fake.host, &aim(150_000)).unwrap();
        let path = fake.host.path("/proc/sys/net/ipv4/tcp_slow_start_after_idle");
        fs::remove_file(path).unwrap();
        let lines = undo(&fake.host).unwrap().lines;
        assert!(lines.iter().any(|line| line.ends_with("not here any more")), "{lines:?}");
        assert_eq!(fake.values()[0], before[0]);
        assert_eq!(fake.files(), [""; 0]);
    }
}
