//! The one place that asks the time. Everything else is told it.
//!
//! All figures come from `CLOCK_MONOTONIC`, which is one clock for every process of a machine: a
//! publisher's send time and a listener's arrival can be subtracted. Between machines they cannot.

use floe::base::{Moment, WallTime};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// A monotonic clock that counts from its own start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin_ns: u64,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Self {
        Self { origin_ns: monotonic_ns() }
    }

    /// Time since the clock's start.
    pub fn now(&self) -> Moment {
        Moment(monotonic_ns().saturating_sub(self.origin_ns) / 1_000)
    }

    /// `moment` of this clock as nanoseconds of the machine's monotonic clock, as marks carry them.
    pub fn machine_ns(&self, moment: Moment) -> u64 {
        self.origin_ns.saturating_add(moment.0.saturating_mul(1_000))
    }
}

/// Nanoseconds of the machine's monotonic clock.
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CPU time that the calling thread has used so far, user and system together.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(nanoseconds(ClockId::ThreadCPUTime))
}

/// The calendar, for the date of a report.
pub fn wall() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
}

fn nanoseconds(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    // Both parts are positive: these clocks count from boot and from the thread's start.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_turns_back_into_the_machines_time() {
        let clock = Clock::start();
        let before = monotonic_ns();
        let ns = clock.machine_ns(clock.now());
        // A moment counts whole microseconds, so it may lie up to one before.
        assert!(ns + 1_000 >= before && ns <= monotonic_ns());
    }
}
