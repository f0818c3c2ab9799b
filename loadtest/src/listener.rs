//! One listener: a row in its worker's table, and the arithmetic of what it saw. No system calls.

use crate::icy::IcyReader;
use crate::marks::Checker;
use crate::outcome::Outcome;
use crate::plan::Pace;
use crate::sockets::Socket;
use floe::base::Moment;
use std::time::Duration;

/// A listener from the start of its connection. The box holds what only few need for long.
#[derive(Debug)]
pub struct Listener {
    /// Its connection; `None` while it is away and once it ended.
    pub(crate) socket: Option<Socket>,
    /// How far it has come.
    pub phase: Phase,
    /// How it reads.
    pub pace: Pace,
    /// What brought its present connection about.
    pub cause: Cause,
    /// Whether it once came as far as it means to.
    pub has_arrived: bool,
    /// How often it has changed mounts.
    pub zaps: u32,
    /// When its present connection was begun.
    pub started: Moment,
    /// What arrived by its present connection.
    pub arrivals: Arrivals,
    /// Its response head while that is incomplete, and its checker if it is one of the sample.
    pub extra: Option<Box<Extra>>,
}

impl Listener {
    /// A listener that has not begun to connect.
    pub fn new(pace: Pace) -> Self {
        Self {
            socket: None,
            phase: Phase::Away,
            pace,
            cause: Cause::Ramp,
            has_arrived: false,
            zaps: 0,
            started: Moment::ZERO,
            arrivals: Arrivals::default(),
            extra: None,
        }
    }
}

/// Why a listener connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is new.
    Ramp,
    /// It left and comes back.
    Churn,
    /// The storm closed it.
    Storm,
}

/// How far a listener has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has no connection, and is about to begin one.
    Away,
    /// TCP is not connected yet.
    Connecting,
    /// The request is sent, the response head incomplete.
    AwaitingHead,
    /// The head is whole, no audio has come.
    AwaitingAudio,
    /// Audio has come.
    Flowing,
    /// TCP is connected, and it holds back its request or most of it.
    Withholding,
    /// The connection is gone.
    Ended,
}

/// What a listener needs only at its start, or only as one of the checked sample.
#[derive(Debug, Default)]
pub struct Extra {
    /// Bytes of the response head so far.
    pub head: Vec<u8>,
    /// Bytes of the request that a slow head has sent so far.
    pub request_sent: usize,
    /// Takes metadata out of the body.
    pub icy: Option<IcyReader>,
    /// Reads the marks; `None` outside the sample.
    pub checker: Option<Checker>,
}

impl Extra {
    /// Checks the next bytes of the body. `now_ns` and `timed` as [`Checker::push`] has them.
    pub fn check(&mut self, bytes: &[u8], now_ns: u64, timed: bool, outcome: &mut Outcome) {
        let Some(checker) = &mut self.checker else { return };
        let (marks, icy) = (&mut outcome.marks, &mut outcome.icy);
        match &mut self.icy {
            Some(reader) => {
                reader.push(bytes, icy, |audio| checker.push(audio, now_ns, timed, marks));
            }
            None => checker.push(bytes, now_ns, timed, marks),
        }
    }
}

/// When bytes arrived, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    first: Moment,
    last: Moment,
    longest_gap: Duration,
    /// All bytes.
    pub bytes: u64,
    /// The arrival from which the rate counts, and the bytes that came after it.
    settled_at: Option<Moment>,
    settled_bytes: u64,
}

impl Arrivals {
    /// `bytes` arrived at `now`; the rate counts from the first arrival that comes `settle` or more
    /// after the first of all, so that a burst at the join does not.
    pub fn record(&mut self, bytes: u64, now: Moment, settle: Duration) {
        if self.bytes == 0 {
            self.first = now;
        } else {
            self.longest_gap = self.longest_gap.max(now.since(self.last));
        }
        self.bytes += bytes;
        self.last = now;
        match self.settled_at {
            Some(_) => self.settled_bytes += bytes,
            None if now >= self.first + settle => self.settled_at = Some(now),
            None => {}
        }
    }

    /// Whether the rate counts by now.
    pub fn is_settled(&self) -> bool {
        self.settled_at.is_some()
    }

    /// The longest time without bytes up to `end`.
    pub fn gap(&self, end: Moment) -> Duration {
        self.longest_gap.max(end.since(self.last))
    }

    /// Bytes a second since settled; `None` if that was less than `RATE_SPAN_MIN` ago. Bytes come
    /// in lumps, so time counts from lump to lump. A silence at the end counts once it is longer
    /// than any before it: then it is no rest between lumps, but a stream that stopped.
    pub fn rate(&self, end: Moment) -> Option<u64> {
        let from = self.settled_at?;
        let stalled = end.since(self.last) > self.longest_gap;
        let span = if stalled { end.since(from) } else { self.last.since(from) };
        if end.since(from) < RATE_SPAN_MIN {
            return None;
        }
        let rate = u128::from(self.settled_bytes) * 1_000_000 / span.as_micros().max(1);
        u64::try_from(rate).ok()
    }
}

/// Over less than this, one lump more or less would be read as another rate.
const RATE_SPAN_MIN: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000)
    }

    #[test]
    fn lumps_of_a_second_read_as_their_exact_rate() {
        let mut arrivals = Arrivals::default();
        arrivals.record(64_000, at(100), Duration::from_secs(2));
        for second in 1..=10 {
            arrivals.record(16_000, at(100 + second * 1_000), Duration::from_secs(2));
        }
        // The burst of 64,000 is left out, and so is the rest after the last lump.
        assert_eq!(arrivals.rate(at(10_900)), Some(16_000));
        assert_eq!(arrivals.gap(at(10_900)), Duration::from_secs(1));
        assert_eq!(arrivals.bytes, 224_000);
    }

    #[test]
    fn a_stream_that_stops_loses_rate_and_shows_its_gap() {
        let mut arrivals = Arrivals::default();
        for second in 0..=10 {
            arrivals.record(16_000, at(second * 1_000), Duration::ZERO);
        }
        assert_eq!(arrivals.rate(at(20_000)), Some(8_000));
        assert_eq!(arrivals.gap(at(20_000)), Duration::from_secs(10));
    }

    #[test]
    fn too_short_a_time_gives_no_rate() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.rate(at(9_000)), None);
        arrivals.record(1, at(0), Duration::ZERO);
        arrivals.record(1, at(1_000), Duration::ZERO);
        assert_eq!(arrivals.rate(at(1_500)), None);
    }
}
