//! The kernel's variables that matter to a server of many quiet sockets: what each should be, why,
//! what breaks otherwise, and the kernel's own default. The same table writes `floe tune`, its
//! `sysctl.d` file and `tuning/60-floe.conf`. Rules are from the kernel's
//! Documentation/networking/ip-sysctl.rst, Documentation/admin-guide/sysctl/ and, where these are
//! silent, from its source, which is named.

use crate::base::limits::{TICK_MAX, UNSENT_BYTES_MAX};

use super::{Aim, Need, Row, State};

/// A kernel variable.
#[derive(Debug)]
pub struct Sysctl {
    /// Its name, as `sysctl` takes it.
    pub key: &'static str,
    /// How much depends on it.
    pub need: Need,
    /// What it should be.
    pub want: fn(&Aim) -> Want,
    /// The reason, in one line.
    pub why: &'static str,
    /// What breaks if it is not set, and what if it is set too far. Sentences.
    pub breaks: &'static str,
    /// What the kernel sets at boot.
    pub default: &'static str,
    /// Whether a person has to decide: `--apply` leaves it alone.
    pub by_hand: bool,
}

/// What a variable should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Numbers, none smaller than these.
    AtLeast(Vec<u64>),
    /// This word.
    Exactly(&'static str),
    /// What it is.
    AsItIs,
}

/// Bytes of a segment's payload on an Ethernet path with timestamps.
const SEGMENT_BYTES: u64 = 1448;

/// The kernel's defaults that are large enough for most. A wanted value starts there, so that the
/// file for any host does not lower them.
const NR_OPEN: u64 = 1 << 20;
const NETDEV_BACKLOG: u64 = 1_000;
const WMEM: [u64; 3] = [4096, 16_384, 4 << 20];

/// Files that everything else on a host may have open.
const OTHER_FILES: u64 = 65_536;

/// Every variable that is looked at: needed ones first, then what is better, then what is left.
pub const SYSCTLS: &[Sysctl] = &[
    Sysctl {
        key: "net.ipv4.tcp_mem",
        need: Need::Must,
        want: tcp_mem,
        why: "pages for what all sockets have unsent or unacknowledged",
        breaks: "Above the third number sends fail and connections are broken, which nstat counts \
                 as TcpExtTCPAbortOnMemory. Too high, a crowd that stops reading takes memory that \
                 other programs need and nothing can swap out.",
        default: "by memory: 4.7, 6.2 and 9.3 % of it",
        by_hand: false,
    },
    Sysctl {
        key: "net.core.somaxconn",
        need: Need::Must,
        want: |aim| Want::AtLeast(vec![aim.backlog]),
        why: "the kernel lowers server.backlog to it, for each core and address",
        breaks: "In a storm of newcomers the queue overflows, clients repeat their SYN after one \
                 second and nstat counts TcpExtListenOverflows. More than server.backlog has no \
                 effect.",
        default: "4096 (128 before Linux 5.4)",
        by_hand: false,
    },
    Sysctl {
        key: "fs.file-max",
        need: Need::Must,
        want: |aim| Want::AtLeast(vec![aim.listeners + OTHER_FILES]),
        why: "open files of the whole host; a listener is one",
        breaks: "Accepting fails with ENFILE for everybody but root. Higher costs nothing until it \
                 is used.",
        default: "a tenth of the memory in KiB; systemd raises it as far as it goes",
        by_hand: false,
    },
    Sysctl {
        key: "fs.nr_open",
        need: Need::Must,
        want: |aim| Want::AtLeast(vec![aim.open_files().next_power_of_two().max(NR_OPEN)]),
        why: "the most that LimitNOFILE may be, which counts for each core's table",
        breaks: "LimitNOFILE above it stops the service from starting. Higher lets a faulty \
                 program make a larger table: 8 bytes a descriptor.",
        default: "1048576",
        by_hand: false,
    },
    Sysctl {
        key: "net.netfilter.nf_conntrack_max",
        need: Need::Must,
        want: |aim| Want::AtLeast(vec![(aim.listeners + aim.listeners / 4).next_power_of_two()]),
        why: "a listener is an entry if the firewall tracks connections; better not to track them",
        breaks: "When the table is full new connections are dropped and the kernel's log says so. \
                 An entry takes 256 bytes and more. A rule notrack for the port saves all of it.",
        default: "by memory, at most 262144",
        by_hand: false,
    },
    Sysctl {
        key: "kernel.io_uring_disabled",
        need: Need::Must,
        want: |_| Want::Exactly("0"),
        why: "the cores run on io_uring; 2 forbids it, 1 allows it to kernel.io_uring_group only",
        breaks: "The server does not start. It is a decision about security: io_uring is allowed \
                 to every process then.",
        default: "0",
        by_hand: true,
    },
    Sysctl {
        key: "net.ipv4.tcp_slow_start_after_idle",
        need: Need::Better,
        want: |_| Want::Exactly("0"),
        why: "a beat is longer than the RTO, so each send would start from 10 segments again",
        breaks: "A send of more than 10 segments (128 kbit/s at a beat of 1 s is 12) takes one or \
                 two round trips more, at each beat. With 0 a path that has become worse meanwhile \
                 gets one burst of the old window. BBR is not concerned: the kernel skips the \
                 restart for it (tcp_slow_start_after_idle_check).",
        default: "1",
        by_hand: false,
    },
    Sysctl {
        key: "net.core.default_qdisc",
        need: Need::Better,
        want: |aim| if aim.paced { Want::Exactly("fq") } else { Want::AsItIs },
        why: "BBR paces by fq, else by a timer for each socket; for cards that come up later",
        breaks: "Timers of sockets cost CPU. A card that is up keeps what it has: tc qdisc replace \
                 dev NIC root fq. Harmless without BBR. Refused where the kernel has no fq.",
        default: "pfifo_fast; systemd sets fq_codel",
        by_hand: false,
    },
    Sysctl {
        key: "net.core.netdev_max_backlog",
        need: Need::Better,
        want: |aim| Want::AtLeast(vec![netdev_backlog(aim)]),
        why: "packets a CPU may queue from RPS and loopback: a tick's acknowledgements",
        breaks: "Packets beyond it are dropped, which the second column of /proc/net/softnet_stat \
                 counts. Too high only lengthens the queue of a CPU that cannot keep up.",
        default: "1000",
        by_hand: false,
    },
    Sysctl {
        key: "net.ipv4.tcp_wmem",
        need: Need::Better,
        want: tcp_wmem,
        why: "the third number holds two beats and what Floe lets wait unsent",
        breaks: "A send is cut short and the rest goes at the next beat. Higher changes nothing: \
                 Floe bounds each socket by TCP_NOTSENT_LOWAT.",
        default: "4096 16384 4194304",
        by_hand: false,
    },
    Sysctl {
        key: "net.ipv4.tcp_max_orphans",
        need: Need::Better,
        want: |aim| Want::AtLeast(vec![aim.listeners.next_power_of_two()]),
        why: "a stop closes all listeners at once, and each is an orphan until it acknowledged",
        breaks: "Those beyond it are reset instead of closed in order, with a warning in the \
                 kernel's log. Higher lets as many closed sockets hold what they have queued.",
        default: "by memory",
        by_hand: false,
    },
    Sysctl {
        key: "net.ipv4.tcp_max_syn_backlog",
        need: Need::Better,
        want: |aim| Want::AtLeast(vec![aim.backlog]),
        why: "handshakes under way for each socket; counts only with tcp_syncookies = 0",
        breaks: "With SYN cookies, the default, server.backlog is the bound and this one has no \
                 effect (tcp_conn_request). Without them SYNs beyond three quarters of it are \
                 dropped. A handshake takes about 300 bytes.",
        default: "by memory, at least 128",
        by_hand: false,
    },
    left("net.ipv4.tcp_rmem", "a listener sends one request; for encoders the default is plenty"),
    left("net.ipv4.tcp_notsent_lowat", "Floe sets 128 KiB on each of its own sockets"),
    left(
        "net.ipv4.tcp_congestion_control",
        "cubic costs less CPU; bbr is better on paths that lose packets, and wants fq",
    ),
    left("net.ipv4.tcp_fin_timeout", "for sockets closed here; listeners mostly close first"),
    left("net.ipv4.tcp_tw_reuse", "outgoing connections only: relays and load generators"),
    left(
        "net.ipv4.ip_local_port_range",
        "outgoing connections only; a load generator wants 1024 65535",
    ),
    left("net.core.busy_poll", "spins a CPU for latency; sends once a beat have none to win"),
];

/// A variable whose value is right whatever it is.
const fn left(key: &'static str, why: &'static str) -> Sysctl {
    let want = |_: &Aim| Want::AsItIs;
    Sysctl { key, need: Need::Leave, want, why, breaks: "", default: "", by_hand: true }
}

fn tcp_mem(aim: &Aim) -> Want {
    let wanted = aim.crowd().tcp_mem(aim.memory_bytes);
    Want::AtLeast(vec![wanted.low, wanted.pressure, wanted.high])
}

fn tcp_wmem(aim: &Aim) -> Want {
    let two_beats = 2 * (aim.crowd().beat_bytes + u64::from(UNSENT_BYTES_MAX));
    Want::AtLeast(vec![WMEM[0], WMEM[1], WMEM[2].max(two_beats)])
}

/// The packets that listeners answer in one tick of the pump, for each CPU: an acknowledgement for
/// every second segment, rounded up to a power of two.
fn netdev_backlog(aim: &Aim) -> u64 {
    let answers = aim.crowd().beat_bytes.div_ceil(SEGMENT_BYTES).div_ceil(2).max(1);
    let ticks = (aim.beat_max.as_micros() / TICK_MAX.as_micros()).max(1);
    let a_beat = u128::from(aim.listeners) * u128::from(answers) / u128::from(aim.cpus.max(1));
    let packets = u64::try_from(a_beat / ticks).unwrap_or(NETDEV_BACKLOG_MAX);
    match packets {
        0..=NETDEV_BACKLOG => NETDEV_BACKLOG,
        more => more.min(NETDEV_BACKLOG_MAX).next_power_of_two(),
    }
}

/// More than this many packets wait longer than a beat on any CPU.
const NETDEV_BACKLOG_MAX: u64 = 1 << 18;

impl Sysctl {
    /// The value it should have on a host where it is `now`, or none if it has it. What is there
    /// already is never lowered.
    pub fn missing(&self, aim: &Aim, now: &str) -> Option<String> {
        match (self.want)(aim) {
            Want::AsItIs => None,
            Want::Exactly(word) => (now != word).then(|| word.to_owned()),
            Want::AtLeast(wanted) => {
                let have = numbers(now);
                let fits =
                    have.len() == wanted.len() && have.iter().zip(&wanted).all(|(a, b)| a >= b);
                let raised = |(at, &wanted): (usize, &u64)| {
                    have.get(at).map_or(wanted, |have| wanted.max(*have))
                };
                let raised: Vec<_> = wanted.iter().enumerate().map(raised).collect();
                (!fits).then(|| words(&raised))
            }
        }
    }

    /// What it should be, whatever it is now; none if it stays as it is.
    pub fn wanted(&self, aim: &Aim) -> Option<String> {
        match (self.want)(aim) {
            Want::AsItIs => None,
            Want::Exactly(word) => Some(word.to_owned()),
            Want::AtLeast(wanted) => Some(words(&wanted)),
        }
    }

    /// The row of the table.
    pub(super) fn row(&self, aim: &Aim, now: Option<&str>) -> Row {
        let missing = now.and_then(|now| self.missing(aim, now));
        let wanted = self.wanted(aim);
        let state = match (now, &missing, &wanted) {
            (None, _, _) => State::Absent,
            (_, Some(_), _) => State::Low,
            (_, _, Some(_)) => State::Fine,
            (_, _, None) => State::Left,
        };
        Row {
            name: self.key.to_owned(),
            need: if wanted.is_some() { self.need } else { Need::Leave },
            state,
            now: now.map(str::to_owned),
            set: missing.as_ref().map(|value| self.command(value)),
            undo: now.filter(|_| missing.is_some()).map(|now| self.command(now)),
            wanted: missing.or(wanted),
            why: self.why.to_owned(),
        }
    }

    /// The command that sets it.
    pub fn command(&self, value: &str) -> String {
        let Self { key, .. } = self;
        match value.contains(' ') {
            true => format!("sysctl -w {key}='{value}'"),
            false => format!("sysctl -w {key}={value}"),
        }
    }
}

/// The numbers of a value; what is no number is left out, so that it does not fit any wish.
fn numbers(value: &str) -> Vec<u64> {
    value.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn find(key: &str) -> &'static Sysctl {
        SYSCTLS.iter().find(|sysctl| sysctl.key == key).expect("it is in the table")
    }

    #[test]
    fn every_variable_says_what_breaks_and_what_its_default_is() {
        for sysctl in SYSCTLS.iter().filter(|sysctl| sysctl.need != Need::Leave) {
            assert!(sysctl.breaks.ends_with('.'), "{}", sysctl.key);
            assert!(!sysctl.default.is_empty() && !sysctl.why.is_empty(), "{}", sysctl.key);
        }
        let mut keys: Vec<_> = SYSCTLS.iter().map(|sysctl| sysctl.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SYSCTLS.len(), "each stands once");
    }

    #[test]
    fn each_number_is_raised_and_none_is_lowered() {
        let aim = Aim::anywhere(100_000, 128);
        let memory = find("net.ipv4.tcp_mem");
        assert_eq!(
            memory.missing(&aim, "600000 600000 600000").as_deref(),
            Some("600000 1000000 1500000")
        );
        assert_eq!(memory.missing(&aim, "500000 1000000 1500000"), None);
        assert_eq!(
            memory.missing(&aim, "500000 1000000").as_deref(),
            Some("500000 1000000 1500000")
        );
        assert_eq!(memory.missing(&aim, "").as_deref(), Some("500000 1000000 1500000"));
        assert_eq!(memory.missing(&aim, "many").as_deref(), Some("500000 1000000 1500000"));
    }

    #[test]
    fn the_packet_queue_holds_a_ticks_acknowledgements() {
        let backlog = |aim: Aim| netdev_backlog(&aim);
        // 12 segments, 6 answers, 50 ticks: 12,000.
        assert_eq!(backlog(Aim::anywhere(100_000, 128)), 16_384);
        assert_eq!(backlog(Aim { cpus: 16, ..Aim::anywhere(100_000, 128) }), 1_000);
        assert_eq!(backlog(Aim::anywhere(u64::MAX, u64::MAX)), NETDEV_BACKLOG_MAX);
        assert_eq!(backlog(Aim { beat_max: Duration::ZERO, ..Aim::anywhere(1, 0) }), 1_000);
    }

    #[test]
    fn a_stream_of_many_megabits_gets_a_larger_send_buffer() {
        let aim = Aim { kbit_per_second: 40_000, ..Aim::anywhere(10, 128) };
        let wanted = find("net.ipv4.tcp_wmem").missing(&aim, "4096 16384 4194304");
        assert_eq!(wanted.as_deref(), Some("4096 16384 10262144"));
        assert_eq!(
            find("net.ipv4.tcp_wmem").missing(&Aim::anywhere(10, 320), "4096 16384 4194304"),
            None
        );
    }

    #[test]
    fn tables_of_more_than_a_million_descriptors_are_allowed_for() {
        let nr_open = find("fs.nr_open");
        assert_eq!(nr_open.wanted(&Aim::anywhere(100_000, 128)).as_deref(), Some("1048576"));
        assert_eq!(nr_open.wanted(&Aim::anywhere(1_000_000, 128)).as_deref(), Some("2097152"));
    }
}
