//! The guard: a process between this one and a server it started. It ends the server, and removes
//! the server's folder, as soon as the pipe from its parent closes. A parent that is killed closes
//! it too, so that no server outlives its test.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A guarded server, as its parent sees it. Dropping it ends the server.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    /// Closing it ends the server.
    leash: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    pid: u32,
}

impl Guarded {
    /// Starts `program` under a guard. Its output goes to a file in `folder`, which the guard
    /// removes at the end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(folder: &Path, program: &Path, arguments: &[OsString]) -> io::Result<Self> {
        let mut guard = Command::new(std::env::current_exe()?)
            .arg("guard")
            .arg(folder)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the parent alone; the guard sees the pipe close.
            .process_group(0)
            .spawn()?;
        let (leash, told) = (guard.stdin.take(), guard.stdout.take());
        let told = told.ok_or_else(|| io::Error::other("the guard has no output"))?;
        let mut guarded = Self { guard, leash, told: BufReader::new(told), pid: 0 };
        let mut line = String::new();
        guarded.told.read_line(&mut line)?;
        guarded.pid = line.trim().parse().map_err(|_| {
            io::Error::other(format!("{} cannot be started: {}", program.display(), line.trim()))
        })?;
        Ok(guarded)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the server still runs.
    ///
    /// # Errors
    /// If the guard cannot be asked.
    pub fn runs(&mut self) -> io::Result<bool> {
        Ok(self.guard.try_wait()?.is_none())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.leash = None;
        // It ends within its own deadline whatever the server does.
        let _ = self.guard.wait();
    }
}

/// Runs a guard process to its end.
///
/// # Errors
/// If the parent cannot be told.
pub fn run(folder: &Path, program: &Path, arguments: &[OsString]) -> io::Result<()> {
    let mut out = io::stdout();
    let output = File::create(log_path(folder))?;
    let spawned = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("FLOE_CONFIG")
        .env_remove("FLOE_LISTEN")
        .env_remove("FLOE_HOSTNAME")
        .env_remove("FLOE_SOURCE_PASSWORD")
        .env_remove("FLOE_ADMIN_PASSWORD")
        .env_remove("FLOE_LOG")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn();
    let mut server = match spawned {
        Ok(server) => server,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(());
        }
    };
    // A parent that is gone already is seen at once below.
    let _ = writeln!(out, "{}", server.id()).and_then(|()| out.flush());
    while server.try_wait()?.is_none() && !is_let_go(LOOK_EVERY) {}
    end(&mut server)?;
    if is_let_go(Duration::ZERO) {
        // What cannot be removed lies in the folder for temporary files, which the machine clears.
        let _ = fs::remove_dir_all(folder);
    }
    Ok(())
}

/// Where the guard lets a server write what it prints.
pub fn log_path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// Whether the parent has closed the pipe; waits up to `span` for that.
fn is_let_go(span: Duration) -> bool {
    let mut stdin = io::stdin();
    let timeout = Timespec::try_from(span).ok();
    let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], timeout.as_ref());
    // The parent never writes: readable is closed.
    ready.is_ok_and(|ready| ready > 0) && stdin.read(&mut [0; 1]).is_ok_and(|read| read == 0)
}

/// Asks `server` to end, and makes it after [`FAREWELL`].
fn end(server: &mut Child) -> io::Result<()> {
    if server.try_wait()?.is_some() {
        return Ok(());
    }
    if let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) {
        // It may end by itself in this moment, and then there is nobody to tell.
        let _ = kill_process(pid, Signal::TERM);
    }
    let deadline = Instant::now() + FAREWELL;
    while server.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            server.kill()?;
        }
        std::thread::sleep(LOOK_EVERY / 10);
    }
    Ok(())
}

/// How soon the end of a server that ends by itself is seen; the pipe is seen at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A server with 100,000 listeners closes them in a few seconds.
const FAREWELL: Duration = Duration::from_secs(10);
