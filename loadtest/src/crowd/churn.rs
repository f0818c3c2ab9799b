//! How listeners leave and come back: a few every second, or all at once. They close as players do,
//! without a word, and connect again as soon as a handshake may begin.

use super::{Crowd, micros};
use crate::listener::{Cause, Phase};
use crate::plan::Pace;
use floe::base::Moment;
use std::time::Duration;

/// Where leaving and the storm stand.
#[derive(Debug, Default)]
pub(super) struct Churn {
    /// Listeners that should have left by now and have not: below one after every look.
    owed: f64,
    /// When `owed` was last counted.
    counted_at: Moment,
    /// The row to look at next for one that may leave.
    cursor: usize,
    /// When the storm struck.
    struck_at: Option<Moment>,
}

impl Crowd {
    /// Lets as many steady listeners leave as are due by `now`, in the order of their rows. While
    /// nobody has audio nothing is owed: leaving that was missed is not made up for in a burst.
    pub(super) fn leave_due(&mut self, now: Moment) {
        let rate = self.plan.behaviour.leaves_per_s;
        if rate <= 0.0 {
            return;
        }
        self.churn.owed += rate * now.since(self.churn.counted_at).as_secs_f64();
        self.churn.counted_at = now;
        while self.churn.owed >= 1.0 {
            let Some(row) = self.next_leaver() else {
                self.churn.owed = 0.0;
                return;
            };
            self.churn.owed -= 1.0;
            self.outcome.churn.left += 1;
            self.rows[row].zaps += u32::from(self.plan.behaviour.zaps);
            self.depart(row, Cause::Churn, now);
        }
    }

    /// How long from the last [`Self::leave_due`] until one more is due; `None` if nobody leaves.
    pub(super) fn until_next_leave(&self) -> Option<Duration> {
        let rate = self.plan.behaviour.leaves_per_s;
        let missing = (1.0 - self.churn.owed).max(0.0);
        (rate > 0.0).then(|| Duration::try_from_secs_f64(missing / rate).unwrap_or(Duration::MAX))
    }

    /// Closes every listener and sends it back, once, when the plan says so.
    pub(super) fn storm_if_due(&mut self, now: Moment) {
        if self.until_storm(now) != Some(Duration::ZERO) {
            return;
        }
        self.churn.struck_at = Some(now);
        for row in 0..self.rows.len() {
            if matches!(self.rows[row].phase, Phase::Away | Phase::Ended) {
                continue;
            }
            self.outcome.storm.closed += u64::from(self.rows[row].pace.asks());
            self.depart(row, Cause::Storm, now);
        }
        // Who is slow is noted again when it comes in.
        self.slow.clear();
        self.slow_heads.clear();
    }

    /// How long from `now` until the storm; `None` if none will come.
    pub(super) fn until_storm(&self, now: Moment) -> Option<Duration> {
        let due = self.plan.behaviour.storm_at.filter(|_| self.churn.struck_at.is_none())?;
        Some((Moment::ZERO + due).since(now))
    }

    /// A listener that the storm closed has audio again.
    pub(super) fn note_served_again(&mut self, now: Moment) {
        let Some(struck_at) = self.churn.struck_at else { return };
        self.outcome.storm.reconnected += 1;
        self.outcome.storm.served_us.record(micros(now.since(struck_at)));
    }

    /// Closes the connection of `row` and lines it up to connect again.
    fn depart(&mut self, row: usize, cause: Cause, now: Moment) {
        self.close(row, now);
        self.rows[row].cause = cause;
        self.returning.push_back(row);
    }

    fn next_leaver(&mut self) -> Option<usize> {
        for _ in 0..self.rows.len().min(SEARCH_MAX) {
            self.churn.cursor = (self.churn.cursor + 1) % self.rows.len();
            let listener = &self.rows[self.churn.cursor];
            if listener.phase == Phase::Flowing && listener.pace == Pace::Steady {
                return Some(self.churn.cursor);
            }
        }
        None
    }
}

/// Rows looked at for one that may leave: enough to get over a long run of others, and short enough
/// to be no burden while nobody has audio yet.
const SEARCH_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::tests::{OK, answer, begun, crowd, drive};
    use crate::plan::Behaviour;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    fn second_of(ms: u64) -> Moment {
        Moment(ms * 1_000)
    }

    /// The path that the client of `socket` asks for.
    fn asked(socket: &mut TcpStream) -> String {
        let mut head = [0; 256];
        let taken = socket.read(&mut head).unwrap();
        String::from_utf8_lossy(&head[..taken]).split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn who_leaves_comes_back_to_the_next_mount_and_is_measured_anew() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |_| {});
        begun(&mut crowd);
        let mut sockets = answer(&server, &[OK, b"audio"].concat());
        drive(&mut crowd, |progress| progress.flowing == 2);
        let before: Vec<_> = sockets.iter_mut().map(asked).collect();
        assert_eq!(before, ["/a", "/b"]);

        // One leaves at 500 ms and one at 1 s; the half one that is owed afterwards stays.
        let now = crowd.clock.now();
        crowd.plan.behaviour = Behaviour { leaves_per_s: 2.0, zaps: true, ..Behaviour::default() };
        crowd.churn.counted_at = now;
        crowd.begin_due(now + Duration::from_millis(499));
        assert_eq!(crowd.progress().flowing, 2);
        crowd.begin_due(now + Duration::from_millis(1_250));
        assert_eq!((crowd.progress().flowing, crowd.progress().pending), (0, 0));
        assert_eq!(crowd.until_next_leave(), Some(Duration::from_millis(250)));
        crowd.plan.behaviour.leaves_per_s = 0.0;

        let mut sockets = answer(&server, &[OK, b"audio"].concat());
        drive(&mut crowd, |progress| progress.flowing == 2);
        let mut after: Vec<_> = sockets.iter_mut().map(asked).collect();
        after.sort();
        assert_eq!(after, ["/a", "/b"]);
        assert_eq!(crowd.rows.iter().map(|row| row.zaps).collect::<Vec<_>>(), [1, 1]);
        let outcome = crowd.finish();
        assert_eq!((outcome.churn.left, outcome.churn.rejoined), (2, 2));
        assert_eq!((outcome.with_audio, outcome.at_end, outcome.failed()), (2, 2, 0));
        assert_eq!((outcome.audio_us.count(), outcome.gap_us.count()), (4, 4));
        assert_eq!(outcome.bytes, 20);
    }

    #[test]
    fn leaving_that_nobody_was_there_for_is_not_made_up_for() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |plan| plan.behaviour.leaves_per_s = 100.0);
        crowd.leave_due(second_of(60_000));
        assert_eq!(crowd.churn.owed, 0.0);
        assert_eq!(crowd.outcome.churn.left, 0);
    }

    #[test]
    fn a_storm_closes_all_at_once_and_measures_until_each_has_audio_again() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |_| {});
        drive(&mut crowd, |progress| progress.begun == 2);
        let first = answer(&server, &[OK, b"a"].concat());
        drive(&mut crowd, |progress| progress.flowing == 2);

        crowd.plan.behaviour.storm_at = Some(Duration::ZERO);
        drive(&mut crowd, |progress| progress.flowing == 0);
        drop(first);
        let mut again = answer(&server, &[OK, b"a"].concat());
        drive(&mut crowd, |progress| progress.flowing == 2);
        again.iter_mut().for_each(|socket| assert!(asked(socket).starts_with('/')));
        assert_eq!(crowd.until_storm(crowd.clock.now()), None, "a storm strikes once");

        let outcome = crowd.finish();
        let storm = &outcome.storm;
        assert_eq!((storm.closed, storm.reconnected, storm.served_us.count()), (2, 2, 2));
        assert_eq!((outcome.with_audio, outcome.at_end, outcome.failed()), (2, 2, 0));
    }

    #[test]
    fn a_storm_during_the_ramp_leaves_nobody_unfinished() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |_| {});
        begun(&mut crowd);
        let early: Vec<_> = (0..2).map(|_| server.accept().unwrap().0).collect();
        crowd.plan.behaviour.storm_at = Some(Duration::ZERO);
        crowd.begin_due(crowd.clock.now());
        drop(early);
        let _sockets = answer(&server, &[OK, b"a"].concat());
        drive(&mut crowd, |progress| progress.pending == 0);
        let outcome = crowd.finish();
        assert_eq!((outcome.with_audio, outcome.storm.reconnected, outcome.failed()), (2, 2, 0));
    }
}
