//! The listeners of one mount on one core, and the pump's way through them.
//!
//! Rows lie dense in one array. A lap visits each of them once and takes one beat: every look
//! visits the share of the rows left that the time passed has of the time left, so that sends are
//! spread evenly and a lap ends in time however many join it. What is less than a run of rows waits
//! for more, so that the bytes of a small mount are fetched once for all of them. A row leaves by
//! having the last row moved into its place, at the cursor only, so nobody is passed over. Laps
//! follow each other as long as there are bytes for somebody; then the table sleeps until the next
//! bytes come.

use std::time::Duration;

use crate::base::limits::{FULL_SEND_BYTES, RUN_ROWS_MIN, SILENT_SWEEP, TICK_MAX};
use crate::base::{CloseReason, ListenerId, Moment};
use crate::domain::listener::overdue;

use super::feed::Feed;
use super::pump::{Visit, visit};
use super::row::{JOINING, Row, Transmit};

/// A row that left and why.
pub type Departure<W> = (Row<W>, CloseReason);

/// What visits did, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows visited.
    pub visits: usize,
    /// Bytes sent.
    pub bytes: u64,
    /// Listeners who had fallen too far behind, and were moved forward or left.
    pub slow: u64,
}

/// A lap under way.
#[derive(Clone, Copy, Debug)]
struct Lap {
    /// When the lap must have visited everyone.
    ends: Moment,
    /// When rows were last due.
    looked: Moment,
    /// Whether bytes came, or somebody was left behind, so that another lap must follow.
    again: bool,
}

/// The rows of one mount.
#[derive(Debug)]
pub struct Table<W> {
    /// The mount's stream.
    pub feed: Feed,
    rows: Vec<Row<W>>,
    cursor: usize,
    lap: Option<Lap>,
    /// What was due and not visited: part of a row, or less than a run.
    carry: f64,
    /// The live edge at the last look.
    seen_end: u64,
    sweep_carry: f64,
    sweep_cursor: usize,
}

impl<W: Transmit> Table<W> {
    /// An empty table.
    pub fn new(feed: Feed) -> Self {
        Self {
            seen_end: feed.end(),
            feed,
            rows: Vec::new(),
            cursor: 0,
            lap: None,
            carry: 0.0,
            sweep_carry: 0.0,
            sweep_cursor: 0,
        }
    }

    /// Listeners here.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nobody listens here.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, for reports.
    pub fn rows(&self) -> &[Row<W>] {
        &self.rows
    }

    /// Whether the pump has anything to do here.
    pub fn is_active(&self) -> bool {
        !self.rows.is_empty() && (self.lap.is_some() || self.feed.end() > self.seen_end)
    }

    /// Takes in a newcomer, and gives it its intro and its burst at once if the stream is here.
    pub fn join(&mut self, mut row: Row<W>, now: Moment) -> Tally {
        let mut tally = Tally::default();
        let mut behind = false;
        if self.feed.is_ready() {
            match visit(&mut row, &self.feed, now) {
                Visit::Stays { sent, behind: left, .. } => {
                    tally = Tally { visits: 1, bytes: sent as u64, slow: 0 };
                    behind = left;
                }
                Visit::Leaves { reason, sent, .. } => {
                    tally = Tally { visits: 1, bytes: sent as u64, slow: 0 };
                    // It leaves where all leave: at the cursor.
                    row.close(reason);
                    behind = true;
                }
            }
        }
        self.rows.push(row);
        if behind {
            self.lap_again(now);
        }
        tally
    }

    /// The stream came: those who waited for it take their places at their next visit. It also
    /// comes again, to a core that missed more than the window holds: those who had some of it
    /// already are moved as any who fell behind.
    pub fn feed_started(&mut self, now: Moment) {
        // They have waited long enough: this lap is over at once.
        self.cursor = 0;
        self.seen_end = self.feed.end();
        self.lap = Some(Lap { ends: now, looked: now, again: false });
    }

    /// Everyone here leaves within a lap.
    pub fn close_all(&mut self, reason: CloseReason, now: Moment) {
        for row in &mut self.rows {
            row.close(reason);
        }
        self.lap_again(now);
    }

    /// The listener with this number leaves within a lap.
    pub fn close_one(&mut self, id: ListenerId, reason: CloseReason, now: Moment) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.id == id) {
            row.close(reason);
            self.lap_again(now);
        }
    }

    /// Another lap must follow the one under way, or one must begin. A table that slept is owed one
    /// tick: what woke it goes out to a share of its rows at once.
    fn lap_again(&mut self, now: Moment) {
        match &mut self.lap {
            Some(lap) => lap.again = true,
            None => {
                (self.cursor, self.carry) = (0, 0.0);
                // `ends` is set by the first look, which knows the beat.
                let looked = now - TICK_MAX;
                self.lap = Some(Lap { ends: Moment(u64::MAX), looked, again: false });
            }
        }
    }

    /// How many rows are due now; call it once a look, and then [`Self::visit_rows`] for as many.
    pub fn due(&mut self, now: Moment, beat: Duration) -> usize {
        let end = self.feed.end();
        let waiting = end.saturating_sub(self.seen_end);
        if waiting > 0 {
            self.seen_end = end;
            self.lap_again(now);
        }
        let Some(lap) = &mut self.lap else { return 0 };
        if lap.ends == Moment(u64::MAX) {
            lap.ends = lap.looked + beat;
        }
        let (elapsed, time_left) = (now.since(lap.looked), lap.ends.since(lap.looked));
        lap.looked = now;
        let left = self.rows.len().saturating_sub(self.cursor);
        if elapsed >= time_left {
            return left;
        }
        // What is carried is due already: counted twice it would end the lap of a few rows early.
        let to_spread = left as f64 - self.carry;
        let by_time = to_spread * elapsed.as_secs_f64() / time_left.as_secs_f64();
        let by_bytes = self.rows.len() as f64 * (waiting as f64 / FULL_SEND_BYTES as f64);
        let due = (by_time.max(by_bytes) + self.carry).min(left as f64);
        if due < RUN_ROWS_MIN.min(left) as f64 {
            self.carry = due;
            return 0;
        }
        self.carry = due.fract();
        due as usize
    }

    /// Visits up to `count` rows from the cursor on; those who leave are put into `departures`.
    pub fn visit_rows(
        &mut self,
        count: usize,
        now: Moment,
        beat: Duration,
        departures: &mut Vec<Departure<W>>,
    ) -> Tally {
        let mut tally = Tally::default();
        let mut behind_any = false;
        for _ in 0..count {
            let Some(row) = self.rows.get_mut(self.cursor) else { break };
            tally.visits += 1;
            match visit(row, &self.feed, now) {
                Visit::Stays { sent, behind, skipped } => {
                    tally.bytes += sent as u64;
                    tally.slow += u64::from(skipped);
                    behind_any |= behind;
                    self.cursor += 1;
                }
                Visit::Leaves { reason, sent, slow } => {
                    tally.bytes += sent as u64;
                    tally.slow += u64::from(slow);
                    departures.push((self.rows.swap_remove(self.cursor), reason));
                }
            }
        }
        if let Some(lap) = &mut self.lap {
            lap.again |= behind_any;
        }
        if self.cursor >= self.rows.len() {
            self.end_lap(now, beat);
        }
        tally
    }

    /// Everyone was visited: the next lap begins where this one should have ended, or the table
    /// sleeps.
    fn end_lap(&mut self, now: Moment, beat: Duration) {
        (self.cursor, self.carry) = (0, 0.0);
        self.lap = self.lap.filter(|lap| lap.again && !self.rows.is_empty()).map(|lap| {
            // A lap that ended early, because bytes came fast, does not make the next one longer.
            // One that ended late is made up for by the next, so that beats keep their length.
            let ends = lap.ends.min(now) + beat;
            Lap { ends: ends.max(now), looked: lap.looked, again: false }
        });
    }

    /// Looks at a part of the rows that are sent nothing, so that each is seen once in
    /// [`SILENT_SWEEP`]: who has left, or stayed too long, is marked. These are all rows of a
    /// silent mount, and those that wait for a start point while bytes come.
    pub fn sweep(&mut self, elapsed: Duration, now: Moment) {
        if self.rows.is_empty() {
            return;
        }
        let is_silent = !self.is_active();
        let due = self.rows.len() as f64 * elapsed.as_secs_f64() / SILENT_SWEEP.as_secs_f64();
        self.sweep_carry = (self.sweep_carry + due).min(self.rows.len() as f64);
        let mut found = false;
        while self.sweep_carry >= 1.0 {
            self.sweep_carry -= 1.0;
            self.sweep_cursor = (self.sweep_cursor + 1) % self.rows.len();
            let row = &mut self.rows[self.sweep_cursor];
            if !is_silent && row.offset != JOINING {
                continue;
            }
            let rules = &self.feed.rules;
            let (joined, took) = (row.joined_s, row.took_s);
            let left = row.wire.peer_left().then_some(CloseReason::PeerLeft);
            let reason = left.or_else(|| {
                overdue(joined, took, false, now, rules.stall_timeout, rules.max_duration)
            });
            if let Some(reason) = reason {
                row.close(reason);
                found = true;
            }
        }
        if found {
            self.lap_again(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Studio, Taker, row};
    use super::*;
    use crate::config::Lag;

    const BEAT: Duration = Duration::from_secs(1);
    const START: Moment = Moment(1_000_000);

    /// A table with its stream, looked at once a tick.
    struct Pump {
        table: Table<Taker>,
        studio: Studio,
        now: Moment,
        departures: Vec<Departure<Taker>>,
        /// Rows visited at each look of the last series.
        looks: Vec<usize>,
        slow: u64,
    }

    impl Pump {
        /// `count` listeners who have all there is.
        fn with(count: u64) -> Self {
            let mut studio = Studio::new();
            let table = Table::new(studio.feed());
            let mut pump = Self {
                table,
                studio,
                now: START,
                departures: Vec::new(),
                looks: Vec::new(),
                slow: 0,
            };
            (0..count).for_each(|id| pump.join(id, usize::MAX));
            pump
        }

        fn join(&mut self, id: u64, room: usize) {
            self.table.join(row(id, room, 0, self.now), self.now);
        }

        fn publish(&mut self, bytes: usize) {
            self.studio.publish(bytes, &mut self.table.feed);
        }

        /// One look, then a tick passes.
        fn look(&mut self) {
            let due = if self.table.is_active() { self.table.due(self.now, BEAT) } else { 0 };
            let tally = self.table.visit_rows(due, self.now, BEAT, &mut self.departures);
            self.looks.push(tally.visits);
            self.slow += tally.slow;
            self.now = self.now + TICK_MAX;
        }

        fn looks(&mut self, count: usize) -> usize {
            self.looks.clear();
            (0..count).for_each(|_| self.look());
            self.looks.iter().sum()
        }

        fn taken(&self) -> Vec<usize> {
            self.table.rows().iter().map(|row| row.wire.taken.len()).collect()
        }
    }

    #[test]
    fn a_lap_visits_everyone_once_and_evenly_over_a_beat() {
        let mut pump = Pump::with(2_000);
        pump.publish(1_000);
        assert_eq!(pump.looks(50), 2_000);
        assert!(pump.looks.iter().all(|visits| (39..=41).contains(visits)), "{:?}", pump.looks);
        assert_eq!(pump.taken(), [1_000; 2_000]);
        assert!(!pump.table.is_active());
    }

    #[test]
    fn few_rows_are_visited_in_runs_and_within_the_beat() {
        for (count, looks_max) in [(12, 1), (50, 2), (320, 10)] {
            let mut pump = Pump::with(count);
            pump.publish(1_000);
            assert_eq!(pump.looks(50), count as usize);
            let runs = pump.looks.iter().filter(|visits| **visits > 0).count();
            assert!(runs <= looks_max, "{count} rows in {runs} runs: {:?}", pump.looks);
            assert_eq!(pump.taken(), vec![1_000; count as usize]);
        }
    }

    #[test]
    fn few_listeners_get_their_whole_beat() {
        for count in 1..=3 {
            let mut pump = Pump::with(count);
            let visits: usize = (0..500)
                .map(|_| {
                    pump.publish(400);
                    pump.looks(1)
                })
                .sum();
            // Ten seconds: a visit a second each.
            let each = visits as f64 / count as f64;
            assert!((9.9..=11.0).contains(&each), "{count} listeners: {each}");
        }
    }

    #[test]
    fn a_table_without_bytes_or_without_its_window_sleeps() {
        let mut pump = Pump::with(10);
        assert!(!pump.table.is_active());
        pump.table = Table::new(Studio::not_ready());
        pump.join(0, usize::MAX);
        assert!(!pump.table.is_active());
        assert_eq!(pump.table.due(pump.now, BEAT), 0);
    }

    #[test]
    fn those_who_waited_for_the_window_are_served_at_the_first_look() {
        let mut pump = Pump::with(0);
        pump.publish(3_000);
        let ready = std::mem::replace(&mut pump.table, Table::new(Studio::not_ready()));
        (0..100).for_each(|id| pump.join(id, usize::MAX));
        pump.table.feed = ready.feed;
        pump.table.feed_started(pump.now);
        assert_eq!(pump.looks(1), 100);
        assert_eq!(pump.taken(), [3_000; 100]);
    }

    #[test]
    fn a_window_that_comes_again_moves_nobody_back() {
        let mut pump = Pump::with(3);
        pump.publish(5_000);
        pump.looks(50);
        pump.table.feed_started(pump.now);
        pump.looks(50);
        assert_eq!(pump.taken(), [5_000; 3]);
    }

    #[test]
    fn a_stopped_reader_is_tried_once_a_beat_and_nobody_else_pays_for_it() {
        let mut pump = Pump::with(9);
        pump.join(9, 0);
        pump.publish(1_000);
        pump.looks(50);
        assert_eq!(
            pump.taken(),
            [1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 0]
        );
        let tries = pump.table.rows()[9].wire.sends;
        // Ten silent seconds: the laps go on for the one who is behind, a beat each.
        let visits = pump.looks(500);
        assert!((99..=110).contains(&visits), "{visits}");
        assert!((9..=11).contains(&(pump.table.rows()[9].wire.sends - tries)));
        assert!(pump.table.rows()[..9].iter().all(|row| row.wire.sends == 1));
    }

    #[test]
    fn a_fast_mount_is_visited_when_a_full_send_waits() {
        let mut pump = Pump::with(100);
        // 16 Mbit/s: 40,000 bytes a tick, so two ticks bring a full send and a lap takes two.
        let visits: usize = (0..50)
            .map(|_| {
                pump.publish(40_000);
                pump.looks(1)
            })
            .sum();
        assert_eq!(visits, 2_500);
    }

    #[test]
    fn a_storm_of_newcomers_delays_nobody_past_two_beats() {
        let mut pump = Pump::with(100);
        let mut served = vec![START; 100];
        let mut had = vec![0; 100];
        for tick in 0..200 {
            pump.publish(400);
            (0..50).for_each(|id| pump.join(1_000 + tick * 50 + id, usize::MAX));
            pump.look();
            for (index, row) in pump.table.rows()[..100].iter().enumerate() {
                if row.wire.taken.len() > had[index] {
                    had[index] = row.wire.taken.len();
                    served[index] = pump.now;
                }
                let gap = pump.now.since(served[index]);
                assert!(gap <= 2 * BEAT + TICK_MAX, "{index} waited {gap:?}");
            }
        }
    }

    #[test]
    fn those_who_leave_make_nobody_be_passed_over() {
        for leaver in 0..20 {
            for at in [0, 10, 30, 49] {
                let mut pump = Pump::with(20);
                pump.publish(1_000);
                pump.looks(at);
                pump.table.close_one(ListenerId(leaver), CloseReason::Killed, pump.now);
                pump.publish(500);
                pump.looks(110);
                assert_eq!(pump.taken(), [1_500; 19]);
                assert_eq!(pump.departures.len(), 1);
                assert_eq!(pump.departures[0].0.id, ListenerId(leaver));
                assert_eq!(pump.departures[0].1, CloseReason::Killed);
                assert!(!pump.table.is_active());
            }
        }
    }

    #[test]
    fn all_leave_within_a_beat_each_once_with_the_first_reason() {
        let mut pump = Pump::with(200);
        pump.publish(1_000);
        pump.looks(20);
        pump.table.close_one(ListenerId(3), CloseReason::Killed, pump.now);
        pump.table.close_all(CloseReason::SourceGone, pump.now);
        pump.looks(101);
        assert!(pump.table.is_empty() && !pump.table.is_active());
        let mut ids: Vec<u64> = pump.departures.iter().map(|(row, _)| row.id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..200).collect::<Vec<_>>());
        for (row, reason) in &pump.departures {
            let killed = row.id == ListenerId(3);
            let wanted = if killed { CloseReason::Killed } else { CloseReason::SourceGone };
            assert_eq!(*reason, wanted);
        }
    }

    #[test]
    fn a_newcomer_whose_socket_is_broken_leaves_though_nothing_comes() {
        let mut pump = Pump::with(5);
        pump.publish(1_000);
        pump.looks(50);
        let mut broken = row(7, usize::MAX, 0, pump.now);
        broken.wire.gone = Some(CloseReason::PeerBroke);
        pump.table.join(broken, pump.now);
        pump.looks(51);
        assert_eq!(pump.table.len(), 5);
        assert_eq!(pump.departures.len(), 1);
    }

    #[test]
    fn bytes_are_counted_even_of_the_visit_that_ends_a_listener() {
        let mut pump = Pump::with(1);
        pump.table.feed.rules.max_duration = Duration::from_secs(5);
        let mut counted = 0;
        for _ in 0..300 {
            pump.publish(400);
            if pump.table.is_active() {
                let due = pump.table.due(pump.now, BEAT);
                let tally = pump.table.visit_rows(due, pump.now, BEAT, &mut pump.departures);
                counted += tally.bytes;
            }
            pump.now = pump.now + TICK_MAX;
        }
        let (row, reason) = &pump.departures[0];
        assert_eq!(*reason, CloseReason::DurationOver);
        assert_eq!(row.bytes_sent, row.wire.taken.len() as u64);
        assert_eq!(counted, row.bytes_sent);
    }

    #[test]
    fn slow_listeners_are_counted_whether_they_are_moved_or_dropped() {
        for (lag, stay) in [(Lag::Skip, 4), (Lag::Drop, 3)] {
            let mut pump = Pump::with(3);
            pump.join(3, 0);
            pump.table.feed.rules.lag = lag;
            for _ in 0..20 {
                pump.publish(10_000);
                pump.looks(51);
            }
            assert_eq!((pump.slow, pump.table.len()), (1, stay), "{lag:?}");
        }
    }

    #[test]
    fn who_waits_for_a_start_point_is_missed_when_gone_though_bytes_come() {
        let mut pump = Pump::with(100);
        assert_eq!(pump.table.rows[40].offset, JOINING);
        pump.table.rows[40].wire.left = true;
        // Who has a place is sent bytes, which tells sooner.
        pump.table.rows[41].offset = 0;
        pump.table.rows[41].wire.left = true;
        pump.publish(1_000);
        assert!(pump.table.is_active());
        for _ in 0..62 {
            pump.table.sweep(Duration::from_millis(500), pump.now);
        }
        assert_eq!(pump.table.rows[40].closing, Some(CloseReason::PeerLeft));
        assert_eq!(pump.table.rows[41].closing, None);
    }

    #[test]
    fn a_silent_mount_finds_out_who_left_and_who_stayed_too_long() {
        let mut pump = Pump::with(100);
        pump.table.rows[40].wire.left = true;
        pump.table.rows[41].joined_s = 0;
        pump.table.feed.rules.max_duration = Duration::from_secs(3_600);
        pump.now = Moment(3_601_000_000);
        for row in &mut pump.table.rows {
            row.joined_s = 3_600;
        }
        pump.table.rows[41].joined_s = 0;
        let half = Duration::from_millis(500);
        for _ in 0..62 {
            pump.table.sweep(half, pump.now);
        }
        assert!(pump.table.is_active());
        pump.looks(51);
        let mut left: Vec<_> =
            pump.departures.iter().map(|(row, reason)| (row.id.0, *reason)).collect();
        left.sort_by_key(|(id, _)| *id);
        assert_eq!(left, [(40, CloseReason::PeerLeft), (41, CloseReason::DurationOver)]);
    }
}
