//! Players that run by themselves, each live from the server: mpv and VLC. What they print as an
//! error, and what they do not play, is a failed join.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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

/// mpv joins `url`; it ends by itself.
pub fn mpv(url: &str, scratch: &Path) -> Result<(), String> {
    let mut command = program("mpv");
    command.args(["--no-config", "--ao=null", "--vo=null", "--msg-level=all=error"]);
    command.args(["--no-input-terminal", "--ytdl=no", &format!("--length={PLAYS_S}"), url]);
    let mut playing = Playing::start(command, scratch);
    let status = wait::within(PATIENCE, || playing.ended());
    let said = playing.stop();
    match status {
        Some(status) if status.success() && said.is_empty() => Ok(()),
        Some(status) => Err(format!("ended with {status}: {said}")),
        None => Err(format!("still at it after {PATIENCE:?}: {said}")),
    }
}

/// VLC joins `url`. Its own limit of time counts from where the stream's time begins, so it is
/// ended when what it plays, which it writes to a file, is long enough.
pub fn vlc(url: &str, scratch: &Path) -> Result<(), String> {
    let sound = scratch.join("vlc.wav");
    // Left by the join before.
    let _ = fs::remove_file(&sound);
    let mut command = unprivileged("cvlc", scratch);
    command.args(["--no-color", "--play-and-exit", "--vout=vdummy", "--aout=afile"]);
    command.arg(format!("--audiofile-file={}", sound.display())).args([url, "vlc://quit"]);
    let mut playing = Playing::start(command, scratch);
    let end = wait::within(PATIENCE, || {
        let is_heard = written_s(&sound) >= f64::from(PLAYS_S);
        if is_heard { Some(None) } else { playing.ended().map(Some) }
    });
    let said = playing.stop();
    // Beside errors it names what it finds.
    let errors: Vec<_> = said.lines().filter(|line| line.contains(" error: ")).collect();
    let errors = errors.join("\n");
    match end {
        Some(None) if errors.is_empty() => Ok(()),
        Some(None) => Err(errors),
        Some(Some(status)) => Err(format!("ended with {status} too soon: {errors}")),
        None => Err(format!("played {:.1} s in {PATIENCE:?}: {errors}", written_s(&sound))),
    }
}

/// Seconds of sound in a WAV file that is being written.
fn written_s(file: &Path) -> f64 {
    let bytes = fs::read(file).unwrap_or_default();
    // Bytes a second stand at this place of the head, which has 44 bytes.
    let Some(&[a, b, c, d]) = bytes.get(28..32) else { return 0.0 };
    let rate = u32::from_le_bytes([a, b, c, d]);
    bytes.len().saturating_sub(44) as f64 / f64::from(rate.max(1))
}

/// What players print that says nothing of the stream.
const HARMLESS: &[&str] = &[
    // VLC finds neither a desktop nor keys to watch.
    " interface error: ",
    " libvlc error: ",
    // VLC has this for every Matroska that it cannot seek in, and plays on.
    "cannot find any cluster or chapter",
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

/// A player that runs.
struct Playing {
    child: Child,
    log: PathBuf,
}

impl Playing {
    /// Starts it; what it prints goes to a file in `scratch`.
    fn start(mut command: Command, scratch: &Path) -> Self {
        let log = scratch.join("player.log");
        let words = fs::File::create(&log).expect("a writable folder");
        let both = words.try_clone().expect("a descriptor is free");
        command.stdin(Stdio::null()).stdout(words).stderr(both);
        Self { child: command.spawn().expect("the player is installed"), log }
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Ends it; gives what it printed that matters.
    fn stop(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = fs::read(&self.log).unwrap_or_default();
        told(&String::from_utf8_lossy(&said))
    }
}
