//! What a host should be set to for a number of listeners: `floe tune` reads the host, this
//! decides. It never reads or changes anything itself.
//!
//! | file | what it judges |
//! |---|---|
//! | `sysctls` | the kernel's variables, one table row each with its reason |
//! | `machine` | everything else: kernel, limits, memory, CPU governor, huge pages, network cards |

mod machine;
mod sysctls;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::limits::RESERVED_FDS;

use super::kernel_memory::{Crowd, beat_bytes};

pub use sysctls::{SYSCTLS, Sysctl};

/// What the host is to carry, and what it has to carry it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Listeners.
    pub listeners: u64,
    /// Bitrate of their streams in kbit/s.
    pub kbit_per_second: u64,
    /// The longest beat (`server.beat_max`).
    pub beat_max: Duration,
    /// Connections each listening socket asks the kernel to hold (`server.backlog`).
    pub backlog: u64,
    /// Listener cores.
    pub cores: u64,
    /// CPUs that the network's interrupts may use.
    pub cpus: u64,
    /// Memory in bytes; 0 = unknown, and then nothing is made to fit it.
    pub memory_bytes: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Whether TCP paces its packets, as BBR does.
    pub paced: bool,
}

/// What was read from the host. What is not there was not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Kernel variables by name, white space made single blanks.
    pub sysctls: BTreeMap<String, String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Hard limit of open descriptors.
    pub open_files: Option<u64>,
    /// Hard limit of locked memory in bytes.
    pub locked_bytes: Option<u64>,
    /// The frequency governor of each CPU that has one.
    pub governors: Vec<String>,
    /// The mode of transparent huge pages.
    pub huge_pages: Option<String>,
    /// Network cards.
    pub nics: Vec<Nic>,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// The interface's name.
    pub name: String,
    /// Its receive queues.
    pub receive_queues: u64,
    /// Whether the kernel spreads what one queue received over CPUs (RPS).
    pub spread: bool,
}

/// How much depends on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it the listeners are not carried.
    Must,
    /// They are carried, but at a cost.
    Better,
    /// Looked at so that nobody has to wonder; the value it has is right.
    Leave,
}

/// How a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is as wanted, or more.
    Fine,
    /// It is less than wanted, or something else.
    Low,
    /// This host does not have it.
    Absent,
    /// It stays as it is.
    Left,
}

/// One setting of the host, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name; that of a kernel variable is what `sysctl` takes.
    pub name: String,
    /// How much depends on it.
    pub need: Need,
    /// How it stands.
    pub state: State,
    /// What it is now; `None` if this host does not have it.
    pub now: Option<String>,
    /// What it should be; `None` if it stays as it is.
    pub wanted: Option<String>,
    /// The reason, in one line.
    pub why: String,
    /// The command that sets it, where it is [`State::Low`].
    pub set: Option<String>,
    /// The command that takes that back.
    pub undo: Option<String>,
}

/// A kernel variable that `floe tune --apply` sets.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub sysctl: &'static Sysctl,
    /// What it was.
    pub before: String,
    /// What it is to be.
    pub wanted: String,
}

impl Aim {
    /// An aim for a file that is to serve on any host: one core, so that the largest table is
    /// allowed for, memory that is large enough, and packets that may be paced.
    pub fn anywhere(listeners: u64, kbit_per_second: u64) -> Self {
        Self {
            listeners,
            kbit_per_second,
            beat_max: Duration::from_secs(1),
            backlog: 4096,
            cores: 1,
            cpus: 1,
            memory_bytes: 0,
            page_bytes: 4096,
            paced: true,
        }
    }

    /// The listeners as the kernel's memory sees them.
    pub fn crowd(&self) -> Crowd {
        Crowd {
            listeners: self.listeners,
            beat_bytes: beat_bytes(self.kbit_per_second, self.beat_max),
            page_bytes: self.page_bytes,
        }
    }

    /// Descriptors each core's table needs. The kernel spreads connections by a hash, so an eighth
    /// is added for the core that gets most, and the sum is a multiple of 1,024.
    pub fn open_files(&self) -> u64 {
        let share = self.listeners.div_ceil(self.cores.max(1));
        (share + share / 8 + RESERVED_FDS).next_multiple_of(1024)
    }
}

/// Every setting, judged for `aim`: kernel variables first, in the order of [`SYSCTLS`].
pub fn table(aim: &Aim, facts: &Facts) -> Vec<Row> {
    let now = |sysctl: &Sysctl| facts.sysctls.get(sysctl.key).map(String::as_str);
    let mut rows: Vec<Row> = SYSCTLS.iter().map(|sysctl| sysctl.row(aim, now(sysctl))).collect();
    rows.extend(machine::rows(aim, facts));
    rows
}

/// The kernel variables that are not as wanted and may be set without asking somebody.
pub fn changes(aim: &Aim, facts: &Facts) -> Vec<Change> {
    let change = |sysctl: &'static Sysctl| {
        let before = facts.sysctls.get(sysctl.key)?;
        let wanted = sysctl.missing(aim, before).filter(|_| !sysctl.by_hand)?;
        Some(Change { sysctl, before: before.clone(), wanted })
    };
    SYSCTLS.iter().filter_map(change).collect()
}

impl Row {
    /// Whether the listeners are not carried as long as this stays.
    pub fn fails(&self) -> bool {
        self.need == Need::Must && self.state == State::Low
    }
}

impl State {
    /// Its name in the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Low => "low",
            Self::Absent => "not here",
            Self::Left => "leave",
        }
    }
}

impl Need {
    /// Its name in the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Must => "needed",
            Self::Better => "better",
            Self::Leave => "leave",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(listeners: u64) -> Aim {
        Aim { cores: 2, cpus: 2, memory_bytes: 24 << 30, ..Aim::anywhere(listeners, 128) }
    }

    /// The machine of docs/performance.md.
    fn facts() -> Facts {
        let sysctls = [
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.tcp_mem", "287898 383867 575796"),
            ("net.ipv4.tcp_slow_start_after_idle", "1"),
            ("net.core.default_qdisc", "pfifo_fast"),
            ("net.ipv4.tcp_congestion_control", "bbr"),
            ("fs.file-max", "9223372036854775807"),
            ("kernel.io_uring_disabled", "2"),
        ];
        Facts {
            sysctls: sysctls.map(|(key, value)| (key.into(), value.into())).into(),
            ..Facts::default()
        }
    }

    fn row(rows: &[Row], name: &str) -> Row {
        rows.iter().find(|row| row.name == name).expect("it is in the table").clone()
    }

    #[test]
    fn what_is_less_than_wanted_is_low_and_says_how_to_set_it_and_back() {
        let rows = table(&aim(150_000), &facts());
        let memory = row(&rows, "net.ipv4.tcp_mem");
        assert_eq!(memory.state, State::Low);
        assert_eq!(memory.wanted.as_deref(), Some("750000 1500000 2250000"));
        assert_eq!(
            memory.set.as_deref(),
            Some("sysctl -w net.ipv4.tcp_mem='750000 1500000 2250000'")
        );
        assert_eq!(
            memory.undo.as_deref(),
            Some("sysctl -w net.ipv4.tcp_mem='287898 383867 575796'")
        );
        assert!(memory.fails());
        assert_eq!(row(&rows, "net.core.somaxconn").state, State::Fine);
        assert_eq!(row(&rows, "fs.file-max").state, State::Fine);
    }

    #[test]
    fn what_is_more_than_wanted_is_never_lowered() {
        let rows = table(&aim(10_000), &facts());
        let memory = row(&rows, "net.ipv4.tcp_mem");
        assert_eq!((memory.state, memory.set), (State::Fine, None));
        assert_eq!(memory.wanted.as_deref(), Some("50000 100000 150000"));
    }

    #[test]
    fn what_this_host_does_not_have_is_no_failure() {
        let rows = table(&aim(100_000), &Facts::default());
        let absent = row(&rows, "net.netfilter.nf_conntrack_max");
        assert_eq!((absent.state, absent.now.as_deref()), (State::Absent, None));
        assert!(rows.iter().all(|row| !row.fails()));
        assert!(changes(&aim(100_000), &Facts::default()).is_empty());
    }

    #[test]
    fn changes_are_what_is_low_without_what_a_person_must_decide() {
        let aim = aim(150_000);
        let changes = changes(&aim, &facts());
        let keys: Vec<_> = changes.iter().map(|change| change.sysctl.key).collect();
        let wanted =
            ["net.ipv4.tcp_mem", "net.ipv4.tcp_slow_start_after_idle", "net.core.default_qdisc"];
        assert_eq!(keys, wanted);
        assert_eq!(changes[0].before, "287898 383867 575796");
        let uring = row(&table(&aim, &facts()), "kernel.io_uring_disabled");
        assert!(uring.fails() && uring.set.is_some());
        let unpaced = Aim { paced: false, ..aim };
        assert_eq!(super::changes(&unpaced, &facts()).len(), 2, "cubic needs no fq");
    }

    #[test]
    fn descriptors_are_counted_for_each_core_with_some_to_spare() {
        assert_eq!(aim(100_000).open_files(), 56 * 1024);
        assert_eq!(Aim { cores: 0, ..aim(0) }.open_files(), 1024);
    }
}
