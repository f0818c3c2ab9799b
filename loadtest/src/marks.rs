//! Marks: what a generated frame says about itself, and the checker that reads it back.
//!
//! A mark stands at the start of the part of a frame that players skip, so it survives every server
//! that does not transcode: 8 bytes magic, stream (u32), sequence (u64), send time in ns of the
//! machine's monotonic clock (u64), CRC-32 of these; integers big-endian. The rest of the frame
//! follows from stream and sequence alone, so the checker makes the frame again and compares every
//! byte. Sans-IO.

use crate::frames::{Cbr, Frame, HEADER_BYTES};
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
        self.write_into(cbr.frame(self.sequence), out);
    }

    fn write_into(self, frame: Frame, out: &mut Vec<u8>) {
        let frame_at = out.len();
        frame.write_silence(out);
        let (mark, filler) = out[frame_at..][frame.room()].split_at_mut(MARK_BYTES);
        mark[..8].copy_from_slice(&MAGIC);
        mark[8..12].copy_from_slice(&self.stream.to_be_bytes());
        mark[12..20].copy_from_slice(&self.sequence.to_be_bytes());
        mark[20..28].copy_from_slice(&self.sent_ns.to_be_bytes());
        let crc = crc32(&mark[..CRC_AT]).to_be_bytes();
        mark[CRC_AT..].copy_from_slice(&crc);
        self.fill(filler);
    }

    /// What follows the mark: words of a generator (SplitMix64) that stream and sequence seed, so
    /// that shifted, repeated and foreign bytes all differ. Each byte is below 0x80, so that none
    /// looks like the 0xff of a frame header.
    fn fill(self, filler: &mut [u8]) {
        let mut state = self.sequence ^ u64::from(self.stream).rotate_right(20);
        for part in filler.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (word ^ (word >> 31)) & 0x7f7f_7f7f_7f7f_7f7f;
            part.copy_from_slice(&word.to_be_bytes()[..part.len()]);
        }
    }

    /// Reads the mark at the start of a frame's room; `None` if there is none or it is damaged.
    fn read(room: &[u8]) -> Option<Self> {
        let mark = room.first_chunk::<MARK_BYTES>()?;
        let crc = u32::from_be_bytes(mark[CRC_AT..].try_into().ok()?);
        if !mark.starts_with(&MAGIC) || crc32(&mark[..CRC_AT]) != crc {
            return None;
        }
        Some(Self {
            stream: u32::from_be_bytes(mark[8..12].try_into().ok()?),
            sequence: u64::from_be_bytes(mark[12..20].try_into().ok()?),
            sent_ns: u64::from_be_bytes(mark[20..28].try_into().ok()?),
        })
    }
}

/// Reads one connection's audio bytes and counts what is wrong with them.
#[derive(Debug, Default)]
pub struct Checker {
    /// The tail that is not decided yet: less than a frame, a byte by which another may be longer,
    /// and the header behind it.
    held: Vec<u8>,
    /// The frame as it should be, for comparing.
    expected: Vec<u8>,
    /// The last good frame's mark and its length.
    last: Option<(Mark, usize)>,
    /// Corrupt frames since the last good one.
    corrupt_since: u64,
    /// Whether bytes have been passed over since the last frame, or no frame has come yet.
    adrift: Adrift,
}

/// Whether the next byte should begin a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Adrift {
    /// Nothing has come yet.
    #[default]
    Start,
    /// It should: a frame ended before it.
    No,
    /// Bytes are being passed over until a good frame begins.
    Passing,
}

impl Checker {
    /// Takes the next bytes, in any cut. `now_ns` is when they arrived; with `timed`, the delay of
    /// their frames counts (a burst of old frames at the join would drown the figure).
    pub fn push(&mut self, bytes: &[u8], now_ns: u64, timed: bool, tally: &mut MarkTally) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match self.step(&held[at..]) {
                Step::Short => break,
                Step::NoFrame => {
                    self.pass_over(tally);
                    at += 1;
                }
                Step::Corrupt(length) => {
                    tally.corrupt += 1;
                    self.corrupt_since += 1;
                    at += length;
                }
                Step::Frame(mark, length) => {
                    self.accept(mark, length, tally);
                    if timed {
                        tally.delay_us.record(now_ns.saturating_sub(mark.sent_ns) / 1_000);
                    }
                    at += length;
                }
            }
        }
        held.drain(..at);
        self.held = held;
    }

    fn step(&mut self, bytes: &[u8]) -> Step {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Step::Short };
        let frame = Frame::read(header);
        if let Some(frame) = frame {
            let Some(found) = bytes.get(..frame.length()) else { return Step::Short };
            if let Some(mark) = self.as_sent(frame, found) {
                return Step::Frame(mark, frame.length());
            }
        }
        match self.last {
            Some((_, length)) if self.adrift == Adrift::No => damage(bytes, frame, length),
            _ => Step::NoFrame,
        }
    }

    /// The mark of `found` if every byte of it is what a publisher sends with that mark.
    fn as_sent(&mut self, frame: Frame, found: &[u8]) -> Option<Mark> {
        let mark = Mark::read(&found[frame.room()])?;
        self.expected.clear();
        mark.write_into(frame, &mut self.expected);
        (self.expected == found).then_some(mark)
    }

    /// One byte that begins no good frame. The first of a run decides what the run means: a join in
    /// the middle of a frame, or bytes lost or added inside one.
    fn pass_over(&mut self, tally: &mut MarkTally) {
        match self.adrift {
            Adrift::Start => tally.joined_mid_frame += 1,
            Adrift::No => tally.torn += 1,
            Adrift::Passing => {}
        }
        self.adrift = Adrift::Passing;
    }

    fn accept(&mut self, mark: Mark, length: usize, tally: &mut MarkTally) {
        self.adrift = Adrift::No;
        tally.frames += 1;
        let corrupt = std::mem::take(&mut self.corrupt_since);
        match self.last {
            Some((last, _)) if last.stream != mark.stream => tally.strayed += 1,
            Some((last, _)) if mark.sequence <= last.sequence => {
                // The place in the stream stays: one late frame must not count its followers lost.
                tally.out_of_order += 1;
                return;
            }
            Some((last, _)) => {
                let missing = mark.sequence - last.sequence - 1;
                tally.lost += missing.saturating_sub(corrupt);
            }
            None => {}
        }
        self.last = Some((mark, length));
    }
}

/// What `bytes` are, if a frame should begin there and none as sent does. If another begins where
/// this one should end, it is in its place and has a wrong byte. Where it should end is what its
/// header says or, if the header is what is wrong, what the last one's `length` says: frames of one
/// stream differ by a byte at most.
fn damage(bytes: &[u8], frame: Option<Frame>, length: usize) -> Step {
    let own = frame.map_or(length, Frame::length);
    if bytes.len() < own.max(length + 1) + HEADER_BYTES {
        return Step::Short;
    }
    let begins_at =
        |end: usize| bytes[end..].first_chunk().is_some_and(|h| Frame::read(h).is_some());
    let ends = [own, length, length + 1, length - 1];
    ends.into_iter().find(|&end| begins_at(end)).map_or(Step::NoFrame, Step::Corrupt)
}

enum Step {
    Short,
    NoFrame,
    Corrupt(usize),
    Frame(Mark, usize),
}

const MAGIC: [u8; 8] = *b"FloeMark";
const MARK_BYTES: usize = 32;
const CRC_AT: usize = MARK_BYTES - 4;

/// CRC-32 (ISO 3309, the polynomial of Ethernet and zip).
fn crc32(bytes: &[u8]) -> u32 {
    let table = |crc: u32, byte: u8| CRC_TABLE[((crc ^ u32::from(byte)) & 0xff) as usize];
    !bytes.iter().fold(!0, |crc, &byte| table(crc, byte) ^ (crc >> 8))
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
    use crate::frames::{Codec, FRAME_BYTES_MAX};

    const HELD_BYTES_MAX: usize = FRAME_BYTES_MAX + 1 + HEADER_BYTES;

    fn frames(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
        let cbr = Cbr::new(Codec::Mp3, 128).unwrap();
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
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_changed_byte_of_every_frame_is_corrupt_and_nothing_else() {
        for (codec, kbit) in
            [(Codec::Mp3, 32), (Codec::Mp3, 320), (Codec::Adts, 32), (Codec::Adts, 160)]
        {
            let cbr = Cbr::new(codec, kbit).unwrap();
            let mut stream = Vec::new();
            let mut ends = Vec::new();
            for sequence in 0..5 {
                let mark = Mark { stream: 9, sequence, sent_ns: 77 };
                mark.write_frame(cbr, &mut stream);
                ends.push(stream.len());
            }
            assert_eq!(checked(&stream).frames, 5);
            for position in ends[1]..ends[2] {
                stream[position] ^= 0x10;
                let tally = checked(&stream);
                let seen = (tally.frames, tally.corrupt, tally.torn, tally.lost);
                assert_eq!(seen, (4, 1, 0, 0), "byte {position} of {codec:?} at {kbit} kbit/s");
                stream[position] ^= 0x10;
            }
        }
    }

    #[test]
    fn filler_differs_between_streams_and_frames() {
        let filler = |stream, sequence| {
            let mut filler = [0; 100];
            Mark { stream, sequence, sent_ns: 0 }.fill(&mut filler);
            filler
        };
        assert!(filler(1, 5).iter().all(|&byte| byte < 0x80));
        assert_ne!(filler(1, 5), filler(1, 6));
        assert_ne!(filler(1, 5), filler(2, 5));
        assert_ne!(filler(0, 5)[..92], filler(0, 5)[8..]);
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
            .write_frame(Cbr::new(Codec::Mp3, 128).unwrap(), &mut foreign);
        assert_eq!(checked(&foreign).strayed, 1);
    }

    #[test]
    fn bytes_that_are_no_frames_hold_no_memory() {
        let mut tally = MarkTally::default();
        let mut checker = Checker::default();
        for _ in 0..100 {
            checker.push(&[0xff; 4_096], 0, false, &mut tally);
            checker.push(&[0xff, 0xfb, 0x90, 0x04].repeat(500), 0, false, &mut tally);
            assert!(checker.held.len() < HELD_BYTES_MAX);
        }
        assert_eq!((tally.frames, tally.joined_mid_frame), (0, 1));
    }
}
