//! How many bytes a second the parsers of `media` get through: clean streams as they arrive in
//! practice, and noise, which is all hunting. Guards: a clean stream of 128 kbit/s MP3 above 10
//! GB/s, and one of a format that is checked or written anew above 1 GB/s, so that a thousand
//! sources cost the source core nothing that shows; noise above 100 MB/s, so that a source of
//! rubbish cannot hold it.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use floe::media::{Framer, Step};

#[path = "streams.rs"]
mod streams;

use streams::*;

fn main() {
    divan::main();
}

/// Steps through `stream` until it wants more; gives the time that plays.
fn hear(content_type: &str, stream: &[u8]) -> u64 {
    hear_on(&mut Framer::for_content_type(content_type), stream)
}

/// The same with a framer that has heard something before.
fn hear_on(framer: &mut Framer, stream: &[u8]) -> u64 {
    let (mut taken, mut played_us) = (0, 0);
    loop {
        let step = framer.step(&stream[taken..]);
        match step {
            Step::More => return played_us,
            Step::Frame { duration_us, .. } => played_us += u64::from(duration_us),
            Step::Head { .. } | Step::Tag { .. } | Step::Junk { .. } => {}
        }
        taken += step.taken();
    }
}

fn bench(bencher: Bencher<'_, '_>, content_type: &str, stream: &[u8]) {
    bencher
        .counter(BytesCount::of_slice(stream))
        .bench_local(|| hear(black_box(content_type), black_box(stream)));
}

#[divan::bench]
fn mp3_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/mpeg", &mp3());
}

#[divan::bench]
fn adts_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/aac", &adts());
}

#[divan::bench]
fn adts_looked_at_for_sbr(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/aac", &adts_at_a_low_rate());
}

#[divan::bench]
fn flac_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/flac", &flac());
}

/// Every frame is numbered anew, because another source went before.
#[divan::bench]
fn flac_behind_another_source(bencher: Bencher<'_, '_>) {
    let stream = flac();
    let mut framer = Framer::for_content_type("audio/flac");
    hear_on(&mut framer, &stream);
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        framer.next_source("audio/flac");
        hear_on(&mut framer, black_box(&stream))
    });
}

#[divan::bench]
fn flac_hunting_in_noise(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/flac", &noise());
}

#[divan::bench]
fn latm_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/mp4a-latm", &latm());
}

#[divan::bench]
fn wav_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/wav", &wav());
}

#[divan::bench]
fn mp3_hunting_in_noise(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/mpeg", &noise());
}

#[divan::bench]
fn adts_hunting_in_noise(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/aac", &noise());
}

/// Opus at 128 kbit/s.
#[divan::bench]
fn webm_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/webm", &sound(60, 320));
}

/// Blocks as large as frames of video at 5 Mbit/s.
#[divan::bench]
fn webm_in_large_blocks(bencher: Bencher<'_, '_>) {
    bench(bencher, "video/webm", &sound(10, 25_000));
}

/// A second of sound, then noise in which a block might stand anywhere.
#[divan::bench]
fn webm_hunting_in_noise(bencher: Bencher<'_, '_>) {
    bench(bencher, "video/webm", &[sound(1, 320), noise()].concat());
}

#[divan::bench]
fn ogg_in_sync(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/ogg", &ogg());
}

/// Nine links of ten have the number of the one before.
#[divan::bench]
fn ogg_written_anew(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/ogg", &ogg().repeat(10));
}

#[divan::bench]
fn ogg_hunting_in_noise(bencher: Bencher<'_, '_>) {
    bench(bencher, "audio/ogg", &[&ogg()[..], &noise()].concat());
}
