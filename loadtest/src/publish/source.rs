//! One source: login, leave to send, frames. Its frames are due by sample count, so nothing drifts.

use super::title::{self, TitleUpdate};
use super::{Program, Published};
use crate::clock;
use crate::failure::Failure;
use crate::head::{self, HEAD_BYTES_MAX, HeadStep};
use crate::listener::Phase;
use crate::marks::Mark;
use crate::sockets::Socket;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::time::Duration;

pub(super) struct Source {
    number: usize,
    /// `None` once it is gone.
    socket: Option<Socket>,
    stage: Stage,
    /// Frames made.
    pub(super) frames: u64,
    /// Bytes that the socket took.
    pub(super) bytes: u64,
    /// Bytes that the socket did not take yet.
    pending: Vec<u8>,
    /// The server's answer so far.
    answer: Vec<u8>,
    /// Whether [`Self::has_just_gone_on_air`] has told.
    told_on_air: bool,
    titles_begun: u64,
    title: Option<TitleUpdate>,
}

/// How far a source has come, and since when.
#[derive(Clone, Copy)]
enum Stage {
    Connecting(Duration),
    AwaitingLeave(Duration),
    /// On air; its first frame is due at this time.
    OnAir(Duration),
    Gone,
}

impl Source {
    pub(super) fn connect(
        program: &Program,
        set: &OwnedFd,
        number: usize,
        now: Duration,
    ) -> Result<Self, Failure> {
        let socket = Socket::open(program.server, None)?;
        socket.send_promptly()?;
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        epoll::add(set, &socket, epoll::EventData::new_u64(number as u64), flags)?;
        Ok(Self { socket: Some(socket), stage: Stage::Connecting(now), ..Self::gone(number) })
    }

    /// One that never came to be.
    pub(super) fn gone(number: usize) -> Self {
        Self {
            number,
            socket: None,
            stage: Stage::Gone,
            frames: 0,
            bytes: 0,
            pending: Vec::new(),
            answer: Vec::new(),
            told_on_air: false,
            titles_begun: 0,
            title: None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    pub(super) fn is_logging_in(&self) -> bool {
        matches!(self.stage, Stage::Connecting(_) | Stage::AwaitingLeave(_))
    }

    /// True once, when it went on air.
    pub(super) fn has_just_gone_on_air(&mut self) -> bool {
        let is_on_air = matches!(self.stage, Stage::OnAir(_));
        is_on_air && !std::mem::replace(&mut self.told_on_air, true)
    }

    /// How far it came, for the label of a failure.
    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Connecting(_) => Phase::Connecting,
            Stage::AwaitingLeave(_) => Phase::AwaitingHead,
            Stage::OnAir(_) => Phase::Flowing,
            Stage::Gone => Phase::Ended,
        }
    }

    /// Closes it for good; what it sent stays counted.
    pub(super) fn leave(&mut self) {
        self.stage = Stage::Gone;
        self.socket = None;
        self.title = None;
    }

    /// Its connection is ready for something.
    pub(super) fn on_event(&mut self, program: &Program, now: Duration) -> Result<(), Failure> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        if let Stage::Connecting(_) = self.stage {
            socket.opened()?;
            let request = request(program, &program.mounts[self.number]);
            // A request is far below a new socket's send buffer: it goes whole.
            socket.send(request.as_bytes())?;
            self.stage = Stage::AwaitingLeave(now);
        }
        self.hear(program, now)
    }

    /// Reads until nothing is left. On air the server's words (Icecast: a late `200 OK`) are
    /// dropped; its closing is the end.
    fn hear(&mut self, program: &Program, now: Duration) -> Result<(), Failure> {
        let mut buffer = [0; 1_024];
        while let Some(socket) = &mut self.socket {
            let taken = socket.receive(&mut buffer)?;
            if taken == 0 {
                break;
            }
            if let Stage::AwaitingLeave(_) = self.stage {
                self.answer.extend_from_slice(&buffer[..taken]);
                if has_leave(&self.answer)? {
                    self.go_on_air(program, now);
                }
            }
        }
        Ok(())
    }

    /// First frames are spread over the time of one, so that a thousand sources are not one burst.
    fn go_on_air(&mut self, program: &Program, now: Duration) {
        let share = self.number as f64 / program.mounts.len().max(1) as f64;
        self.stage = Stage::OnAir(now + program.cbr.frame_span().mul_f64(share));
        self.answer = Vec::new();
    }

    /// Makes and sends the frames that have begun by `now`, or waits on for leave to send any.
    pub(super) fn advance(&mut self, program: &Program, now: Duration) -> Result<(), Failure> {
        match self.stage {
            Stage::Connecting(since) if now >= since + CONNECT_PATIENCE => Err(Failure::TimedOut),
            Stage::AwaitingLeave(since) if now >= since + LEAVE_PATIENCE => {
                self.go_on_air(program, now);
                Ok(())
            }
            Stage::OnAir(first_due) => match now.checked_sub(first_due) {
                Some(elapsed) => self.send_due(program, elapsed),
                None => Ok(()),
            },
            Stage::Connecting(_) | Stage::AwaitingLeave(_) | Stage::Gone => Ok(()),
        }
    }

    fn send_due(&mut self, program: &Program, elapsed: Duration) -> Result<(), Failure> {
        let begun = program.cbr.frames_begun(elapsed);
        while self.frames < begun {
            if self.pending.len() >= PENDING_BYTES_MAX {
                return Err(Failure::Stuck);
            }
            if program.marks {
                let stream = u32::try_from(self.number).unwrap_or(u32::MAX);
                let mark = Mark { stream, sequence: self.frames, sent_ns: clock::monotonic_ns() };
                mark.write_frame(program.cbr, &mut self.pending);
            } else {
                program.cbr.frame(self.frames).write_silence(&mut self.pending);
            }
            self.frames += 1;
        }
        let Some(socket) = &mut self.socket else { return Ok(()) };
        while !self.pending.is_empty() {
            match socket.send(&self.pending)? {
                0 => break,
                taken => {
                    self.bytes += taken as u64;
                    self.pending.drain(..taken);
                }
            }
        }
        Ok(())
    }

    /// Begins to set the next title if it is due. Sources take turns within the period. An update
    /// that is still under way then has failed.
    pub(super) fn update_title(
        &mut self,
        program: &Program,
        set: &OwnedFd,
        now: Duration,
        published: &mut Published,
    ) {
        let (Some(every), Stage::OnAir(since)) = (program.titles_every, self.stage) else { return };
        let share = self.number as f64 / program.mounts.len().max(1) as f64;
        let first_due = since + every.mul_f64(share);
        let due = u32::try_from(self.titles_begun).map(|begun| every.saturating_mul(begun));
        if due.is_ok_and(|due| now < first_due.saturating_add(due)) {
            return;
        }
        if self.title.take().is_some() {
            title::count_failure(published, Failure::TimedOut, Phase::AwaitingHead);
        }
        self.titles_begun += 1;
        let mount = &program.mounts[self.number];
        match TitleUpdate::begin(program, mount, self.titles_begun, set, self.number as u64) {
            Ok(update) => self.title = Some(update),
            Err(failure) => title::count_failure(published, failure, Phase::Connecting),
        }
    }

    /// The connection of its title's update is ready for something.
    pub(super) fn on_title_event(&mut self, published: &mut Published) {
        let Some(update) = &mut self.title else { return };
        match update.on_event() {
            Ok(false) => return,
            Ok(true) => published.titles += 1,
            Err(failure) => title::count_failure(published, failure, update.phase()),
        }
        self.title = None;
    }
}

fn request(program: &Program, mount: &str) -> String {
    format!(
        "PUT {mount} HTTP/1.1\r\nHost: {}\r\n{}User-Agent: floe-loadtest\r\nContent-Type: {}\r\n\
         ice-public: 0\r\nice-name: load test {mount}\r\nice-bitrate: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        program.authority,
        title::authorization(program),
        program.cbr.codec().content_type(),
        program.cbr.kbit(),
    )
}

/// Whether the server said 100 or 200. One that knows no `Expect` may say nothing until the body
/// ends: after [`LEAVE_PATIENCE`] silence is leave (RFC 9110, 10.1.1).
fn has_leave(answer: &[u8]) -> Result<bool, Failure> {
    match head::read(answer) {
        HeadStep::More if answer.len() < HEAD_BYTES_MAX => Ok(false),
        HeadStep::More | HeadStep::Malformed => Err(Failure::HeadMalformed),
        HeadStep::Done(head, _) if matches!(head.status, 100 | 200) => Ok(true),
        HeadStep::Done(head, _) => Err(Failure::Status(head.status)),
    }
}

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
/// About 16 s of 128 kbit/s. A server that takes less than real time for that long has failed.
const PENDING_BYTES_MAX: usize = 256 * 1024;
