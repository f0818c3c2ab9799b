//! The times that listeners see: a source's own times, moved so that they never run backwards when
//! it restarts or another one follows. Times are in ticks of the stream. Source core; allocates
//! nothing for a block.

use super::tracks::{Kind, Track};

/// Where a mount's stream stands in time, over all its sources.
#[derive(Debug)]
pub(super) struct Timeline {
    tick_ns: u64,
    /// What is added to the present source's times.
    offset: i64,
    /// Where the present source took over: nothing goes out with an earlier time.
    seam: i64,
    /// Where the last of all blocks written so far ends; `None` before the first.
    end: Option<i64>,
    /// The latest time of the present source; `None` if its next block begins a new timeline.
    newest: Option<i64>,
    /// In the order of the stream's tracks.
    seen: Vec<Seen>,
    /// The latest time written of the track that tells the time.
    clock: Option<i64>,
    /// What the durations told so far fall short of the true time; below one microsecond.
    owed_ns: u64,
}

/// What was seen of one track.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Source time of its last block on the present timeline.
    last: Option<i64>,
    /// Between its last two blocks.
    step: Option<i64>,
    /// The latest time written.
    written: i64,
}

/// A block's place in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Place of its track among the stream's.
    pub(super) track: usize,
    /// Time by its source.
    pub(super) time: i64,
    /// Playing time, where the block tells it.
    pub(super) duration: Option<u64>,
}

/// A source's time that leaps ahead by more than this is taken for a new timeline, and the gap is
/// left out: players would wait as long. Shorter, and pauses of a recorder's user are cut where
/// the encoder meant them; longer, and a wrong clock keeps listeners in silence.
const LEAP_MS_MAX: i64 = 10_000;

/// A track's time that falls back by more than this is taken for a new timeline. Frames of video
/// come in the order of decoding: 16 of them at 8 frames a second can stand this far back.
const REORDER_MS_MAX: i64 = 2_000;

/// Latest time a source can tell. At a tick of one nanosecond that is 36 years, and sums of a few
/// such times still fit their words.
pub(super) const TIME_MAX: u64 = 1 << 60;

impl Timeline {
    /// A timeline before its first block, for `tracks` tracks.
    pub(super) fn new(tick_ns: u64, tracks: usize) -> Self {
        Self {
            tick_ns,
            offset: 0,
            seam: 0,
            end: None,
            newest: None,
            seen: vec![Seen::default(); tracks],
            clock: None,
            owed_ns: 0,
        }
    }

    /// Another source, or the same anew: its first block follows the last one written.
    pub(super) fn restart(&mut self) {
        self.newest = None;
    }

    /// `ms` in ticks; at least one.
    pub(super) fn ticks(&self, ms: i64) -> i64 {
        (ms * 1_000_000 / self.tick_ns.cast_signed()).max(1)
    }

    /// The time with which the block at `stamp` goes out; `track` is the one it names. `None` for
    /// sound of a time that the source before has filled: a source's first block is one of video
    /// maybe, whose sound begins a little earlier.
    #[inline]
    pub(super) fn place(&mut self, stamp: Stamp, track: &Track) -> Option<i64> {
        let Stamp { time, .. } = stamp;
        if !self.goes_on(stamp) {
            self.offset = self.end.map_or(0, |end| end - time);
            self.seam = self.end.unwrap_or(0);
            self.newest = None;
            for seen in &mut self.seen {
                seen.last = None;
            }
        }
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        let leap = self.ticks(LEAP_MS_MAX);
        let seen = &mut self.seen[stamp.track];
        if let Some(step) = seen.last.map(|last| time - last).filter(|step| *step > 0) {
            seen.step = Some(step);
        }
        seen.last = Some(time);
        let mut at = time + self.offset;
        if track.kind == Kind::Audio {
            if at < self.seam {
                return None;
            }
            // Sound has no other order than that of time; what falls back is a rounding error.
            at = at.max(seen.written);
        }
        // Pictures are never left out, because others may need them.
        at = at.max(self.seam);
        seen.written = seen.written.max(at);
        let frame = track.frame_ns.map(|ns| (ns / self.tick_ns).cast_signed());
        let usual = match track.kind {
            // Audio may be laced, so that a block holds several frames.
            Kind::Audio => seen.step.or(frame),
            Kind::Video | Kind::Other => frame.or(seen.step),
        };
        let told = stamp.duration.map(|ticks| i64::try_from(ticks).unwrap_or(i64::MAX));
        let duration = told.or(usual).unwrap_or(0).clamp(0, leap);
        // A tick more than that: times are rounded to ticks, and players warn of an overlap and
        // drop some sound, where nobody hears a gap of a tick.
        let end = at + duration + 1;
        self.end = Some(self.end.map_or(end, |latest| latest.max(end)));
        Some(at)
    }

    /// Whether a block is on the same timeline as those before.
    fn goes_on(&self, stamp: Stamp) -> bool {
        let Some(newest) = self.newest else { return false };
        let behind = self.ticks(REORDER_MS_MAX);
        let falls_back = self.seen[stamp.track].last.is_some_and(|last| stamp.time + behind < last);
        !falls_back && stamp.time - newest <= self.ticks(LEAP_MS_MAX)
    }

    /// Playing time in microseconds since the clock's latest block, when its next one goes out at
    /// `at`. What is left out of a microsecond is carried on.
    #[inline]
    pub(super) fn tell(&mut self, at: i64) -> u32 {
        let last = self.clock.unwrap_or(at);
        self.clock = Some(last.max(at));
        let ticks = at.saturating_sub(last).max(0).cast_unsigned();
        let ns = ticks.saturating_mul(self.tick_ns).saturating_add(self.owed_ns);
        self.owed_ns = ns % 1_000;
        u32::try_from(ns / 1_000).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{audio_entry, video_entry};
    use super::super::tracks::Tracks;
    use super::*;

    const MS: u64 = 1_000_000;
    const AUDIO: usize = 0;
    const VIDEO: usize = 1;

    /// A timeline in milliseconds with an audio and a video track.
    struct Tried {
        timeline: Timeline,
        tracks: Tracks,
    }

    impl Tried {
        fn new() -> Self {
            let entries = [audio_entry(1, "A_OPUS", b""), video_entry(2, "V_VP8")].concat();
            let tracks = Tracks::parse(&entries).unwrap();
            Self { timeline: Timeline::new(MS, 2), tracks }
        }

        fn place(&mut self, track: usize, time: i64) -> Option<i64> {
            let stamp = Stamp { track, time, duration: None };
            self.timeline.place(stamp, &self.tracks.entries[track])
        }

        /// Where those blocks of the audio track at `times` come to stand that do go out.
        fn audio(&mut self, times: &[i64]) -> Vec<i64> {
            times.iter().filter_map(|&time| self.place(AUDIO, time)).collect()
        }
    }

    #[test]
    fn a_first_source_keeps_its_own_times() {
        assert_eq!(Tried::new().audio(&[7_200_000, 7_200_020]), [7_200_000, 7_200_020]);
        assert_eq!(Tried::new().place(VIDEO, -7), Some(0), "none is below zero");
    }

    #[test]
    fn the_next_source_follows_the_last_block_and_its_duration() {
        let mut tried = Tried::new();
        tried.audio(&[0, 20, 40]);
        tried.timeline.restart();
        assert_eq!(tried.audio(&[0, 20]), [61, 81]);
        tried.timeline.restart();
        assert_eq!(tried.audio(&[5_000, 5_020]), [102, 122]);
        let stamp = Stamp { track: AUDIO, time: 5_040, duration: Some(60) };
        assert_eq!(tried.timeline.place(stamp, &tried.tracks.entries[AUDIO]), Some(142));
        tried.timeline.restart();
        assert_eq!(tried.audio(&[0]), [203], "the block said how long it plays");
    }

    #[test]
    fn sound_from_before_the_seam_is_left_out_and_pictures_wait() {
        let mut tried = Tried::new();
        tried.audio(&[0, 20]);
        tried.timeline.restart();
        assert_eq!(tried.place(VIDEO, 33), Some(41));
        assert_eq!(tried.audio(&[0, 20, 40]), [48]);
        assert_eq!((tried.place(VIDEO, 0), tried.place(VIDEO, 66)), (Some(41), Some(74)));
    }

    #[test]
    fn a_fall_or_a_leap_begins_a_new_timeline_and_reordering_does_not() {
        let mut tried = Tried::new();
        assert_eq!(tried.audio(&[0, 20, 40, 0, 20]), [0, 20, 40, 40, 40], "a rounding error");
        let mut tried = Tried::new();
        assert_eq!(tried.audio(&[5_000, 5_020, 0, 20]), [5_000, 5_020, 5_041, 5_061]);
        assert_eq!(tried.audio(&[90_000, 90_020]), [5_082, 5_102]);
        assert_eq!(tried.audio(&[99_000]), [14_082], "a pause is kept");
        let mut tried = Tried::new();
        let times = [0, 160, 80, 40, 120].map(|time| tried.place(VIDEO, time).unwrap());
        assert_eq!(times, [0, 160, 80, 40, 120]);
    }

    #[test]
    fn tracks_that_stand_apart_do_not_disturb_each_other() {
        let mut tried = Tried::new();
        for at in 0..100 {
            assert_eq!(tried.place(VIDEO, 9_000 + at * 40), Some(9_000 + at * 40));
            assert_eq!(tried.place(AUDIO, at * 40), Some(at * 40));
        }
    }

    #[test]
    fn durations_add_up_in_ticks_that_are_no_whole_microseconds() {
        // A tick for each sample at 44.1 kHz, as mkvmerge has it.
        let mut timeline = Timeline::new(22_675, 1);
        let told: u64 = (0..=1_000).map(|at| u64::from(timeline.tell(at * 1_024))).sum();
        assert_eq!(told, 1_024 * 22_675);
        assert_eq!(timeline.tell(0), 0, "time does not run backwards");
        assert_eq!(timeline.tell(1_024_000), 0);
    }

    #[test]
    fn hostile_times_and_durations_do_no_harm() {
        let most = TIME_MAX.cast_signed();
        for tick_ns in [1, 1_000_000_000] {
            let mut tried = Tried::new();
            tried.timeline = Timeline::new(tick_ns, 2);
            let mut last = 0;
            for time in [0, most, -32_768, most, 0, most].repeat(20) {
                let stamp = Stamp { track: AUDIO, time, duration: Some(u64::MAX) };
                let Some(at) = tried.timeline.place(stamp, &tried.tracks.entries[AUDIO]) else {
                    continue;
                };
                assert!(at >= last);
                last = at;
                let _ = tried.timeline.tell(at);
            }
        }
    }
}
