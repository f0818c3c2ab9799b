//! Marks: what a generated frame says about itself, and the checker that reads it back.
//!
//! A mark stands at the start of a frame's ancillary data, so it survives every server that does
//! not transcode: 8 bytes magic, stream (u32), sequence (u64), send time in ns of the machine's
//! monotonic clock (u64), CRC-32 over the whole frame but the CRC itself; integers big-endian. The
//! rest of the frame is filled from the sequence, so that a shifted or repeated byte breaks the
//! CRC. Sans-IO.

use crate::mp3::{self, ANCILLARY_AT, Cbr, FRAME_BYTES_MAX};
use crate::outcome::MarkTally;

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The stream it belongs to: the number of the mount that published it.
    pub stream: u32,
    /// Frame number within the stream, from zero.
    pub sequence: u64,
    /// When the frame was handed to the socket, in ns of the machine's monotonic clock.
    pub sent_ns: u64,
}

impl Mark {
    /// Appends the frame that carries this mark.
    pub fn write_frame(self, cbr: Cbr, out: &mut Vec<u8>) {
        let frame_at = out.len();
        cbr.write_silence(self.sequence, out);
        let frame = &mut out[frame_at..];
        let (_, ancillary) = frame.split_at_mut(ANCILLARY_AT);
        let (mark, fill) = ancillary.split_at_mut(MARK_BYTES);
        mark[..8].copy_from_slice(&MAGIC);
        mark[8..12].copy_from_slice(&self.stream.to_be_bytes());
        mark[12..20].copy_from_slice(&self.sequence.to_be_bytes());
        mark[20..28].copy_from_slice(&self.sent_ns.to_be_bytes());
        for (position, byte) in fill.iter_mut().enumerate() {
            // Below 0x80, so that no fill looks like the 0xff of a frame header.
            *byte = (self.sequence.wrapping_add(position as u64) & 0x7f) as u8;
        }
        let crc = frame_crc(frame).to_be_bytes();
        frame[CRC_AT..CRC_AT + 4].copy_from_slice(&crc);
    }

    /// Reads the mark of a whole frame; `None` if it has none or any byte of the frame is wrong.
    pub fn read_frame(frame: &[u8]) -> Option<Self> {
        if frame.len() < FRAME_BYTES_MIN || !frame[ANCILLARY_AT..].starts_with(&MAGIC) {
            return None;
        }
        let mark = &frame[ANCILLARY_AT..ANCILLARY_AT + MARK_BYTES];
        if frame_crc(frame) != u32::from_be_bytes(mark[28..32].try_into().ok()?) {
            return None;
        }
        Some(Self {
            stream: u32::from_be_bytes(mark[8..12].try_into().ok()?),
            sequence: u64::from_be_bytes(mark[12..20].try_into().ok()?),
            sent_ns: u64::from_be_bytes(mark[20..28].try_into().ok()?),
        })
    }
}

/// Reads one listener's audio bytes and counts what is wrong with them.
#[derive(Debug, Default)]
pub struct Checker {
    /// The tail that is not a whole frame yet; shorter than [`FRAME_BYTES_MAX`].
    held: Vec<u8>,
    /// Stream and sequence of the last good frame.
    last: Option<(u32, u64)>,
    /// Whether the next byte should begin a frame.
    aligned: bool,
    /// Whether a byte has been passed over since the last good frame.
    skipping: bool,
}

impl Checker {
    /// Takes the next bytes, in any cut. `now_ns` is when they arrived; with `timed`, the delay of
    /// their frames counts (a burst of old frames at the join would drown the figure).
    pub fn push(&mut self, bytes: &[u8], now_ns: u64, timed: bool, tally: &mut MarkTally) {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match self.step(&self.held[at..]) {
                Step::Short => break,
                Step::NoFrame => {
                    self.skip(tally);
                    at += 1;
                }
                Step::Frame(mark, length) => {
                    self.accept(mark, tally);
                    if timed {
                        tally.delay_us.record(now_ns.saturating_sub(mark.sent_ns) / 1_000);
                    }
                    at += length;
                }
            }
        }
        self.held.drain(..at);
    }

    fn step(&self, bytes: &[u8]) -> Step {
        let Some(header) = bytes.first_chunk::<4>() else { return Step::Short };
        let Some(length) = mp3::frame_length(*header) else { return Step::NoFrame };
        let Some(frame) = bytes.get(..length) else { return Step::Short };
        match Mark::read_frame(frame) {
            Some(mark) => Step::Frame(mark, length),
            None => Step::NoFrame,
        }
    }

    /// One byte that begins no good frame. The first of a run decides what the run means: a join in
    /// the middle of a frame, or bytes lost or changed inside one.
    fn skip(&mut self, tally: &mut MarkTally) {
        if self.skipping {
            return;
        }
        self.skipping = true;
        if self.aligned {
            tally.torn += 1;
        } else {
            tally.joined_mid_frame += 1;
        }
    }

    fn accept(&mut self, mark: Mark, tally: &mut MarkTally) {
        self.aligned = true;
        self.skipping = false;
        tally.frames += 1;
        match self.last {
            Some((stream, _)) if stream != mark.stream => tally.strayed += 1,
            Some((_, sequence)) if mark.sequence <= sequence => {
                // The place in the stream stays: one late frame must not count its followers lost.
                tally.out_of_order += 1;
                return;
            }
            Some((_, sequence)) => tally.lost += mark.sequence - sequence - 1,
            None => {}
        }
        self.last = Some((mark.stream, mark.sequence));
    }
}

enum Step {
    Short,
    NoFrame,
    Frame(Mark, usize),
}

const MAGIC: [u8; 8] = *b"FloeMark";
const MARK_BYTES: usize = 32;
const CRC_AT: usize = ANCILLARY_AT + MARK_BYTES - 4;
const FRAME_BYTES_MIN: usize = ANCILLARY_AT + MARK_BYTES;
const _: () = assert!(FRAME_BYTES_MIN <= 104, "a frame at 32 kbit/s has 104 bytes");
const _: () = assert!(FRAME_BYTES_MIN <= FRAME_BYTES_MAX);

fn frame_crc(frame: &[u8]) -> u32 {
    let before = crc32(!0, &frame[..CRC_AT]);
    !crc32(before, &frame[CRC_AT + 4..])
}

/// CRC-32 (ISO 3309, the polynomial of Ethernet and zip), without the last inversion.
fn crc32(start: u32, bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(start, |crc, &byte| CRC_TABLE[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
        let cbr = Cbr::new(128).unwrap();
        range
            .map(|sequence| {
                let mut frame = Vec::new();
                Mark { stream: 3, sequence, sent_ns: 1_000 * sequence }
                    .write_frame(cbr, &mut frame);
                frame
            })
            .collect()
    }

    fn checked(bytes: &[u8]) -> MarkTally {
        let mut tally = MarkTally::default();
        Checker::default().push(bytes, 5_000_000, true, &mut tally);
        tally
    }

    #[test]
    fn the_crc_is_the_known_one() {
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_mark_reads_back_at_every_bitrate_and_any_changed_byte_breaks_it() {
        for kbit in mp3::BITRATES_KBIT {
            let mark = Mark { stream: 9, sequence: u64::MAX - 1, sent_ns: 77 };
            let mut frame = Vec::new();
            mark.write_frame(Cbr::new(kbit).unwrap(), &mut frame);
            assert_eq!(Mark::read_frame(&frame), Some(mark));
            for position in 0..frame.len() {
                frame[position] ^= 0x10;
                assert_eq!(Mark::read_frame(&frame), None, "byte {position} at {kbit} kbit/s");
                frame[position] ^= 0x10;
            }
            for cut in 0..frame.len() {
                assert_eq!(Mark::read_frame(&frame[..cut]), None);
            }
        }
    }

    #[test]
    fn byte_at_a_time_equals_all_at_once() {
        let bytes = frames(0..12).concat()[100..].to_vec();
        let mut one_by_one = MarkTally::default();
        let mut checker = Checker::default();
        for byte in &bytes {
            checker.push(&[*byte], 5_000_000, true, &mut one_by_one);
        }
        assert_eq!(one_by_one, checked(&bytes));
        assert_eq!((one_by_one.frames, one_by_one.joined_mid_frame), (11, 1));
    }

    #[test]
    fn an_unbroken_stream_is_clean_and_its_delay_is_counted() {
        let tally = checked(&frames(4..8).concat());
        assert_eq!((tally.frames, tally.lost, tally.torn, tally.joined_mid_frame), (4, 0, 0, 0));
        assert_eq!(tally.delay_us.count(), 4);
        assert!((4_990..=5_000).contains(&tally.delay_us.max()), "{}", tally.delay_us.max());
    }

    #[test]
    fn lost_repeated_torn_and_foreign_frames_are_told_apart() {
        let all = frames(0..10);
        let lost = checked(&[&all[0][..], &all[4]].concat());
        assert_eq!((lost.lost, lost.torn), (3, 0));

        let swapped = checked(&[&all[0][..], &all[2], &all[1], &all[3]].concat());
        assert_eq!((swapped.out_of_order, swapped.lost), (1, 1));

        let torn = checked(&[&all[0][..], &all[1][..200], &all[2]].concat());
        assert_eq!((torn.torn, torn.lost, torn.frames), (1, 1, 2));

        let mut foreign = all[0].clone();
        Mark { stream: 4, sequence: 1, sent_ns: 0 }
            .write_frame(Cbr::new(128).unwrap(), &mut foreign);
        assert_eq!(checked(&foreign).strayed, 1);
    }

    #[test]
    fn bytes_that_are_no_frames_hold_no_memory() {
        let mut tally = MarkTally::default();
        let mut checker = Checker::default();
        for _ in 0..100 {
            checker.push(&[0xff; 4_096], 0, false, &mut tally);
            checker.push(&[0xff, 0xfb, 0x90, 0x04].repeat(500), 0, false, &mut tally);
            assert!(checker.held.len() < FRAME_BYTES_MAX);
        }
        assert_eq!((tally.frames, tally.joined_mid_frame), (0, 1));
    }
}
