//! Real programs as sources and listeners. Each runs in a process group of its own, which is killed
//! and reaped when the test is over; what it prints is kept for the test and for its failure.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::server::{Lines, Server, collect};
use crate::wait;

/// Programs and the Debian packages that bring them; `tests/run` installs them.
const PACKAGES: &[(&str, &str)] = &[
    ("butt", "butt"),
    ("chromium", "chromium"),
    ("chromium-browser", "chromium-browser"),
    ("google-chrome", "google-chrome-stable"),
    ("curl", "curl"),
    ("cvlc", "vlc"),
    ("ezstream", "ezstream"),
    ("fail2ban-regex", "fail2ban"),
    ("ffmpeg", "ffmpeg"),
    ("icecast2", "icecast2"),
    ("liquidsoap", "liquidsoap"),
    ("mplayer", "mplayer"),
    ("mpv", "mpv"),
    ("setpriv", "util-linux"),
    ("streamripper", "streamripper"),
    ("xvfb-run", "xvfb"),
];

/// A running program.
pub struct Client {
    child: Child,
    program: String,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// A command for a program that must be there.
#[track_caller]
pub fn program(name: &str) -> Command {
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map(|(_, package)| package);
    let package = package.unwrap_or_else(|| panic!("{name} is missing in the table of packages"));
    assert!(
        is_installed(name),
        "{name} is not installed: apt-get install {package}, or run tests/run"
    );
    let mut command = Command::new(name);
    // No proxy of the person at the machine stands between the client and the server under test.
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command
}

/// The first of several programs that is installed; the first of all if none is.
pub fn first_installed(names: &[&'static str]) -> &'static str {
    names.iter().copied().find(|name| is_installed(name)).unwrap_or(names[0])
}

fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

impl Client {
    /// Starts a program with these words.
    #[track_caller]
    pub fn start(name: &str, words: &[&str]) -> Self {
        let mut command = program(name);
        command.args(words);
        Self::spawn(command)
    }

    /// Starts a prepared command.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let program = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().expect("the program runs");
        let lines = Lines::default();
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), &lines),
            collect(child.stderr.take().expect("stderr is piped"), &lines),
        ];
        Self { child, program, lines, readers }
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        self.lines.lock().expect("readers do not panic").join("\n")
    }

    /// Waits until it prints something.
    #[track_caller]
    pub fn wait_output(&self, part: &str) {
        wait::until_true(&format!("{} prints {part:?}", self.program), || {
            self.output().contains(part)
        });
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.program);
        wait::until(&what, || self.child.try_wait().expect("it is our child"))
    }

    /// Waits for its end in order; gives what it printed.
    #[track_caller]
    pub fn succeed(mut self) -> String {
        let status = self.wait_end();
        assert!(status.success(), "{} ended with {status}: {}", self.program, self.output());
        // The last lines may still be on their way through the pipes.
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        self.output()
    }
}

impl Client {
    /// Signals the whole group: a wrapper such as xvfb-run does not take its children along.
    fn signal_group(&self, name: &str) {
        // There may be nobody left, which is as well.
        let _ = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} -{}", self.child.id()))
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Asked first, so that a display or a browser clears its traces away; then told.
        self.signal_group("TERM");
        let child = &mut self.child;
        wait::within(Duration::from_secs(2), || child.try_wait().ok().flatten());
        self.signal_group("KILL");
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{} printed:\n{}", self.program, self.output());
        }
    }
}

/// ffmpeg decodes so many seconds of a mount, and finds not one error in them.
#[track_caller]
pub fn decodes(server: &Server, path: &str, seconds: u32) {
    let (url, seconds) = (server.url(path), seconds.to_string());
    let words = ["-v", "error", "-xerror", "-nostdin", "-i", &url, "-t", &seconds, "-f", "s16le"];
    let mut command = program("ffmpeg");
    command.args(words).args(["-ac", "1", "-ar", "8000", "-"]);
    let output = command.output().expect("ffmpeg runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{path}: {}: {errors}", output.status);
    let wanted: usize = seconds.parse::<usize>().expect("digits") * 8_000 * 2;
    assert!(output.stdout.len() >= wanted, "{path}: {} of {wanted} bytes", output.stdout.len());
}
