//! A pretended listener: a socket buffer that a reader empties at its own speed, with pauses and
//! resets, and a judge that takes every byte apart as it is accepted.

use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;

use floe::base::{CloseReason, Moment};
use floe::edge::row::Transmit;
use floe::rt::wire::Sent;

use crate::random::Random;
use crate::studio::{HEADER_BYTES, MARK, filler, number};
use crate::truth::Truth;

/// How a listener reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Faster than anything is sent, into a buffer that is never full.
    Fast,
    /// About as fast as the stream, with pauses.
    Unsteady,
    /// Too slow for the stream.
    Slow,
    /// Not at all, from some moment on.
    Stops,
}

/// More than a send ever carries.
const BOTTOMLESS_BYTES: usize = 1 << 30;

pub struct Wire {
    truth: Rc<Truth>,
    random: Random,
    habit: Habit,
    capacity: usize,
    queued: f64,
    bytes_per_second: f64,
    paused_until: Moment,
    drained_at: Moment,
    stops_at: Moment,
    /// Whether the peer has reset the connection.
    pub broken: Cell<bool>,
    /// When it last took at least one byte, or came.
    pub took_at: Moment,
    /// When it was last offered something.
    pub offered_at: Moment,
    pub judge: Judge,
}

impl Wire {
    pub fn new(
        truth: &Rc<Truth>,
        mut random: Random,
        habit: Habit,
        stream_rate: u64,
        interval: u32,
    ) -> Self {
        let now = truth.now.get();
        let rate = stream_rate as f64;
        let bytes_per_second = match habit {
            Habit::Fast => f64::INFINITY,
            Habit::Unsteady | Habit::Stops => rate * random.between(10, 40) as f64 / 10.0,
            Habit::Slow => rate * random.between(1, 9) as f64 / 10.0,
        };
        Self {
            truth: Rc::clone(truth),
            habit,
            capacity: match habit {
                Habit::Fast => BOTTOMLESS_BYTES,
                _ => random.between(500, 60_000) as usize,
            },
            queued: 0.0,
            bytes_per_second,
            paused_until: now,
            drained_at: now,
            stops_at: Moment(now.0 + random.between(0, 20_000_000)),
            broken: Cell::new(false),
            took_at: now,
            offered_at: now,
            judge: Judge::new(Rc::clone(truth), interval),
            random,
        }
    }

    /// The reader empties the buffer for the time that has passed.
    fn read(&mut self) {
        let now = self.truth.now.get();
        if self.habit == Habit::Stops && now >= self.stops_at {
            return;
        }
        if self.habit == Habit::Fast || self.truth.hurries.get() {
            self.queued = 0.0;
            self.capacity = BOTTOMLESS_BYTES;
            return;
        }
        if now < self.paused_until {
            self.drained_at = now;
            return;
        }
        let seconds = now.since(self.drained_at).as_secs_f64();
        self.drained_at = now;
        self.queued = (self.queued - seconds * self.bytes_per_second).max(0.0);
        if self.habit == Habit::Unsteady && self.random.chance(1, 60) {
            self.paused_until = Moment(now.0 + self.random.between(100_000, 8_000_000));
        }
    }
}

impl Transmit for Wire {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        self.send_pieces(&[IoSlice::new(bytes)])
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Sent {
        let now = self.truth.now.get();
        self.offered_at = now;
        if self.broken.get() {
            return Sent::Gone(CloseReason::PeerBroke);
        }
        self.read();
        let offered: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert!(offered > 0, "a send of nothing is a wasted call");
        let mut room = offered.min(self.capacity - self.queued.ceil() as usize);
        if room > 0 && self.random.chance(1, 4) && self.capacity < BOTTOMLESS_BYTES {
            // The kernel may take any part of it.
            room = self.random.between(1, room as u64) as usize;
        }
        if room == 0 {
            return Sent::Full;
        }
        self.queued = (self.queued + room as f64).min(self.capacity as f64);
        self.took_at = now;
        self.truth.taken.set(self.truth.taken.get() + room as u64);
        let mut left = room;
        for piece in pieces {
            let part = left.min(piece.len());
            self.judge.take(&piece[..part]);
            left -= part;
        }
        Sent::Bytes(room)
    }

    fn peer_left(&mut self) -> bool {
        self.broken.get()
    }
}

/// Takes what a listener receives apart, byte by byte, and knows nothing but the bytes, the
/// interval and the truth.
pub struct Judge {
    truth: Rc<Truth>,
    interval: u32,
    /// Stream bytes until the next block.
    until_block: u32,
    /// Bytes of the present block still to come.
    block_left: usize,
    block: Vec<u8>,
    /// A whole block whose place is known only with the stream byte that follows.
    to_place: Option<Vec<u8>>,
    told: Vec<u8>,
    /// Offset of the next stream byte, if nothing is left out.
    pub at: Option<u64>,
    /// Where the first byte stood.
    pub start: Option<u64>,
    /// Where each jump left off and went on.
    pub jumps: Vec<(u64, u64)>,
    header: Vec<u8>,
    frame_left: u64,
    /// Bytes of all kinds.
    pub taken: u64,
}

impl Judge {
    fn new(truth: Rc<Truth>, interval: u32) -> Self {
        Self {
            truth,
            interval,
            until_block: interval,
            block_left: 0,
            block: Vec::new(),
            to_place: None,
            told: Vec::new(),
            at: None,
            start: None,
            jumps: Vec::new(),
            header: Vec::new(),
            frame_left: 0,
            taken: 0,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        for &byte in bytes {
            if self.interval == 0 {
                self.stream(byte);
            } else if self.block_left > 0 {
                self.block.push(byte);
                self.block_left -= 1;
                if self.block_left == 0 {
                    self.to_place = Some(std::mem::take(&mut self.block));
                }
            } else if self.until_block == 0 {
                self.until_block = self.interval;
                self.block_left = usize::from(byte) * 16;
                self.block = vec![byte];
                if byte == 0 {
                    self.to_place = Some(std::mem::take(&mut self.block));
                }
            } else {
                self.stream(byte);
                self.until_block -= 1;
            }
        }
    }

    fn stream(&mut self, byte: u8) {
        if byte == MARK {
            assert!(self.header.is_empty() || self.may_cut(), "a frame was cut short");
            self.header.clear();
            self.header.push(byte);
            return;
        }
        if !self.header.is_empty() {
            self.header.push(byte);
            if self.header.len() == HEADER_BYTES {
                self.begin_frame();
            }
            return;
        }
        let at = self.at.expect("a stream begins with a frame");
        assert!(self.frame_left > 0, "bytes after the end of a frame at {at}");
        assert_eq!(byte, filler(at), "a wrong byte at {at}");
        self.place_block(at, at);
        self.at = Some(at + 1);
        self.frame_left -= 1;
    }

    /// A frame may be cut only where its other bytes are gone from the window.
    fn may_cut(&self) -> bool {
        self.truth.lost.get() || self.at.is_none_or(|at| at < self.truth.tail())
    }

    fn begin_frame(&mut self) {
        let offset = number(&self.header[1..10]);
        let bytes = number(&self.header[10..]);
        self.header.clear();
        let Some(at) = self.at else {
            assert!(self.truth.is_start(offset), "it began at {offset}, where nobody may");
            self.start = Some(offset);
            return self.go_on_from(offset, offset, bytes);
        };
        assert!(self.frame_left == 0 || self.may_cut(), "a frame was cut short at {at}");
        if offset != at || self.frame_left > 0 {
            assert!(offset > at, "it went back from {at} to {offset}");
            assert!(self.truth.is_start(offset), "it went on at {offset}, where nobody may");
            self.jumps.push((at, offset));
            self.truth.jumps.set(self.truth.jumps.get() + 1);
        }
        self.go_on_from(at, offset, bytes);
    }

    fn go_on_from(&mut self, before: u64, offset: u64, bytes: u64) {
        self.place_block(before, offset);
        self.at = Some(offset + HEADER_BYTES as u64);
        self.frame_left = bytes - HEADER_BYTES as u64;
    }

    /// Judges the block that stood between the bytes at `before` and at `after`; they differ where
    /// the listener was moved forward right there.
    fn place_block(&mut self, before: u64, after: u64) {
        let Some(block) = self.to_place.take() else { return };
        let in_force = [before, after].map(|offset| self.truth.block_at(offset));
        if block == [0] {
            assert!(in_force.contains(&self.told), "the title changed untold by {after}");
            return;
        }
        assert!(in_force.contains(&block), "another title holds at {before} to {after}");
        assert_ne!(block, self.told, "an unchanged title was told again at {after}");
        self.told = block;
    }
}
