//! HOT PATH
//! The segments that one mount's stream is written into, once: bytes are appended, then published.
//! Runs on the source core.

use std::sync::Arc;

use crate::base::Moment;
use crate::base::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_SPAN};
use crate::ring::{Segment, SegmentWriter, Window};

/// One mount's segments.
pub(super) struct Tape {
    writer: SegmentWriter,
    window: Window,
    /// When the present source's first bytes came, and how many have come since: the rate that
    /// segments are sized by.
    began: Option<(Moment, u64)>,
}

impl Tape {
    /// An empty tape at offset 0.
    pub(super) fn new() -> Self {
        let writer = SegmentWriter::create(0, SEGMENT_BYTES_MIN);
        let mut window = Window::new();
        window.push(Arc::clone(writer.segment()));
        Self { writer, window, began: None }
    }

    /// Another source begins, at a rate of its own.
    pub(super) fn next_source(&mut self) {
        self.began = None;
    }

    /// So many bytes came from the source.
    pub(super) fn arrived(&mut self, bytes: usize, now: Moment) {
        let (began, so_far) = self.began.unwrap_or((now, 0));
        self.began = Some((began, so_far + bytes as u64));
    }

    /// Appends bytes; nobody sees them before they are published.
    #[inline]
    pub(super) fn append(&mut self, mut bytes: &[u8], now: Moment) {
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

    /// Publishes what was appended.
    pub(super) fn publish(&mut self) {
        self.writer.publish();
    }

    /// Offset behind the last byte appended.
    pub(super) fn end(&self) -> u64 {
        self.writer.end()
    }

    /// Offset of the oldest byte kept.
    pub(super) fn tail(&self) -> u64 {
        self.window.tail()
    }

    /// Drops segments that lie wholly before `keep_from`.
    pub(super) fn trim(&mut self, keep_from: u64) {
        self.window.trim(keep_from);
    }

    /// The segments still kept, oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.window.segments()
    }

    /// The next segment holds about [`SEGMENT_SPAN`] of the stream at its rate so far.
    fn next_capacity(&self, now: Moment) -> usize {
        let (began, bytes) = self.began.unwrap_or((now, 0));
        let seconds = now.since(began).as_secs_f64().max(1.0);
        let wanted = bytes as f64 / seconds * SEGMENT_SPAN.as_secs_f64();
        (wanted as usize).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_grow_to_hold_seconds_of_a_fast_stream() {
        let mut tape = Tape::new();
        for tick in 0..200 {
            let now = Moment(tick * 50_000);
            tape.arrived(20_000, now);
            tape.append(&[7; 20_000], now);
        }
        let newest = tape.segments().last().expect("a tape has a segment").capacity();
        // 400,000 bytes a second for eight seconds.
        assert_eq!(newest, SEGMENT_BYTES_MAX);
    }
}
