//! How listeners read once they have come in: at once, too slowly, or not at all; and how slow
//! request heads go out.

use super::{COPY_BYTES, Crowd, DISCARD_BYTES};
use crate::failure::Failure;
use crate::listener::Phase;
use crate::plan::Pace;
use floe::base::Moment;
use rustix::event::epoll::EventFlags;
use std::time::Duration;

impl Crowd {
    pub(super) fn on_flowing(&mut self, row: usize, flags: EventFlags, now: Moment) {
        if self.rows[row].pace == Pace::Stopped {
            return self.end(row, Failure::Closed, now);
        }
        let checked = self.rows[row].extra.as_ref().is_some_and(|extra| extra.checker.is_some());
        let copy = self.plan.copy || checked;
        let length = if copy { COPY_BYTES } else { DISCARD_BYTES };
        let has_ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        let mut scratch = std::mem::take(&mut self.scratch);
        let ended = loop {
            let Some(socket) = &mut self.rows[row].socket else { break None };
            let buffer = &mut scratch[..length];
            let received = if copy { socket.receive(buffer) } else { socket.discard(buffer) };
            match received {
                Ok(0) => break None,
                Ok(taken) => {
                    self.on_audio(row, checked.then_some(&scratch[..taken]), taken, now);
                    // The socket is empty, and its next byte or its end is an edge of its own,
                    // unless the end came before this look: then it shares the bytes' edge.
                    if taken < length && !has_ended {
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

    pub(super) fn on_audio(&mut self, row: usize, bytes: Option<&[u8]>, taken: usize, now: Moment) {
        let listener = &mut self.rows[row];
        if listener.phase != Phase::Flowing {
            return;
        }
        let timed = listener.arrivals.is_settled();
        listener.arrivals.record(taken as u64, now, self.plan.settle);
        self.progress.bytes += taken as u64;
        if let (Some(bytes), Some(extra)) = (bytes, &mut listener.extra) {
            extra.check(bytes, self.clock.machine_ns(now), timed, &mut self.outcome);
        }
    }

    /// Lets slow readers read and slow heads send, if it is their turn.
    pub(super) fn take_slow_turns(&mut self, now: Moment) {
        if now >= self.slow_turn_at {
            self.slow_turn_at = now + SLOW_TURN;
            self.read_slowly(now);
        }
        if now >= self.slow_head_turn_at {
            self.slow_head_turn_at = now + SLOW_HEAD_TURN;
            self.send_slowly(now);
        }
    }

    fn read_slowly(&mut self, now: Moment) {
        let share = self.plan.behaviour.slow_rate * SLOW_TURN.as_secs_f64();
        let budget = ((self.plan.bytes_per_s as f64 * share) as usize).clamp(1, DISCARD_BYTES);
        let mut slow = std::mem::take(&mut self.slow);
        slow.retain(|&row| {
            let Some(socket) = &mut self.rows[row].socket else { return false };
            match socket.discard(&mut self.scratch[..budget]) {
                Ok(0) => {}
                Ok(taken) => self.on_audio(row, None, taken, now),
                Err(failure) => self.end(row, failure, now),
            }
            self.rows[row].phase == Phase::Flowing
        });
        self.slow = slow;
    }

    /// Sends the next byte of each slow request. One that is sent whole waits like the others: what
    /// comes of it is the server's patience, not this listener's stream.
    fn send_slowly(&mut self, now: Moment) {
        let mut slow = std::mem::take(&mut self.slow_heads);
        slow.retain(|&row| {
            let request = self.request(row);
            let listener = &mut self.rows[row];
            let (Some(socket), Some(extra)) = (&mut listener.socket, &mut listener.extra) else {
                return false;
            };
            let Some(&byte) = request.as_bytes().get(extra.request_sent) else { return false };
            match socket.send(&[byte]) {
                Ok(sent) => extra.request_sent += sent,
                Err(failure) => self.end(row, failure, now),
            }
            self.rows[row].phase == Phase::Withholding
        });
        self.slow_heads = slow;
    }
}

/// How often slow readers read.
const SLOW_TURN: Duration = Duration::from_millis(250);
/// How often slow heads send a byte: far more often than any server's patience with a silent
/// client, and a request of 100 bytes takes longer than any with a slow one should.
const SLOW_HEAD_TURN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::tests::{OK, answer, begun, crowd, drive};
    use crate::plan::Behaviour;
    use std::io::{Read, Write};
    use std::net::TcpListener;

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
        assert_eq!(crowd.progress().bytes, 2_002);
        drop(sockets);
        drive(&mut crowd, |progress| progress.ended == 2);
        let outcome = crowd.finish();
        assert_eq!((outcome.slow.listeners, outcome.slow.closed), (1, 1));
        assert_eq!((outcome.stopped.listeners, outcome.stopped.closed), (1, 1));
        assert_eq!((outcome.failed(), outcome.at_end), (0, 0));
    }

    #[test]
    fn a_stream_that_ends_within_a_tick_of_its_last_bytes_is_noticed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = crowd(&server, |_| {});
        begun(&mut crowd);
        let mut sockets = answer(&server, &[OK, b"a"].concat());
        drive(&mut crowd, |progress| progress.flowing == 2);
        crowd.look().unwrap();
        sockets.iter_mut().for_each(|socket| socket.write_all(b"last").unwrap());
        drop(sockets);
        drive(&mut crowd, |progress| progress.ended == 2);
        let outcome = crowd.finish();
        assert_eq!((outcome.bytes, outcome.failed()), (10, 2));
    }

    #[test]
    fn half_open_connections_say_nothing_and_are_no_failures() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let behaviour = Behaviour { half_open_fraction: 1.0, ..Behaviour::default() };
        let mut crowd = crowd(&server, |plan| plan.behaviour = behaviour);
        begun(&mut crowd);
        let mut sockets = answer(&server, b"HTTP/1.0 408 Request Timeout\r\n\r\n");
        drive(&mut crowd, |progress| progress.pending == 0);
        let mut closed = sockets.remove(0);
        closed.set_nonblocking(true).unwrap();
        let silence = closed.read(&mut [0]).unwrap_err();
        assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
        drop(closed);
        drive(&mut crowd, |progress| progress.ended == 1);
        let outcome = crowd.finish();
        let tally = &outcome.half_open;
        assert_eq!((tally.opened, tally.closed, tally.still_open), (2, 1, 1));
        assert_eq!(tally.closed_us.count(), 1);
        assert_eq!((outcome.failed(), outcome.with_audio, outcome.at_end), (0, 0, 0));
    }

    #[test]
    fn a_slow_head_sends_its_request_a_byte_a_turn_and_drops_the_answer() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let behaviour = Behaviour { slow_head_fraction: 1.0, ..Behaviour::default() };
        let mut crowd = crowd(&server, |plan| plan.behaviour = behaviour);
        begun(&mut crowd);
        let mut sockets = answer(&server, b"");
        drive(&mut crowd, |progress| progress.pending == 0);
        let request = crowd.request(0);
        for _ in 0..request.len() + 3 {
            crowd.slow_head_turn_at = Moment::ZERO;
            crowd.look().unwrap();
        }
        let mut received = vec![0; request.len()];
        sockets[0].read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), request);
        sockets[0].write_all(&[OK, &[1; 100_000]].concat()).unwrap();
        drop(sockets);
        drive(&mut crowd, |progress| progress.ended == 2);
        let outcome = crowd.finish();
        let tally = &outcome.slow_head;
        assert_eq!((tally.opened, tally.closed, tally.still_open), (2, 2, 0));
        assert_eq!((outcome.failed(), outcome.with_audio, outcome.bytes), (0, 0, 0));
    }
}
