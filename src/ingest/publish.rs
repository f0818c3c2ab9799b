//! HOT PATH
//! A mount's stream on the source core: bytes come in, are cut at frames and appended to the
//! current segment, once. What is published always ends at a whole frame.

use std::sync::Arc;

use crate::base::Moment;
use crate::base::limits::{
    SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_SPAN, SOURCE_READ_BYTES, START_POINTS_APART,
    WINDOW_BYTES_MAX,
};
use crate::config::Burst;
use crate::domain::listener::{SyncPoint, Timeline};
use crate::media::{Framer, Step};
use crate::ring::{Segment, SegmentWriter, Window};

/// One mount's stream.
pub struct Stream {
    framer: Framer,
    /// The beginning of a frame whose rest has not come.
    carry: Vec<u8>,
    writer: SegmentWriter,
    window: Window,
    timeline: Timeline,
    /// Live edges of the present call, in order, each a start point for what follows it.
    edges: Vec<SyncPoint>,
    media_us: u64,
    /// When the present source sent its last frame: what tells playing time where frames do not.
    framed: Option<Moment>,
    /// Bytes appended but not yet a published edge.
    appended: bool,
    lag_bytes: u64,
    burst: Burst,
    /// When the first bytes came, and how many have come since: the rate segments are sized by.
    began: Option<(Moment, u64)>,
}

/// Bytes that were left out of the stream in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that were not audio.
    pub junk: u64,
}

impl Stream {
    /// An empty stream of `content_type` that keeps what a laggard within `lag_bytes` or a
    /// newcomer's burst may need.
    pub fn new(content_type: &str, lag_bytes: usize, burst: Burst) -> Self {
        let writer = SegmentWriter::create(0, SEGMENT_BYTES_MIN);
        let mut window = Window::new();
        window.push(Arc::clone(writer.segment()));
        Self {
            framer: Framer::for_content_type(content_type),
            carry: Vec::with_capacity(2 * SOURCE_READ_BYTES),
            writer,
            window,
            timeline: Timeline::default(),
            edges: Vec::with_capacity(64),
            media_us: 0,
            framed: None,
            appended: false,
            lag_bytes: lag_bytes as u64,
            burst,
            began: None,
        }
    }

    /// A new source continues the stream: the old one's unfinished frame is left out, so that the
    /// two join at whole frames.
    pub fn continue_with(&mut self, content_type: &str) {
        self.framer = Framer::for_content_type(content_type);
        self.carry.clear();
        self.framed = None;
        self.began = None;
    }

    /// What comes cannot follow what was: nobody starts before the live edge any more.
    pub fn begin_anew(&mut self) {
        self.timeline.begin(self.timeline.end());
    }

    /// Takes a source's bytes. The new live edges are in [`Self::edges`] until the next call.
    pub fn take(&mut self, bytes: &[u8], now: Moment) -> Taken {
        self.edges.clear();
        let (began, so_far) = self.began.unwrap_or((now, 0));
        self.began = Some((began, so_far + bytes.len() as u64));
        let mut taken = Taken::default();
        if self.carry.is_empty() {
            let used = self.cut(bytes, now, &mut taken);
            self.carry.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(bytes);
            let used = self.cut(&joined, now, &mut taken);
            joined.drain(..used);
            self.carry = joined;
        }
        self.publish_edge();
        taken
    }

    /// Appends every whole frame of `input`; returns the bytes used.
    fn cut(&mut self, input: &[u8], now: Moment, taken: &mut Taken) -> usize {
        let mut used = 0;
        while used < input.len() {
            match self.framer.step(&input[used..]) {
                Step::More => break,
                Step::Frame { bytes, duration_us, .. } => {
                    self.append(&input[used..used + bytes], now);
                    used += bytes;
                    self.appended = true;
                    let since_last = now.since(self.framed.replace(now).unwrap_or(now));
                    self.media_us += match duration_us {
                        // A format that does not tell its playing time: time as it passes.
                        0 => since_last.as_micros() as u64,
                        told => u64::from(told),
                    };
                    let edge_us = self.timeline.end().media_us;
                    if self.media_us - edge_us >= START_POINTS_APART.as_micros() as u64 {
                        self.publish_edge();
                    }
                }
                Step::Head { bytes } | Step::Tag { bytes } => used += bytes,
                Step::Junk { bytes } => {
                    used += bytes;
                    taken.junk += bytes as u64;
                }
            }
        }
        used
    }

    fn append(&mut self, mut bytes: &[u8], now: Moment) {
        while !bytes.is_empty() {
            if self.writer.room() == 0 {
                self.writer.publish();
                self.writer = SegmentWriter::create(self.writer.end(), self.next_capacity(now));
                self.window.push(Arc::clone(self.writer.segment()));
            }
            let count = self.writer.append(bytes);
            bytes = &bytes[count..];
        }
    }

    /// Publishes what was appended as a new live edge.
    fn publish_edge(&mut self) {
        if !std::mem::take(&mut self.appended) {
            return;
        }
        self.writer.publish();
        let end = SyncPoint { offset: self.writer.end(), media_us: self.media_us };
        self.timeline.advance(end, true, START_POINTS_APART);
        self.window.trim(self.keep_from());
        self.timeline.trim(self.window.tail());
        self.edges.push(end);
    }

    /// The oldest byte that a newcomer's burst or a laggard may still need.
    pub fn keep_from(&self) -> u64 {
        let needed = self.timeline.lag_max(self.lag_bytes, self.burst);
        self.timeline.end().offset.saturating_sub(needed.min(WINDOW_BYTES_MAX))
    }

    /// The next segment holds about [`SEGMENT_SPAN`] of the stream at its rate so far.
    fn next_capacity(&self, now: Moment) -> usize {
        let (began, bytes) = self.began.unwrap_or((now, 0));
        let seconds = now.since(began).as_secs_f64().max(1.0);
        let wanted = bytes as f64 / seconds * SEGMENT_SPAN.as_secs_f64();
        (wanted as usize).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_power_of_two()
    }

    /// The live edges the last [`Self::take`] published.
    pub fn edges(&self) -> &[SyncPoint] {
        &self.edges
    }

    /// Start points and live edge.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The segments still kept, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.window.segments()
    }

    /// The parser, for what it found out.
    pub fn framer(&self) -> &Framer {
        &self.framer
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
                assert!(stream.edges().iter().all(|edge| edge.offset % 417 == 0));
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
        let offsets: Vec<u64> = stream.edges().iter().map(|edge| edge.offset / 417).collect();
        assert_eq!(offsets, [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
        assert_eq!(stream.timeline().start(BURST, 0), 0);
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
        assert_eq!(taken, Taken { junk: 1_000 });
        assert_eq!(published(&stream), (0, frames(8)));
    }

    #[test]
    fn an_unfinished_frame_of_the_source_before_is_left_out() {
        let mut stream = mp3();
        let whole = frames(9);
        stream.take(&whole[..whole.len() - 100], ms(0));
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
    fn segments_grow_to_hold_seconds_of_a_fast_stream() {
        let mut stream = Stream::new("video/webm", LAG_BYTES, BURST);
        for tick in 0..200 {
            stream.take(&[7; 20_000], ms(tick * 50));
        }
        let newest = stream.segments().last().expect("a stream has a segment").capacity();
        // 400,000 bytes a second for eight seconds.
        assert_eq!(newest, SEGMENT_BYTES_MAX);
    }

    #[test]
    fn time_goes_on_for_a_format_that_does_not_tell_it_when_its_source_returns() {
        let mut stream = Stream::new("application/ogg", LAG_BYTES, BURST);
        let feed = |stream: &mut Stream, seconds: std::ops::Range<u64>| {
            for tick in seconds.start * 10..seconds.end * 10 {
                stream.take(&[7; 500], ms(tick * 100));
            }
        };
        feed(&mut stream, 0..600);
        assert_eq!(stream.timeline().end().media_us, 599_900_000);
        stream.continue_with("application/ogg");
        feed(&mut stream, 605..610);
        let end = stream.timeline().end();
        // The gap was heard by nobody, so it does not play.
        assert_eq!(end.media_us, 604_800_000);
        assert_eq!(end.offset - stream.timeline().start(BURST, 0), 5_000);
    }

    #[test]
    fn after_a_new_beginning_nobody_starts_before_it() {
        let mut stream = mp3();
        stream.take(&frames(100), ms(0));
        stream.continue_with("audio/aac");
        stream.begin_anew();
        let edge = stream.timeline().end().offset;
        assert_eq!(stream.timeline().start(Burst::Bytes(1 << 20), 0), edge);
        stream.take(&[0x11; 100_000], ms(100));
        assert!(stream.timeline().points().all(|point| point.offset >= edge));
    }
}
