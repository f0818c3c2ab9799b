//! A source's bytes on the source core: cut at frames, appended, published. Guards the figure
//! "1,000 mounts of 128 kbit/s" of `docs/performance.md`: 16,000 bytes a second each.

use divan::Bencher;
use divan::counter::BytesCount;
use floe::base::Moment;
use floe::config::Burst;
use floe::ingest::publish::Stream;

fn main() {
    divan::main();
}

const LOOP: &[u8] = include_bytes!("../src/ingest/demo/loop.mp3");
const SECOND_BYTES: usize = 16_000;

/// One second of 128 kbit/s, arriving in pieces of `piece` bytes.
#[divan::bench(args = [417, 1_400, 16_000])]
fn take_a_second(bencher: Bencher, piece: usize) {
    let mut stream = Stream::new("audio/mpeg", 512 * 1024, Burst::Bytes(64 * 1024));
    let mut now = Moment::ZERO;
    let mut from = 0;
    bencher.counter(BytesCount::new(SECOND_BYTES)).bench_local(|| {
        if from + SECOND_BYTES > LOOP.len() {
            from = 0;
        }
        now = Moment(now.0 + 1_000_000);
        for bytes in LOOP[from..from + SECOND_BYTES].chunks(piece) {
            divan::black_box(stream.take(bytes, now));
        }
        from += SECOND_BYTES;
    });
}
