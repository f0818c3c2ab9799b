//! Players that run by themselves, each live from the server: mpv and VLC. What they print as an
//! error, and what they do not play, is a failed join.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::decode::worth_hearing;
use crate::kit::clients::program;
use crate::wait;

/// What a player listens for, in seconds.
const PLAYS_S: u32 = 2;
/// How long a player may take for that, start and a busy machine included.
const PATIENCE: Duration = Duration::from_secs(25);

/// Who plays a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// Recorded and decoded by ffmpeg.
    Ffmpeg,
    /// mpv.
    Mpv,
    /// VLC.
    Vlc,
    /// Chromium, in a page.
    Chromium,
}

impl Player {
    /// All of them, in the order of the table.
    pub const ALL: &[Self] = &[Self::Ffmpeg, Self::Mpv, Self::Vlc, Self::Chromium];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::Mpv => "mpv",
            Self::Vlc => "VLC",
            Self::Chromium => "Chromium",
        }
    }
}

/// mpv joins `url`.
pub fn mpv(url: &str, scratch: &Path) -> Result<(), String> {
    let mut command = program("mpv");
    command.args(["--no-config", "--ao=null", "--vo=null", "--msg-level=all=warn"]);
    command.args(["--no-input-terminal", "--ytdl=no", &format!("--length={PLAYS_S}"), url]);
    run(command, scratch, |_| true)
}

/// VLC joins `url` and writes what it plays to a file, which tells whether it played.
pub fn vlc(url: &str, scratch: &Path) -> Result<(), String> {
    let sound = scratch.join("vlc.pcm");
    let mut command = unprivileged("cvlc", scratch);
    command.args(["--no-color", "--vout=vdummy", "--aout=afile", "--no-audiofile-wav"]);
    command.arg(format!("--audiofile-file={}", sound.display()));
    command.args([&format!("--run-time={PLAYS_S}"), "--play-and-exit", url, "vlc://quit"]);
    // Beside errors it names what it finds.
    let said = run(command, scratch, |line| line.contains(" error: "));
    let bytes = fs::metadata(&sound).map_or(0, |metadata| metadata.len());
    let _ = fs::remove_file(&sound);
    if bytes == 0 {
        return said.and(Err("played nothing".into()));
    }
    said
}

/// What players print that says nothing of the stream.
const HARMLESS: &[&str] = &[
    // mpv's clock ran ahead of a busy machine; what it decodes is judged all the same.
    "Audio device underrun detected",
    // VLC finds neither a desktop nor keys to watch.
    " interface error: ",
    " libvlc error: ",
    // The next song of a chain counts its time from zero, and mpv goes on counting.
    "Linearizing discontinuity",
];

/// What of a player's words is news.
fn told(said: &str) -> String {
    let said = worth_hearing(said);
    let told = |line: &&str| !HARMLESS.iter().any(|harmless| line.contains(harmless));
    said.lines().filter(told).collect::<Vec<_>>().join("\n")
}

/// A command as the user `nobody` if this is root: VLC refuses to run as root.
fn unprivileged(name: &str, scratch: &Path) -> Command {
    let words = program(name);
    // Whoever may give files away is root.
    if std::os::unix::fs::chown(scratch, Some(65_534), None).is_err() {
        return words;
    }
    let mut command = program("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", name]);
    command.env("HOME", scratch);
    command
}

/// Runs a player to its end, which has to be in order and without a line that matters.
fn run(mut command: Command, scratch: &Path, matters: fn(&str) -> bool) -> Result<(), String> {
    let words = scratch.join("player.log");
    let log = fs::File::create(&words).expect("a writable folder");
    let both = log.try_clone().expect("a descriptor is free");
    command.stdin(Stdio::null()).stdout(log).stderr(both);
    let mut child = command.spawn().expect("the player is installed");
    let status = wait::within(PATIENCE, || child.try_wait().expect("it is our child"));
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = String::from_utf8_lossy(&fs::read(&words).unwrap_or_default()).into_owned();
    let said: Vec<_> = said.lines().filter(|line| matters(line)).collect();
    let said = told(&said.join("\n"));
    match status {
        Some(status) if status.success() && said.is_empty() => Ok(()),
        Some(status) => Err(format!("ended with {status}: {said}")),
        None => Err(format!("still at it after {PATIENCE:?}: {said}")),
    }
}
