//! The judge of a recording: ffmpeg has to decode it without a word, and as much of it as there is.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::formats::{Carries, Format};
use crate::listen::Recording;
use crate::tail::Whole;

/// Samples a second that sound is decoded to.
const RATE: usize = 8_000;
/// Bytes of a picture of 8 by 8 points that pictures are decoded to.
const PICTURE_BYTES: usize = 64;
/// Least seconds that a recording has to play: it holds the burst and two seconds or more.
const SECONDS_MIN: f64 = 0.5;
/// How much decoders may differ from the units in seconds: encoders' delays are cut off, and a
/// codec may need a frame to warm up.
const SECONDS_OFF_MAX: f64 = 0.25;

/// What ffmpeg and players built on it say of every recording of a stream's middle.
const HARMLESS: &[&str] = &[
    // Neither a length nor an index can stand in the head of a live stream.
    "Estimating duration from bitrate",
    "Ignoring maximum wav data size",
    // One second of one file is less than its guess wants to see.
    "misdetection possible",
    // Raw samples do not name their speakers.
    "Guessed Channel Layout",
    // Said of Matroska at the end of a file alone: a listener leaves in the middle of a cluster.
    "File ended prematurely",
];

/// What came of decoding.
#[derive(Debug)]
pub struct Decoded {
    /// Warnings and errors.
    pub said: String,
    /// Seconds of each track of sound.
    pub seconds: Vec<f64>,
    /// Pictures.
    pub pictures: usize,
}

/// Decodes `bytes` in the folder `scratch`, which no other decoder uses at the time.
pub fn decode(scratch: &Path, format: &Format, bytes: &[u8]) -> Decoded {
    // By a pipe, as it would come over a network: of a file the demuxers read the end first.
    let file = scratch.join("recording");
    fs::write(&file, bytes).expect("a writable folder");
    let stdin = fs::File::open(&file).expect("it was just written");
    let tracks = if format.carries == Carries::TwoSounds { 2 } else { 1 };
    let sounds: Vec<_> = (0..tracks).map(|track| scratch.join(format!("sound-{track}"))).collect();
    let pictures = scratch.join("pictures");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-y", "-v", "warning", "-xerror", "-i", "pipe:0"]);
    for (track, sound) in sounds.iter().enumerate() {
        command.args(["-map", &format!("0:a:{track}"), "-ac", "1", "-ar", &RATE.to_string()]);
        // Each song of a chain counts its time from zero, which only a writer of files minds.
        command.args(["-af", "asetpts=N/SR/TB"]);
        command.args(["-f", "s16le"]).arg(sound);
    }
    if format.carries.has_picture() {
        command.args([
            "-map",
            "0:v:0",
            "-fps_mode",
            "passthrough",
            "-s",
            "8x8",
            "-vf",
            "setpts=N/TB",
        ]);
        command.args(["-pix_fmt", "gray", "-f", "rawvideo"]).arg(&pictures);
    }
    let output = command.stdin(stdin).output().expect("ffmpeg is installed");
    let mut said = worth_hearing(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        said.push_str(&format!("\nffmpeg ended with {}", output.status));
    }
    // Made by this run or not at all: the next one must not find it.
    let made = |path: &Path| {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len() as usize);
        let _ = fs::remove_file(path);
        bytes
    };
    let seconds = sounds.iter().map(|sound| made(sound) as f64 / (2 * RATE) as f64).collect();
    Decoded { said, seconds, pictures: made(&pictures) / PICTURE_BYTES }
}

/// ffmpeg's words without those it has for every stream.
pub fn worth_hearing(said: &str) -> String {
    let worth = |line: &&str| {
        !line.trim().is_empty() && !HARMLESS.iter().any(|harmless| line.contains(harmless))
    };
    said.lines().filter(worth).collect::<Vec<_>>().join("\n")
}

/// Why a join failed; `Ok` if it did not.
pub fn judge(scratch: &Path, format: &Format, recording: &Recording) -> Result<(), String> {
    if let Some(trouble) = &recording.trouble {
        return Err(trouble.clone());
    }
    let whole = Whole::of(format.content_type, &recording.bytes);
    let decoded = decode(scratch, format, &whole.bytes);
    if !decoded.said.is_empty() {
        return Err(decoded.said);
    }
    // Tracks side by side end where each one's last unit does; the units tell of the longest.
    let longest = decoded.seconds.iter().copied().fold(0.0, f64::max);
    let is_off = whole.seconds > 0.0 && (longest - whole.seconds).abs() > SECONDS_OFF_MAX;
    if is_off || decoded.seconds.iter().any(|&seconds| seconds < SECONDS_MIN) {
        return Err(format!("{:?} s of sound of {:.2} s", decoded.seconds, whole.seconds));
    }
    if format.carries.has_picture() && decoded.pictures == 0 {
        return Err("not one picture".into());
    }
    Ok(())
}

/// Whether the bytes of the first moment ([`crate::listen::FIRST`]) give sound already.
pub fn is_heard_at_once(scratch: &Path, format: &Format, recording: &Recording) -> bool {
    let first = &recording.bytes[..recording.first_bytes];
    decode(scratch, format, first).seconds.iter().all(|&seconds| seconds > 0.0)
}

#[test]
fn words_that_matter_are_kept() {
    let said = "[mp3 @ 0x1] Estimating duration from bitrate, this may be inaccurate\n\
                [mp3float @ 0x2] Header missing";
    assert_eq!(worth_hearing(said), "[mp3float @ 0x2] Header missing");
}
