//! HOT PATH. Where one source's times join those of the source before, so that what listeners see
//! never runs backwards. All times are in units of a time stamp, 1/90,000 s, and wrap. Source core.

use super::clock::behind;
use super::packet::{STAMP_MASK, moved};

/// The times that listeners have seen, and how far the present source's are moved on.
#[derive(Debug, Default)]
pub(super) struct Splice {
    /// What is added to every time of the present source.
    shift: u64,
    /// Latest time at which something written is decoded.
    latest: Option<u64>,
    /// The same of the leading stream alone, and how far it was from the one before.
    leading: Option<u64>,
    /// See `leading`. Zero if it is not known.
    step: u64,
    /// The last reading of the clock that was written.
    clock: Option<u64>,
    /// What was latest when the present source began: nothing of it may be decoded earlier.
    floor: Option<u64>,
}

/// The times of a new source where it begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begin {
    /// When the first unit of the leading stream is decoded.
    pub(super) stamp: Option<u64>,
    /// What its clock showed last.
    pub(super) clock: Option<u64>,
}

impl Splice {
    /// What is added to every time of the present source.
    #[inline]
    pub(super) fn shift(&self) -> u64 {
        self.shift
    }

    /// Another source begins: its leading stream follows at once, and its clock is not behind what
    /// it was. Without times, as in a scrambled stream, nothing can be moved.
    pub(super) fn begin(&mut self, begin: Begin) {
        (self.shift, self.floor) = (0, None);
        let (Some(latest), Some(first)) = (self.latest, begin.stamp.or(begin.clock)) else {
            return;
        };
        // Sound that is decoded after the last picture moves the next one on.
        let next = moved(self.leading.unwrap_or(latest), self.step);
        let sound = since(latest, next);
        let free = if sound <= JUMP_MAX { moved(latest, 1) } else { next };
        self.shift = since(free, first);
        if let (Some(clock), Some(last)) = (begin.clock, self.clock) {
            let late = since(moved(last, 1), moved(clock, self.shift));
            if late <= JUMP_MAX {
                self.shift = moved(self.shift, late);
            }
        }
        (self.floor, self.leading) = (Some(latest), None);
    }

    /// Whether what is decoded at `stamp` of the present source would come before what listeners
    /// had of the one before.
    pub(super) fn is_behind(&self, stamp: u64) -> bool {
        self.floor.is_some_and(|floor| since(floor, moved(stamp, self.shift)) <= JUMP_MAX)
    }

    /// A unit decoded at `stamp` of the present source goes out; `leads` tells whether it is of the
    /// leading stream, whose jumps are those of the whole source.
    pub(super) fn note(&mut self, stamp: u64, leads: bool) {
        let now = moved(stamp, self.shift);
        let latest = *self.latest.get_or_insert(now);
        let goes_on = since(now, latest) <= JUMP_MAX;
        let jumps = !goes_on && since(latest, now) > JUMP_MAX;
        if goes_on || leads && jumps {
            self.latest = Some(now);
        }
        if leads {
            let step = self.leading.map_or(0, |before| since(now, before));
            if (1..=STEP_MAX).contains(&step) {
                self.step = step;
            }
            self.leading = Some(now);
        }
    }

    /// The clock of the present source, as it goes out, shows `clock`.
    pub(super) fn note_clock(&mut self, clock: u64) {
        self.clock = Some(moved(clock, self.shift));
    }
}

/// How far `now` is after `earlier`, on the way round.
fn since(now: u64, earlier: u64) -> u64 {
    behind(now, earlier, STAMP_MASK + 1)
}

/// Ten seconds: what differs by more is of another time, not late or early.
const JUMP_MAX: u64 = 10 * 90_000;
/// One second: the longest time a frame lasts that is believed. A still picture may last longer.
const STEP_MAX: u64 = 90_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 90_000;

    /// A source whose first unit is decoded at `first`, half a second after its clock, and that
    /// goes on for a second at 25 units. Gives the times at which its units go out.
    fn play(splice: &mut Splice, first: u64) -> Vec<u64> {
        let clock = since(first, SECOND / 2);
        splice.begin(Begin { stamp: Some(first), clock: Some(clock) });
        let mut units = Vec::new();
        for unit in 0..25 {
            splice.note_clock(moved(clock, unit * 3_600));
            splice.note(moved(first, unit * 3_600), true);
            units.push(moved(first + unit * 3_600, splice.shift()));
        }
        units
    }

    #[test]
    fn the_first_source_keeps_its_times() {
        let mut splice = Splice::default();
        assert_eq!(play(&mut splice, 700)[..3], [700, 4_300, 7_900]);
        assert_eq!(splice.shift(), 0);
        assert!(!splice.is_behind(0));
    }

    #[test]
    fn another_source_follows_at_the_next_step_wherever_its_times_begin() {
        for (first, second) in
            [(0, 0), (SECOND, 700 * SECOND), (STAMP_MASK - 3, 5), (5, STAMP_MASK)]
        {
            let mut splice = Splice::default();
            let units = [play(&mut splice, first), play(&mut splice, second)].concat();
            assert!(units.windows(2).all(|two| since(two[1], two[0]) == 3_600), "{units:?}");
        }
    }

    #[test]
    fn a_clock_that_leads_by_less_moves_the_whole_source() {
        let mut splice = Splice::default();
        play(&mut splice, SECOND);
        // The old source's clock ended at 1.46 s and its units at 1.96 s. The new one's clock is
        // two seconds ahead of its first unit.
        splice.begin(Begin { stamp: Some(5 * SECOND), clock: Some(3 * SECOND) });
        let clock_ended = SECOND / 2 + 24 * 3_600;
        assert_eq!(moved(3 * SECOND, splice.shift()), clock_ended + 1);
        assert_eq!(moved(5 * SECOND, splice.shift()), clock_ended + 1 + 2 * SECOND);
    }

    #[test]
    fn sound_that_went_on_longer_moves_the_next_picture() {
        let mut splice = Splice::default();
        play(&mut splice, 0);
        splice.note(3 * SECOND, false);
        splice.begin(Begin { stamp: Some(0), clock: None });
        assert_eq!(splice.shift(), 3 * SECOND + 1);
        assert!(!splice.is_behind(0));
        assert!(splice.is_behind(STAMP_MASK), "a tick before the first picture");
    }

    #[test]
    fn a_jump_within_a_source_is_followed_but_not_one_of_the_sound_alone() {
        let mut splice = Splice::default();
        play(&mut splice, 0);
        splice.note(500 * SECOND, false);
        assert_eq!(splice.latest, Some(24 * 3_600));
        splice.note(300 * SECOND, true);
        assert_eq!(splice.latest, Some(300 * SECOND));
        splice.note(20 * SECOND, true);
        splice.begin(Begin { stamp: Some(0), clock: None });
        assert_eq!(splice.shift(), 20 * SECOND + 3_600);
    }

    #[test]
    fn without_times_nothing_is_moved() {
        let mut splice = Splice::default();
        play(&mut splice, 0);
        splice.begin(Begin::default());
        assert_eq!(splice.shift(), 0);
        assert!(!splice.is_behind(0));
    }
}
