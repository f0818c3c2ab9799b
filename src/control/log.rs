//! The log writer: one thread that takes lines from bounded queues and writes them out. Those who
//! log never wait for a disk; what does not fit a queue is counted and dropped, and the drop is
//! logged.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::LogTarget;
use crate::ring::Spool;
use crate::rt::cores::spawn_thread;

/// How long lines may lie in a queue: the writer looks this often and is woken by nobody, so that
/// logging costs a core no system call.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Bytes gathered before they are written in one piece.
const GATHER_BYTES: usize = 64 * 1024;

/// Where the lines of one queue go.
pub struct Destination {
    lines: Arc<Spool>,
    sink: Box<dyn Write + Send>,
    name: String,
    dropped_told: u64,
    /// Lines that could not be written; told once writing works again.
    lost: u64,
    failed: bool,
}

impl Destination {
    /// The destination that the configuration names; none if it is off. Fails if a file cannot be
    /// opened for appending.
    pub fn open(target: &LogTarget, lines: Arc<Spool>) -> io::Result<Option<Self>> {
        let (sink, name): (Box<dyn Write + Send>, String) = match target {
            LogTarget::Off => return Ok(None),
            LogTarget::Stdout => (Box::new(io::stdout()), "stdout".to_owned()),
            LogTarget::Stderr => (Box::new(io::stderr()), "stderr".to_owned()),
            LogTarget::File(path) => (Box::new(append(path)?), path.display().to_string()),
        };
        Ok(Some(Self { lines, sink, name, dropped_told: 0, lost: 0, failed: false }))
    }

    /// Writes all that waits.
    fn drain(&mut self) {
        let mut gathered = String::new();
        loop {
            let line = self.lines.pop();
            let full = gathered.len() >= GATHER_BYTES;
            if let Some(line) = &line {
                gathered.push_str(line);
            }
            if !gathered.is_empty() && (full || line.is_none()) {
                self.write(&gathered);
                gathered.clear();
            }
            if line.is_none() {
                break;
            }
        }
        self.tell_drops();
    }

    /// A full disk or a closed pipe must not end the server: it is told once, and writing goes on
    /// being tried.
    fn write(&mut self, text: &str) {
        // What a full disk cut off must not swallow the beginning of the next line.
        let joint: &[u8] = if self.failed { b"\n" } else { b"" };
        let written = self
            .sink
            .write_all(joint)
            .and_then(|()| self.sink.write_all(text.as_bytes()))
            .and_then(|()| self.sink.flush());
        match written {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.lost += text.lines().count() as u64;
                if !std::mem::replace(&mut self.failed, true) {
                    // The log cannot take it, so the terminal or the journal must; if that is what
                    // failed there is nobody left to tell.
                    let _ = writeln!(io::stderr(), "floe: cannot write to {}: {error}", self.name);
                }
            }
        }
    }

    fn tell_drops(&mut self) {
        let dropped = self.lines.dropped() + if self.failed { 0 } else { self.lost };
        if dropped > self.dropped_told {
            let news = dropped - self.dropped_told;
            self.dropped_told = dropped;
            let _ = writeln!(io::stderr(), "floe: {news} lines for {} were dropped", self.name);
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// The running writer.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    /// Hears nothing but the thread's end.
    ended: Receiver<()>,
}

impl Writer {
    /// Starts the writer thread.
    pub fn start(mut destinations: Vec<Destination>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (alive, ended) = channel::<()>();
        let thread = spawn_thread("floe-log", move || {
            let _alive = alive;
            loop {
                // Read before draining, so that what was logged before the stop is still written.
                let last = stopped.load(Ordering::Acquire);
                destinations.iter_mut().for_each(Destination::drain);
                if last {
                    return;
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        })?;
        Ok(Self { stop, thread, ended })
    }

    /// Writes what is left and ends the thread. One that hangs in a write, because nobody reads the
    /// pipe, is left to the end of the process after `patience`; says whether it ended.
    pub fn finish(self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::LOG_FINISH;

    #[test]
    fn everything_logged_before_the_end_is_in_the_file() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let path = folder.path().join("access.log");
        let lines = Arc::new(Spool::new(4096));
        let target = LogTarget::File(path.clone());
        let destination = Destination::open(&target, Arc::clone(&lines)).expect("it opens");
        let writer = Writer::start(destination.into_iter().collect()).expect("a thread");
        for number in 0..3_000 {
            assert!(lines.push(format!("line {number}\n")));
        }
        assert!(writer.finish(LOG_FINISH));
        let text = std::fs::read_to_string(path).expect("it was written");
        assert_eq!(text.lines().count(), 3_000);
        assert_eq!(text.lines().last(), Some("line 2999"));
    }

    /// A sink that takes nothing, as a full pipe that nobody reads.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Ends with an error once the test lets go of the other end.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_hold_up_the_end() {
        let (hold, stuck) = std::sync::mpsc::channel();
        let lines = Arc::new(Spool::new(1));
        assert!(lines.push("line\n".to_owned()));
        let destination = Destination {
            lines,
            sink: Box::new(Stuck(stuck)),
            name: "stuck".to_owned(),
            dropped_told: 0,
            lost: 0,
            failed: false,
        };
        let writer = Writer::start(vec![destination]).expect("a thread");
        assert!(!writer.finish(Duration::from_millis(20)));
        drop(hold);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
        let target = LogTarget::File("/nonexistent/folder/access.log".into());
        assert!(Destination::open(&target, Arc::new(Spool::new(1))).is_err());
    }
}
