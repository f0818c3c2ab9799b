//! The listeners of one worker: their connections, and two epoll sets over them. One thread owns it
//! all. This file holds the table, its loop and its ends; how a listener comes in stands in
//! `crowd/join.rs`, how it reads in `crowd/flow.rs`, how it leaves and returns in `crowd/churn.rs`.
//!
//! The generator shares its machine with the server it measures, so it must cost little:
//! - Bytes are dropped in the kernel by `recv(MSG_TRUNC)` and never copied to this process.
//! - Listeners that come in are in the *pending* set, which is waited on, so that connect times are
//!   exact. The others move to the *flowing* set, which is only looked at once a tick: no arrival
//!   wakes this process, and a tick's arrivals cost one system call per listener. For 16,000 sends
//!   a second that is 2 us each at any tick from 5 to 50 ms, and 4 us when every arrival wakes it.
//! - The flowing set is edge-triggered: a level-triggered one would look at every socket twice.

mod churn;
mod flow;
mod join;

use crate::clock::Clock;
use crate::failure::Failure;
use crate::listener::{Listener, Phase};
use crate::outcome::{Outcome, Progress};
use crate::plan::{Pace, Plan};
use crate::sockets::poll;
use churn::Churn;
use floe::base::Moment;
use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::time::Duration;

/// The listeners of one worker.
pub struct Crowd {
    plan: Plan,
    clock: Clock,
    pending: OwnedFd,
    flowing: OwnedFd,
    rows: Vec<Listener>,
    /// Rows that may wait for audio, with the start of the connection that does: the first is the
    /// first to time out.
    waiting: VecDeque<(usize, Moment)>,
    /// Rows that are away and come back as soon as a handshake may begin.
    returning: VecDeque<usize>,
    churn: Churn,
    /// Rows that read too slowly; they are in no epoll set.
    slow: Vec<usize>,
    slow_turn_at: Moment,
    /// Rows whose request is sent byte by byte.
    slow_heads: Vec<usize>,
    slow_head_turn_at: Moment,
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
            returning: VecDeque::new(),
            churn: Churn::default(),
            slow: Vec::new(),
            slow_turn_at: Moment::ZERO,
            slow_heads: Vec::new(),
            slow_head_turn_at: Moment::ZERO,
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

    /// Does what is due at `now`: the storm, leaving, and then as many connections as may be under
    /// way. Who comes back goes before who is new.
    pub fn begin_due(&mut self, now: Moment) {
        self.storm_if_due(now);
        self.leave_due(now);
        let due = self.plan.begun(now);
        while self.connecting < self.plan.connecting_max {
            if let Some(row) = self.returning.pop_front() {
                self.connect(row);
            } else if self.progress.begun < due {
                self.begin();
            } else {
                break;
            }
        }
    }

    /// How long from `now` until [`Self::begin_due`] has more to do; `None` if only an event brings
    /// that about.
    pub fn until_next_begin(&self, now: Moment) -> Option<Duration> {
        let may_begin = self.progress.begun < self.outcome.listeners
            && self.connecting < self.plan.connecting_max;
        let ramp = may_begin.then(|| {
            let due = Duration::try_from_secs_f64(self.progress.begun as f64 / self.plan.rate);
            (Moment::ZERO + due.unwrap_or_default()).since(now)
        });
        [ramp, self.until_next_leave(), self.until_storm(now)].into_iter().flatten().min()
    }

    /// Gives up on listeners whose patience is over.
    pub fn expire(&mut self, now: Moment) {
        while let Some(&(row, started)) = self.waiting.front() {
            let listener = &self.rows[row];
            let waits = matches!(
                listener.phase,
                Phase::Connecting | Phase::AwaitingHead | Phase::AwaitingAudio
            );
            // A row that has connected anew since stands further back, too.
            if waits && listener.started == started {
                if now.since(started) < self.plan.patience {
                    break;
                }
                self.end(row, Failure::TimedOut, now);
            }
            self.waiting.pop_front();
        }
    }

    /// Waits for events of listeners that come in, for `timeout` at most, and handles them.
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

    /// Looks at everything that arrived for listeners with audio, and at slow ones whose turn it
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
                self.on_flowing(event.data.u64() as usize, event.flags, now);
            }
            if polled.is_err() || !full {
                break polled;
            }
        };
        self.events = events;
        self.take_slow_turns(self.clock.now());
        looked
    }

    /// Closes everything and says what the listeners lived through.
    pub fn finish(mut self) -> Outcome {
        let end = self.clock.now();
        for row in 0..self.rows.len() {
            self.outcome.at_end += u64::from(self.rows[row].phase == Phase::Flowing);
            if self.rows[row].phase == Phase::Withholding
                && let Some(tally) = self.withholding_tally(row)
            {
                tally.still_open += 1;
            }
            self.settle_figures(row, end);
        }
        // Listeners that never had the time to begin or to get audio count as failed.
        if self.progress.pending > 0 {
            *self.outcome.failures.entry("unfinished".into()).or_default() += self.progress.pending;
        }
        self.outcome
    }

    /// Closes the connection of `row`, adds what it saw to the outcome, and says how far it was.
    fn close(&mut self, row: usize, now: Moment) -> Phase {
        let phase = self.rows[row].phase;
        self.settle_figures(row, now);
        self.progress.flowing -= u64::from(phase == Phase::Flowing);
        self.connecting -= usize::from(phase == Phase::Connecting);
        let listener = &mut self.rows[row];
        listener.phase = Phase::Away;
        listener.socket = None;
        listener.extra = None;
        phase
    }

    /// Ends `row` for good because of `failure`.
    fn end(&mut self, row: usize, failure: Failure, now: Moment) {
        if self.rows[row].phase == Phase::Ended {
            return;
        }
        let phase = self.close(row, now);
        self.rows[row].phase = Phase::Ended;
        self.progress.pending -= u64::from(!self.rows[row].has_arrived);
        self.progress.ended += 1;
        let open_for = micros(now.since(self.rows[row].started));
        match (phase, self.rows[row].pace) {
            (Phase::Flowing, Pace::Slow) => self.outcome.slow.closed += 1,
            (Phase::Flowing, Pace::Stopped) => self.outcome.stopped.closed += 1,
            (Phase::Withholding, _) => {
                if let Some(tally) = self.withholding_tally(row) {
                    tally.closed += 1;
                    tally.closed_us.record(open_for);
                }
            }
            _ => *self.outcome.failures.entry(failure.label(phase)).or_default() += 1,
        }
    }

    /// Adds what `row` saw by its present connection to the outcome.
    fn settle_figures(&mut self, row: usize, end: Moment) {
        let listener = &self.rows[row];
        if listener.phase != Phase::Flowing {
            return;
        }
        let class = match listener.pace {
            Pace::Slow => &mut self.outcome.slow,
            Pace::Stopped => &mut self.outcome.stopped,
            Pace::Steady | Pace::HalfOpen | Pace::SlowHead => {
                self.outcome.bytes += listener.arrivals.bytes;
                self.outcome.gap_us.record(micros(listener.arrivals.gap(end)));
                let rate = listener.arrivals.rate(end);
                rate.into_iter().for_each(|rate| self.outcome.rate.record(rate));
                return;
            }
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
/// Rows reserved ahead; a worker holds at most as many listeners as it has descriptors.
const ROWS_AT_ONCE: usize = 1 << 20;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::frames::{Cbr, Codec};
    use crate::marks::Mark;
    use crate::plan::tests::plan;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    pub(super) const OK: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n";

    pub(super) fn crowd(server: &TcpListener, change: impl FnOnce(&mut Plan)) -> Crowd {
        let mut plan = plan(2);
        plan.server = server.local_addr().unwrap();
        change(&mut plan);
        Crowd::new(plan, Clock::start()).unwrap()
    }

    /// Turns the crowd's loop until `is_done`; epoll does the waiting.
    pub(super) fn drive(crowd: &mut Crowd, is_done: impl Fn(&Progress) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_done(&crowd.progress) {
            assert!(Instant::now() < deadline, "stuck at {:?}", crowd.progress);
            crowd.begin_due(crowd.clock.now());
            crowd.wait(Duration::from_millis(5)).unwrap();
            crowd.look().unwrap();
            crowd.expire(crowd.clock.now());
        }
    }

    pub(super) fn answer(server: &TcpListener, bytes: &[u8]) -> Vec<TcpStream> {
        let answered = |_| {
            let (mut socket, _) = server.accept().unwrap();
            socket.write_all(bytes).unwrap();
            socket
        };
        (0..2).map(answered).collect()
    }

    pub(super) fn begun(crowd: &mut Crowd) {
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
                .write_frame(Cbr::new(Codec::Mp3, 128).unwrap(), &mut audio);
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
}
