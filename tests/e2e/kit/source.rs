//! A source of numbered frames: it publishes like an encoder, at a multiple of real time, and can
//! end in each of the ways that encoders do.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::frames::{FRAME_US, frames};
use super::http::{Answer, Talk, authorization, get};
use super::server::Server;
use crate::wait;

/// How long the pieces are that a source sends: an encoder's are a few frames long.
const PIECE: Duration = Duration::from_millis(50);

/// What a source sends and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Reel {
    /// The first frame's number: sources that follow each other are told apart by it.
    pub first: u64,
    /// How many times real time.
    pub speed: f64,
    /// The content type it names.
    pub content_type: &'static str,
}

impl Default for Reel {
    fn default() -> Self {
        Self { first: 0, speed: 1.0, content_type: "audio/mpeg" }
    }
}

/// What a source does, told to its thread.
const SENDS: u8 = 0;
const IS_SILENT: u8 = 1;
const ENDS: u8 = 2;

/// A source on air. It ends in order when dropped.
pub struct Source {
    state: Arc<AtomicU8>,
    sent: Arc<AtomicU64>,
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    /// Publishes in real time from frame 0 on.
    #[track_caller]
    pub fn start(server: &Server, path: &str) -> Self {
        Self::play(server, path, Reel::default())
    }

    /// Publishes a reel.
    #[track_caller]
    pub fn play(server: &Server, path: &str, reel: Reel) -> Self {
        Self::try_play(server, path, reel).unwrap_or_else(|answer| panic!("refused: {answer:?}"))
    }

    /// Publishes a reel, or gives the server's refusal.
    pub fn try_play(server: &Server, path: &str, reel: Reel) -> Result<Self, Answer> {
        let mut talk = Talk::to(server);
        let line = authorization("source", &server.source_password);
        let kind = reel.content_type;
        talk.send(format!("PUT {path} HTTP/1.1\r\n{line}Content-Type: {kind}\r\n\r\n"));
        let mut answer = talk.head();
        if answer.status != 200 {
            answer.body = talk.rest().0;
            return Err(answer);
        }
        wait_known(server, path);
        let stream = talk.stream.try_clone().expect("a descriptor is free");
        let (state, sent) = (Arc::new(AtomicU8::new(SENDS)), Arc::new(AtomicU64::new(reel.first)));
        let (told, counts) = (Arc::clone(&state), Arc::clone(&sent));
        let thread = std::thread::spawn(move || send(talk.stream, reel, &told, &counts));
        Ok(Self { state, sent, stream, thread: Some(thread) })
    }

    /// The number of the frame it sends next.
    pub fn next(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Sends nothing more but stays connected.
    pub fn fall_silent(&self) {
        self.state.store(IS_SILENT, Ordering::Release);
    }

    /// Ends in order, after a whole frame.
    pub fn end(mut self) -> u64 {
        self.stop();
        self.next()
    }

    /// Breaks off with a reset, as an encoder whose machine fails.
    pub fn reset(mut self) {
        // With the linger time of zero whoever closes last resets.
        let zero = Some(Duration::ZERO);
        socket2::SockRef::from(&self.stream).set_linger(zero).expect("a TCP socket");
        self.stop();
    }

    /// Waits until the server has ended this source.
    #[track_caller]
    pub fn wait_dropped(&self) {
        let mut talk = Talk::over(self.stream.try_clone().expect("a descriptor is free"));
        assert_ne!(talk.rest().1, super::http::End::Open, "the server keeps this source");
    }

    fn stop(&mut self) {
        self.state.store(ENDS, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the source's thread only sends");
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits until every core knows the mount. Each learns of it by a message of its own, so a listener
/// that comes in the same millisecond as the source may still be told that there is none.
#[track_caller]
pub fn wait_known(server: &Server, path: &str) {
    // The kernel chooses the core by the client's port: so many connections miss none of a few.
    let knows = || get(server, &format!("{path}.m3u")).status == 200;
    wait::until_true("every core knows the mount", || (0..16).all(|_| knows()));
}

fn send(mut stream: TcpStream, reel: Reel, state: &AtomicU8, sent: &AtomicU64) {
    let began = Instant::now();
    loop {
        match state.load(Ordering::Acquire) {
            SENDS => {}
            IS_SILENT => {
                wait::pause(PIECE);
                continue;
            }
            _ => return,
        }
        let due = began.elapsed().as_micros() as f64 * reel.speed / FRAME_US as f64;
        let next = sent.load(Ordering::Acquire);
        let count = (reel.first + due as u64).saturating_sub(next);
        if count > 0 {
            // The count is raised first: no listener may have a frame that was "not sent yet".
            sent.store(next + count, Ordering::Release);
            if stream.write_all(&frames(next, count)).is_err() {
                return;
            }
        }
        wait::pause(PIECE);
    }
}
