//! The source's side of a simulated mount: frames that say where they stand, in real segments, and
//! a lane to one listener core that delivers late, and holds edges back when it is full.
//!
//! A frame is `0xF1`, its own offset and its length in groups of seven bits, and filler that
//! follows from each byte's offset. `0xF1` stands nowhere else, so a listener who counts nothing
//! can tell from the bytes alone what it got.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use floe::base::Moment;
use floe::base::limits::{START_POINTS_APART, TITLES_KEPT_MAX};
use floe::domain::bus::{TitleAt, TitleBlock, WindowStart};
use floe::domain::listener::{SyncPoint, Timeline};
use floe::domain::preamble::Preambles;
use floe::edge::feed::{Feed, FeedRules};
use floe::proto::icy;
use floe::proto::title::Title;
use floe::ring::{Segment, SegmentWriter, Window};

use crate::random::Random;
use crate::truth::Truth;

/// First byte of every frame.
pub const MARK: u8 = 0xF1;
/// Bytes of a frame before its filler: the mark, nine groups of offset, three of length.
pub const HEADER_BYTES: usize = 13;

pub fn filler(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9) >> 13) as u8 & 0x7F
}

fn groups(value: u64, count: u32) -> impl Iterator<Item = u8> {
    (0..count).rev().map(move |group| (value >> (7 * group)) as u8 & 0x7F)
}

pub fn number(groups: &[u8]) -> u64 {
    groups.iter().fold(0, |value, group| value << 7 | u64::from(*group))
}

fn frame(offset: u64, bytes: usize) -> Vec<u8> {
    let mut frame = vec![MARK];
    frame.extend(groups(offset, 9));
    frame.extend(groups(bytes as u64, 3));
    frame.extend((frame.len()..bytes).map(|index| filler(offset + index as u64)));
    frame
}

/// What the source core tells a listener core.
enum Message {
    Window(WindowStart),
    Segment(Arc<Segment>),
    Advance(SyncPoint, u64),
    Title(TitleAt),
}

pub struct Studio {
    rules: FeedRules,
    writer: SegmentWriter,
    segment_bytes: usize,
    window: Window,
    timeline: Timeline,
    titles: Vec<TitleAt>,
    lane: VecDeque<(Moment, Message)>,
    lane_messages: usize,
    /// End of the last segment the core was given.
    segments_to: u64,
    /// Whether an edge was held back.
    held: bool,
    truth: Rc<Truth>,
}

impl Studio {
    pub fn new(rules: FeedRules, random: &mut Random, truth: Rc<Truth>) -> Self {
        // As in the server, no edge lies further than one segment from the edge before it.
        let segment_bytes = random.between(8_000, 40_000) as usize;
        let writer = SegmentWriter::create(0, segment_bytes);
        let mut window = Window::new();
        window.push(Arc::clone(writer.segment()));
        let mut studio = Self {
            rules,
            writer,
            segment_bytes,
            window,
            timeline: Timeline::default(),
            titles: Vec::new(),
            lane: VecDeque::new(),
            lane_messages: random.between(2, 40) as usize,
            segments_to: 0,
            held: false,
            truth,
        };
        studio.remember("");
        studio
    }

    /// The core subscribes: it gets everything a newcomer can be given.
    pub fn subscribe(&mut self, arrives: Moment) {
        let segments: Vec<_> = self.window.segments().map(Arc::clone).collect();
        self.segments_to = segments.last().map_or(0, |last| last.limit());
        let (timeline, titles) = (self.timeline.clone(), self.titles.clone());
        let start = WindowStart { segments, timeline, titles, preambles: Preambles::default() };
        self.lane.push_back((arrives, Message::Window(start)));
    }

    /// Publishes frames that play `span` in all, at `bytes_per_second`.
    pub fn publish(
        &mut self,
        span: Duration,
        bytes_per_second: u64,
        random: &mut Random,
        arrives: Moment,
    ) {
        let frame_us = random.between(5_000, 60_000);
        let frames = (span.as_micros() as u64 / frame_us).max(1);
        let fair = (bytes_per_second * frame_us / 1_000_000).max(HEADER_BYTES as u64);
        let mut media_us = self.timeline.end().media_us;
        for _ in 0..frames {
            let bytes = random.between((fair / 2).max(HEADER_BYTES as u64), fair * 3 / 2 + 13);
            self.append(&frame(self.writer.end(), bytes as usize));
            media_us += frame_us;
            let since_edge = media_us - self.timeline.end().media_us;
            if since_edge >= START_POINTS_APART.as_micros() as u64 {
                self.edge(media_us, arrives);
            }
        }
        if self.timeline.end().offset < self.writer.end() {
            self.edge(media_us, arrives);
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.writer.room() == 0 {
                self.writer.publish();
                self.writer = SegmentWriter::create(self.writer.end(), self.segment_bytes);
                self.window.push(Arc::clone(self.writer.segment()));
            }
            let count = self.writer.append(bytes);
            bytes = &bytes[count..];
        }
    }

    fn edge(&mut self, media_us: u64, arrives: Moment) {
        self.writer.publish();
        let end = SyncPoint { offset: self.writer.end(), media_us };
        self.timeline.advance(end, true, START_POINTS_APART);
        self.window.trim(self.keep_from());
        self.timeline.trim(self.window.tail());
        self.truth.edge(end);
        self.tell(arrives);
    }

    fn keep_from(&self) -> u64 {
        let lag_max = self.timeline.lag_max(self.rules.lag_bytes, self.rules.burst);
        self.timeline.end().offset.saturating_sub(lag_max)
    }

    /// Tells the core of the newest edge and of the segment it lies in.
    fn tell(&mut self, arrives: Moment) {
        // What is held back goes first: it is the older.
        if self.held || self.lane.len() >= self.lane_messages {
            self.held = true;
            return;
        }
        for segment in self.window.segments() {
            if segment.base() >= self.segments_to {
                self.segments_to = segment.limit();
                self.lane.push_back((arrives, Message::Segment(Arc::clone(segment))));
            }
        }
        let advance = Message::Advance(self.timeline.end(), self.keep_from());
        self.lane.push_back((arrives, advance));
    }

    /// A title holds from the live edge on.
    pub fn title(&mut self, text: &str, arrives: Moment) {
        // Beyond this many within one window the oldest are forgotten, which is allowed but cannot
        // be told from a wrong title.
        if self.titles.len() + 1 < TITLES_KEPT_MAX {
            let title = self.remember(text);
            self.lane.push_back((arrives, Message::Title(title)));
        }
    }

    fn remember(&mut self, text: &str) -> TitleAt {
        let title = Title { text: text.to_owned(), ..Title::default() };
        let block = icy::meta_block(&title);
        let told = TitleAt {
            at: self.timeline.end().offset,
            serial: self.titles.last().map_or(1, |last| last.serial + 1),
            block: Arc::new(TitleBlock { title, block }),
        };
        self.titles.push(told.clone());
        let tail = self.window.tail();
        while self.titles.get(1).is_some_and(|next| next.at <= tail) {
            self.titles.remove(0);
        }
        self.truth.title(told.at, Arc::clone(&told.block));
        told
    }

    /// Delivers what has arrived by `now`. Says whether a window was among it.
    pub fn deliver(&mut self, feed: &mut Feed, now: Moment) -> bool {
        let mut started = false;
        while self.lane.front().is_some_and(|(arrives, _)| *arrives <= now) {
            let Some((_, message)) = self.lane.pop_front() else { break };
            match message {
                Message::Window(start) => {
                    self.truth.window(&start);
                    feed.start(start);
                    started = true;
                }
                Message::Segment(segment) => {
                    self.truth.segment(&segment);
                    feed.open(segment);
                }
                Message::Advance(end, keep_from) => {
                    self.truth.delivered(end, keep_from);
                    feed.advance(end, true, keep_from);
                }
                Message::Title(title) => feed.title(title),
            }
        }
        if self.held && self.lane.len() < self.lane_messages {
            self.catch_up(now);
        }
        started
    }

    /// The lane has room again: the core is told the newest edge, or starts anew if what it has
    /// does not reach the window any more.
    fn catch_up(&mut self, now: Moment) {
        self.held = false;
        if self.window.tail() > self.segments_to {
            self.truth.lost();
            self.subscribe(now);
        } else {
            self.tell(now);
        }
    }

    /// Whether the core has been told everything.
    pub fn is_heard(&self) -> bool {
        self.lane.is_empty() && !self.held
    }
}
