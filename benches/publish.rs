//! A source's bytes on the source core: cut at units, appended, published. Guards the figure
//! "1,000 mounts of 128 kbit/s" of `docs/performance.md`, 16,000 bytes a second each, below a
//! twentieth of a second a second: 50 ms.

use divan::Bencher;
use divan::counter::BytesCount;
use floe::base::{Burst, Moment};
use floe::ingest::publish::Stream;

#[path = "streams.rs"]
mod streams;

fn main() {
    divan::main();
}

const LOOP: &[u8] = include_bytes!("../src/ingest/demo/loop.mp3");
const SECOND_BYTES: usize = 16_000;
const MOUNTS: usize = 1_000;
const FORMATS: [&str; 6] = ["mp3", "aac", "ogg", "webm", "flac", "wav"];

/// A mount's stream and the file that its source sends again and again.
struct Source<'f> {
    stream: Stream,
    file: &'f [u8],
    from: usize,
    now: Moment,
}

impl<'f> Source<'f> {
    fn of(content_type: &str, file: &'f [u8]) -> Self {
        let stream = Stream::new(content_type, 512 * 1024, Burst::Bytes(64 * 1024));
        Self { stream, file, from: 0, now: Moment::ZERO }
    }

    /// A second of 128 kbit/s arrives in pieces of `piece` bytes.
    fn second(&mut self, piece: usize) {
        self.now = Moment(self.now.0 + 1_000_000);
        let mut left = SECOND_BYTES;
        while left > 0 {
            let bytes = piece.min(left).min(self.file.len() - self.from);
            let part = &self.file[self.from..self.from + bytes];
            divan::black_box(self.stream.take(part, self.now));
            self.from = (self.from + bytes) % self.file.len();
            left -= bytes;
        }
    }
}

/// One second of 128 kbit/s, arriving in pieces of `piece` bytes.
#[divan::bench(args = [417, 1_400, 16_000])]
fn take_a_second(bencher: Bencher, piece: usize) {
    let mut source = Source::of("audio/mpeg", LOOP);
    bencher.counter(BytesCount::new(SECOND_BYTES)).bench_local(|| source.second(piece));
}

/// One second of a thousand mounts, which arrives packet by packet.
#[divan::bench(args = FORMATS, sample_count = 20, sample_size = 1)]
fn take_a_second_of_a_thousand_mounts(bencher: Bencher, format: &str) {
    let (content_type, file) = match format {
        "mp3" => ("audio/mpeg", streams::mp3()),
        "aac" => ("audio/aac", streams::adts()),
        "ogg" => ("audio/ogg", streams::ogg()),
        "webm" => ("audio/webm", streams::sound(60, 320)),
        "flac" => ("audio/flac", streams::flac()),
        _ => ("audio/wav", streams::wav()),
    };
    let mut sources: Vec<_> = (0..MOUNTS).map(|_| Source::of(content_type, &file)).collect();
    sources.iter_mut().for_each(|source| source.second(1_400));
    bencher
        .counter(BytesCount::new(MOUNTS * SECOND_BYTES))
        .bench_local(|| sources.iter_mut().for_each(|source| source.second(1_400)));
}
