//! Generated sources: silent MP3 or AAC, sent in real time by `PUT` as libshout does. One thread
//! and one epoll set for all of them: 200 sources of 128 kbit/s with marks and titles take 0.06 of
//! a core, 1,000 take 0.24 (`watch`, beside the server on the same machine). This file holds the
//! loop; one source stands in `publish/source.rs`, one update of its title in `publish/title.rs`.

mod source;
mod title;

use crate::failure::Failure;
use crate::frames::Cbr;
use crate::listener::Phase;
use crate::outcome::Spread;
use crate::sockets::poll;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use serde::Serialize;
use source::Source;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
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
    /// Their codec and bitrate.
    pub cbr: Cbr,
    /// Whether frames carry marks.
    pub marks: bool,
    /// How often each source's title is set to the next number; `None` sets none.
    pub titles_every: Option<Duration>,
    /// How often frames that are due are sent: a frame lasts 26 ms, 23 ms in AAC.
    pub pace: Duration,
    /// How long from the first source on air; `None` is until the process is ended.
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
    /// Titles that the server took.
    pub titles: u64,
    /// Titles that it did not take, by kind.
    pub title_failures: BTreeMap<String, u64>,
    /// How late the sender woke, in us. Marks carry the true time of sending regardless.
    pub late_us: Spread,
}

impl Published {
    fn count(failures: &mut BTreeMap<String, u64>, failure: Failure, phase: Phase) {
        *failures.entry(failure.label(phase)).or_default() += 1;
    }
}

/// Publishes until the duration is over or no source is left.
///
/// # Errors
/// If epoll itself fails.
pub fn run(program: &Program) -> Result<Published, Errno> {
    let mut studio = Studio::new(program)?;
    let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
    let origin = Instant::now();
    let mut due = Duration::ZERO;
    while !studio.is_over(origin.elapsed()) {
        studio.begin_logins(origin.elapsed());
        poll(&studio.set, &mut events, due.saturating_sub(origin.elapsed()))?;
        let now = origin.elapsed();
        for event in events.drain(..) {
            studio.on_event(event.data.u64(), now);
        }
        if now >= due {
            let late = (now - due).as_micros();
            studio.published.late_us.record(u64::try_from(late).unwrap_or(u64::MAX));
            studio.advance(now);
            due = (due + program.pace.max(*PACES.start())).max(now);
        }
    }
    Ok(studio.finish())
}

/// All sources of this process. Times are counted from the start of the run.
struct Studio<'p> {
    program: &'p Program,
    set: OwnedFd,
    /// Sources in the order of their mounts; those further back have not begun.
    sources: Vec<Source>,
    /// When the first was on air.
    on_air_at: Option<Duration>,
    published: Published,
}

impl<'p> Studio<'p> {
    fn new(program: &'p Program) -> Result<Self, Errno> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let published = Published::default();
        Ok(Self { program, set, sources: Vec::new(), on_air_at: None, published })
    }

    fn is_over(&self, now: Duration) -> bool {
        let all_begun = self.sources.len() == self.program.mounts.len();
        if all_begun && self.sources.iter().all(Source::is_gone) {
            return true;
        }
        let (Some(from), Some(duration)) = (self.on_air_at, self.program.duration) else {
            return false;
        };
        now >= from + duration
    }

    /// Connects sources that have not begun, few at a time: a server may check passwords slowly on
    /// purpose, and one that is asked for a thousand at once would answer none in time.
    fn begin_logins(&mut self, now: Duration) {
        let mut under_way = self.sources.iter().filter(|source| source.is_logging_in()).count();
        while under_way < LOGINS_MAX && self.sources.len() < self.program.mounts.len() {
            let number = self.sources.len();
            match Source::connect(self.program, &self.set, number, now) {
                Ok(source) => self.sources.push(source),
                Err(failure) => {
                    self.sources.push(Source::gone(number));
                    let failures = &mut self.published.failures;
                    Published::count(failures, failure, Phase::Connecting);
                }
            }
            under_way += 1;
        }
    }

    fn on_event(&mut self, token: u64, now: Duration) {
        let number = usize::try_from(token & !TITLE_BIT).unwrap_or(usize::MAX);
        let Some(source) = self.sources.get_mut(number) else { return };
        if token & TITLE_BIT != 0 {
            return source.on_title_event(&mut self.published);
        }
        let result = source.on_event(self.program, now);
        self.note(number, result, now);
    }

    /// Sends what is due.
    fn advance(&mut self, now: Duration) {
        for number in 0..self.sources.len() {
            let source = &mut self.sources[number];
            let result = source.advance(self.program, now);
            source.update_title(self.program, &self.set, now, &mut self.published);
            self.note(number, result, now);
        }
    }

    /// Counts what came of source `number`'s turn.
    fn note(&mut self, number: usize, result: Result<(), Failure>, now: Duration) {
        let source = &mut self.sources[number];
        if let Err(failure) = result {
            Published::count(&mut self.published.failures, failure, source.phase());
            source.leave();
        }
        if source.has_just_gone_on_air() {
            self.published.sources += 1;
            self.on_air_at.get_or_insert(now);
        }
    }

    fn finish(mut self) -> Published {
        for source in &self.sources {
            self.published.frames += source.frames;
            self.published.bytes += source.bytes;
        }
        self.published
    }
}

const EVENTS_AT_ONCE: usize = 1_024;
/// Logins under way at once.
const LOGINS_MAX: usize = 32;
/// In a token: the event belongs to the title's connection and not to the stream's.
const TITLE_BIT: u64 = 1 << 63;
/// How often sources may be asked to send: more often is spinning, and listeners would notice a
/// burst of more than a second.
pub const PACES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(1);
/// Between two titles of one source, each of which is a request of its own; more often is a flood
/// and no test of titles.
pub const TITLES_EVERY_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::frames::Codec;
    use crate::marks::Checker;
    use crate::outcome::MarkTally;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn program(server: SocketAddr) -> Program {
        Program {
            server,
            authority: server.to_string(),
            mounts: vec!["/live".into()],
            user: "source".into(),
            password: "hackme".into(),
            cbr: Cbr::new(Codec::Mp3, 128).unwrap(),
            marks: true,
            titles_every: None,
            pace: Duration::from_millis(20),
            duration: Some(Duration::from_millis(500)),
        }
    }

    fn serve(answer: &'static [u8]) -> (SocketAddr, std::thread::JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let head = head(&mut socket);
            socket.write_all(answer).unwrap();
            let mut body = Vec::new();
            let _ = socket.read_to_end(&mut body);
            (head, body)
        });
        (address, server)
    }

    #[test]
    fn a_source_logs_in_and_sends_frames_in_order() {
        let (address, server) = serve(b"HTTP/1.1 100 Continue\r\n\r\n");
        let published = run(&program(address)).unwrap();
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
        let published = run(&program(address)).unwrap();
        server.join().unwrap();
        assert_eq!(published.failures.into_iter().collect::<Vec<_>>(), [("status_401".into(), 1)]);
        assert_eq!((published.sources, published.frames), (0, 0));
    }

    /// Reads a request head.
    fn head(socket: &mut std::net::TcpStream) -> String {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn titles_are_numbered_and_a_refused_one_is_counted_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut program = program(listener.local_addr().unwrap());
        program.mounts = vec!["/a b".replace(' ', "+")];
        program.titles_every = Some(Duration::from_millis(10));
        program.duration = None;
        let server = std::thread::spawn(move || {
            let (mut source, _) = listener.accept().unwrap();
            head(&mut source);
            source.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            let mut asked = Vec::new();
            for answer in [&b"HTTP/1.0 200 OK\r\n\r\n"[..], b"HTTP/1.0 403 No\r\n\r\n"] {
                let (mut socket, _) = listener.accept().unwrap();
                asked.push(head(&mut socket));
                socket.write_all(answer).unwrap();
                // Its end says that the answer was read.
                let _ = socket.read_to_end(&mut Vec::new());
            }
            asked
        });
        let published = run(&program).unwrap();
        let asked = server.join().unwrap();
        assert!(
            asked[0].starts_with(
                "GET /admin/metadata?mode=updinfo&mount=/a%2Bb&song=floe-loadtest%201 HTTP/1.0\r\n"
            ),
            "{}",
            asked[0]
        );
        assert!(asked[1].contains("song=floe-loadtest%202 "), "{}", asked[1]);
        assert!(asked[1].contains("Authorization: Basic c291cmNlOmhhY2ttZQ==\r\n"));
        assert_eq!(published.titles, 1);
        assert_eq!(published.title_failures.get("status_403"), Some(&1));
        assert_eq!(published.sources, 1);
    }

    #[test]
    fn many_aac_sources_send_at_once_from_one_thread() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut program = program(listener.local_addr().unwrap());
        program.mounts = (0..LOGINS_MAX + 8).map(|number| format!("/{number}")).collect();
        program.cbr = Cbr::new(Codec::Adts, 96).unwrap();
        // From the first login on: long enough for the last one, also on a busy machine.
        program.duration = Some(Duration::from_secs(2));
        let sources = program.mounts.len();
        let server = std::thread::spawn(move || {
            let serve = |_| {
                let (mut socket, _) = listener.accept().unwrap();
                std::thread::spawn(move || {
                    assert!(head(&mut socket).contains("Content-Type: audio/aac\r\n"));
                    socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
                    let mut body = Vec::new();
                    let _ = socket.read_to_end(&mut body);
                    body
                })
            };
            let served: Vec<_> = (0..sources).map(serve).collect();
            served.into_iter().map(|body| body.join().unwrap()).collect::<Vec<_>>()
        });
        let published = run(&program).unwrap();
        let bodies = server.join().unwrap();
        assert_eq!((published.sources, published.failures.len()), (sources as u64, 0));
        let mut tally = MarkTally::default();
        for body in &bodies {
            Checker::default().push(body, clock::monotonic_ns(), true, &mut tally);
        }
        assert_eq!((tally.frames, tally.wrong()), (published.frames, 0));
    }
}
