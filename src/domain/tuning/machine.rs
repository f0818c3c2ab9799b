//! What is no kernel variable: the kernel's age, limits of processes, memory, and what is set by
//! hand because it is the host's own affair.

use crate::base::limits::LOCKED_BYTES_MIN;

use super::super::capacity::ROW_BYTES;
use super::super::kernel_memory::SOCKET_BYTES;
use super::{Aim, Facts, Need, Nic, Row, State};

/// The first kernel the cores run on.
const KERNEL_MIN: (u32, u32) = (5, 8);

/// From this one on io_uring's rings are charged to the control group, no longer to RLIMIT_MEMLOCK
/// (getrlimit(2)); the executor still asks for one ring's worth.
const KERNEL_RINGS_FREE: (u32, u32) = (5, 12);

const GOVERNOR_FILES: &str = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
const HUGE_PAGES_FILE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

pub(super) fn rows(aim: &Aim, facts: &Facts) -> Vec<Row> {
    let mut rows = vec![
        kernel(facts),
        open_files(aim, facts),
        locked_memory(aim, facts),
        memory(aim),
        governor(facts),
        huge_pages(facts),
    ];
    rows.extend(facts.nics.iter().map(|nic| card(aim, nic)));
    rows
}

/// A row about something that is `now` so, and `fits` or not.
fn row(name: &str, need: Need, now: Option<String>, wanted: String, fits: bool) -> Row {
    let state = match (&now, fits) {
        (None, _) => State::Absent,
        (_, true) => State::Fine,
        (_, false) => State::Low,
    };
    let (why, set, undo) = (String::new(), None, None);
    Row { name: name.to_owned(), need, state, now, wanted: Some(wanted), why, set, undo }
}

impl Row {
    fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// The commands, which count only where the row is low.
    fn by(mut self, set: impl Into<String>, undo: impl Into<String>) -> Self {
        if self.state == State::Low {
            self.set = Some(set.into());
            self.undo = Some(undo.into());
        }
        self
    }
}

/// Major and minor number of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(facts: &Facts) -> Row {
    let fits = facts.kernel.as_deref().and_then(version).is_none_or(|now| now >= KERNEL_MIN);
    let (major, minor) = KERNEL_MIN;
    row("kernel", Need::Must, facts.kernel.clone(), format!("{major}.{minor}"), fits)
        .why("io_uring as the cores use it")
}

/// A limit as `ulimit` says it.
fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}

fn open_files(aim: &Aim, facts: &Facts) -> Row {
    let wanted = aim.open_files();
    let fits = facts.open_files.is_none_or(|now| now >= wanted);
    row("RLIMIT_NOFILE", Need::Must, facts.open_files.map(limit), wanted.to_string(), fits)
        .why("this shell's; the service's is LimitNOFILE. Counts for each core's table")
        .by(
            format!("LimitNOFILE={wanted} in the unit, or ulimit -Hn {wanted}"),
            "take the line out again",
        )
}

fn locked_memory(aim: &Aim, facts: &Facts) -> Row {
    let free = facts.kernel.as_deref().and_then(version).is_none_or(|now| now >= KERNEL_RINGS_FREE);
    // A ring for each listener core and one for the source core.
    let rings = if free { 1 } else { aim.cores + 1 };
    let wanted = rings * LOCKED_BYTES_MIN;
    let fits = facts.locked_bytes.is_none_or(|now| now >= wanted);
    row("RLIMIT_MEMLOCK", Need::Must, facts.locked_bytes.map(limit), wanted.to_string(), fits)
        .why("io_uring's rings; Linux before 5.12 counts every one")
        .by(
            format!("LimitMEMLOCK={wanted} in the unit, or ulimit -Hl {}", wanted / 1024),
            "take the line out again",
        )
}

/// TCP may take half of the memory, so what is planned for it has to fit into a half.
fn memory(aim: &Aim) -> Row {
    let fixed = aim.listeners.saturating_mul(SOCKET_BYTES + ROW_BYTES);
    let wanted = aim.crowd().charged_bytes().saturating_mul(2).saturating_add(fixed);
    let now = (aim.memory_bytes > 0).then(|| mib(aim.memory_bytes));
    row("memory", Need::Must, now, mib(wanted), aim.memory_bytes >= wanted)
        .why("twice what sockets have queued, their structures, and Floe's rows")
        .by("fewer listeners, or more memory", "nothing to undo")
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn governor(facts: &Facts) -> Row {
    let slow = facts.governors.iter().find(|governor| *governor != "performance");
    let now = slow.or(facts.governors.first()).cloned();
    let undo = now.as_deref().unwrap_or_default();
    let undo = format!("echo {undo} | tee {GOVERNOR_FILES}");
    row("CPU governor", Need::Better, now, "performance".to_owned(), slow.is_none())
        .why("a core sleeps between two looks, and wakes at the lowest clock otherwise")
        .by(format!("echo performance | tee {GOVERNOR_FILES}"), undo)
}

fn huge_pages(facts: &Facts) -> Row {
    let now = facts.huge_pages.clone();
    let always = now.as_deref() == Some("always");
    row("huge pages", Need::Better, now, "madvise".to_owned(), !always)
        .why("with always, memory is taken in steps of 2 MiB and khugepaged works for nobody")
        .by(format!("echo madvise > {HUGE_PAGES_FILE}"), format!("echo always > {HUGE_PAGES_FILE}"))
}

fn card(aim: &Aim, nic: &Nic) -> Row {
    let Nic { name, receive_queues, spread } = nic;
    let now = format!("queues: {receive_queues}, RPS {}", if *spread { "on" } else { "off" });
    let fits = *spread || *receive_queues >= aim.cpus;
    let wanted = format!("queues: {}, or RPS on", aim.cpus);
    row(&format!("card {name}"), Need::Better, Some(now), wanted, fits)
        .why("acknowledgements of all listeners are work of the CPU that receives them")
        .by(
            format!("tuning/steer {name} 0-{}", aim.cpus.saturating_sub(1)),
            format!("tuning/steer --undo {name}"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(facts: &Facts, aim: &Aim, name: &str) -> Row {
        rows(aim, facts).into_iter().find(|row| row.name == name).expect("it is in the table")
    }

    fn aim() -> Aim {
        Aim { cores: 4, cpus: 4, memory_bytes: 8 << 30, ..Aim::anywhere(100_000, 128) }
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.15+"), Some((5, 15)));
        assert_eq!(version("next"), None);
        let state = |release: &str| {
            let facts = Facts { kernel: Some(release.into()), ..Facts::default() };
            find(&facts, &aim(), "kernel").state
        };
        assert_eq!(state("5.7.19"), State::Low);
        assert_eq!(state("5.10.0"), State::Fine);
        assert_eq!(state("next"), State::Fine, "what cannot be read is not blamed");
    }

    #[test]
    fn rings_count_against_locked_memory_on_old_kernels_only() {
        let state = |release: &str, locked_bytes: u64| {
            let kernel = Some(release.to_owned());
            let facts = Facts { kernel, locked_bytes: Some(locked_bytes), ..Facts::default() };
            find(&facts, &aim(), "RLIMIT_MEMLOCK").state
        };
        assert_eq!(state("5.10.0", 64 * 1024), State::Low);
        assert_eq!(state("5.10.0", 2 << 20), State::Low);
        assert_eq!(state("5.10.0", u64::MAX), State::Fine);
        assert_eq!(state("6.18.0", 512 * 1024), State::Fine);
    }

    #[test]
    fn descriptors_and_memory_that_do_not_suffice_are_needed() {
        let facts = Facts { open_files: Some(20_000), ..Facts::default() };
        let files = find(&facts, &aim(), "RLIMIT_NOFILE");
        assert!(files.fails() && files.set.is_some_and(|set| set.contains("LimitNOFILE=28672")));
        assert!(!find(&facts, &aim(), "memory").fails());
        let small = Aim { memory_bytes: 4 << 30, ..aim() };
        assert!(find(&facts, &small, "memory").fails());
        let unknown = Aim { memory_bytes: 0, ..aim() };
        assert_eq!(find(&facts, &unknown, "memory").state, State::Absent);
    }

    #[test]
    fn one_slow_cpu_is_enough_to_be_told_and_a_guest_without_governor_is_not() {
        let governors = vec!["performance".to_owned(), "powersave".to_owned()];
        let row = find(&Facts { governors, ..Facts::default() }, &aim(), "CPU governor");
        assert_eq!((row.state, row.now.as_deref()), (State::Low, Some("powersave")));
        assert!(row.undo.is_some_and(|undo| undo.starts_with("echo powersave | tee")));
        assert_eq!(find(&Facts::default(), &aim(), "CPU governor").state, State::Absent);
    }

    #[test]
    fn a_card_with_one_queue_is_told_to_spread_unless_there_is_one_cpu() {
        let nic = Nic { name: "eth0".into(), receive_queues: 1, spread: false };
        let state = |nic: Nic, cpus: u64| {
            let facts = Facts { nics: vec![nic], ..Facts::default() };
            find(&facts, &Aim { cpus, ..aim() }, "card eth0").state
        };
        assert_eq!(state(nic.clone(), 4), State::Low);
        assert_eq!(state(nic.clone(), 1), State::Fine);
        assert_eq!(state(Nic { spread: true, ..nic.clone() }, 4), State::Fine);
        assert_eq!(state(Nic { receive_queues: 8, ..nic }, 4), State::Fine);
    }

    #[test]
    fn huge_pages_for_everybody_are_told_and_other_modes_are_not() {
        let state = |mode: &str| {
            let facts = Facts { huge_pages: Some(mode.into()), ..Facts::default() };
            find(&facts, &aim(), "huge pages").state
        };
        assert_eq!(state("always"), State::Low);
        assert_eq!(state("madvise"), State::Fine);
        assert_eq!(state("never"), State::Fine);
    }
}
