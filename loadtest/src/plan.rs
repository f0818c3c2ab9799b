//! What one worker has to do, as a value: the parent writes it, the worker reads it. Which listener
//! behaves how follows from its number alone, so a run can be repeated.

use crate::addresses::SourceNet;
use floe::base::Moment;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
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
    /// The `User-Agent` header's value.
    pub user_agent: String,
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
    /// Where connections come from; `None` leaves it to the kernel.
    pub sources: Option<SourceNet>,
    /// What is expected of the mounts, in bytes a second.
    pub bytes_per_s: u64,
    /// Which listeners misbehave.
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

/// Shares of listeners that misbehave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    /// Share of listeners that read too slowly.
    pub slow_fraction: f64,
    /// What part of the bitrate these read.
    pub slow_rate: f64,
    /// Share of listeners that stop reading after their first audio.
    pub stop_fraction: f64,
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
}

impl Behaviour {
    /// How listener `index` behaves. Both kinds are spread evenly over the numbers.
    pub fn pace(&self, index: u64) -> Pace {
        let misbehaving = self.slow_fraction + self.stop_fraction;
        let Some(ordinal) = nth_of_share(index, misbehaving) else { return Pace::Steady };
        match nth_of_share(ordinal, self.stop_fraction / misbehaving) {
            Some(_) => Pace::Stopped,
            None => Pace::Slow,
        }
    }

    /// How many of the listeners 0 to `count` - 1 are steady.
    fn steady_among_first(&self, count: u64) -> u64 {
        let misbehaving = (self.slow_fraction + self.stop_fraction).clamp(0.0, 1.0);
        count - count.min((count as f64 * misbehaving) as u64)
    }
}

impl Plan {
    /// Splits the load over `workers` of nearly the same size; the rate is split with it.
    pub fn split(&self, workers: u64) -> Vec<Self> {
        let (start, total) = (self.indexes.start, self.indexes.end - self.indexes.start);
        let part = |worker: u64| {
            start + (u128::from(total) * u128::from(worker) / u128::from(workers)) as u64
        };
        (0..workers)
            .map(|worker| Self {
                indexes: part(worker)..part(worker + 1),
                rate: self.rate / workers as f64,
                ..self.clone()
            })
            .collect()
    }

    /// The mount of listener `index`.
    pub fn mount(&self, index: u64) -> &str {
        let mounts = self.mounts.len().max(1) as u64;
        self.mounts.get((index % mounts) as usize).map_or("/", String::as_str)
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

    /// The request of listener `index`. HTTP/1.0, so that no server chunks the body.
    pub fn request(&self, index: u64) -> String {
        format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: */*\r\n{}\r\n",
            self.mount(index),
            self.authority,
            self.user_agent,
            if self.icy { "Icy-MetaData: 1\r\n" } else { "" },
        )
    }
}

/// `Some(n)` if `index` is the `n`-th of the numbers that make up `share` of all, spread evenly.
fn nth_of_share(index: u64, share: f64) -> Option<u64> {
    if share.is_nan() || share <= 0.0 {
        return None;
    }
    let share = share.min(1.0);
    let before = (index as f64 * share) as u64;
    let after = ((index + 1) as f64 * share) as u64;
    (after > before).then_some(before)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(listeners: u64) -> Plan {
        Plan {
            server: SocketAddr::from(([127, 0, 0, 1], 1)),
            authority: "127.0.0.1:1".into(),
            mounts: vec!["/a".into(), "/b".into()],
            user_agent: "test".into(),
            indexes: 0..listeners,
            listeners,
            rate: 0.0,
            connecting_max: 16,
            icy: false,
            sources: None,
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
        let behaviour = Behaviour { slow_fraction: 0.2, slow_rate: 0.5, stop_fraction: 0.1 };
        let count = |wanted| (0..1_000).filter(|&i| behaviour.pace(i) == wanted).count();
        assert_eq!(count(Pace::Stopped) + count(Pace::Slow), 300);
        assert!((99..=101).contains(&count(Pace::Stopped)), "{}", count(Pace::Stopped));
        assert_eq!(Behaviour::default().pace(7), Pace::Steady);
    }

    #[test]
    fn workers_get_every_listener_once() {
        let plan = Plan { rate: 700.0, ..plan(100_003) };
        let parts = plan.split(7);
        assert_eq!(parts[0].indexes.start, 0);
        assert!(parts.windows(2).all(|pair| pair[0].indexes.end == pair[1].indexes.start));
        assert_eq!(parts[6].indexes.end, 100_003);
        assert_eq!(parts[3].rate, 100.0);
    }

    #[test]
    fn a_sample_is_spread_over_the_load_and_leaves_out_who_does_not_read() {
        let plan = Plan { checked: 100, ..plan(1_000) };
        assert_eq!((0..1_000).filter(|&i| plan.checks(i)).count(), 100);
        // A tenth to check and a fifth that misbehaves: evenly spread, one would cover the other.
        let behaviour = Behaviour { slow_fraction: 0.1, slow_rate: 0.5, stop_fraction: 0.1 };
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
    fn a_plan_survives_json() {
        let plan = plan(3);
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}
