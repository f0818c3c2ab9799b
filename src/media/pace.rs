//! HOT PATH. Playing time from numbers of samples. Reads no clock. Source core.

/// Turns the samples of one unit after the other into microseconds without drifting: what one
/// duration leaves out is carried to the next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What the durations given so far fall short of the true time, in units of 1 µs / sample
    /// rate; below one microsecond.
    owed: u64,
}

impl Pace {
    /// How long `samples` at `rate` Hz play. A stream that changes its rate begins a new pace.
    #[inline]
    pub(super) fn duration_us(&mut self, samples: u32, rate: u32) -> u32 {
        let rate = u64::from(rate);
        let due = u64::from(samples) * 1_000_000 + self.owed;
        self.owed = due % rate;
        u32::try_from(due / rate).unwrap_or(u32::MAX)
    }
}

/// Playing time of `samples` at `rate` Hz, rounded down.
pub(super) fn micros(samples: u32, rate: u32) -> u32 {
    Pace::default().duration_us(samples, rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_to_the_true_time() {
        let mut pace = Pace::default();
        let durations: Vec<u32> = (0..1_225).map(|_| pace.duration_us(1_152, 44_100)).collect();
        assert_eq!(durations.iter().sum::<u32>(), 32_000_000);
        assert!(durations.iter().all(|us| [26_122, 26_123].contains(us)));
    }
}
