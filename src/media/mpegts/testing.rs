//! Transport streams for this folder's tests, written more simply than the code under test reads
//! them. Tests only.

use std::collections::HashMap;

use crc::{CRC_32_MPEG_2, Crc};

use super::packet::{PACKET_BYTES, SYNC_BYTE};

/// Where [`Mux::program`] puts things.
pub(super) const MAP_PID: u16 = 0x1000;
/// See [`MAP_PID`].
pub(super) const VIDEO_PID: u16 = 0x100;
/// See [`MAP_PID`].
pub(super) const AUDIO_PID: u16 = 0x101;

/// Units of a time stamp in a frame, at 25 a second.
pub(super) const FRAME: u64 = 3_600;

/// An H.264 key frame's beginning: delimiter, parameter set.
pub(super) const KEY: &[u8] = &[0, 0, 0, 1, 0x09, 0xF0, 0, 0, 0, 1, 0x67, 0x42, 0xC0, 0x0A];
/// That of another frame: delimiter, slice.
pub(super) const SLICE: &[u8] = &[0, 0, 0, 1, 0x09, 0xF0, 0, 0, 0, 1, 0x41, 0x9A];
/// A frame of AAC LC in ADTS, 48 kHz in stereo, of 107 bytes.
pub(super) const ADTS: [u8; 7] = [0xFF, 0xF1, 0x4C, 0x80, 0x0D, 0x7F, 0xFC];

/// A section with its checksum.
pub(super) fn section(table: u8, number: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (5 + body.len() as u16 + 4).to_be_bytes();
    let [n1, n0] = number.to_be_bytes();
    let mut section = vec![table, 0xB0 | high, low, n1, n0, 0xC1 | version << 1, 0, 0];
    section.extend(body);
    let checksum = Crc::<u32>::new(&CRC_32_MPEG_2).checksum(&section);
    section.extend(checksum.to_be_bytes());
    section
}

/// The section that leads to the map of program 1 at `map_pid`.
pub(super) fn association(map_pid: u16, version: u8) -> Vec<u8> {
    let [high, low] = map_pid.to_be_bytes();
    section(0, 7, version, &[0, 1, 0xE0 | high, low])
}

/// The map of program 1, with streams of these types on these PIDs, and its clock on the first.
pub(super) fn map(streams: &[(u8, u16)], version: u8) -> Vec<u8> {
    let clock = streams[0].1.to_be_bytes();
    let mut body = vec![0xE0 | clock[0], clock[1], 0xF0, 0];
    for (kind, pid) in streams {
        let [high, low] = pid.to_be_bytes();
        body.extend([*kind, 0xE0 | high, low, 0xF0, 0]);
    }
    section(2, 1, version, &body)
}

/// `section` in packets of `pid`, with counters from zero on.
pub(super) fn packets(pid: u16, section: &[u8]) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.section(pid, section);
    mux.out
}

/// A multiplexer.
#[derive(Default)]
pub(super) struct Mux {
    pub(super) out: Vec<u8>,
    counters: HashMap<u16, u8>,
}

impl Mux {
    /// A stream of H.264 and AAC: both tables, then `frames` of one video and two audio packets
    /// each, with a key frame every ten, decoded from `first` on; the clock is half a second less.
    pub(super) fn program(first: u64, frames: u64) -> Vec<u8> {
        Self::begun(first, frames).out
    }

    /// [`Mux::program`], to be gone on with.
    pub(super) fn begun(first: u64, frames: u64) -> Self {
        let mut mux = Self::default();
        mux.section(0, &association(MAP_PID, 0));
        mux.section(MAP_PID, &map(&[(0x1B, VIDEO_PID), (0x0F, AUDIO_PID)], 0));
        for frame in 0..frames {
            mux.frame(first + frame * FRAME, frame % 10 == 0);
        }
        mux
    }

    /// One frame of [`Mux::program`].
    pub(super) fn frame(&mut self, stamp: u64, is_key: bool) {
        let clock = Some(stamp.wrapping_sub(45_000) & ((1 << 33) - 1));
        let body = [if is_key { KEY } else { SLICE }, &[0x55; 100]].concat();
        self.pes(VIDEO_PID, stamp, &body, is_key, clock);
        self.pes(AUDIO_PID, stamp, &[&ADTS[..], &[0x33; 200]].concat(), false, None);
    }

    /// A PES packet decoded at `stamp`, marked as a start if it `is_key`, with its clock.
    pub(super) fn pes(
        &mut self,
        pid: u16,
        stamp: u64,
        body: &[u8],
        is_key: bool,
        clock: Option<u64>,
    ) {
        let mark = if is_key { 0x40 } else { 0 };
        let adaptation = match clock {
            Some(base) => {
                let [_, _, _, bytes @ ..] = (base << 7 | 0x7E).to_be_bytes();
                [&[0x10 | mark], &bytes[..], &[5]].concat()
            }
            None if is_key => vec![mark],
            None => vec![],
        };
        let stamp = stamp & ((1 << 33) - 1);
        let field = [
            0x21 | (stamp >> 29) as u8 & 0x0E,
            (stamp >> 22) as u8,
            (stamp >> 14) as u8 | 1,
            (stamp >> 7) as u8,
            (stamp << 1) as u8 | 1,
        ];
        let id = if pid == VIDEO_PID { 0xE0 } else { 0xC0 };
        let head = [&[0, 0, 1, id, 0, 0, 0x80, 0x80, 5], &field[..]].concat();
        self.unit(pid, &adaptation, &[&head, body].concat());
    }

    /// A section, padded behind.
    pub(super) fn section(&mut self, pid: u16, section: &[u8]) {
        let mut payload = [&[0], section].concat();
        payload.resize(payload.len().next_multiple_of(PACKET_BYTES - 4), 0xFF);
        self.unit(pid, &[], &payload);
    }

    /// `payload` in packets, the first with this adaptation field (without its length), the last
    /// padded by one.
    pub(super) fn unit(&mut self, pid: u16, adaptation: &[u8], payload: &[u8]) {
        let (mut rest, mut adaptation, mut begins) = (payload, adaptation.to_vec(), true);
        while begins || !rest.is_empty() {
            let field = if adaptation.is_empty() { 0 } else { 1 + adaptation.len() };
            let room = PACKET_BYTES - 4 - field;
            if rest.len() < room {
                // One byte of padding is an adaptation field without flags.
                let missing = room - rest.len() - usize::from(field == 0);
                if adaptation.is_empty() && missing > 0 {
                    adaptation.push(0);
                    adaptation.resize(missing, 0xFF);
                } else {
                    adaptation.resize(adaptation.len() + missing, 0xFF);
                }
            }
            let has_field = field > 0 || rest.len() < room;
            let here = rest.len().min(room);
            self.header(pid, begins, if has_field { 0x30 } else { 0x10 });
            if has_field {
                self.out.push(adaptation.len() as u8);
                self.out.extend(&adaptation);
            }
            self.out.extend(&rest[..here]);
            (rest, begins) = (&rest[here..], false);
            adaptation.clear();
        }
    }

    /// A packet of stuffing.
    pub(super) fn stuffing(&mut self) {
        self.out.extend([SYNC_BYTE, 0x1F, 0xFF, 0x10]);
        self.out.resize(self.out.len() + PACKET_BYTES - 4, 0xFF);
    }

    fn header(&mut self, pid: u16, begins: bool, fields: u8) {
        let counter = self.counters.entry(pid).or_insert(0x0F);
        *counter = (*counter + 1) & 0x0F;
        let [high, low] = pid.to_be_bytes();
        let flag = if begins { 0x40 } else { 0 };
        self.out.extend([SYNC_BYTE, high | flag, low, fields | *counter]);
    }
}
