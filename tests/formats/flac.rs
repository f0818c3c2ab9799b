//! FLAC without a container, by the reference encoder and by ffmpeg's.

use std::path::Path;
use std::process::Command;

use floe::media::Framer;

use super::kit::{Cut, cut, decode, every_join_decodes, feed, ffmpeg, scratch};

const TYPE: &str = "audio/flac";

/// What goes into the encoders: sample rate, channels, ffmpeg's name of the sample format.
const SOUNDS: &[(u32, u8, &str)] = &[
    (8_000, 1, "s16"),
    (22_050, 2, "s16"),
    (44_100, 1, "s16"),
    (44_100, 2, "s16"),
    (48_000, 2, "s24"),
    (48_000, 6, "s16"),
    (88_200, 2, "s24"),
    (96_000, 2, "s24"),
    (11_025, 8, "s16"),
    (37_800, 2, "s16"),
];

/// Options of the reference encoder, and of ffmpeg's.
const FLAC: &[&str] = &["-0", "-5", "-8 --padding=9000", "-3 --blocksize=576", "-6 -b 4608 --lax"];
const FFMPEG: &[&str] = &["-compression_level 12", "-compression_level 0 -frame_size 1024"];

/// Makes one file of a second: a tone that rises, and bursts of noise.
fn sound(dir: &Path, rate: u32, channels: u8, format: &str) -> Vec<u8> {
    let tone = "0.3*sin(440*t*(1+t))+lt(mod(t\\,0.4)\\,0.1)*0.2*(random(0)-0.5)";
    let tones = vec![tone; usize::from(channels)].join("|");
    let options =
        format!("-f lavfi -i aevalsrc={tones}:d=1:s={rate} -c:a pcm_{format}le -bitexact");
    std::fs::read(ffmpeg(dir, &options, "sound.wav")).expect("ffmpeg made it")
}

fn reference(dir: &Path, options: &str) -> Vec<u8> {
    let file = dir.join("reference.flac");
    let mut flac = Command::new("flac");
    flac.args(["-s", "-f", "--channel-map=none", "-T", "TITLE=Ebb", "-T", "ARTIST=Floe"]);
    flac.args(options.split_whitespace()).arg("-o").arg(&file).arg(dir.join("sound.wav"));
    let status = flac.status().expect("flac is installed");
    assert!(status.success(), "{flac:?}");
    std::fs::read(file).expect("flac made it")
}

fn by_ffmpeg(dir: &Path, options: &str) -> Vec<u8> {
    let input = dir.join("sound.wav");
    let options = format!("-i {} -c:a flac {options}", input.display());
    std::fs::read(ffmpeg(dir, &options, "ffmpeg.flac")).expect("ffmpeg made it")
}

/// Place, length and duration in samples of every packet that ffprobe sees in `stream`.
fn probe(dir: &Path, stream: &[u8]) -> Vec<(usize, usize, u32)> {
    let file = dir.join("probe.flac");
    std::fs::write(&file, stream).expect("a writable directory");
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "csv=p=0", "-show_entries"]);
    ffprobe.args(["packet=duration,size,pos"]).arg(file);
    let output = ffprobe.output().expect("ffprobe is installed");
    let lines = String::from_utf8(output.stdout).expect("numbers");
    let number = |field: Option<&str>| field.and_then(|field| field.parse::<usize>().ok());
    let packet = |line: &str| {
        let mut fields = line.split(',').map(|field| number(Some(field)));
        let mut next = || fields.next().flatten().expect("three numbers");
        let (duration, bytes, at) = (next(), next(), next());
        (at, bytes, duration as u32)
    };
    lines.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

/// `stream` and the beginning of another head, so that its last frame is known to be over.
fn ended(stream: &[u8]) -> Vec<u8> {
    [stream, b"fLaC\x80\0\0\x22"].concat()
}

#[test]
fn frames_are_those_of_ffprobe() {
    let dir = scratch();
    let mut files = 0;
    for &(rate, channels, format) in SOUNDS {
        sound(dir.path(), rate, channels, format);
        let by_flac = FLAC.iter().map(|options| (options, reference(dir.path(), options)));
        let by_ffmpeg = FFMPEG.iter().map(|options| (options, by_ffmpeg(dir.path(), options)));
        for (options, stream) in by_flac.chain(by_ffmpeg) {
            let what = format!("{rate} Hz, {channels} channels, {format}, {options}");
            let cut = cut(TYPE, &ended(&stream));
            let mut probed = probe(dir.path(), &stream);
            assert!(probed.len() > 1, "{what}");
            // What is left of a block at a file's end goes to nobody.
            let (.., block) = probed[0];
            probed.pop_if(|(.., samples)| *samples < block);
            let places: Vec<_> = cut.units.iter().map(|&(at, bytes, _)| (at, bytes)).collect();
            let expected: Vec<_> = probed.iter().map(|&(at, bytes, _)| (at, bytes)).collect();
            assert_eq!(places, expected, "{what}");
            let played: u64 = probed.iter().map(|&(.., samples)| u64::from(samples)).sum();
            let wanted_us = played * 1_000_000 / u64::from(rate);
            assert!(cut.played_us.abs_diff(wanted_us) <= 1, "{what}: {}", cut.played_us);
            assert_eq!(cut.junk, 0, "{what}");
            files += 1;
        }
    }
    assert!(files >= 50, "{files}");
}

#[test]
fn every_join_decodes_in_ffmpeg() {
    let dir = scratch();
    for &(rate, channels, format) in &SOUNDS[3..6] {
        sound(dir.path(), rate, channels, format);
        for stream in [reference(dir.path(), "-5"), by_ffmpeg(dir.path(), FFMPEG[1])] {
            let cut = cut(TYPE, &ended(&stream));
            every_join_decodes(&cut, "flac", 6);
        }
    }
}

#[test]
fn a_stream_without_its_head_decodes_too() {
    let dir = scratch();
    sound(dir.path(), 44_100, 2, "s16");
    let stream = ended(&reference(dir.path(), "-5"));
    let cut = cut(TYPE, &stream[8_000..]);
    assert!(cut.units.len() > 5);
    every_join_decodes(&cut, "flac", 3);
}

#[test]
fn files_in_a_row_and_sources_in_a_row_decode_as_one_stream() {
    let dir = scratch();
    sound(dir.path(), 44_100, 2, "s16");
    let stream = reference(dir.path(), "-5");
    let mut framer = Framer::for_content_type(TYPE);
    let mut cut = Cut::default();
    feed(&mut framer, &stream.repeat(2), &mut cut);
    framer.next_source(TYPE);
    feed(&mut framer, &stream[15_000..], &mut cut);
    framer.next_source(TYPE);
    feed(&mut framer, &stream, &mut cut);
    let decoded = decode(dir.path(), &cut.joined_at(0), "flac");
    assert_eq!(decoded.said, "");
    let wanted = cut.played_us as f64 / 1e6;
    assert!((wanted - decoded.seconds).abs() < 0.001, "{} of {wanted} s", decoded.seconds);
    every_join_decodes(&cut, "flac", 4);
    // The reference decoder reads numbers where ffmpeg looks at the audio alone.
    let file = dir.path().join("all.flac");
    std::fs::write(&file, cut.joined_at(0)).expect("a writable directory");
    let tested = Command::new("flac").args(["-t", "-s"]).arg(file).output();
    let tested = tested.expect("flac is installed");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let titles: Vec<_> = cut.told.iter().filter_map(|tags| tags.title.as_deref()).collect();
    assert_eq!(titles, ["Ebb"; 3]);
}
