//! HOT PATH. A mount's stream on the source core: bytes come in, are cut at whole units and
//! appended to the current segment, once. What is published always ends at a whole unit.

use std::sync::Arc;

use crate::base::Moment;
use crate::base::limits::{START_POINTS_APART, WINDOW_BYTES_MAX};
use crate::config::Burst;
use crate::domain::listener::{Edge, SyncPoint, Timeline};
use crate::domain::preamble::Preambles;
use crate::domain::seam::{Fit, Kind};
use crate::media::{Framer, Step};
use crate::ring::Segment;

use super::carry::Carry;
use super::found::Taken;
use super::tape::Tape;

/// One mount's stream.
pub struct Stream {
    framer: Framer,
    /// What the stream is by its own bytes, once its present source has shown it.
    kind: Option<Kind>,
    /// Whether the present source has shown what it sends.
    shown: bool,
    /// The beginning of a unit whose rest has not come.
    carry: Carry,
    tape: Tape,
    timeline: Timeline,
    /// Live edges of the present call, in order.
    edges: Vec<Edge>,
    preambles: Preambles,
    media_us: u64,
    /// When the present source sent its last frame: what tells playing time where frames do not.
    framed: Option<Moment>,
    /// Bytes appended but not yet a published edge.
    appended: bool,
    /// Whether a player can start at the live edge.
    edge_starts: bool,
    lag_bytes: u64,
    burst: Burst,
}

impl Stream {
    /// An empty stream of `content_type` that keeps what a laggard within `lag_bytes` or a
    /// newcomer's burst may need.
    pub fn new(content_type: &str, lag_bytes: usize, burst: Burst) -> Self {
        Self {
            framer: Framer::for_content_type(content_type),
            kind: None,
            shown: false,
            carry: Carry::new(),
            tape: Tape::new(),
            timeline: Timeline::default(),
            edges: Vec::with_capacity(64),
            preambles: Preambles::default(),
            media_us: 0,
            framed: None,
            appended: false,
            edge_starts: false,
            lag_bytes: lag_bytes as u64,
            burst,
        }
    }

    /// The source has ended: its unfinished unit is left out, and what ends its part of the stream
    /// in order is published, if the format has such a thing.
    pub fn end_source(&mut self, now: Moment) {
        self.edges.clear();
        self.carry.clear();
        if self.framer.end_source() {
            self.tape.append(self.framer.written(), now);
            self.appended = true;
        }
        self.publish_edge();
    }

    /// Publishes bytes that come from no source, while there is none.
    pub fn append(&mut self, bytes: &[u8], now: Moment) {
        self.edges.clear();
        self.tape.append(bytes, now);
        self.appended = true;
        self.publish_edge();
    }

    /// A new source continues the stream; [`Self::end_source`] came before.
    pub fn continue_with(&mut self, content_type: &str) {
        self.framer.next_source(content_type);
        self.shown = false;
        self.framed = None;
        self.tape.next_source();
    }

    /// Takes a source's bytes. The new live edges are in [`Self::edges`] until the next call.
    pub fn take(&mut self, bytes: &[u8], now: Moment) -> Taken {
        self.edges.clear();
        self.tape.arrived(bytes.len(), now);
        let mut taken = Taken::default();
        if self.carry.is_empty() {
            let used = self.cut(bytes, now, &mut taken);
            self.carry.hold(&bytes[used..]);
        } else {
            let joined = self.carry.join(bytes);
            let used = self.cut(&joined, now, &mut taken);
            self.carry.put_back(joined, used);
        }
        self.publish_edge();
        taken.objection = self.framer.objection();
        taken
    }

    /// Appends every whole frame of `input`; returns the bytes used.
    fn cut(&mut self, input: &[u8], now: Moment, taken: &mut Taken) -> usize {
        let mut used = 0;
        loop {
            let step = self.framer.step(&input[used..]);
            let bytes = &input[used..used + step.taken()];
            used += step.taken();
            match step {
                Step::More => return used,
                Step::Frame { duration_us, starts, rewritten, .. } => {
                    if !self.shown {
                        self.show(taken);
                        self.remember_preamble(taken);
                    }
                    self.frame(bytes, starts, rewritten, now);
                    self.play(duration_us, now);
                }
                Step::Head { .. } => {
                    // FLAC's head leaves open whether blocks vary: its first frame shows it.
                    if self.framer.signature().is_some() {
                        self.show(taken);
                    }
                    self.head(taken, now);
                    taken.tags = self.framer.take_tags().or(taken.tags.take());
                }
                Step::Tag { .. } => taken.tags = self.framer.take_tags().or(taken.tags.take()),
                Step::Junk { .. } => taken.junk += bytes.len() as u64,
            }
        }
    }

    /// Appends one unit of the stream.
    #[inline]
    fn frame(&mut self, bytes: &[u8], starts: bool, rewritten: bool, now: Moment) {
        if starts && self.is_far_from_last_start() {
            self.publish_edge();
            self.edge_starts = true;
        }
        self.tape.append(if rewritten { self.framer.written() } else { bytes }, now);
        self.appended = true;
    }

    /// Whether a start point here is not too near to the one before.
    fn is_far_from_last_start(&self) -> bool {
        let apart_us = START_POINTS_APART.as_micros() as u64;
        let last = self.edge_starts.then(|| self.timeline.end()).or_else(|| self.timeline.newest());
        last.is_none_or(|last| self.media_us - last.media_us >= apart_us)
    }

    /// Accounts for a unit's playing time.
    #[inline]
    fn play(&mut self, duration_us: u32, now: Moment) {
        let last = self.framed.replace(now).unwrap_or(now);
        self.media_us += match duration_us {
            // A format that does not tell its playing time: time as it passes.
            0 if self.framer.format().is_none() => now.since(last).as_micros() as u64,
            told => u64::from(told),
        };
    }

    /// What newcomers need first is new from here on; those who are on get it in the stream, where
    /// the format has a place for it.
    fn head(&mut self, taken: &mut Taken, now: Moment) {
        self.publish_edge();
        self.tape.append(self.framer.written(), now);
        self.appended |= !self.framer.written().is_empty();
        self.remember_preamble(taken);
    }

    /// The stream shows what it is: after another source, or with another head, that may be
    /// something else than before. Then nobody starts before the live edge any more.
    fn show(&mut self, taken: &mut Taken) {
        let kind = Kind::of(&self.framer);
        let fit = self.kind.replace(kind).map_or(Fit::Smooth, |last| last.fit(kind, self.shown));
        self.shown = true;
        if fit != Fit::Smooth {
            self.publish_edge();
            self.timeline.begin(self.timeline.end());
            (self.edge_starts, taken.seam) = (false, Some(fit));
        }
    }

    /// The parser's preamble holds from here on.
    fn remember_preamble(&mut self, taken: &mut Taken) {
        let (at, tail) = (self.tape.end(), self.tape.tail());
        taken.preambles += usize::from(self.preambles.renew(self.framer.preamble(), at, tail));
    }

    /// Publishes what was appended as a new live edge.
    fn publish_edge(&mut self) {
        if !std::mem::take(&mut self.appended) {
            return;
        }
        self.tape.publish();
        let end = SyncPoint { offset: self.tape.end(), media_us: self.media_us };
        let starts = std::mem::take(&mut self.edge_starts);
        self.timeline.advance(end, starts, START_POINTS_APART);
        self.tape.trim(self.keep_from());
        self.timeline.trim(self.tape.tail().max(self.preambles.known_from()));
        self.edges.push(Edge { end, starts });
    }

    /// The oldest byte that a newcomer's burst or a laggard may still need.
    pub fn keep_from(&self) -> u64 {
        let needed = self.timeline.lag_max(self.lag_bytes, self.burst);
        self.timeline.end().offset.saturating_sub(needed.min(WINDOW_BYTES_MAX))
    }

    /// The live edges the last [`Self::take`] or [`Self::end_source`] published.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Start points and live edge.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Preambles still needed, oldest first.
    pub fn preambles(&self) -> &Preambles {
        &self.preambles
    }

    /// The segments still kept, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.tape.segments()
    }

    /// The parser, for what it found out.
    pub fn framer(&self) -> &Framer {
        &self.framer
    }

    /// The same, to put a title into the stream.
    pub fn framer_mut(&mut self) -> &mut Framer {
        &mut self.framer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BURST: Burst = Burst::Time(Duration::from_secs(1));
    const LAG_BYTES: usize = 64 * 1024;

    fn ms(count: u64) -> Moment {
        Moment(count * 1_000)
    }

    /// Layer III at 44.1 kHz and 128 kbit/s without padding: 417 bytes that play 26,122 us.
    fn frames(count: usize) -> Vec<u8> {
        [&[0xFF, 0xFB, 0x90, 0x64][..], &[0x55; 413]].concat().repeat(count)
    }

    fn mp3() -> Stream {
        Stream::new("audio/mpeg", LAG_BYTES, BURST)
    }

    /// Everything published that is still in the window, with the offset it begins at.
    fn published(stream: &Stream) -> (u64, Vec<u8>) {
        let base = stream.segments().next().map_or(0, |oldest| oldest.base());
        let mut bytes: Vec<u8> =
            stream.segments().flat_map(|segment| segment.bytes().iter().copied()).collect();
        bytes.truncate((stream.timeline().end().offset - base) as usize);
        (base, bytes)
    }

    #[test]
    fn the_live_edge_stands_at_a_whole_frame_however_bytes_arrive() {
        let sent = frames(40);
        let mut at_once = mp3();
        at_once.take(&sent, ms(0));
        for piece_bytes in [1, 7, 416, 417, 418, 5_000] {
            let mut stream = mp3();
            for piece in sent.chunks(piece_bytes) {
                stream.take(piece, ms(0));
                assert_eq!(stream.timeline().end().offset % 417, 0);
                assert!(stream.edges().iter().all(|edge| edge.end.offset % 417 == 0));
            }
            assert_eq!(stream.timeline().end(), at_once.timeline().end());
            assert_eq!(published(&stream), published(&at_once));
        }
        assert_eq!(published(&at_once), (0, sent));
    }

    #[test]
    fn edges_of_one_call_are_start_points_a_tenth_of_a_second_apart() {
        let mut stream = mp3();
        stream.take(&frames(40), ms(0));
        let offsets: Vec<u64> = stream.edges().iter().map(|edge| edge.end.offset / 417).collect();
        assert_eq!(offsets, [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
        assert_eq!(stream.timeline().start(BURST, 0), Some(0));
        stream.take(b"", ms(1));
        assert!(stream.edges().is_empty());
    }

    #[test]
    fn junk_and_tags_are_left_out_and_junk_is_counted() {
        let mut stream = mp3();
        let mut sent = frames(4);
        sent.extend([0; 1_000]);
        sent.extend(frames(4));
        let taken = stream.take(&sent, ms(0));
        assert_eq!(taken, Taken { junk: 1_000, ..Taken::default() });
        assert_eq!(published(&stream), (0, frames(8)));
    }

    #[test]
    fn an_unfinished_frame_of_the_source_before_is_left_out() {
        let mut stream = mp3();
        let whole = frames(9);
        stream.take(&whole[..whole.len() - 100], ms(0));
        stream.end_source(ms(0));
        stream.continue_with("audio/mpeg");
        stream.take(&frames(3), ms(9_000));
        assert_eq!(published(&stream), (0, frames(11)));
    }

    #[test]
    fn a_window_holds_lag_and_burst_and_old_segments_go() {
        let mut stream = mp3();
        let mut now = 0;
        for _ in 0..4_000 {
            stream.take(&frames(4), ms(now));
            now += 104;
            let end = stream.timeline().end().offset;
            assert!(stream.keep_from() <= end.saturating_sub(LAG_BYTES as u64));
            let oldest = stream.segments().next().map_or(u64::MAX, |segment| segment.base());
            assert!(oldest <= stream.keep_from());
        }
        assert!(stream.segments().count() <= 3, "{}", stream.segments().count());
        assert!(stream.timeline().points().count() < 1_000);
    }

    #[test]
    fn time_goes_on_for_a_format_that_does_not_tell_it_when_its_source_returns() {
        let mut stream = Stream::new("application/octet-stream", LAG_BYTES, BURST);
        let feed = |stream: &mut Stream, seconds: std::ops::Range<u64>| {
            for tick in seconds.start * 10..seconds.end * 10 {
                stream.take(&[7; 500], ms(tick * 100));
            }
        };
        feed(&mut stream, 0..600);
        assert_eq!(stream.timeline().end().media_us, 599_900_000);
        stream.continue_with("application/octet-stream");
        feed(&mut stream, 605..610);
        let end = stream.timeline().end();
        // The gap was heard by nobody, so it does not play.
        assert_eq!(end.media_us, 604_800_000);
        assert_eq!(stream.timeline().start(BURST, 0), Some(end.offset - 5_000));
    }

    /// Where a player can start in what `stream` becomes, by its parser, 100 ms apart at least.
    fn starts(content_type: &str, stream: &[u8]) -> Vec<u64> {
        let mut framer = Framer::for_content_type(content_type);
        let (mut rest, mut out, mut played_us) = (stream, 0, 0);
        let mut starts: Vec<(u64, u64)> = Vec::new();
        loop {
            let step = framer.step(rest);
            let bytes = match step {
                Step::More => return starts.into_iter().map(|(at, _)| at).collect(),
                Step::Frame { bytes, duration_us, starts: true, .. } => {
                    if starts.last().is_none_or(|(_, last)| played_us - last >= 100_000) {
                        starts.push((out, played_us));
                    }
                    played_us += u64::from(duration_us);
                    bytes
                }
                Step::Frame { bytes, duration_us, .. } => {
                    played_us += u64::from(duration_us);
                    bytes
                }
                Step::Head { .. } => 0,
                Step::Tag { .. } | Step::Junk { .. } => 0,
            };
            let rewritten = matches!(step, Step::Frame { rewritten: true, .. } | Step::Head { .. });
            out += if rewritten { framer.written().len() as u64 } else { bytes as u64 };
            rest = &rest[step.taken()..];
        }
    }

    #[test]
    fn rare_start_points_are_kept_however_bytes_arrive() {
        let samples: [(&str, &[u8]); 3] = [
            ("video/mp2t", &include_bytes!("../../fuzz/corpus/mpegts/h264-aac")[1..]),
            ("video/mp2t", &include_bytes!("../../fuzz/corpus/mpegts/mp3")[1..]),
            ("video/webm", &include_bytes!("../../fuzz/corpus/matroska/film-live")[1..]),
        ];
        for (content_type, sample) in samples {
            let wanted = starts(content_type, sample);
            assert!(!wanted.is_empty(), "{content_type}");
            for piece_bytes in [1, 100, 188, 1_000, sample.len()] {
                let mut stream = Stream::new(content_type, LAG_BYTES, BURST);
                for piece in sample.chunks(piece_bytes) {
                    stream.take(piece, ms(0));
                }
                // What ends at a start point cannot be told before more bytes come.
                let found: Vec<u64> = stream.timeline().points().map(|p| p.offset).collect();
                assert_eq!(found, wanted, "{content_type} in pieces of {piece_bytes}");
            }
        }
    }

    #[test]
    fn a_source_of_flac_that_returns_joins_smoothly() {
        let sample = &include_bytes!("../../fuzz/corpus/flac/head-and-frames")[1..];
        let mut stream = Stream::new("audio/flac", LAG_BYTES, BURST);
        for round in 0..3 {
            let before = stream.timeline().end().offset;
            assert_eq!(stream.take(sample, ms(round)).seam, None, "round {round}");
            assert!(stream.timeline().end().offset > before);
            stream.end_source(ms(round));
            stream.continue_with("audio/flac");
        }
    }

    #[test]
    fn after_a_seam_nobody_starts_before_it() {
        let mut stream = mp3();
        stream.take(&frames(100), ms(0));
        let edge = stream.timeline().end().offset;
        // The same layer at 48 kHz: frames of 384 bytes.
        let other = [&[0xFF, 0xFB, 0x94, 0x64][..], &[0x55; 380]].concat().repeat(50);
        for (sent, content_type, seam) in [
            (&frames(40), "audio/mpeg", None),
            (&other, "audio/mpeg", Some(Fit::Announced)),
            (&vec![0x11; 100_000], "application/octet-stream", Some(Fit::Broken)),
        ] {
            stream.end_source(ms(0));
            stream.continue_with(content_type);
            let before = stream.timeline().end().offset;
            assert_eq!(stream.take(sent, ms(100)).seam, seam);
            stream.take(sent, ms(200));
            let oldest = stream.timeline().points().next().map(|point| point.offset);
            assert!(oldest.is_some_and(|oldest| (oldest >= before) == seam.is_some()), "{seam:?}");
            assert!(before >= edge);
        }
    }
}
