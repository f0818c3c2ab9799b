//! HOT PATH. How long a transport stream plays: the time between two references of the program's
//! clock, and the bitrate by it. Reads no clock of ours. Source core.

use super::super::mean::Mean;
use super::packet::{STAMP_MASK, TICKS_PER_STAMP};

/// The time of one source's stream.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The latest reading, in ticks of 27 MHz.
    last: Option<u64>,
    /// Whether the program's clock has been read. Until then, and for streams that never bring it,
    /// the times at which the leading stream is decoded stand in.
    is_read: bool,
    /// Ticks that were not told yet; less than one microsecond.
    owed: u64,
    /// The last time between two readings.
    between_us: Option<u32>,
    /// Bytes since the latest reading.
    bytes: usize,
    mean: Mean,
}

impl Clock {
    /// Takes note of a packet of `bytes`.
    #[inline]
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A reading of the program's clock: gives the microseconds since the one before.
    pub(super) fn read(&mut self, ticks: u64) -> u32 {
        if !std::mem::replace(&mut self.is_read, true) {
            self.last = None;
        }
        let since = self.last.map(|last| behind(ticks, last, TICKS_WRAP));
        self.last = Some(ticks);
        self.tell(since)
    }

    /// The leading stream is decoded at `stamp`: the same, if nothing else tells the time. One that
    /// is out of order tells nothing.
    pub(super) fn stamp(&mut self, stamp: u64) -> u32 {
        if self.is_read {
            return 0;
        }
        let ticks = stamp * TICKS_PER_STAMP;
        let since = self.last.map(|last| behind(ticks, last, TICKS_WRAP));
        if since.is_some_and(|since| since > TICKS_WRAP - STEP_TICKS_MAX) {
            return 0;
        }
        self.last = Some(ticks);
        self.tell(since)
    }

    /// A step that is too long is a break of the clock, not time that passes.
    fn tell(&mut self, since: Option<u64>) -> u32 {
        let Some(since) = since.filter(|since| *since <= STEP_TICKS_MAX) else {
            self.bytes = 0;
            return 0;
        };
        let due = since + self.owed;
        self.owed = due % TICKS_PER_US;
        let between_us = u32::try_from(due / TICKS_PER_US).unwrap_or(u32::MAX);
        if between_us > 0 {
            self.between_us = Some(between_us);
            self.mean.add(std::mem::take(&mut self.bytes), between_us, US_PER_SECOND, false);
        }
        between_us
    }

    /// The latest reading of the program's clock, in units of a time stamp.
    pub(super) fn latest(&self) -> Option<u64> {
        self.last.filter(|_| self.is_read).map(|ticks| ticks / TICKS_PER_STAMP)
    }

    /// The last time between two readings.
    pub(super) fn between_us(&self) -> Option<u32> {
        self.between_us
    }

    /// The mean bitrate.
    pub(super) fn kbps(&self) -> Option<u32> {
        self.mean.kbps(US_PER_SECOND)
    }
}

/// How far `earlier` is behind `now` on a clock that starts again at `wrap`; both are below it.
pub(super) fn behind(now: u64, earlier: u64, wrap: u64) -> u64 {
    if now >= earlier { now - earlier } else { now + wrap - earlier }
}

const TICKS_PER_US: u64 = 27;
const US_PER_SECOND: u32 = 1_000_000;
/// The clock wraps with the time stamps. Its extension can say 300 to 511, which it should not.
const TICKS_WRAP: u64 = (STAMP_MASK + 1) * TICKS_PER_STAMP;
/// The longest time between two readings that is believed: a hundred times what the standard
/// allows (0.1 s), so a source that stalled is not taken for one that began anew. Longer, and a
/// jump of the clock counts as playing time.
const STEP_TICKS_MAX: u64 = 10 * 27_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 27_000;

    #[test]
    fn the_first_reading_tells_nothing_and_then_sums_do_not_drift() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(7), 0);
        // A third of a microsecond more than 40 ms, 300 times.
        let told: u64 = (1..=300).map(|n| u64::from(clock.read(7 + n * (40 * MS + 9)))).sum();
        assert_eq!(told, 300 * 40_000 + 100);
        assert_eq!(clock.between_us(), Some(40_001));
    }

    #[test]
    fn time_goes_on_where_the_clock_wraps() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(TICKS_WRAP - 10 * MS), 0);
        assert_eq!(clock.read(10 * MS), 20_000);
    }

    #[test]
    fn a_jump_of_the_clock_is_no_playing_time() {
        let mut clock = Clock::default();
        let told = [1_000, 1_040, 900_000, 900_040, 5, 45].map(|ms| clock.read(ms * MS));
        assert_eq!(told, [0, 40_000, 0, 40_000, 0, 40_000]);
    }

    #[test]
    fn without_a_clock_the_leading_streams_times_tell_in_order_only() {
        let mut clock = Clock::default();
        let told = [0, 3_600, 1_800, 7_200].map(|stamp| clock.stamp(stamp));
        assert_eq!(told, [0, 40_000, 0, 40_000]);
        assert_eq!(clock.latest(), None);
        assert_eq!(clock.read(50 * MS), 0);
        assert_eq!(clock.stamp(90_000), 0);
        assert_eq!(clock.latest(), Some(4_500));
    }

    #[test]
    fn the_bitrate_is_that_of_all_packets() {
        let mut clock = Clock::default();
        for n in 0..500 {
            clock.read(n * 40 * MS);
            (0..10).for_each(|_| clock.add(188));
        }
        // 1,880 bytes in 40 ms.
        assert_eq!(clock.kbps(), Some(376));
    }
}
