//! What this room's tests share: a pretended socket and a stream to send. Tests only.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{CloseReason, ListenerId, Moment};
use crate::config::{Burst, Lag};
use crate::domain::bus::{TitleAt, TitleBlock, WindowStart};
use crate::domain::listener::{SyncPoint, Timeline};
use crate::domain::preamble::{PreambleAt, Preambles};
use crate::proto::icy;
use crate::proto::title::Title;
use crate::ring::SegmentWriter;
use crate::rt::wire::Sent;

use super::feed::{Feed, FeedRules};
use super::row::{Newcomer, Row, Transmit};

/// A socket that takes what fits and keeps it.
#[derive(Debug, Default)]
pub(super) struct Taker {
    /// Everything it took.
    pub(super) taken: Vec<u8>,
    /// Bytes it still takes.
    pub(super) room: usize,
    /// Most bytes it takes at once; 0 = no limit.
    pub(super) bite: usize,
    /// Times it was offered something.
    pub(super) sends: usize,
    /// What the next send comes to, if it fails.
    pub(super) gone: Option<CloseReason>,
    /// Whether its peer has closed.
    pub(super) left: bool,
}

impl Transmit for Taker {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        self.send_pieces(&[IoSlice::new(bytes)])
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Sent {
        self.sends += 1;
        if let Some(reason) = self.gone {
            return Sent::Gone(reason);
        }
        let bite = if self.bite == 0 { usize::MAX } else { self.bite };
        let before = self.taken.len();
        for piece in pieces {
            let left = self.room.min(bite - (self.taken.len() - before)).min(piece.len());
            self.taken.extend_from_slice(&piece[..left]);
            self.room -= left;
        }
        match self.taken.len() - before {
            0 => Sent::Full,
            count => Sent::Bytes(count),
        }
    }

    fn peer_left(&mut self) -> bool {
        self.left
    }
}

/// The listener `id` with `room` in its socket and a block every `interval` bytes.
pub(super) fn row(id: u64, room: usize, interval: u32, now: Moment) -> Row<Taker> {
    let taker = Taker { room, ..Taker::default() };
    let newcomer = Newcomer { id: ListenerId(id), icy_interval: interval, ..Newcomer::default() };
    Row::new(taker, newcomer, now)
}

/// The byte at an offset of the stream.
pub(super) fn byte_at(offset: u64) -> u8 {
    (offset % 251) as u8
}

/// The bytes of a stretch of the stream.
pub(super) fn bytes_of(stretch: std::ops::Range<u64>) -> Vec<u8> {
    stretch.map(byte_at).collect()
}

/// Writes a stream and tells one feed of it. Each call of [`Self::publish`] is one frame.
pub(super) struct Studio {
    writer: SegmentWriter,
    media_us: u64,
    titles: u32,
}

/// Small, so that tests cross from one segment to the next.
const SEGMENT_BYTES: usize = 64 * 1024;

impl Studio {
    pub(super) fn new() -> Self {
        Self { writer: SegmentWriter::create(0, SEGMENT_BYTES), media_us: 0, titles: 0 }
    }

    /// A feed without its window.
    pub(super) fn not_ready() -> Feed {
        Feed::new(FeedRules {
            lag_bytes: 128 * 1024,
            lag: Lag::Skip,
            burst: Burst::Bytes(8_000),
            burst_max: Burst::Bytes(40_000),
            stall_timeout: Duration::from_secs(30),
            max_duration: Duration::ZERO,
        })
    }

    /// A feed that has all there is, which must be nothing yet.
    pub(super) fn feed(&mut self) -> Feed {
        let mut feed = Self::not_ready();
        feed.start(WindowStart {
            segments: vec![Arc::clone(self.writer.segment())],
            timeline: Timeline::default(),
            titles: Vec::new(),
            preambles: Preambles::default(),
        });
        feed
    }

    /// Publishes `count` bytes that play a tenth of a second.
    pub(super) fn publish(&mut self, count: usize, feed: &mut Feed) {
        let from = self.writer.end();
        for byte in bytes_of(from..from + count as u64) {
            if self.writer.room() == 0 {
                self.writer.publish();
                self.writer = SegmentWriter::create(self.writer.end(), SEGMENT_BYTES);
                feed.open(Arc::clone(self.writer.segment()));
            }
            self.writer.append(&[byte]);
        }
        self.writer.publish();
        self.media_us += 100_000;
        let end = SyncPoint { offset: self.writer.end(), media_us: self.media_us };
        feed.advance(end, true, end.offset.saturating_sub(512 * 1024));
    }

    /// What newcomers are sent first from the live edge on.
    pub(super) fn preamble(&mut self, bytes: &[u8], feed: &mut Feed) {
        feed.preamble(PreambleAt { at: self.writer.end(), bytes: Arc::new(bytes.to_vec()) });
    }

    /// Sets a title from the live edge on; gives its block.
    pub(super) fn title(&mut self, text: &str, feed: &mut Feed) -> Vec<u8> {
        self.titles += 1;
        let title = Title { text: text.to_owned(), ..Title::default() };
        let block = icy::meta_block(&title);
        let told = TitleBlock { title, block: block.clone() };
        feed.title(TitleAt { at: self.writer.end(), serial: self.titles, block: Arc::new(told) });
        block
    }
}
