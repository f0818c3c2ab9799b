//! How a listener comes in: connection, request, response head, first audio. Who holds its request
//! back comes as far as an open connection.

use super::{COPY_BYTES, Crowd, micros};
use crate::failure::Failure;
use crate::head::{self, HeadStep};
use crate::icy::IcyReader;
use crate::listener::{Arrivals, Cause, Extra, Listener, Phase};
use crate::marks::Checker;
use crate::outcome::OpenTally;
use crate::plan::Pace;
use crate::sockets::Socket;
use floe::base::Moment;
use rustix::event::epoll;

impl Crowd {
    /// Begins the next new listener of the ramp.
    pub(super) fn begin(&mut self) {
        let index = self.plan.indexes.start + self.progress.begun;
        self.rows.push(Listener::new(self.plan.behaviour.pace(index)));
        self.progress.begun += 1;
        self.connect(self.rows.len() - 1);
    }

    /// Begins a connection of `row`, which has none.
    pub(super) fn connect(&mut self, row: usize) {
        let index = self.index(row);
        let started = self.clock.now();
        let opened = Socket::open(self.plan.server, self.plan.source(index)).and_then(|socket| {
            let data = epoll::EventData::new_u64(row as u64);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&self.pending, &socket, data, flags)?;
            Ok(socket)
        });
        let checker = self.plan.checks(index).then(Checker::default);
        let listener = &mut self.rows[row];
        listener.phase = Phase::Connecting;
        listener.started = started;
        listener.arrivals = Arrivals::default();
        listener.extra = Some(Box::new(Extra { checker, ..Extra::default() }));
        self.connecting += 1;
        match opened {
            Ok(socket) => {
                listener.socket = Some(socket);
                self.waiting.push_back((row, started));
            }
            Err(errno) => self.end(row, errno.into(), started),
        }
    }

    pub(super) fn on_pending(&mut self, row: usize, flags: epoll::EventFlags, now: Moment) {
        let result = match self.rows[row].phase {
            Phase::Connecting => self.on_connected(row, now),
            Phase::AwaitingHead | Phase::AwaitingAudio => Ok(()),
            // Events of one batch may outlive what an earlier one ended.
            Phase::Away | Phase::Flowing | Phase::Withholding | Phase::Ended => return,
        };
        let readable = flags.intersects(!epoll::EventFlags::OUT);
        let result =
            result.and_then(|()| if readable { self.read_start(row, now) } else { Ok(()) });
        if let Err(failure) = result {
            self.end(row, failure, now);
        }
    }

    fn on_connected(&mut self, row: usize, now: Moment) -> Result<(), Failure> {
        let request = self.request(row);
        let listener = &mut self.rows[row];
        let Some(socket) = &mut listener.socket else { return Ok(()) };
        socket.opened()?;
        self.outcome.connect_us.record(micros(now.since(listener.started)));
        if !listener.pace.asks() {
            return self.on_withholding(row);
        }
        // A request is far below a new socket's send buffer: it goes whole or the socket is broken.
        socket.send(request.as_bytes())?;
        listener.phase = Phase::AwaitingHead;
        self.connecting -= 1;
        Ok(())
    }

    /// An open connection is all that `row` means to have. What the server says on it is dropped,
    /// so it is only looked at like one with audio.
    fn on_withholding(&mut self, row: usize) -> Result<(), Failure> {
        self.connecting -= 1;
        self.rows[row].phase = Phase::Withholding;
        self.note_arrival(row);
        if let Some(tally) = self.withholding_tally(row) {
            tally.opened += 1;
        }
        if self.rows[row].pace == Pace::SlowHead {
            self.slow_heads.push(row);
        }
        self.watch_flow(row, epoll::EventFlags::IN | epoll::EventFlags::RDHUP)
    }

    /// Where connections of this kind of listener are counted; `None` for one that asks.
    pub(super) fn withholding_tally(&mut self, row: usize) -> Option<&mut OpenTally> {
        match self.rows[row].pace {
            Pace::HalfOpen => Some(&mut self.outcome.half_open),
            Pace::SlowHead => Some(&mut self.outcome.slow_head),
            Pace::Steady | Pace::Slow | Pace::Stopped => None,
        }
    }

    /// Reads head and first audio of `row`.
    fn read_start(&mut self, row: usize, now: Moment) -> Result<(), Failure> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = loop {
            let Some(socket) = &mut self.rows[row].socket else { break Ok(()) };
            let handled = match socket.receive(&mut scratch[..COPY_BYTES]) {
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
        let listener = &mut self.rows[row];
        match listener.phase {
            Phase::AwaitingHead => {}
            Phase::AwaitingAudio => return self.on_first_audio(row, bytes, now),
            // The state was left by what came before in this very read.
            _ => return Ok(()),
        }
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
        self.outcome.with_audio += u64::from(!self.rows[row].has_arrived);
        self.note_arrival(row);
        match self.rows[row].cause {
            Cause::Ramp => {}
            Cause::Churn => self.outcome.churn.rejoined += 1,
            Cause::Storm => self.note_served_again(now),
        }
        self.progress.flowing += 1;
        self.rows[row].phase = Phase::Flowing;
        self.on_audio(row, Some(bytes), bytes.len(), now);
        let listener = &mut self.rows[row];
        listener.extra.take_if(|extra| extra.checker.is_none());
        self.outcome.marks.listeners += u64::from(listener.extra.is_some());
        match listener.pace {
            Pace::Slow => {
                self.slow.push(row);
                let Some(socket) = &listener.socket else { return Ok(()) };
                Ok(epoll::delete(&self.pending, socket)?)
            }
            Pace::Stopped => self.watch_flow(row, epoll::EventFlags::RDHUP),
            _ => self.watch_flow(row, epoll::EventFlags::IN | epoll::EventFlags::RDHUP),
        }
    }

    /// `row` has come as far as it means to. Only the first time ends its part of the ramp.
    fn note_arrival(&mut self, row: usize) {
        let listener = &mut self.rows[row];
        self.progress.pending -= u64::from(!listener.has_arrived);
        listener.has_arrived = true;
    }

    /// Moves `row` from the pending set to the flowing one. What has arrived by now is reported
    /// too: adding a descriptor looks at its state.
    fn watch_flow(&mut self, row: usize, wanted: epoll::EventFlags) -> Result<(), Failure> {
        let Some(socket) = &self.rows[row].socket else { return Ok(()) };
        epoll::delete(&self.pending, socket)?;
        let data = epoll::EventData::new_u64(row as u64);
        Ok(epoll::add(&self.flowing, socket, data, wanted | epoll::EventFlags::ET)?)
    }

    /// The number of the listener in `row` within the whole load.
    fn index(&self, row: usize) -> u64 {
        self.plan.indexes.start + row as u64
    }

    /// The request of the listener in `row`.
    pub(super) fn request(&self, row: usize) -> String {
        self.plan.request(self.index(row), self.rows[row].zaps.into())
    }
}
