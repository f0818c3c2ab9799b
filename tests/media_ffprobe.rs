//! What the parsers of `media` say of files made by ffmpeg's encoders, against what ffprobe says of
//! them: place, length and duration of every frame. Needs ffmpeg and ffprobe, and fails without.

use std::path::Path;
use std::process::Command;

use floe::media::{Framer, Step, UNIT_BYTES_MAX};

/// A file to make: what comes between ffmpeg's input and its output.
struct Case<'a> {
    name: &'static str,
    content_type: &'static str,
    sample_rate: u32,
    channels: u8,
    encoder: &'a str,
    /// What the parser should report as codec.
    codec: &'static str,
}

/// A case of one format: name, sample rate, channels, encoder.
type Row = (&'static str, u32, u8, &'static str);

const MP3: &[Row] = &[
    ("mpeg 1 cbr 128", 44_100, 2, "-c:a libmp3lame -b:a 128k"),
    ("mpeg 1 cbr 320", 48_000, 2, "-c:a libmp3lame -b:a 320k"),
    ("mpeg 1 cbr 40 mono", 32_000, 1, "-c:a libmp3lame -b:a 40k"),
    ("mpeg 1 plain stereo", 44_100, 2, "-c:a libmp3lame -b:a 192k -joint_stereo 0"),
    ("mpeg 1 without reservoir", 44_100, 2, "-c:a libmp3lame -b:a 160k -reservoir 0"),
    ("mpeg 1 vbr best", 44_100, 2, "-c:a libmp3lame -q:a 0"),
    ("mpeg 1 vbr medium", 48_000, 2, "-c:a libmp3lame -q:a 4"),
    ("mpeg 1 vbr least mono", 44_100, 1, "-c:a libmp3lame -q:a 9"),
    ("mpeg 1 abr", 44_100, 2, "-c:a libmp3lame -abr 1 -b:a 112k"),
    ("mpeg 2 cbr 64", 24_000, 2, "-c:a libmp3lame -b:a 64k"),
    ("mpeg 2 vbr", 22_050, 2, "-c:a libmp3lame -q:a 5"),
    ("mpeg 2 cbr 24 mono", 16_000, 1, "-c:a libmp3lame -b:a 24k"),
    ("mpeg 2.5 cbr 32", 12_000, 2, "-c:a libmp3lame -b:a 32k"),
    ("mpeg 2.5 cbr 16 mono", 11_025, 1, "-c:a libmp3lame -b:a 16k"),
    ("mpeg 2.5 cbr 8 mono", 8_000, 1, "-c:a libmp3lame -b:a 8k"),
];

const MP2: &[Row] = &[
    ("layer 2 cbr 192", 48_000, 2, "-c:a mp2 -b:a 192k"),
    ("layer 2 cbr 384", 44_100, 2, "-c:a mp2 -b:a 384k"),
    ("layer 2 mpeg 2 mono", 24_000, 1, "-c:a mp2 -b:a 64k"),
    ("layer 2 with crc", 44_100, 2, "-c:a libtwolame -b:a 224k -error_protection 1"),
];

const AAC: &[Row] = &[
    ("aac stereo", 44_100, 2, "-c:a aac -b:a 128k"),
    ("aac high rate", 96_000, 2, "-c:a aac -b:a 256k"),
    ("aac mono", 22_050, 1, "-c:a aac -b:a 40k"),
    ("aac lowest rate", 7_350, 1, "-c:a aac -b:a 16k"),
    ("aac 5.1", 48_000, 6, "-c:a aac -b:a 384k"),
    ("aac 7.1", 48_000, 8, "-c:a aac -b:a 512k"),
    ("aac mpeg 2", 32_000, 2, "-c:a aac -b:a 96k -write_mpeg2 1"),
];

/// A unit of a stream: place and length in bytes, duration in microseconds.
type Unit = (usize, usize, u32);

#[test]
fn mpeg_layer_3_frames_are_those_of_ffprobe() {
    for &(name, sample_rate, channels, encoder) in MP3 {
        // Bare as a live encoder sends it, then as a file with everything ffmpeg puts around it.
        let bare = format!("{encoder} -write_xing 0 -id3v2_version 0 -f mp3");
        let file = format!("{encoder} -metadata title=Test -write_id3v1 1 -f mp3");
        for encoder in [&bare, &file] {
            let (content_type, codec) = ("audio/mpeg", "MP3");
            compare(&Case { name, content_type, sample_rate, channels, encoder, codec });
        }
    }
}

#[test]
fn mpeg_layer_2_frames_are_those_of_ffprobe() {
    for &(name, sample_rate, channels, encoder) in MP2 {
        let encoder = &format!("{encoder} -f mp2");
        let (content_type, codec) = ("audio/mpeg", "MP2");
        compare(&Case { name, content_type, sample_rate, channels, encoder, codec });
    }
}

#[test]
fn adts_frames_are_those_of_ffprobe() {
    for &(name, sample_rate, channels, encoder) in AAC {
        let encoder = &format!("{encoder} -f adts");
        let (content_type, codec) = ("audio/aacp", "AAC");
        compare(&Case { name, content_type, sample_rate, channels, encoder, codec });
    }
}

/// Makes the file of `case` and holds the parser's units against ffprobe's.
fn compare(case: &Case<'_>) {
    let name = case.name;
    let directory = tempfile::tempdir().expect("the system has a directory for temporary files");
    let file = directory.path().join("sound");
    encode(case, &file);
    let stream = std::fs::read(&file).expect("ffmpeg wrote the file");
    let mut framer = Framer::for_content_type(case.content_type);
    let heard = hear(&mut framer, &stream);
    let probed = probe(&file);

    assert!(probed.len() > 10, "{name}: ffprobe sees {} frames", probed.len());
    let places =
        |units: &[Unit]| units.iter().map(|&(at, bytes, _)| (at, bytes)).collect::<Vec<_>>();
    assert_eq!(places(&heard), places(&probed), "{name}");
    for (index, (heard, probed)) in heard.iter().zip(&probed).enumerate() {
        // ffprobe rounds each duration for itself, the parser carries what it left out.
        assert!(heard.2.abs_diff(probed.2) <= 1, "{name}, frame {index}: {heard:?} {probed:?}");
    }
    let facts = framer.facts();
    assert_eq!(facts.codec, Some(case.codec), "{name}");
    assert_eq!(facts.sample_rate, Some(case.sample_rate), "{name}");
    assert_eq!(facts.channels, Some(case.channels), "{name}");
    let counters = framer.counters();
    assert_eq!((counters.junk_bytes, counters.resyncs), (0, 0), "{name}");
    assert_eq!(counters.frames, heard.len() as u64, "{name}");
    let frames_bytes: usize = heard.iter().map(|&(_, bytes, _)| bytes).sum();
    assert_eq!(frames_bytes as u64 + counters.tag_bytes, stream.len() as u64, "{name}");
}

/// Everything the framer delivers, fed as from a network: in pieces of one packet's payload.
fn hear(framer: &mut Framer, stream: &[u8]) -> Vec<Unit> {
    let mut units = Vec::new();
    let (mut taken, mut here) = (0, 0);
    while here < stream.len() {
        here = stream.len().min(here + 1_448);
        loop {
            let input = &stream[taken..here];
            let step = framer.step(input);
            match step {
                Step::More => break,
                Step::Frame { bytes, duration_us, .. } => units.push((taken, bytes, duration_us)),
                Step::Head { .. } | Step::Tag { .. } | Step::Junk { .. } => {}
            }
            taken += step.taken();
        }
        assert!(here - taken < UNIT_BYTES_MAX);
    }
    units
}

/// Three seconds of a rising tone and, every other half second, noise: a variable bitrate varies.
fn encode(case: &Case<'_>, file: &Path) {
    let tone = "0.3*sin(440*t*(1+t))+lt(mod(t\\,1)\\,0.5)*0.3*(random(0)-0.5)";
    let channels = vec![tone; usize::from(case.channels)].join("|");
    let rate = case.sample_rate;
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i"]);
    ffmpeg.arg(format!("aevalsrc={channels}:d=3:s={rate}"));
    ffmpeg.args(case.encoder.split(' ')).arg(file);
    run(ffmpeg);
}

/// The packets of `file` as ffprobe lists them; one with side data brings an empty line along.
fn probe(file: &Path) -> Vec<Unit> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-show_packets", "-of", "compact=p=0"]);
    ffprobe.args(["-show_entries", "packet=pos,size,duration_time"]).arg(file);
    run(ffprobe).lines().filter(|line| !line.is_empty()).map(unit).collect()
}

/// One line of ffprobe: `duration_time=0.026122|size=417|pos=0`, in any order.
fn unit(line: &str) -> Unit {
    let value = |key: &str| {
        let mut fields = line.split('|').filter_map(|field| field.split_once('='));
        let found = fields.find(|(name, _)| *name == key);
        found.unwrap_or_else(|| panic!("ffprobe gave no {key}: {line}")).1
    };
    let seconds: f64 = value("duration_time").parse().expect("a duration is a number");
    let bytes = value("size").parse().expect("a size is a number");
    let place = value("pos").parse().expect("a position is a number");
    (place, bytes, (seconds * 1e6).round() as u32)
}

/// Runs `command` and gives its output; fails with the cure if it is not installed.
fn run(mut command: Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program} does not start ({error}); install it with: apt-get install ffmpeg")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {complaint}");
    String::from_utf8(output.stdout).expect("ffprobe writes its numbers in ASCII")
}
