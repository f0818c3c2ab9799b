//! Where a listener stands on its mount and what follows: go on, skip to the live edge, or leave.
//! Also where a newcomer starts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{CloseReason, Moment};
use crate::config::{Burst, Lag};

/// A place in a mount's stream, by bytes and by playing time: a start point, or the live edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncPoint {
    /// Offset in the mount's stream.
    pub offset: u64,
    /// Playing time of everything before it, in microseconds: from frame durations where the format
    /// tells them, else from the clock at arrival.
    pub media_us: u64,
}

/// A live edge as it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The edge.
    pub end: SyncPoint,
    /// Whether a player can start at the edge before it.
    pub starts: bool,
}

/// The start points that are still in a mount's window, oldest first, and its live edge.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    points: VecDeque<SyncPoint>,
    end: SyncPoint,
}

impl Timeline {
    /// The live edge: the end of what is published.
    pub fn end(&self) -> SyncPoint {
        self.end
    }

    /// The newest start point.
    pub fn newest(&self) -> Option<SyncPoint> {
        self.points.back().copied()
    }

    /// Published bytes now reach `end`. If `starts` a player can start with the first of them, so
    /// the old edge is a start point. Points closer than `apart` to the last are left out.
    pub fn advance(&mut self, end: SyncPoint, starts: bool, apart: Duration) {
        let apart_us = u64::try_from(apart.as_micros()).unwrap_or(u64::MAX);
        let far_enough = self
            .points
            .back()
            .is_none_or(|last| self.end.media_us.saturating_sub(last.media_us) >= apart_us);
        if starts && far_enough && self.points.back().is_none_or(|p| p.offset < self.end.offset) {
            self.points.push_back(self.end);
        }
        self.end = end;
    }

    /// Moves the live edge where a stream begins that is not at zero.
    pub fn begin(&mut self, at: SyncPoint) {
        self.points.clear();
        self.end = at;
    }

    /// Forgets points before `offset`: their bytes are gone.
    pub fn trim(&mut self, offset: u64) {
        while self.points.front().is_some_and(|point| point.offset < offset) {
            self.points.pop_front();
        }
    }

    /// Where a newcomer starts: the latest point that has at least the burst before the live edge,
    /// or the oldest there is, but none before `not_before`. `None` if there is no such point yet.
    pub fn start(&self, burst: Burst, not_before: u64) -> Option<u64> {
        let enough = |point: &SyncPoint| match burst {
            Burst::Time(span) => {
                let wanted = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
                self.end.media_us.saturating_sub(point.media_us) >= wanted
            }
            Burst::Bytes(bytes) => self.end.offset.saturating_sub(point.offset) >= bytes as u64,
        };
        let fitting = self.points.partition_point(enough).checked_sub(1);
        let fresh = self.points.partition_point(|point| point.offset < not_before);
        self.points.get(fitting.unwrap_or(0).max(fresh)).map(|point| point.offset)
    }

    /// How far a listener may fall behind: `lag_bytes`, but at least two bursts. Newcomers begin a
    /// burst behind the live edge, and a burst told in seconds can be more than `lag_bytes`: with
    /// less than a second one to spare they would count as slow before they had a chance to read.
    pub fn lag_max(&self, lag_bytes: u64, burst: Burst) -> u64 {
        let burst_bytes =
            self.start(burst, 0).map_or(0, |start| self.end.offset.saturating_sub(start));
        lag_bytes.max(burst_bytes.saturating_mul(2))
    }

    /// The first start point at or after `offset`, if there is one.
    pub fn next(&self, offset: u64) -> Option<u64> {
        let at = self.points.partition_point(|point| point.offset < offset);
        self.points.get(at).map(|point| point.offset)
    }

    /// The points themselves, oldest first.
    pub fn points(&self) -> impl Iterator<Item = SyncPoint> + '_ {
        self.points.iter().copied()
    }
}

/// What a listener's distance from the live edge means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Near enough: send from where it stands.
    Follows,
    /// Too far behind: finish the frame that ends at `cut`, then go on at `to`.
    Skips {
        /// Where the bytes it has end a frame; `None` if those bytes are gone already.
        cut: Option<u64>,
        /// A start point near the live edge.
        to: u64,
    },
    /// Its bytes are gone, and there is no start point yet: it joins again when there is one.
    Rejoins,
    /// Too far behind on a mount that drops such listeners.
    Leaves(CloseReason),
}

/// Judges a listener at `offset`. `tail` is the oldest byte still in the window.
pub fn standing(
    offset: u64,
    tail: u64,
    timeline: &Timeline,
    lag_bytes: u64,
    policy: Lag,
    burst: Burst,
) -> Standing {
    let behind = timeline.end().offset.saturating_sub(offset);
    if offset >= tail && (behind <= lag_bytes || behind <= timeline.lag_max(lag_bytes, burst)) {
        return Standing::Follows;
    }
    if policy == Lag::Drop {
        return Standing::Leaves(CloseReason::TooSlow);
    }
    let Some(to) = timeline.start(burst, offset.max(tail)) else {
        // Nowhere to move it yet: as long as its bytes are there it can go on.
        return if offset >= tail { Standing::Follows } else { Standing::Rejoins };
    };
    let cut = if offset >= tail { timeline.next(offset) } else { None };
    Standing::Skips { cut: cut.filter(|&cut| cut <= to), to }
}

/// Whether a listener must leave for time's sake: it took nothing for `stall_timeout` while bytes
/// waited, or its `max_duration` (zero = none) is over. Times are whole seconds since the start.
pub fn overdue(
    joined_s: u32,
    took_s: u32,
    waiting: bool,
    now: Moment,
    stall_timeout: Duration,
    max_duration: Duration,
) -> Option<CloseReason> {
    let on_for = u64::from(now.seconds().saturating_sub(joined_s));
    if max_duration > Duration::ZERO && on_for >= max_duration.as_secs().max(1) {
        return Some(CloseReason::DurationOver);
    }
    let quiet_for = u64::from(now.seconds().saturating_sub(took_s));
    (waiting && quiet_for > stall_timeout.as_secs()).then_some(CloseReason::Stalled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point every 1,000 bytes and 100 ms up to 10,000 bytes and 1 s.
    fn timeline() -> Timeline {
        let mut timeline = Timeline::default();
        for step in 1..=10 {
            let end = SyncPoint { offset: step * 1_000, media_us: step * 100_000 };
            timeline.advance(end, true, Duration::ZERO);
        }
        timeline
    }

    #[test]
    fn a_burst_starts_at_the_latest_point_that_holds_it() {
        let timeline = timeline();
        assert_eq!(timeline.start(Burst::Time(Duration::from_millis(250)), 0), Some(7_000));
        assert_eq!(timeline.start(Burst::Time(Duration::from_millis(300)), 0), Some(7_000));
        assert_eq!(timeline.start(Burst::Bytes(1), 0), Some(9_000));
        assert_eq!(timeline.start(Burst::Bytes(1 << 20), 0), Some(0));
        assert_eq!(timeline.start(Burst::Time(Duration::from_secs(9)), 2_500), Some(3_000));
        assert_eq!(Timeline::default().start(Burst::Bytes(1), 0), None);
    }

    #[test]
    fn points_too_close_together_are_left_out() {
        let mut timeline = Timeline::default();
        for step in 1..=10 {
            let end = SyncPoint { offset: step, media_us: step * 26_000 };
            timeline.advance(end, true, Duration::from_millis(100));
        }
        let offsets: Vec<u64> = timeline.points().map(|point| point.offset).collect();
        assert_eq!(offsets, [0, 4, 8]);
    }

    #[test]
    fn a_listener_who_falls_behind_skips_forward_at_whole_frames() {
        let timeline = timeline();
        let burst = Burst::Bytes(2_000);
        let judge = |offset, tail, policy| standing(offset, tail, &timeline, 5_000, policy, burst);
        assert_eq!(judge(5_000, 0, Lag::Skip), Standing::Follows);
        assert_eq!(judge(4_500, 0, Lag::Skip), Standing::Skips { cut: Some(5_000), to: 8_000 });
        assert_eq!(judge(1_500, 3_000, Lag::Skip), Standing::Skips { cut: None, to: 8_000 });
        assert_eq!(judge(4_500, 0, Lag::Drop), Standing::Leaves(CloseReason::TooSlow));
    }

    #[test]
    fn a_skip_never_goes_back() {
        let timeline = timeline();
        for offset in 0..=10_000 {
            for burst_bytes in [0, 2_500, 1 << 20] {
                let burst = Burst::Bytes(burst_bytes);
                let found = standing(offset, 3_000, &timeline, 0, Lag::Skip, burst);
                if let Standing::Skips { to, .. } = found {
                    assert!(to >= offset, "{offset} went back to {to}");
                }
            }
        }
    }

    #[test]
    fn a_newcomer_is_not_slow_where_its_burst_is_more_than_the_lag() {
        let timeline = timeline();
        for burst in [Burst::Time(Duration::from_millis(400)), Burst::Bytes(4_000)] {
            let start = timeline.start(burst, 0).expect("there are points");
            assert_eq!(start, 6_000);
            let judge = |offset| standing(offset, 0, &timeline, 1_000, Lag::Drop, burst);
            assert_eq!(judge(start), Standing::Follows);
            assert_eq!(judge(start - 4_000), Standing::Follows);
            assert_eq!(judge(start - 4_001), Standing::Leaves(CloseReason::TooSlow));
        }
    }

    #[test]
    fn who_cannot_be_moved_goes_on_while_its_bytes_are_there_and_joins_again_after() {
        let mut timeline = Timeline::default();
        timeline.advance(SyncPoint { offset: 9_000, media_us: 0 }, false, Duration::ZERO);
        let judge = |offset| standing(offset, 2_000, &timeline, 0, Lag::Skip, Burst::Bytes(0));
        assert_eq!(judge(2_000), Standing::Follows);
        assert_eq!(judge(1_999), Standing::Rejoins);
    }

    #[test]
    fn stalls_count_only_while_bytes_wait() {
        let judge = |waiting, max| {
            overdue(0, 10, waiting, Moment(45_000_000), Duration::from_secs(30), max)
        };
        assert_eq!(judge(true, Duration::ZERO), Some(CloseReason::Stalled));
        assert_eq!(judge(false, Duration::ZERO), None);
        assert_eq!(judge(false, Duration::from_secs(45)), Some(CloseReason::DurationOver));
        assert_eq!(judge(false, Duration::from_secs(46)), None);
    }
}
