//! The beat: the longest time between two sends to one listener, chosen from how busy the core is.
//!
//! A send costs the kernel 5 to 6 us whatever it carries up to 16 KB (measured), so the only lever
//! is how often. With `n` rows at `c` microseconds a visit, a beat of `n * c / share` uses `share`
//! of the core: few listeners get `beat_min`, a full core gets `beat_max`. The rule has no memory
//! but the mean cost, so it cannot oscillate.

use std::time::Duration;

use crate::base::limits::{PUMP_SHARE, TICK_MAX};

/// Assumed cost of a visit before one was measured.
const COST_GUESS_NS: f64 = 6_000.0;

/// Weight of the newest measurement of a visit's cost. At 50 looks a second the mean follows a
/// change within about a second, and one preempted look moves it by a twentieth.
const COST_WEIGHT: f64 = 0.05;

/// Chooses the beat of one core.
#[derive(Clone, Debug)]
pub struct Beat {
    min: Duration,
    max: Duration,
    share: f64,
    cost_ns: f64,
}

impl Beat {
    /// A beat between `min` and `max` on a core that shares its CPU with `cores_on_cpu - 1` others.
    pub fn new(min: Duration, max: Duration, cores_on_cpu: usize) -> Self {
        let neighbours = u32::try_from(cores_on_cpu.max(1)).unwrap_or(1);
        Self { min, max, share: PUMP_SHARE / f64::from(neighbours), cost_ns: COST_GUESS_NS }
    }

    /// Takes note that visiting `rows` rows took `span`.
    pub fn measured(&mut self, rows: usize, span: Duration) {
        let Ok(rows) = u32::try_from(rows) else { return };
        if rows == 0 {
            return;
        }
        let cost = span.as_nanos() as f64 / f64::from(rows);
        self.cost_ns += (cost - self.cost_ns) * COST_WEIGHT;
    }

    /// The beat for a core with `rows` listeners.
    pub fn length(&self, rows: usize) -> Duration {
        let wanted_ns = rows as f64 * self.cost_ns / self.share;
        Duration::from_nanos(wanted_ns as u64).clamp(self.min, self.max)
    }

    /// Time between two looks of the pump: a lap is cut into looks this far apart, so that work
    /// and packets are spread evenly over it.
    pub fn tick(&self) -> Duration {
        self.min.min(TICK_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(20);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn few_listeners_get_the_shortest_beat_and_a_full_core_the_longest() {
        let beat = Beat::new(MIN, MAX, 1);
        assert_eq!(beat.length(0), MIN);
        assert_eq!(beat.length(100), MIN);
        assert_eq!(beat.length(16_000), Duration::from_millis(384));
        assert_eq!(beat.length(100_000), MAX);
    }

    #[test]
    fn cores_that_share_a_cpu_share_its_time() {
        assert_eq!(Beat::new(MIN, MAX, 4).length(4_000), Beat::new(MIN, MAX, 1).length(16_000));
    }

    #[test]
    fn a_dearer_visit_lengthens_the_beat() {
        let mut beat = Beat::new(MIN, MAX, 1);
        for _ in 0..200 {
            beat.measured(100, Duration::from_micros(1_200));
        }
        assert!(beat.length(16_000) > Duration::from_millis(700));
        beat.measured(0, Duration::from_secs(9));
        assert_eq!(beat.length(100), MIN);
    }
}
