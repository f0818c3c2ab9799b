//! Generated sources: silent MP3 frames, sent in real time by `PUT` as libshout does. One thread
//! for all of them; each source's frames are due by sample count, so nothing drifts.

use crate::clock;
use crate::failure::Failure;
use crate::head::{self, HEAD_BYTES_MAX, HeadStep};
use crate::listener::Phase;
use crate::marks::Mark;
use crate::mp3::{Cbr, FRAME_SAMPLES, SAMPLE_RATE};
use crate::outcome::Spread;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::io::Errno;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What to publish, and where.
#[derive(Clone, Debug)]
pub struct Program {
    /// The server.
    pub server: SocketAddr,
    /// The `Host` header's value.
    pub authority: String,
    /// One source each.
    pub mounts: Vec<String>,
    /// The sources' user name.
    pub user: String,
    /// The sources' password.
    pub password: String,
    /// Their bitrate.
    pub cbr: Cbr,
    /// Whether frames carry marks.
    pub marks: bool,
    /// How often frames that are due are sent: a frame lasts 26 ms.
    pub pace: Duration,
    /// How long; `None` is until the process is ended.
    pub duration: Option<Duration>,
}

/// What the sources did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Published {
    /// Sources that the server took.
    pub sources: u64,
    /// Frames handed to sockets.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sources that were refused or lost, by kind.
    pub failures: BTreeMap<String, u64>,
    /// How late the sender woke, in us. Marks carry the true time of sending regardless.
    pub late_us: Spread,
}

/// Publishes until the duration is over or no source is left.
pub fn run(program: &Program) -> Published {
    let mut published = Published::default();
    let mut feeds = Vec::new();
    for (number, mount) in program.mounts.iter().enumerate() {
        match connect(program, mount) {
            Ok(socket) => feeds.push(Feed::new(program, socket, number)),
            Err((failure, phase)) => {
                *published.failures.entry(failure.label(phase)).or_default() += 1;
            }
        }
    }
    published.sources = feeds.len() as u64;
    let began = Instant::now();
    let mut due = Duration::ZERO;
    while !feeds.is_empty() && program.duration.is_none_or(|duration| due < duration) {
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let elapsed = began.elapsed();
        let late = elapsed.saturating_sub(due).as_micros();
        published.late_us.record(u64::try_from(late).unwrap_or(u64::MAX));
        feeds.retain_mut(|feed| match feed.advance(program, elapsed) {
            Ok(()) => true,
            Err(failure) => {
                *published.failures.entry(failure.label(Phase::Flowing)).or_default() += 1;
                published.frames += feed.frames;
                published.bytes += feed.bytes;
                false
            }
        });
        due += program.pace.max(PACE_MIN);
    }
    for feed in &feeds {
        published.frames += feed.frames;
        published.bytes += feed.bytes;
    }
    published
}

/// One source.
struct Feed {
    socket: TcpStream,
    stream: u32,
    /// When its first frame is due: sources are spread over a frame's time.
    offset: Duration,
    frames: u64,
    bytes: u64,
    /// Bytes that the socket did not take yet.
    pending: Vec<u8>,
}

impl Feed {
    fn new(program: &Program, socket: TcpStream, number: usize) -> Self {
        let frame = Duration::from_nanos(FRAME_SAMPLES * 1_000_000_000 / SAMPLE_RATE);
        let share = number as f64 / program.mounts.len() as f64;
        let stream = u32::try_from(number).unwrap_or(u32::MAX);
        let offset = frame.mul_f64(share);
        Self { socket, stream, offset, frames: 0, bytes: 0, pending: Vec::new() }
    }

    /// Makes and sends the frames that have begun by `elapsed`.
    fn advance(&mut self, program: &Program, elapsed: Duration) -> Result<(), Failure> {
        let Some(elapsed) = elapsed.checked_sub(self.offset) else { return Ok(()) };
        let begun = program.cbr.frames_begun(elapsed);
        while self.frames < begun {
            if self.pending.len() >= PENDING_BYTES_MAX {
                return Err(Failure::Stuck);
            }
            if program.marks {
                let (stream, sequence) = (self.stream, self.frames);
                let mark = Mark { stream, sequence, sent_ns: clock::monotonic_ns() };
                mark.write_frame(program.cbr, &mut self.pending);
            } else {
                program.cbr.write_silence(self.frames, &mut self.pending);
            }
            self.frames += 1;
        }
        self.flush()?;
        self.hear()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        while !self.pending.is_empty() {
            match self.socket.write(&self.pending) {
                Ok(0) => return Err(Failure::Closed),
                Ok(taken) => {
                    self.bytes += taken as u64;
                    self.pending.drain(..taken);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(failure_of(&error)),
            }
        }
        Ok(())
    }

    /// Whatever the server says meanwhile (Icecast: a late `200 OK`) is read and dropped; its end
    /// of the connection closing is the end.
    fn hear(&mut self) -> Result<(), Failure> {
        match self.socket.read(&mut [0; 512]) {
            Ok(0) => Err(Failure::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(failure_of(&error)),
        }
    }
}

/// Connects a source, and waits for the server's leave to send.
fn connect(program: &Program, mount: &str) -> Result<TcpStream, (Failure, Phase)> {
    let at = |phase| move |error: io::Error| (failure_of(&error), phase);
    let mut socket = TcpStream::connect_timeout(&program.server, CONNECT_PATIENCE)
        .map_err(at(Phase::Connecting))?;
    socket.set_nodelay(true).map_err(at(Phase::Connecting))?;
    socket.set_read_timeout(Some(LEAVE_PATIENCE)).map_err(at(Phase::Connecting))?;
    let head = request(program, mount);
    socket.write_all(head.as_bytes()).map_err(at(Phase::AwaitingHead))?;
    await_leave(&mut socket).map_err(|failure| (failure, Phase::AwaitingHead))?;
    socket.set_nonblocking(true).map_err(at(Phase::AwaitingHead))?;
    Ok(socket)
}

fn request(program: &Program, mount: &str) -> String {
    let login = STANDARD.encode(format!("{}:{}", program.user, program.password));
    format!(
        "PUT {mount} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {login}\r\n\
         User-Agent: floe-loadtest\r\nContent-Type: audio/mpeg\r\nice-public: 0\r\n\
         ice-name: load test {mount}\r\nice-bitrate: {}\r\nExpect: 100-continue\r\n\r\n",
        program.authority,
        program.cbr.kbit(),
    )
}

/// Reads until the server says 100 or 200. A server that knows no `Expect` may say nothing until
/// the body ends: after [`LEAVE_PATIENCE`] silence is leave (RFC 9110, 10.1.1).
fn await_leave(socket: &mut TcpStream) -> Result<(), Failure> {
    let mut held = Vec::new();
    let mut buffer = [0; 1_024];
    while held.len() < HEAD_BYTES_MAX {
        match socket.read(&mut buffer) {
            Ok(0) => return Err(Failure::Closed),
            Ok(taken) => held.extend_from_slice(&buffer[..taken]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(failure_of(&error)),
        }
        match head::read(&held) {
            HeadStep::More => {}
            HeadStep::Malformed => return Err(Failure::HeadMalformed),
            HeadStep::Done(head, _) if matches!(head.status, 100 | 200) => return Ok(()),
            HeadStep::Done(head, _) => return Err(Failure::Status(head.status)),
        }
    }
    Err(Failure::HeadMalformed)
}

fn failure_of(error: &io::Error) -> Failure {
    match Errno::from_io_error(error) {
        Some(errno) => errno.into(),
        None if error.kind() == ErrorKind::TimedOut => Failure::TimedOut,
        None => Failure::Closed,
    }
}

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
/// About 16 s of 128 kbit/s. A server that takes less than real time for that long has failed.
const PENDING_BYTES_MAX: usize = 256 * 1024;
/// Waking more often than this is spinning.
const PACE_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks::Checker;
    use crate::outcome::MarkTally;
    use std::net::TcpListener;

    fn program(server: SocketAddr) -> Program {
        Program {
            server,
            authority: server.to_string(),
            mounts: vec!["/live".into()],
            user: "source".into(),
            password: "hackme".into(),
            cbr: Cbr::new(128).unwrap(),
            marks: true,
            pace: Duration::from_millis(20),
            duration: Some(Duration::from_millis(50)),
        }
    }

    fn serve(answer: &'static [u8]) -> (SocketAddr, std::thread::JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                socket.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            socket.write_all(answer).unwrap();
            let mut body = Vec::new();
            let _ = socket.read_to_end(&mut body);
            (String::from_utf8(head).unwrap(), body)
        });
        (address, server)
    }

    #[test]
    fn a_source_logs_in_and_sends_frames_in_order() {
        let (address, server) = serve(b"HTTP/1.1 100 Continue\r\n\r\n");
        let published = run(&program(address));
        let (head, body) = server.join().unwrap();
        assert!(head.starts_with("PUT /live HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Authorization: Basic c291cmNlOmhhY2ttZQ==\r\n"), "{head}");
        assert_eq!((published.sources, published.failures.len()), (1, 0));
        assert_eq!(published.bytes, body.len() as u64);
        let mut tally = MarkTally::default();
        Checker::default().push(&body, clock::monotonic_ns(), true, &mut tally);
        assert_eq!((tally.frames, tally.wrong(), tally.joined_mid_frame), (published.frames, 0, 0));
        assert!(published.frames >= 2);
    }

    #[test]
    fn a_refused_source_is_counted_by_its_status() {
        let (address, server) = serve(b"HTTP/1.0 401 Unauthorized\r\n\r\n");
        let published = run(&program(address));
        server.join().unwrap();
        assert_eq!(published.failures.into_iter().collect::<Vec<_>>(), [("status_401".into(), 1)]);
        assert_eq!((published.sources, published.frames), (0, 0));
    }
}
