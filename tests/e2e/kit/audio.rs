//! The sound that real encoders send: made once by ffmpeg and kept with the build.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::clients::program;

/// Two minutes: longer than any test.
const SECONDS: &str = "120";

/// The artist and title in the tags of the file.
pub const TITLE: (&str, &str) = ("Floe", "Sine");

/// An MP3 of 128 kbit/s with tags.
pub fn mp3() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| make("e2e-sine.mp3", &["-c:a", "libmp3lame", "-b:a", "128k"]))
}

/// An Ogg Vorbis of the same.
pub fn ogg() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| make("e2e-sine.ogg", &["-c:a", "libvorbis", "-q:a", "2"]))
}

fn make(name: &str, codec: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(name);
    if path.is_file() {
        return path;
    }
    // Under another name first, so that a run that was cut short leaves no half of a file.
    let unfinished = folder.join(format!("{}-{name}", std::process::id()));
    let source = format!("sine=frequency=440:sample_rate=44100:duration={SECONDS}");
    let (artist, title) = (format!("artist={}", TITLE.0), format!("title={}", TITLE.1));
    let output = program("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-ac", "2"])
        .args(codec)
        .args(["-metadata", &artist, "-metadata", &title])
        .arg(&unfinished)
        .output()
        .expect("ffmpeg runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg makes {name}: {errors}");
    std::fs::rename(&unfinished, &path).expect("both are in one folder");
    path
}
