//! What the room `ring` costs, beside the alternatives that `docs/decisions/0002-segments.md` and
//! `0003-lanes.md` weighed. Numbers of two machines do not compare; ratios of one run do.
//!
//! `cargo bench --bench ring`

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use floe::ring::{Census, Doorbell, Gauge, Segment, SegmentWriter, Window, lane};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};

fn main() {
    divan::main();
}

/// A frame of MP3 at 128 kbit/s, the bytes that one read of a fast source brings, and a full send.
const FRAME_BYTES: usize = 417;
const READ_BYTES: usize = 16 * 1024;
const SEND_BYTES: usize = 16 * 1024;
const SEGMENT_BYTES: usize = 1024 * 1024;
const BATCH: usize = 64;

/// Opens a segment and fills it piece by piece, each published: with the page faults of new memory.
#[divan::bench(args = [FRAME_BYTES, READ_BYTES])]
fn fill_segment(bencher: Bencher, bytes: usize) {
    let piece = vec![7; bytes];
    bencher.counter(BytesCount::new(SEGMENT_BYTES)).bench_local(|| {
        let mut writer = SegmentWriter::create(0, SEGMENT_BYTES);
        while writer.room() > 0 {
            writer.append(black_box(&piece));
            writer.publish();
        }
        writer.end()
    });
}

/// The alternative of one reference-counted chunk per piece, for as many bytes.
#[divan::bench(args = [FRAME_BYTES, READ_BYTES])]
fn fill_list_of_chunks(bencher: Bencher, bytes: usize) {
    let piece = vec![7; bytes];
    bencher.counter(BytesCount::new(SEGMENT_BYTES)).bench_local(|| {
        let pieces = SEGMENT_BYTES.div_ceil(bytes);
        (0..pieces).map(|_| Arc::from(black_box(&piece[..]))).collect::<VecDeque<Arc<[u8]>>>()
    });
}

/// One append and publish into memory that is there already.
#[divan::bench(args = [FRAME_BYTES, READ_BYTES])]
fn append_and_publish(bencher: Bencher, bytes: usize) {
    let piece = vec![7; bytes];
    bencher
        .counter(BytesCount::new(bytes))
        .with_inputs(|| {
            let mut writer = SegmentWriter::create(0, 3 * bytes);
            writer.append(&piece);
            writer
        })
        .bench_local_refs(|writer| {
            writer.append(black_box(&piece));
            writer.publish();
        });
}

fn window_of(segments: u64) -> (Window, u64) {
    let mut window = Window::new();
    let piece = vec![7; READ_BYTES];
    for index in 0..segments {
        let mut writer = SegmentWriter::create(index * SEGMENT_BYTES as u64, SEGMENT_BYTES);
        while writer.append(&piece) > 0 {}
        writer.publish();
        window.push(Arc::clone(writer.segment()));
    }
    let head = window.head();
    (window, head)
}

/// A listener near the head, in the segment before the newest, and 60 segments back.
#[divan::bench(args = [1, 2, 60])]
fn look_up(bencher: Bencher, segments_back: u64) {
    let (window, head) = window_of(64);
    let offset = head - segments_back * SEGMENT_BYTES as u64 + 1_000;
    bencher.bench_local(|| {
        black_box(&window).at(black_box(offset), black_box(offset + SEND_BYTES as u64)).len()
    });
}

/// What a full send gathers from a list of chunks, a frame each, where `look_up` finds one slice.
#[divan::bench]
fn gather_from_chunks(bencher: Bencher) {
    let frame = vec![7; FRAME_BYTES];
    let chunks: VecDeque<Arc<[u8]>> = (0..2_048).map(|_| Arc::from(&frame[..])).collect();
    let mut pieces = Vec::with_capacity(BATCH);
    bencher.bench_local(|| {
        pieces.clear();
        let frames = SEND_BYTES.div_ceil(FRAME_BYTES);
        pieces.extend(black_box(&chunks).iter().rev().take(frames).map(|chunk| chunk.as_ptr()));
        pieces.len()
    });
}

/// What a full send copies out of a ring buffer, because its bytes may be overwritten meanwhile.
#[divan::bench]
fn copy_from_ring_buffer(bencher: Bencher) {
    let (window, head) = window_of(1);
    let mut scratch = vec![0; SEND_BYTES];
    bencher.counter(BytesCount::new(SEND_BYTES)).bench_local(|| {
        scratch.copy_from_slice(window.at(head - SEND_BYTES as u64, head));
        black_box(scratch[0])
    });
}

/// About what a "publish" message to a listener core carries.
type Message = [u64; 4];

#[divan::bench]
fn lane_batch(bencher: Bencher) {
    let (mut sender, mut receiver) = lane::<Message>(1_024, Doorbell::new());
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for number in 0..BATCH as u64 {
            sender.send([number; 4]).expect("the lane was drained");
        }
        sender.ring();
        while let Some(message) = receiver.receive() {
            black_box(message);
        }
    });
}

#[divan::bench]
fn lane_batch_over_a_mutex(bencher: Bencher) {
    let queue = Mutex::new(VecDeque::<Message>::with_capacity(1_024));
    let bell = Doorbell::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for number in 0..BATCH as u64 {
            queue.lock().expect("nobody panics").push_back([number; 4]);
        }
        bell.ring();
        while let Some(message) = { queue.lock().expect("nobody panics").pop_front() } {
            black_box(message);
        }
    });
}

#[divan::bench]
fn lane_batch_over_sync_channel(bencher: Bencher) {
    let (sender, receiver) = mpsc::sync_channel::<Message>(1_024);
    let bell = Doorbell::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for number in 0..BATCH as u64 {
            sender.try_send([number; 4]).expect("the channel was drained");
        }
        bell.ring();
        while let Ok(message) = receiver.try_recv() {
            black_box(message);
        }
    });
}

#[divan::bench]
fn ring_when_already_rung(bencher: Bencher) {
    let bell = Doorbell::new();
    bell.ring();
    bencher.bench_local(|| black_box(&bell).ring());
}

#[divan::bench]
fn ring_and_answer(bencher: Bencher) {
    let bell = Doorbell::new();
    let mut cx = Context::from_waker(Waker::noop());
    bencher.bench_local(|| {
        bell.ring();
        bell.poll_rung(&mut cx)
    });
}

/// One address comes and goes in a half full table: two scans in, one out.
#[divan::bench]
fn census_in_and_out(bencher: Bencher) {
    let census = half_full_census();
    let key = census.mix(b"192.0.2.1");
    bencher.bench_local(|| {
        let _ = black_box(census.update(key, |now| now.checked_add(1)));
        let _ = black_box(census.update(key, |now| now.checked_sub(1)));
    });
}

/// One more listener from an address that has some.
#[divan::bench]
fn census_update(bencher: Bencher) {
    let census = half_full_census();
    let key = census.mix(&7_u32.to_be_bytes());
    bencher.bench_local(|| census.update(black_box(key), |now| Some(now % 1_000 + 1)));
}

fn half_full_census() -> Census {
    let census = Census::new(1 << 16, 42);
    for address in 0..1_u32 << 15 {
        let _ = census.update(census.mix(&address.to_be_bytes()), |now| now.checked_add(1));
    }
    census
}

#[divan::bench]
fn census_mix(bencher: Bencher) {
    let census = Census::new(1, 42);
    bencher.bench_local(|| census.mix(black_box(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0])));
}

#[divan::bench]
fn gauge_in_and_out(bencher: Bencher) {
    let gauge = Gauge::new();
    bencher.bench_local(|| {
        black_box(gauge.try_enter(10));
        gauge.leave();
    });
}

/// Opening a segment takes no time that grows with its size.
#[divan::bench(args = [64 * 1024, SEGMENT_BYTES, 4 * SEGMENT_BYTES])]
fn open_segment(bencher: Bencher, bytes: usize) {
    bencher
        .bench_local(|| -> Arc<Segment> { Arc::clone(SegmentWriter::create(0, bytes).segment()) });
}
