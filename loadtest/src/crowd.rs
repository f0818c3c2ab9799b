//! The listeners of one worker: their sockets, and two epoll sets over them. One thread owns it
//! all.
//!
//! The generator shares its machine with the server it measures, so it must cost little:
//! - Bytes are dropped in the kernel by `recv(MSG_TRUNC)` and never copied to this process.
//! - Listeners without audio yet are in the *pending* set, which is waited on, so that connect
//!   times are exact. The others move to the *flowing* set, which is only looked at once a tick: no
//!   arrival
//!   wakes this process, and a tick's arrivals cost one system call per listener. For 16,000 sends
//!   a second that is 2 us each at any tick from 5 to 50 ms, and 4 us when every arrival wakes it.
//! - The flowing set is edge-triggered: a level-triggered one would look at every socket twice.

use crate::clock::Clock;
use crate::failure::Failure;
use crate::head::{self, HeadStep};
use crate::icy::IcyReader;
use crate::listener::{Arrivals, Extra, Listener, Phase};
use crate::marks::Checker;
use crate::outcome::{Outcome, Progress};
use crate::plan::{Pace, Plan};
use crate::sockets::{open, poll, receive};
use floe::base::Moment;
use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags};
use std::collections::VecDeque;
use std::time::Duration;

/// The listeners of one worker.
pub struct Crowd {
    plan: Plan,
    clock: Clock,
    pending: OwnedFd,
    flowing: OwnedFd,
    rows: Vec<Listener>,
    /// Rows that may be without audio, in the order they began: the first is the first to time out.
    waiting: VecDeque<usize>,
    /// Rows that read too slowly; they are in no epoll set.
    slow: Vec<usize>,
    slow_turn_at: Moment,
    progress: Progress,
    connecting: usize,
    scratch: Vec<u8>,
    events: Vec<epoll::Event>,
    outcome: Outcome,
    told_to_stop: bool,
}

impl Crowd {
    /// A crowd that has begun nothing yet; its ramp counts from the start of `clock`.
    ///
    /// # Errors
    /// If the kernel gives no epoll set.
    pub fn new(plan: Plan, clock: Clock) -> Result<Self, Errno> {
        let pending = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flowing = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        if plan.tick.is_zero() {
            let data = epoll::EventData::new_u64(FLOWING_TOKEN);
            epoll::add(&pending, &flowing, data, epoll::EventFlags::IN)?;
        }
        let listeners = plan.indexes.end - plan.indexes.start;
        Ok(Self {
            clock,
            pending,
            flowing,
            rows: Vec::with_capacity(usize::try_from(listeners).unwrap_or(0).min(ROWS_AT_ONCE)),
            waiting: VecDeque::new(),
            slow: Vec::new(),
            slow_turn_at: Moment::ZERO,
            progress: Progress { pending: listeners, ..Progress::default() },
            connecting: 0,
            scratch: vec![0; DISCARD_BYTES],
            events: Vec::with_capacity(EVENTS_AT_ONCE),
            outcome: Outcome { listeners, ..Outcome::default() },
            told_to_stop: false,
            plan,
        })
    }

    /// Makes [`Self::is_told_to_stop`] true once `pipe` is readable or closed.
    ///
    /// # Errors
    /// If `pipe` cannot be waited for.
    pub fn stop_on(&self, pipe: impl AsFd) -> Result<(), Errno> {
        let data = epoll::EventData::new_u64(STOP_TOKEN);
        epoll::add(&self.pending, pipe, data, epoll::EventFlags::IN)
    }

    /// Whether the pipe of [`Self::stop_on`] spoke.
    pub fn is_told_to_stop(&self) -> bool {
        self.told_to_stop
    }

    /// How far the listeners have come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Begins the connections that are due at `now`, as many as may be under way.
    pub fn begin_due(&mut self, now: Moment) {
        let due = self.plan.begun(now);
        while self.progress.begun < due && self.connecting < self.plan.connecting_max {
            self.begin(self.plan.indexes.start + self.progress.begun);
        }
    }

    /// How long from `now` until [`Self::begin_due`] has more to do; `None` if only an event brings
    /// that about.
    pub fn until_next_begin(&self, now: Moment) -> Option<Duration> {
        if self.progress.begun >= self.outcome.listeners
            || self.connecting >= self.plan.connecting_max
        {
            return None;
        }
        let due = Duration::try_from_secs_f64(self.progress.begun as f64 / self.plan.rate);
        Some((Moment::ZERO + due.unwrap_or_default()).since(now))
    }

    /// Gives up on listeners whose patience is over.
    pub fn expire(&mut self, now: Moment) {
        while let Some(&row) = self.waiting.front() {
            let listener = &self.rows[row];
            if !matches!(listener.phase, Phase::Flowing | Phase::Ended) {
                if now.since(listener.started) < self.plan.patience {
                    break;
                }
                self.end(row, Failure::TimedOut, now);
            }
            self.waiting.pop_front();
        }
    }

    /// Waits for events of listeners without audio, for `timeout` at most, and handles them.
    ///
    /// # Errors
    /// If epoll itself fails.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), Errno> {
        let mut events = std::mem::take(&mut self.events);
        let waited = poll(&self.pending, &mut events, timeout);
        let now = self.clock.now();
        for event in events.drain(..) {
            match event.data.u64() {
                STOP_TOKEN => self.told_to_stop = true,
                // The caller's next look at the flowing set is due at once in this mode.
                FLOWING_TOKEN => {}
                row => self.on_pending(row as usize, event.flags, now),
            }
        }
        self.events = events;
        waited
    }

    /// Looks at everything that arrived for listeners with audio, and at slow readers whose turn it
    /// is.
    ///
    /// # Errors
    /// If epoll itself fails.
    pub fn look(&mut self) -> Result<(), Errno> {
        let mut events = std::mem::take(&mut self.events);
        let looked = loop {
            let polled = poll(&self.flowing, &mut events, Duration::ZERO);
            let full = events.len() >= EVENTS_AT_ONCE;
            let now = self.clock.now();
            for event in events.drain(..) {
                self.on_flowing(event.data.u64() as usize, now);
            }
            if polled.is_err() || !full {
                break polled;
            }
        };
        self.events = events;
        let now = self.clock.now();
        if now >= self.slow_turn_at {
            self.slow_turn_at = now + SLOW_TURN;
            self.read_slowly(now);
        }
        looked
    }

    /// Closes everything and says what the listeners lived through.
    pub fn finish(mut self) -> Outcome {
        let end = self.clock.now();
        for row in 0..self.rows.len() {
            self.outcome.at_end += u64::from(self.rows[row].phase == Phase::Flowing);
            self.settle_figures(row, end);
        }
        // Listeners that never had the time to begin or to get audio count as failed.
        if self.progress.pending > 0 {
            *self.outcome.failures.entry("unfinished".into()).or_default() += self.progress.pending;
        }
        self.outcome
    }

    fn begin(&mut self, index: u64) {
        let row = self.rows.len();
        let started = self.clock.now();
        let opened = open(&self.plan, index).and_then(|fd| {
            let data = epoll::EventData::new_u64(row as u64);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&self.pending, &fd, data, flags)?;
            Ok(fd)
        });
        let checker = self.plan.checks(index).then(Checker::default);
        self.rows.push(Listener {
            fd: None,
            phase: Phase::Connecting,
            pace: self.plan.behaviour.pace(index),
            started,
            arrivals: Arrivals::default(),
            extra: Some(Box::new(Extra { checker, ..Extra::default() })),
        });
        self.progress.begun += 1;
        self.connecting += 1;
        match opened {
            Ok(fd) => {
                self.rows[row].fd = Some(fd);
                self.waiting.push_back(row);
            }
            Err(errno) => self.end(row, errno.into(), started),
        }
    }

    fn on_pending(&mut self, row: usize, flags: epoll::EventFlags, now: Moment) {
        let result = match self.rows[row].phase {
            Phase::Connecting => self.on_connected(row, now),
            Phase::AwaitingHead | Phase::AwaitingAudio => Ok(()),
            // Events of one batch may outlive what an earlier one ended.
            Phase::Flowing | Phase::Ended => return,
        };
        let readable = flags.intersects(!epoll::EventFlags::OUT);
        let result =
            result.and_then(|()| if readable { self.read_start(row, now) } else { Ok(()) });
        if let Err(failure) = result {
            self.end(row, failure, now);
        }
    }

    fn on_connected(&mut self, row: usize, now: Moment) -> Result<(), Failure> {
        let request = self.plan.request(self.plan.indexes.start + row as u64, 0);
        let listener = &mut self.rows[row];
        let Some(fd) = &listener.fd else { return Ok(()) };
        net::sockopt::socket_error(fd)??;
        // A request is far below a new socket's send buffer: it goes whole or the socket is broken.
        net::send(fd, request.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        self.outcome.connect_us.record(micros(now.since(listener.started)));
        listener.phase = Phase::AwaitingHead;
        self.connecting -= 1;
        Ok(())
    }

    /// Reads head and first audio of `row`.
    fn read_start(&mut self, row: usize, now: Moment) -> Result<(), Failure> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = loop {
            let Some(fd) = &self.rows[row].fd else { break Ok(()) };
            let received = receive(fd, &mut scratch[..COPY_BYTES], RecvFlags::empty());
            let handled = match received {
                Ok(0) => break Ok(()),
                Ok(taken) => self.on_start_bytes(row, &scratch[..taken], now),
                Err(failure) => Err(failure),
            };
            if handled.is_err() || self.rows[row].phase == Phase::Flowing {
                break handled;
            }
        };
        self.scratch = scratch;
        result
    }

    fn on_start_bytes(&mut self, row: usize, bytes: &[u8], now: Moment) -> Result<(), Failure> {
        if self.rows[row].phase == Phase::AwaitingAudio {
            return self.on_first_audio(row, bytes, now);
        }
        let listener = &mut self.rows[row];
        let extra = listener.extra.get_or_insert_default();
        extra.head.extend_from_slice(bytes);
        let (head, end) = match head::read(&extra.head) {
            HeadStep::More => return Ok(()),
            HeadStep::Malformed => return Err(Failure::HeadMalformed),
            HeadStep::Done(head, end) => (head, end),
        };
        if head.status != 200 {
            return Err(Failure::Status(head.status));
        }
        if head.chunked {
            return Err(Failure::Chunked);
        }
        self.outcome.head_us.record(micros(now.since(listener.started)));
        listener.phase = Phase::AwaitingAudio;
        extra.icy = head.metaint.and_then(IcyReader::new);
        let received = std::mem::take(&mut extra.head);
        if end < received.len() { self.on_first_audio(row, &received[end..], now) } else { Ok(()) }
    }

    fn on_first_audio(&mut self, row: usize, bytes: &[u8], now: Moment) -> Result<(), Failure> {
        self.outcome.audio_us.record(micros(now.since(self.rows[row].started)));
        self.outcome.with_audio += 1;
        self.progress.pending -= 1;
        self.progress.flowing += 1;
        self.rows[row].phase = Phase::Flowing;
        self.on_audio(row, Some(bytes), bytes.len(), now);
        let listener = &mut self.rows[row];
        listener.extra.take_if(|extra| extra.checker.is_none());
        self.outcome.marks.listeners += u64::from(listener.extra.is_some());
        let Some(fd) = &listener.fd else { return Ok(()) };
        epoll::delete(&self.pending, fd)?;
        let wanted = match listener.pace {
            Pace::Steady | Pace::HalfOpen | Pace::SlowHead => {
                epoll::EventFlags::IN | epoll::EventFlags::RDHUP
            }
            Pace::Stopped => epoll::EventFlags::RDHUP,
            Pace::Slow => {
                self.slow.push(row);
                return Ok(());
            }
        };
        // What has arrived by now is reported too: adding a descriptor looks at its state.
        let data = epoll::EventData::new_u64(row as u64);
        Ok(epoll::add(&self.flowing, fd, data, wanted | epoll::EventFlags::ET)?)
    }

    fn on_flowing(&mut self, row: usize, now: Moment) {
        if self.rows[row].pace == Pace::Stopped {
            return self.end(row, Failure::Closed, now);
        }
        let checked = self.rows[row].extra.is_some();
        let copy = self.plan.copy || checked;
        let (length, flags) =
            if copy { (COPY_BYTES, RecvFlags::empty()) } else { (DISCARD_BYTES, RecvFlags::TRUNC) };
        let mut scratch = std::mem::take(&mut self.scratch);
        let ended = loop {
            let Some(fd) = &self.rows[row].fd else { break None };
            match receive(fd, &mut scratch[..length], flags) {
                Ok(0) => break None,
                Ok(taken) => {
                    self.on_audio(row, checked.then_some(&scratch[..taken]), taken, now);
                    // The socket is empty, and its next byte or its end is an edge of its own.
                    if taken < length {
                        break None;
                    }
                }
                Err(failure) => break Some(failure),
            }
        };
        self.scratch = scratch;
        if let Some(failure) = ended {
            self.end(row, failure, now);
        }
    }

    fn read_slowly(&mut self, now: Moment) {
        let share = self.plan.behaviour.slow_rate * SLOW_TURN.as_secs_f64();
        let budget = ((self.plan.bytes_per_s as f64 * share) as usize).clamp(1, DISCARD_BYTES);
        let slow = std::mem::take(&mut self.slow);
        for &row in &slow {
            let Some(fd) = &self.rows[row].fd else { continue };
            match receive(fd, &mut self.scratch[..budget], RecvFlags::TRUNC) {
                Ok(0) => {}
                Ok(taken) => self.on_audio(row, None, taken, now),
                Err(failure) => self.end(row, failure, now),
            }
        }
        self.slow = slow;
        self.slow.retain(|&row| self.rows[row].fd.is_some());
    }

    fn on_audio(&mut self, row: usize, bytes: Option<&[u8]>, taken: usize, now: Moment) {
        let listener = &mut self.rows[row];
        let timed = listener.arrivals.is_settled();
        listener.arrivals.record(taken as u64, now, self.plan.settle);
        self.progress.bytes += taken as u64;
        if let (Some(bytes), Some(extra)) = (bytes, &mut listener.extra) {
            extra.check(bytes, self.clock.machine_ns(now), timed, &mut self.outcome);
        }
    }

    fn end(&mut self, row: usize, failure: Failure, now: Moment) {
        let phase = self.rows[row].phase;
        match phase {
            Phase::Ended => return,
            Phase::Flowing => {
                self.settle_figures(row, now);
                self.progress.flowing -= 1;
            }
            Phase::Connecting | Phase::AwaitingHead | Phase::AwaitingAudio => {
                self.connecting -= usize::from(phase == Phase::Connecting);
                self.progress.pending -= 1;
            }
        }
        self.progress.ended += 1;
        match (phase, self.rows[row].pace) {
            (Phase::Flowing, Pace::Slow) => self.outcome.slow.closed += 1,
            (Phase::Flowing, Pace::Stopped) => self.outcome.stopped.closed += 1,
            _ => *self.outcome.failures.entry(failure.label(phase)).or_default() += 1,
        }
        let listener = &mut self.rows[row];
        listener.phase = Phase::Ended;
        listener.fd = None;
        listener.extra = None;
    }

    /// Adds what `row` saw to the outcome, once, when it ends.
    fn settle_figures(&mut self, row: usize, end: Moment) {
        let listener = &self.rows[row];
        if listener.phase != Phase::Flowing {
            return;
        }
        let class = match listener.pace {
            Pace::Steady | Pace::HalfOpen | Pace::SlowHead => {
                self.outcome.bytes += listener.arrivals.bytes;
                self.outcome.gap_us.record(micros(listener.arrivals.gap(end)));
                listener
                    .arrivals
                    .rate(end)
                    .into_iter()
                    .for_each(|rate| self.outcome.rate.record(rate));
                return;
            }
            Pace::Slow => &mut self.outcome.slow,
            Pace::Stopped => &mut self.outcome.stopped,
        };
        class.listeners += 1;
        class.bytes += listener.arrivals.bytes;
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

const STOP_TOKEN: u64 = u64::MAX;
const FLOWING_TOKEN: u64 = u64::MAX - 1;
/// Events taken from the kernel at once: a millisecond or two of reading, after which the clock is
/// read again.
const EVENTS_AT_ONCE: usize = 1_024;
/// Bytes one discarding receive may drop. Never touched, so it takes no memory; far above what a
/// socket gathers in a tick, so one call empties it.
const DISCARD_BYTES: usize = 1 << 20;
/// Bytes one copying receive takes.
const COPY_BYTES: usize = 64 * 1024;
/// How often slow readers read.
const SLOW_TURN: Duration = Duration::from_millis(250);
/// Rows reserved ahead; a worker holds at most as many listeners as it has descriptors.
const ROWS_AT_ONCE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp3::Cbr;
    use crate::plan::tests::plan;
    use crate::{marks::Mark, plan::Behaviour};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    const OK: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n";

    fn crowd(server: &TcpListener, change: impl FnOnce(&mut Plan)) -> Crowd {
        let mut plan = plan(2);
        plan.server = server.local_addr().unwrap();
        change(&mut plan);
        Crowd::new(plan, Clock::start()).unwrap()
    }

    /// Turns the crowd's loop until `is_done`; epoll does the waiting.
    fn drive(crowd: &mut Crowd, is_done: impl Fn(&Progress) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_done(&crowd.progress) {
            assert!(Instant::now() < deadline, "stuck at {:?}", crowd.progress);
            crowd.begin_due(crowd.clock.now());
            crowd.wait(Duration::from_millis(5)).unwrap();
            crowd.look().unwrap();
            crowd.expire(crowd.clock.now());
        }
    }

    fn answer(server: &TcpListener, bytes: &[u8]) -> Vec<TcpStream> {
        let answered = |_| {
            let (mut socket, _) = server.accept().unwrap();
            socket.write_all(bytes).unwrap();
            socket
        };
        (0..2).map(answered).collect()
    }

    fn begun(crowd: &mut Crowd) {
        drive(crowd, |progress| progress.begun == 2);
    }

    #[test]
    fn listeners_get_head_and_audio_and_notice_the_end() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        for copy in [false, true] {
            let mut crowd = crowd(&server, |plan| plan.copy = copy);
            begun(&mut crowd);
            let mut sockets = answer(&server, &[OK, b"audio"].concat());
            drive(&mut crowd, |progress| progress.flowing == 2);
            sockets[0].write_all(&[7; 200_000]).unwrap();
            drive(&mut crowd, |progress| progress.bytes == 200_010);
            drop(sockets.remove(0));
            drive(&mut crowd, |progress| progress.ended == 1);
            let outcome = crowd.finish();
            assert_eq!((outcome.with_audio, outcome.at_end, outcome.bytes), (2, 1, 200_010));
            assert_eq!(outcome.failed(), 1);
            assert_eq!((outcome.connect_us.count(), outcome.gap_us.count()), (2, 2));
        }
    }

    #[test]
    fn a_head_that_comes_in_bytes_is_one_head() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |_| {});
        begun(&mut crowd);
        let mut sockets = answer(&server, b"");
        for byte in OK {
            for socket in &mut sockets {
                socket.write_all(&[*byte]).unwrap();
            }
            crowd.wait(Duration::ZERO).unwrap();
        }
        drive(&mut crowd, |_| true);
        sockets.iter_mut().for_each(|socket| socket.write_all(b"x").unwrap());
        drive(&mut crowd, |progress| progress.flowing == 2);
        assert_eq!(crowd.finish().head_us.count(), 2);
    }

    #[test]
    fn answers_that_are_no_stream_are_counted_by_kind() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        for (bytes, kind) in [
            (&b"HTTP/1.0 404 Not Found\r\n\r\n"[..], "status_404"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunked_to_http_1_0"),
            (b"220 smtp.example\r\n", "head_malformed"),
        ] {
            let mut crowd = crowd(&server, |_| {});
            begun(&mut crowd);
            let sockets = answer(&server, bytes);
            drive(&mut crowd, |progress| progress.ended == 2);
            drop(sockets);
            assert_eq!(crowd.finish().failures.into_iter().collect::<Vec<_>>(), [(kind.into(), 2)]);
        }
    }

    #[test]
    fn a_closed_port_refuses_and_a_silent_server_runs_out_of_patience() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut silent = crowd(&server, |plan| plan.patience = Duration::from_millis(30));
        drive(&mut silent, |progress| progress.ended == 2);
        let failures = silent.finish().failures;
        assert_eq!(failures.get("timed_out_before_head"), Some(&2), "{failures:?}");

        let mut refused = crowd(&server, |_| {});
        drop(server);
        drive(&mut refused, |progress| progress.ended == 2);
        assert_eq!(refused.finish().failures.get("refused_connecting"), Some(&2));
    }

    #[test]
    fn the_sample_checks_frames_through_metadata() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |plan| {
            plan.checked = 2;
            plan.icy = true;
        });
        begun(&mut crowd);
        let mut body = b"HTTP/1.0 200 OK\r\nicy-metaint: 400\r\n\r\n".to_vec();
        let mut audio = Vec::new();
        for sequence in 0..4 {
            Mark { stream: 0, sequence, sent_ns: 1 }
                .write_frame(Cbr::new(128).unwrap(), &mut audio);
        }
        let total = audio.len() + audio.len() / 400;
        audio.chunks(400).enumerate().for_each(|(index, part)| {
            body.extend_from_slice(if index > 0 { &[0] } else { &[] });
            body.extend_from_slice(part);
        });
        let sockets = answer(&server, &body);
        drive(&mut crowd, |progress| progress.bytes == 2 * total as u64);
        drop(sockets);
        let outcome = crowd.finish();
        assert_eq!(
            (outcome.marks.listeners, outcome.marks.frames, outcome.marks.wrong()),
            (2, 8, 0)
        );
        assert_eq!((outcome.marks.joined_mid_frame, outcome.icy.blocks), (0, 8));
    }

    #[test]
    fn slow_and_stopped_readers_count_in_their_own_class() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let behaviour =
            Behaviour { slow_fraction: 0.5, stop_fraction: 0.5, ..Behaviour::default() };
        let mut crowd = crowd(&server, |plan| plan.behaviour = behaviour);
        begun(&mut crowd);
        let mut sockets = answer(&server, &[OK, b"a"].concat());
        drive(&mut crowd, |progress| progress.flowing == 2);
        sockets.iter_mut().for_each(|socket| socket.write_all(&[1; 3_000]).unwrap());
        // Half of 16,000 bytes a second is 2,000 a turn; who stopped reads none.
        drive(&mut crowd, |progress| progress.bytes > 2);
        assert_eq!(crowd.progress.bytes, 2_002);
        drop(sockets);
        drive(&mut crowd, |progress| progress.ended == 2);
        let outcome = crowd.finish();
        assert_eq!((outcome.slow.listeners, outcome.slow.closed), (1, 1));
        assert_eq!((outcome.stopped.listeners, outcome.stopped.closed), (1, 1));
        assert_eq!((outcome.failed(), outcome.at_end), (0, 0));
    }
}
