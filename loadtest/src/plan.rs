//! What one worker has to do, as a value: the parent writes it, the worker reads it. Which listener
//! behaves how follows from its number alone, so a run can be repeated. Fields that a plan leaves
//! out have the value that changes nothing, so that older plans stay readable.

use crate::addresses::{self, SourceNet};
use floe::base::Moment;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// A load, or with another `indexes` a worker's share of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Where to connect.
    pub server: SocketAddr,
    /// The `Host` header's value.
    pub authority: String,
    /// Mounts, listened to in turn.
    pub mounts: Vec<String>,
    /// Values of the `User-Agent` header, taken in turn by the listeners' numbers.
    #[serde(default)]
    pub user_agents: Vec<String>,
    /// Numbers of the listeners to hold.
    pub indexes: Range<u64>,
    /// Listeners of the whole load.
    pub listeners: u64,
    /// Connections to start per second; 0 is all at once.
    pub rate: f64,
    /// TCP handshakes under way at once.
    pub connecting_max: usize,
    /// Whether to ask for ICY metadata.
    pub icy: bool,
    /// Where connections come from; empty leaves it to the kernel.
    #[serde(default)]
    pub sources: Vec<SourceNet>,
    /// What is expected of the mounts, in bytes a second.
    pub bytes_per_s: u64,
    /// Which listeners misbehave, and which come and go.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// How many listeners check every frame, spread evenly over the load.
    pub checked: u64,
    /// Whether bytes are copied to the process as a player would, instead of dropped in the kernel.
    pub copy: bool,
    /// How long after its first audio a listener's rate and delay begin to count.
    pub settle: Duration,
    /// How often arrivals are looked at: the accuracy of gaps. Zero wakes for each one.
    pub tick: Duration,
    /// How long a listener waits for its first audio before it counts as failed.
    pub patience: Duration,
}

/// What listeners do beside listening. Shares are parts of all listeners, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Behaviour {
    /// Share of listeners that read too slowly.
    pub slow_fraction: f64,
    /// What part of the bitrate these read.
    pub slow_rate: f64,
    /// Share of listeners that stop reading after their first audio.
    pub stop_fraction: f64,
    /// Share of listeners that connect and never send a byte.
    pub half_open_fraction: f64,
    /// Share of listeners that send their request one byte a second.
    pub slow_head_fraction: f64,
    /// Steady listeners that leave every second, over the whole load, and come back at once by a
    /// new connection.
    pub leaves_per_s: f64,
    /// Whether who leaves comes back to the next mount instead of its own.
    pub zaps: bool,
    /// When all listeners close at once and connect again, counted from the load's start.
    pub storm_at: Option<Duration>,
}

impl Default for Behaviour {
    /// Every listener is steady and stays. The slow rate matters only with slow listeners.
    fn default() -> Self {
        Self {
            slow_fraction: 0.0,
            slow_rate: 0.5,
            stop_fraction: 0.0,
            half_open_fraction: 0.0,
            slow_head_fraction: 0.0,
            leaves_per_s: 0.0,
            zaps: false,
            storm_at: None,
        }
    }
}

/// How one listener behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Reads everything at once.
    Steady,
    /// Reads a part of the bitrate.
    Slow,
    /// Reads nothing after its first audio.
    Stopped,
    /// Connects and sends nothing.
    HalfOpen,
    /// Sends its request one byte a second.
    SlowHead,
}

impl Pace {
    /// Whether it asks for a stream in good time, so that audio can be expected.
    pub fn asks(self) -> bool {
        matches!(self, Self::Steady | Self::Slow | Self::Stopped)
    }
}

impl Behaviour {
    /// How listener `index` behaves. All kinds are spread evenly over the numbers.
    pub fn pace(&self, index: u64) -> Pace {
        let mut share_left = self.misbehaving();
        let Some(mut ordinal) = nth_of_share(index, share_left) else { return Pace::Steady };
        for (share, pace) in self.shares() {
            let part = share / share_left;
            if nth_of_share(ordinal, part).is_some() {
                return pace;
            }
            // From here on the listeners of this kind are not counted.
            ordinal -= count_of_share(ordinal, part);
            share_left -= share;
        }
        // Only rounding leads here: the last kind's part of what is left is one.
        Pace::Steady
    }

    /// The part of all listeners that is not steady; a sum above one is no behaviour to ask for.
    pub fn misbehaving(&self) -> f64 {
        self.shares().iter().map(|(share, _)| share).sum()
    }

    fn shares(&self) -> [(f64, Pace); 4] {
        [
            (self.stop_fraction, Pace::Stopped),
            (self.slow_fraction, Pace::Slow),
            (self.half_open_fraction, Pace::HalfOpen),
            (self.slow_head_fraction, Pace::SlowHead),
        ]
    }

    /// How many of the listeners 0 to `count` - 1 are steady.
    fn steady_among_first(&self, count: u64) -> u64 {
        count - count_of_share(count, self.misbehaving())
    }
}

impl Plan {
    /// Splits the load over `workers` of nearly the same size; what happens so often a second is
    /// split with it.
    pub fn split(&self, workers: u64) -> Vec<Self> {
        let (start, total) = (self.indexes.start, self.indexes.end - self.indexes.start);
        let part = |worker: u64| {
            start + (u128::from(total) * u128::from(worker) / u128::from(workers)) as u64
        };
        (0..workers)
            .map(|worker| Self {
                indexes: part(worker)..part(worker + 1),
                rate: self.rate / workers as f64,
                behaviour: Behaviour {
                    leaves_per_s: self.behaviour.leaves_per_s / workers as f64,
                    ..self.behaviour
                },
                ..self.clone()
            })
            .collect()
    }

    /// The mount of listener `index` after it has changed mounts `zaps` times.
    pub fn mount(&self, index: u64, zaps: u64) -> &str {
        in_turn(&self.mounts, index.wrapping_add(zaps)).unwrap_or("/")
    }

    /// The address that listener `index` connects from; `None` leaves it to the kernel.
    pub fn source(&self, index: u64) -> Option<IpAddr> {
        // The port of a connection that was left stays taken for a while (`TIME_WAIT`).
        let left = self.behaviour.leaves_per_s.max(0.0) * TIME_WAIT.as_secs_f64();
        let ports = self.listeners.saturating_add(left as u64);
        addresses::address(&self.sources, index, ports).filter(|_| self.server.is_ipv4())
    }

    /// Whether listener `index` checks its frames. The sample is counted among the steady listeners
    /// alone: spread over all of them, it could fall on just those who do not read.
    pub fn checks(&self, index: u64) -> bool {
        let steady = self.behaviour.steady_among_first(self.listeners).max(1);
        let ordinal = self.behaviour.steady_among_first(index);
        self.behaviour.pace(index) == Pace::Steady
            && nth_of_share(ordinal, self.checked as f64 / steady as f64).is_some()
    }

    /// How many of the worker's listeners should have begun to connect at `now`.
    pub fn begun(&self, now: Moment) -> u64 {
        let total = self.indexes.end - self.indexes.start;
        if self.rate <= 0.0 {
            return total;
        }
        let due = self.rate * now.since(Moment::ZERO).as_secs_f64();
        (due as u64).saturating_add(1).min(total)
    }

    /// The request of listener `index` after it has changed mounts `zaps` times. HTTP/1.0, so that
    /// no server chunks the body.
    pub fn request(&self, index: u64, zaps: u64) -> String {
        format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: */*\r\n{}\r\n",
            self.mount(index, zaps),
            self.authority,
            in_turn(&self.user_agents, index).unwrap_or(USER_AGENT),
            if self.icy { "Icy-MetaData: 1\r\n" } else { "" },
        )
    }
}

/// What the generator calls itself where no other name is asked for.
pub const USER_AGENT: &str = concat!("floe-loadtest/", env!("CARGO_PKG_VERSION"));

/// How long Linux keeps the port of a connection that this side closed first (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

fn in_turn(choices: &[String], index: u64) -> Option<&str> {
    let turn = index.checked_rem(choices.len() as u64)?;
    choices.get(usize::try_from(turn).ok()?).map(String::as_str)
}

/// `Some(n)` if `index` is the `n`-th of the numbers that make up `share` of all, spread evenly.
fn nth_of_share(index: u64, share: f64) -> Option<u64> {
    let before = count_of_share(index, share);
    (count_of_share(index + 1, share) > before).then_some(before)
}

/// How many of the numbers 0 to `count` - 1 belong to a `share` that is spread evenly.
fn count_of_share(count: u64, share: f64) -> u64 {
    // A share of zero divided by a share of zero is no number, and no listener either.
    if share.is_nan() { 0 } else { (count as f64 * share.clamp(0.0, 1.0)) as u64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::Ipv6Addr;

    pub(crate) fn plan(listeners: u64) -> Plan {
        Plan {
            server: SocketAddr::from(([127, 0, 0, 1], 1)),
            authority: "127.0.0.1:1".into(),
            mounts: vec!["/a".into(), "/b".into()],
            user_agents: vec!["test".into()],
            indexes: 0..listeners,
            listeners,
            rate: 0.0,
            connecting_max: 16,
            icy: false,
            sources: Vec::new(),
            bytes_per_s: 16_000,
            behaviour: Behaviour::default(),
            checked: 0,
            copy: false,
            settle: Duration::ZERO,
            tick: Duration::ZERO,
            patience: Duration::from_secs(5),
        }
    }

    #[test]
    fn shares_come_out_exact_and_apart() {
        let behaviour = Behaviour {
            slow_fraction: 0.2,
            stop_fraction: 0.1,
            half_open_fraction: 0.05,
            slow_head_fraction: 0.15,
            ..Behaviour::default()
        };
        let count = |wanted| (0..1_000).filter(|&i| behaviour.pace(i) == wanted).count();
        let kinds = [
            (Pace::Steady, 500),
            (Pace::Slow, 200),
            (Pace::Stopped, 100),
            (Pace::HalfOpen, 50),
            (Pace::SlowHead, 150),
        ];
        for (kind, wanted) in kinds {
            assert!(count(kind).abs_diff(wanted) <= 2, "{kind:?}: {}", count(kind));
        }
        let all = Behaviour { half_open_fraction: 1.0, ..Behaviour::default() };
        assert!((0..1_000).all(|index| all.pace(index) == Pace::HalfOpen));
        assert_eq!(Behaviour::default().pace(7), Pace::Steady);
    }

    #[test]
    fn workers_get_every_listener_once() {
        let behaviour = Behaviour { leaves_per_s: 70.0, ..Behaviour::default() };
        let plan = Plan { rate: 700.0, behaviour, ..plan(100_003) };
        let parts = plan.split(7);
        assert_eq!(parts[0].indexes.start, 0);
        assert!(parts.windows(2).all(|pair| pair[0].indexes.end == pair[1].indexes.start));
        assert_eq!(parts[6].indexes.end, 100_003);
        assert_eq!((parts[3].rate, parts[3].behaviour.leaves_per_s), (100.0, 10.0));
    }

    #[test]
    fn a_sample_is_spread_over_the_load_and_leaves_out_who_does_not_read() {
        let plan = Plan { checked: 100, ..plan(1_000) };
        assert_eq!((0..1_000).filter(|&i| plan.checks(i)).count(), 100);
        // A tenth to check and a fifth that misbehaves: evenly spread, one would cover the other.
        let behaviour =
            Behaviour { slow_fraction: 0.1, stop_fraction: 0.1, ..Behaviour::default() };
        let mixed = Plan { behaviour, ..plan.clone() };
        let checking: Vec<_> = (0..1_000).filter(|&i| mixed.checks(i)).collect();
        assert!((99..=101).contains(&checking.len()), "{}", checking.len());
        assert!(checking.iter().all(|&i| behaviour.pace(i) == Pace::Steady));

        let behaviour = Behaviour { stop_fraction: 1.0, ..Behaviour::default() };
        let idle = Plan { behaviour, ..plan };
        assert_eq!((0..1_000).filter(|&i| idle.checks(i)).count(), 0);
    }

    #[test]
    fn a_ramp_starts_at_once_and_keeps_its_rate() {
        let plan = Plan { rate: 100.0, ..plan(1_000) };
        assert_eq!(plan.begun(Moment::ZERO), 1);
        assert_eq!(plan.begun(Moment(1_000_000)), 101);
        assert_eq!(plan.begun(Moment(u64::MAX)), 1_000);
        assert_eq!(Plan { rate: 0.0, ..plan }.begun(Moment::ZERO), 1_000);
    }

    #[test]
    fn requests_name_mounts_and_players_in_turn() {
        let plan = Plan { user_agents: vec!["x".into(), "y".into(), "z".into()], ..plan(9) };
        assert!(plan.request(4, 0).starts_with("GET /a HTTP/1.0\r\n"));
        assert!(plan.request(4, 0).contains("\r\nUser-Agent: y\r\n"));
        // Who zaps changes the mount and stays the same player.
        assert!(plan.request(4, 1).starts_with("GET /b HTTP/1.0\r\n"));
        assert!(plan.request(4, 1).contains("\r\nUser-Agent: y\r\n"));
        let unnamed = Plan { user_agents: Vec::new(), mounts: Vec::new(), ..plan };
        assert!(unnamed.request(0, 0).starts_with("GET / HTTP/1.0\r\n"));
        assert!(unnamed.request(0, 0).contains(USER_AGENT));
    }

    #[test]
    fn ports_of_who_left_are_counted_when_addresses_are_chosen() {
        let sources = vec![SourceNet::LOOPBACK];
        let mut plan = Plan { sources, ..plan(1_000) };
        let used = |plan: &Plan| (0..1_000).map(|i| plan.source(i)).collect::<HashSet<_>>().len();
        assert_eq!(used(&plan), 1);
        plan.behaviour.leaves_per_s = 100.0;
        assert_eq!(used(&plan), 7);
        plan.server = SocketAddr::from((Ipv6Addr::LOCALHOST, 1));
        assert_eq!(plan.source(0), None);
    }

    #[test]
    fn a_plan_survives_json_and_may_leave_out_what_changes_nothing() {
        let mut plan = plan(3);
        plan.behaviour.storm_at = Some(Duration::from_millis(1_500));
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        let behaviour: Behaviour = serde_json::from_str(r#"{"zaps": true}"#).unwrap();
        assert_eq!(behaviour, Behaviour { zaps: true, ..Behaviour::default() });
    }
}
