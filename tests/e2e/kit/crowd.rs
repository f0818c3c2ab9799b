//! Many listeners in one loop, each with habits of its own: some take what comes, some read in
//! small sips, some stop for a while. Each checks every byte it gets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::http::{Answer, End, connect_from};
use super::random::Random;
use super::server::Server;
use super::tune::Ear;
use crate::wait;

/// Time between two rounds through the crowd.
const ROUND: Duration = Duration::from_millis(10);

/// Bytes the fan takes at most in one go.
const READ_BYTES: usize = 32 * 1024;

/// How a fan reads.
#[derive(Clone, Copy, Debug)]
pub struct Habit {
    /// Bytes of one sip.
    pub sip_bytes: usize,
    /// Pauses between sips are up to so long.
    pub pause_max: Duration,
    /// Bytes the kernel keeps for it; 0 leaves that to the kernel.
    pub window_bytes: usize,
    /// Whether it asks for metadata.
    pub titles: bool,
}

impl Habit {
    /// A habit of its own for each of a crowd that keeps up with `bytes_per_second`.
    pub fn of_one_who_keeps_up(random: &mut Random, bytes_per_second: u64) -> Self {
        let pause_ms = [0, 50, 400, 1_500][random.between(0, 3) as usize];
        // Twice what comes during a pause and a second of a busy machine, so that it stays near.
        let at_least = bytes_per_second * 2 * (pause_ms + 1_000) / 1_000;
        let sip_bytes = random.between(at_least, at_least * 4) as usize;
        let titles = random.between(0, 1) == 1;
        Self { sip_bytes, pause_max: Duration::from_millis(pause_ms), window_bytes: 0, titles }
    }

    /// One that takes what comes.
    pub fn greedy(titles: bool) -> Self {
        Self { sip_bytes: usize::MAX, pause_max: Duration::ZERO, window_bytes: 0, titles }
    }
}

/// One listener of a crowd.
pub struct Fan {
    stream: TcpStream,
    habit: Habit,
    wakes: Instant,
    head_bytes: Vec<u8>,
    /// What it hears, from when the head of its answer has come.
    pub ear: Option<Ear>,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// Listeners of one mount.
pub struct Crowd {
    /// They.
    pub fans: Vec<Fan>,
    random: Random,
    buffer: Vec<u8>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(random: Random) -> Self {
        Self { fans: Vec::new(), random, buffer: vec![0; READ_BYTES] }
    }

    /// Connects `count` more, spread over the loopback's addresses.
    pub fn join(
        &mut self,
        server: &Server,
        path: &str,
        count: usize,
        mut habit: impl FnMut(&mut Random) -> Habit,
    ) {
        for number in 0..count {
            let own = Ipv4Addr::new(127, 0, 1, 1 + (number % 250) as u8);
            let habit = habit(&mut self.random);
            let mut stream = connect_from(own, server.address());
            if habit.window_bytes > 0 {
                let set = SockRef::from(&stream).set_recv_buffer_size(habit.window_bytes);
                set.expect("a TCP socket");
            }
            let line = if habit.titles { "Icy-MetaData: 1\r\n" } else { "" };
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n");
            stream.write_all(request.as_bytes()).expect("a fresh connection takes a head");
            stream.set_nonblocking(true).expect("a TCP socket");
            let (head_bytes, wakes) = (Vec::new(), Instant::now());
            self.fans.push(Fan { stream, habit, wakes, head_bytes, ear: None, end: None });
        }
    }

    /// Lets everyone read until `done` says so; fails the test when that takes too long.
    #[track_caller]
    pub fn listen_until(&mut self, what: &str, mut done: impl FnMut(&[Fan]) -> bool) {
        let deadline = Instant::now() + wait::PATIENCE;
        while !done(&self.fans) {
            assert!(Instant::now() < deadline, "waited in vain until {what}: {}", self.summary());
            self.round();
        }
    }

    /// Lets everyone read for so long.
    pub fn listen_for(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.round();
        }
    }

    fn round(&mut self) {
        let now = Instant::now();
        for fan in &mut self.fans {
            if fan.end.is_none() && fan.wakes <= now {
                fan.sip(&mut self.buffer);
                if !fan.habit.pause_max.is_zero() {
                    let most = fan.habit.pause_max.as_millis() as u64;
                    fan.wakes = now + Duration::from_millis(self.random.between(0, most));
                }
            }
        }
        wait::pause(ROUND.saturating_sub(now.elapsed()));
    }

    /// Fans that are still connected.
    pub fn present(&self) -> usize {
        self.fans.iter().filter(|fan| fan.end.is_none()).count()
    }

    /// What there is to say of the crowd in a line.
    pub fn summary(&self) -> String {
        let heads = self.fans.iter().filter(|fan| fan.ear.is_some()).count();
        let least = self.fans.iter().map(Fan::frames).min();
        let (all, present) = (self.fans.len(), self.present());
        format!("{all} fans, {heads} answered, {present} present, least frames {least:?}")
    }
}

impl Fan {
    /// Frames heard so far.
    pub fn frames(&self) -> u64 {
        self.ear.as_ref().map_or(0, |ear| ear.checker.frames)
    }

    /// The number of the last frame heard.
    pub fn last(&self) -> u64 {
        let range = self.ear.as_ref().and_then(|ear| ear.checker.range);
        range.map_or(0, |(_, last)| last)
    }

    fn sip(&mut self, buffer: &mut [u8]) {
        let mut left = self.habit.sip_bytes;
        while left > 0 {
            let most = left.min(buffer.len());
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => return self.end = Some(End::Closed),
                Ok(count) => {
                    left -= count;
                    self.take(&buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.end = Some(End::Reset),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if let Some(ear) = &mut self.ear {
            return ear.hear(bytes).expect("what was sent");
        }
        self.head_bytes.extend_from_slice(bytes);
        let Some(end) = self.head_bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return;
        };
        let head = Answer::of(&String::from_utf8_lossy(&self.head_bytes[..end]));
        assert_eq!(head.status, 200, "{head:?}");
        let mut ear = Ear::behind(&head);
        ear.hear(&self.head_bytes[end + 4..]).expect("what was sent");
        self.head_bytes = Vec::new();
        self.ear = Some(ear);
    }
}
