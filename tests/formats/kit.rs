//! What the formats' tests share: encoding, cutting, and decoding what was cut.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use floe::media::{Framer, Step, Tags};

/// Bytes that arrive at once: one packet's payload.
const PIECE_BYTES: usize = 1_448;

/// A stream as its mount would have it.
#[derive(Debug, Default)]
pub struct Cut {
    /// What goes to those who listen from the beginning.
    pub out: Vec<u8>,
    /// Preambles, and the place in `out` from which each holds.
    pub heads: Vec<(usize, Vec<u8>)>,
    /// Places in `out` where a player can start, and the playing time before them.
    pub starts: Vec<(usize, u64)>,
    /// Place in the input, length and duration in microseconds of every unit.
    pub units: Vec<(usize, usize, u32)>,
    /// Playing time of all units.
    pub played_us: u64,
    /// What the stream said is playing.
    pub told: Vec<Tags>,
    /// Bytes that were skipped, and bytes that still wait for more.
    pub junk: usize,
    /// See `junk`.
    pub left: usize,
}

impl Cut {
    /// Takes note of one step of `framer`, which took `input` at the place `at`.
    pub fn note(&mut self, framer: &mut Framer, step: Step, at: usize, input: &[u8]) {
        match step {
            Step::Frame { duration_us, starts, rewritten, .. } => {
                if starts {
                    self.starts.push((self.out.len(), self.played_us));
                }
                self.units.push((at, input.len(), duration_us));
                self.played_us += u64::from(duration_us);
                self.out.extend_from_slice(if rewritten { framer.written() } else { input });
            }
            Step::Head { .. } => {
                self.heads.push((self.out.len(), framer.preamble().to_vec()));
                self.out.extend_from_slice(framer.written());
            }
            Step::Junk { bytes } => self.junk += bytes,
            Step::More | Step::Tag { .. } => {}
        }
        self.told.extend(framer.take_tags());
    }

    /// What a newcomer gets who starts at the place `start` of `out`.
    pub fn joined_at(&self, start: usize) -> Vec<u8> {
        let held = self.heads.iter().rev().find(|(from, _)| *from <= start);
        let preamble = held.map_or(&[][..], |(_, preamble)| preamble);
        [preamble, &self.out[start..]].concat()
    }
}

/// Cuts `stream`, which arrives packet by packet from one source of `content_type`.
pub fn cut(content_type: &str, stream: &[u8]) -> Cut {
    let mut framer = Framer::for_content_type(content_type);
    let mut cut = Cut::default();
    feed(&mut framer, stream, &mut cut);
    cut
}

/// Cuts `stream` as the next part of what `framer` has cut so far.
pub fn feed(framer: &mut Framer, stream: &[u8], cut: &mut Cut) {
    let (mut taken, mut here) = (0, 0);
    while here < stream.len() {
        here = stream.len().min(here + PIECE_BYTES);
        loop {
            let input = &stream[taken..here];
            let step = framer.step(input);
            let bytes = step.taken();
            if step == Step::More {
                break;
            }
            cut.note(framer, step, taken, &input[..bytes]);
            taken += bytes;
        }
    }
    cut.left = stream.len() - taken;
}

/// A directory of this test's own that goes when it does.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs ffmpeg with the words of `options`, writing to `name` in `dir`.
pub fn ffmpeg(dir: &Path, options: &str, name: &str) -> PathBuf {
    let file = dir.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(options.split_whitespace()).arg(&file);
    let status = command.stdin(Stdio::null()).status().expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg {options} {name}");
    file
}

/// What ffmpeg says while it decodes the audio and the video of `bytes`, and how much comes out.
/// Nothing said means that nothing was wrong.
pub fn decode(dir: &Path, bytes: &[u8], suffix: &str) -> Decoded {
    let file = dir.join(format!("join.{suffix}"));
    std::fs::write(&file, bytes).expect("a writable directory");
    let (said, sound) = pass(&file, "-map 0:a:0? -f s16le -ac 1 -ar 8000");
    let small = "-f rawvideo -pix_fmt gray -vf scale=16:16,setsar=1 -fps_mode passthrough";
    let (said_of_video, video) = pass(&file, &format!("-map 0:v:0? {small}"));
    Decoded {
        said: said + &said_of_video,
        seconds: sound.len() as f64 / 16_000.0,
        pictures: video.len() / (16 * 16),
    }
}

/// Has ffmpeg decode one kind of what is in `file`, in the form that the words of `output` ask for:
/// gives its complaints and what came out. A stream that is not there is nothing to complain of.
fn pass(file: &Path, output: &str) -> (String, Vec<u8>) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-xerror", "-i"]).arg(file);
    let output = command.args(output.split(' ')).arg("-").output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("does not contain any stream") {
        return Default::default();
    }
    let mut said = worth_hearing(&said);
    if !output.status.success() {
        said.push_str("ffmpeg failed");
    }
    (said, output.stdout)
}

/// ffmpeg's words without those that it has for every file of a stream's middle.
fn worth_hearing(said: &str) -> String {
    let harmless =
        ["Estimating duration from bitrate", "misdetection possible", "Guessed Channel Layout"];
    let worth = |line: &&str| !harmless.iter().any(|harmless| line.contains(harmless));
    said.lines().filter(worth).collect::<Vec<_>>().join("\n")
}

/// What came of decoding.
#[derive(Debug)]
pub struct Decoded {
    /// Warnings and errors, as ffmpeg printed them.
    pub said: String,
    /// Seconds of audio.
    pub seconds: f64,
    /// Number of pictures.
    pub pictures: usize,
}

/// Checks that a newcomer at `count` of the start points, evenly spread, gets what decodes without
/// a word from ffmpeg, and as much of it as was cut.
pub fn every_join_decodes(cut: &Cut, suffix: &str, count: usize) {
    let dir = scratch();
    assert!(!cut.starts.is_empty(), "nobody could ever start");
    let step = cut.starts.len().div_ceil(count.max(1)).max(1);
    for &(start, before_us) in cut.starts.iter().step_by(step) {
        let decoded = decode(dir.path(), &cut.joined_at(start), suffix);
        assert_eq!(decoded.said, "", "joined at byte {start}");
        let wanted = (cut.played_us - before_us) as f64 / 1e6;
        // Encoders' delays are cut off, and a codec may need a frame to warm up.
        let short = wanted - decoded.seconds;
        assert!(short.abs() < 0.25, "{} of {wanted} s from byte {start}", decoded.seconds);
    }
}
