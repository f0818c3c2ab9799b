//! HOT PATH. The run of contiguous segments that one core keeps of one stream: from the oldest
//! offset that a burst or a laggard may still want to the newest byte.
//!
//! It owns references, never bytes. Each core has its own window and trims it alone; it is not
//! shared. Looking up allocates nothing; taking in a segment may grow the list, once per segment.

use super::segment::Segment;
use std::collections::VecDeque;
use std::sync::Arc;

/// Contiguous segments, oldest first.
#[derive(Debug, Default)]
pub struct Window {
    /// INVARIANT: each entry begins where the one before it ends.
    held: VecDeque<Held>,
}

/// The base stands beside the pointer so that a search touches the list alone, not the segments:
/// those lie on cache lines that the writer or other cores have just used.
#[derive(Debug)]
struct Held {
    base: u64,
    segment: Arc<Segment>,
}

impl Window {
    /// A window without segments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the segment that follows. The first one may begin anywhere.
    ///
    /// # Panics
    /// If it does not begin where the newest one ends: the source core opens segments in order and
    /// lanes keep it, so a gap is a broken promise of our own, and its bytes would be sent as
    /// garbage.
    pub fn push(&mut self, segment: Arc<Segment>) {
        let base = segment.base();
        if let Some(newest) = self.held.back() {
            assert_eq!(base, newest.segment.limit(), "segments follow each other without a gap");
        }
        self.held.push_back(Held { base, segment });
    }

    /// The oldest stream offset still here; 0 while there is no segment.
    pub fn tail(&self) -> u64 {
        self.held.front().map_or(0, |oldest| oldest.base)
    }

    /// The stream offset after the newest published byte; 0 while there is no segment.
    pub fn head(&self) -> u64 {
        self.held.back().map_or(0, |newest| newest.base + newest.segment.published() as u64)
    }

    /// Published bytes from stream offset `offset` on: not past `end`, and not past the end of the
    /// segment that holds `offset`, so that a range over two segments takes two calls. Empty if
    /// there is nothing between the two, or if `offset` is before the tail or past the head.
    pub fn at(&self, offset: u64, end: u64) -> &[u8] {
        let Some(Held { base, segment }) = self.holder(offset) else { return &[] };
        let bytes = segment.bytes();
        // Both are capped by the length before they become indices, so that nothing is cut off.
        let index = |offset: u64| offset.saturating_sub(*base).min(bytes.len() as u64) as usize;
        bytes.get(index(offset)..index(end)).unwrap_or(&[])
    }

    /// Drops segments that lie wholly before `keep_from`. The newest always stays: its writer may
    /// be in the middle of it, and the next segment must find its predecessor.
    pub fn trim(&mut self, keep_from: u64) {
        // The second segment's base is the first one's end.
        while self.held.get(1).is_some_and(|second| second.base <= keep_from) {
            self.held.pop_front();
        }
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> + ExactSizeIterator {
        self.held.iter().map(|held| &held.segment)
    }

    /// Whether there is no segment here.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The segment that covers `offset`, published or not. Nearly every listener is in the newest
    /// one or in the one before it; the others cost a binary search.
    fn holder(&self, offset: u64) -> Option<&Held> {
        let mut near = self.held.iter().rev().take(NEAR_SEGMENTS);
        if let Some(held) = near.find(|held| held.base <= offset) {
            return (offset < held.segment.limit()).then_some(held);
        }
        let after = self.held.partition_point(|held| held.base <= offset);
        self.held.get(after.checked_sub(1)?)
    }
}

/// Segments looked at from the back before the search turns binary. With one, every listener would
/// pay for the search just after a new segment was opened; more only delays it for laggards.
const NEAR_SEGMENTS: usize = 2;

#[cfg(all(test, not(floe_loom)))]
mod tests {
    use super::super::segment::SegmentWriter;
    use super::*;

    /// Segments of 4, 3, 5 and 6 bytes from offset 100, filled with the low byte of their offsets;
    /// the last one is published up to offset 114.
    fn window() -> (Window, SegmentWriter) {
        let mut window = Window::new();
        let mut base = 100;
        for capacity in [4, 3, 5] {
            let mut writer = SegmentWriter::create(base, capacity);
            fill(&mut writer, capacity);
            base = writer.end();
            window.push(Arc::clone(writer.segment()));
        }
        let mut newest = SegmentWriter::create(base, 6);
        fill(&mut newest, 2);
        window.push(Arc::clone(newest.segment()));
        (window, newest)
    }

    fn fill(writer: &mut SegmentWriter, count: usize) {
        for _ in 0..count {
            let byte = writer.end() as u8;
            assert_eq!(writer.append(&[byte]), 1);
        }
        writer.publish();
    }

    #[test]
    fn an_empty_window_has_no_bytes_and_no_bounds() {
        let mut window = Window::new();
        assert!(window.is_empty());
        assert_eq!((window.tail(), window.head()), (0, 0));
        assert_eq!(window.at(0, u64::MAX), b"");
        window.trim(u64::MAX);
        assert_eq!(window.segments().len(), 0);
    }

    #[test]
    fn every_range_reads_the_same_bytes_piece_by_piece() {
        let (window, _newest) = window();
        assert_eq!((window.tail(), window.head()), (100, 114));
        for from in 100..=114 {
            for end in from..=120 {
                let mut offset = from;
                while offset < end.min(114) {
                    let piece = window.at(offset, end);
                    assert!(!piece.is_empty() && piece.len() as u64 <= end - offset);
                    for byte in piece {
                        assert_eq!(u64::from(*byte), offset);
                        offset += 1;
                    }
                }
                assert_eq!(window.at(offset, end), b"");
            }
        }
    }

    #[test]
    fn offsets_outside_the_window_read_nothing() {
        let (window, _newest) = window();
        for (offset, end) in
            [(0, 200), (99, 200), (114, 200), (117, 200), (118, 200), (u64::MAX, u64::MAX)]
        {
            assert_eq!(window.at(offset, end), b"", "{offset}..{end}");
        }
        assert_eq!(window.at(105, 102), b"");
        assert_eq!(window.at(113, 0), b"");
        assert_eq!(window.at(113, u64::MAX), [113]);
    }

    #[test]
    fn a_publish_moves_the_head_without_a_push() {
        let (window, mut newest) = window();
        fill(&mut newest, 3);
        assert_eq!(window.head(), 117);
        assert_eq!(window.at(112, 200), [112, 113, 114, 115, 116]);
    }

    #[test]
    fn trimming_keeps_every_byte_from_the_mark_on_and_the_newest_segment() {
        for keep_from in 0..130 {
            let (mut window, _newest) = window();
            window.trim(keep_from);
            assert_eq!(window.head(), 114);
            for offset in keep_from.max(100)..114 {
                assert_eq!(u64::from(window.at(offset, 114)[0]), offset);
            }
            let tail = [100, 104, 107, 112].into_iter().rev().find(|base| *base <= keep_from);
            assert_eq!(window.tail(), tail.unwrap_or(100));
        }
    }

    #[test]
    fn a_trimmed_window_frees_its_segments() {
        let (mut window, newest) = window();
        let oldest = Arc::downgrade(window.segments().next().unwrap());
        window.trim(newest.end());
        assert!(oldest.upgrade().is_none());
        assert_eq!(window.segments().next_back().unwrap().base(), 112);
    }

    #[test]
    #[should_panic(expected = "without a gap")]
    fn a_gap_between_segments_is_a_broken_promise() {
        let (mut window, _newest) = window();
        window.push(Arc::clone(SegmentWriter::create(119, 4).segment()));
    }
}
