//! HOT PATH. Append-only buffers: the source core writes each byte of a stream once, then publishes
//! how far it got; listener cores send straight from the published part.
//!
//! It owns the memory and the one atomic that guards it. It never overwrites a published byte,
//! never moves, and never waits. [`SegmentWriter`] lives on the source core; an `Arc<Segment>`
//! travels to any core, and the last one to let go frees the memory.

#![allow(unsafe_code)]

use super::sync::{AtomicUsize, Ordering};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// One run of a stream's bytes, `capacity` long from stream offset `base`. Its published prefix
/// only ever grows, and never changes.
pub struct Segment {
    base: u64,
    /// INVARIANT, kept by [`SegmentWriter`]: the first `published` bytes of `memory` are written,
    /// and nobody writes them again.
    memory: Memory,
    /// Stored with Release by [`SegmentWriter::publish`] alone; its partner is the Acquire load in
    /// [`Segment::published`].
    published: AtomicUsize,
}

impl Segment {
    /// Stream offset of the first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Bytes that fit in.
    pub fn capacity(&self) -> usize {
        self.memory.capacity
    }

    /// Stream offset after the last byte that fits in: the base of the segment that follows.
    pub fn limit(&self) -> u64 {
        // Cannot wrap: `create` has checked the sum.
        self.base + self.memory.capacity as u64
    }

    /// Bytes that readers may see. Never shrinks.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// The published bytes, the first of them at stream offset [`base`](Self::base). What is in the
    /// slice never changes; a later call may return a longer one.
    pub fn bytes(&self) -> &[u8] {
        let published = self.published();
        // SAFETY: the invariant of `memory` says that these bytes are written and frozen. The
        // Acquire load has read a Release store of the writer, which came after it wrote them.
        unsafe { self.memory.prefix(published) }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("base", &self.base)
            .field("capacity", &self.capacity())
            .field("published", &self.published())
            .finish()
    }
}

/// The one writer of a [`Segment`]. Not `Clone`, and there is no other way to get one than with a
/// new segment: that makes "one writer" a matter of types.
#[derive(Debug)]
pub struct SegmentWriter {
    segment: Arc<Segment>,
    /// Bytes written so far; never below `published`, never above the capacity.
    appended: usize,
}

impl SegmentWriter {
    /// A new segment with room for `capacity` bytes from stream offset `base` on. Memory that was
    /// not written to yet costs address space only, apart from what the allocator has at hand.
    ///
    /// # Panics
    /// If `capacity` is zero or the segment would pass stream offset 2^64: sizes come from
    /// configuration checked against `limits`, and no stream lives that long. Aborts when memory is
    /// out.
    pub fn create(base: u64, capacity: usize) -> Self {
        assert!(capacity > 0, "a segment holds at least one byte");
        assert!(base.checked_add(capacity as u64).is_some(), "stream offsets stay below 2^64");
        let memory = Memory::allocate(capacity);
        let segment = Segment { base, memory, published: AtomicUsize::new(0) };
        Self { segment: Arc::new(segment), appended: 0 }
    }

    /// The segment, to be shared with readers. It may be shared before its first byte is published.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Bytes that still fit in.
    pub fn room(&self) -> usize {
        self.segment.memory.capacity - self.appended
    }

    /// Stream offset after the last appended byte.
    pub fn end(&self) -> u64 {
        self.segment.base + self.appended as u64
    }

    /// Writes as many of `bytes` as fit and returns how many that were: `min(bytes.len(), room())`.
    /// Readers do not see them before [`publish`](Self::publish).
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        // SAFETY: the range ends within the capacity by `room`. It begins at `appended`, which is
        // not below `published`, so that no reader looks at it; and `&mut self` is the only writer.
        unsafe { self.segment.memory.write(self.appended, &bytes[..taken]) };
        self.appended += taken;
        taken
    }

    /// Shows readers everything appended so far. One publish for a whole read of the source's
    /// socket is cheaper than one a frame: each of them takes the cache line away from the readers.
    pub fn publish(&mut self) {
        // Release: whoever sees this length with Acquire also sees the bytes below it.
        self.segment.published.store(self.appended, Ordering::Release);
    }
}

/// A page-aligned allocation without initial contents.
///
/// It is deliberately not zeroed. No byte is read before it was written, so zeroes would never be
/// seen; and for alignments above 16 the standard allocator zeroes by writing, which makes every
/// page resident at once and costs about 1 ms per MiB in one go on the source core.
struct Memory {
    /// INVARIANT: from `alloc` with `layout(capacity)`, freed in `drop` alone.
    start: NonNull<u8>,
    capacity: usize,
    #[cfg(floe_loom)]
    watch: super::sync::Watch,
}

// SAFETY: `Memory` owns its allocation as a `Box<[u8]>` would, and bytes are `Send`.
unsafe impl Send for Memory {}
// SAFETY: shared access goes through `write` and `prefix`, whose callers promise that a byte is
// written before it is shared and never again.
unsafe impl Sync for Memory {}

impl Memory {
    fn allocate(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: `create` has refused a capacity of zero, so the layout has a size.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self {
            start,
            capacity,
            #[cfg(floe_loom)]
            watch: super::sync::Watch::new(capacity),
        }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, PAGE_BYTES)
            .expect("segment sizes are bounded by limits, far below isize::MAX")
    }

    /// Copies `bytes` to `at`.
    ///
    /// # Safety
    /// `at + bytes.len()` is at most `capacity`; no byte of that range was given out by `prefix`;
    /// and no other thread writes at the same time.
    unsafe fn write(&self, at: usize, bytes: &[u8]) {
        #[cfg(floe_loom)]
        self.watch.written(at..at + bytes.len());
        // SAFETY: the caller keeps `at` within the allocation.
        let target = unsafe { self.start.as_ptr().add(at) };
        // SAFETY: the target range is inside the allocation, and `bytes` cannot overlap it, since
        // no reference to that range exists yet.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// The first `count` bytes.
    ///
    /// # Safety
    /// They were all written, that happened before this call, and nobody writes them again.
    unsafe fn prefix(&self, count: usize) -> &[u8] {
        #[cfg(floe_loom)]
        self.watch.read(0..count);
        // SAFETY: the bytes are inside the allocation, initialised and frozen, as the caller
        // promises; they live as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), count) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc` with the same layout, and this is its only end.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.capacity)) };
    }
}

/// Segments begin on a page, so that what is built for whole pages (registered buffers, zero-copy
/// sends) can use them as they are.
const PAGE_BYTES: usize = 4096;

#[cfg(all(test, not(floe_loom)))]
mod tests {
    use super::*;
    use std::thread;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|index| (index * 7 % 251) as u8).collect()
    }

    #[test]
    fn appended_bytes_are_hidden_until_published() {
        let mut writer = SegmentWriter::create(1_000, 16);
        assert_eq!(writer.append(b"abc"), 3);
        assert_eq!((writer.segment().published(), writer.end()), (0, 1_003));
        assert_eq!(writer.segment().bytes(), b"");
        writer.publish();
        assert_eq!(writer.segment().bytes(), b"abc");
        assert_eq!((writer.segment().base(), writer.segment().capacity()), (1_000, 16));
        assert_eq!(writer.segment().limit(), 1_016);
    }

    #[test]
    fn an_append_takes_what_fits_and_no_more() {
        let mut writer = SegmentWriter::create(0, 5);
        assert_eq!(writer.append(b"abc"), 3);
        assert_eq!(writer.room(), 2);
        assert_eq!(writer.append(b"defg"), 2);
        assert_eq!(writer.append(b"h"), 0);
        assert_eq!(writer.append(b""), 0);
        writer.publish();
        assert_eq!(writer.segment().bytes(), b"abcde");
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_segment() {
        let stream = bytes(300);
        for cut in 1..=stream.len() {
            let mut writer = SegmentWriter::create(9, stream.len());
            for piece in stream.chunks(cut) {
                assert_eq!(writer.append(piece), piece.len());
                writer.publish();
            }
            assert_eq!(writer.segment().bytes(), stream);
        }
    }

    #[test]
    fn a_slice_stays_as_it_was_while_the_segment_grows() {
        let mut writer = SegmentWriter::create(0, 8);
        writer.append(b"ab");
        writer.publish();
        let segment = Arc::clone(writer.segment());
        let before = segment.bytes();
        writer.append(b"cd");
        writer.publish();
        assert_eq!((before, segment.bytes()), (&b"ab"[..], &b"abcd"[..]));
    }

    #[test]
    fn segments_begin_on_a_page_and_outlive_their_writer() {
        for capacity in [1, 4095, 4096, 100_000] {
            let mut writer = SegmentWriter::create(0, capacity);
            writer.append(&bytes(capacity));
            writer.publish();
            let segment = Arc::clone(writer.segment());
            drop(writer);
            assert_eq!(segment.bytes().as_ptr().addr() % PAGE_BYTES, 0);
            assert_eq!(segment.bytes(), bytes(capacity));
        }
    }

    #[test]
    fn readers_on_other_threads_see_a_true_prefix_at_every_moment() {
        let stream = bytes(200_000);
        let mut writer = SegmentWriter::create(0, stream.len());
        thread::scope(|scope| {
            for _ in 0..2 {
                let segment = Arc::clone(writer.segment());
                let stream = &stream;
                scope.spawn(move || {
                    while segment.published() < stream.len() {
                        let seen = segment.bytes();
                        assert!(stream.starts_with(seen));
                        thread::yield_now();
                    }
                    assert_eq!(segment.bytes(), *stream);
                });
            }
            for piece in stream.chunks(1_013) {
                writer.append(piece);
                writer.publish();
            }
        });
    }

    #[test]
    #[should_panic(expected = "stream offsets stay below 2^64")]
    fn a_segment_past_the_last_offset_is_refused() {
        SegmentWriter::create(u64::MAX - 3, 4);
    }

    #[test]
    #[should_panic(expected = "at least one byte")]
    fn an_empty_segment_is_refused() {
        SegmentWriter::create(0, 0);
    }
}

#[cfg(all(test, floe_loom))]
mod models {
    use super::super::sync::model;
    use super::*;

    #[test]
    fn a_reader_never_sees_unpublished_or_torn_bytes() {
        model(|| {
            let mut writer = SegmentWriter::create(0, 4);
            let segment = Arc::clone(writer.segment());
            let reader = loom::thread::spawn(move || {
                let first = segment.bytes();
                let second = segment.bytes();
                assert!(b"abcd".starts_with(first) && second.starts_with(first));
                assert!([0, 2, 4].contains(&first.len()) && [0, 2, 4].contains(&second.len()));
            });
            for pair in [b"ab", b"cd"] {
                assert_eq!(writer.append(pair), 2);
                writer.publish();
            }
            reader.join().unwrap();
        });
    }

    /// The canary: the same shape with a Relaxed publish must be caught, or the models prove
    /// nothing.
    #[test]
    #[should_panic(expected = "Causality violation")]
    fn a_relaxed_publish_is_caught() {
        model(|| {
            let segment = SegmentWriter::create(0, 1).segment;
            let shared = Arc::clone(&segment);
            let reader = loom::thread::spawn(move || shared.bytes().len());
            // SAFETY: one byte of capacity, one writer, and nothing published before.
            unsafe { segment.memory.write(0, b"a") };
            segment.published.store(1, Ordering::Relaxed);
            let _ = reader.join();
        });
    }
}
