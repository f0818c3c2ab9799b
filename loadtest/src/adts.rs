//! Valid, silent AAC-LC in ADTS at 44.1 kHz stereo (ISO/IEC 14496-3, 1.A.3.2 and 4.4.2).
//!
//! Each frame is one raw data block of three elements: a channel pair without a single scale factor
//! band, which is silence; a data stream element, which decoders skip and in which marks travel;
//! and the end. Pure arithmetic: no socket, no clock.

use crate::frames::{Frame, HEADER_BYTES};
use std::ops::Range;

/// The bitrates that are made, in kbit/s: above 160 one data stream element, which holds 510 bytes,
/// would not fill the frame.
pub const BITRATES_KBIT: [u32; 10] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160];

/// Samples one frame carries per channel.
pub const FRAME_SAMPLES: u64 = 1_024;

/// Appends a frame of `length` bytes whose data is all zero.
pub fn write_silence(length: usize, out: &mut Vec<u8>) {
    let frame_at = out.len();
    out.extend_from_slice(&header(length));
    let count = room(length).len();
    // Channel pair, by bits: 001 0000 1, then 35 zeros: a common window without bands, no mask, and
    // two channels of gain 0 without pulses, TNS or gain control. Data stream, from bit 43 on:
    // 100 0000 1 (data begins on a whole byte), 8 bits of count, and 8 more if those are all ones.
    out.extend_from_slice(&[0x21, 0, 0, 0, 0, 0x10]);
    let [short, escape] = [count.min(COUNT_ESCAPE), count.saturating_sub(COUNT_ESCAPE)];
    out.push(0x20 | (short >> 3) as u8);
    out.push(((short & 7) << 5) as u8 | (escape >> 3) as u8);
    if short == COUNT_ESCAPE {
        out.push(((escape & 7) << 5) as u8);
    }
    out.resize(frame_at + length - 1, 0);
    // The end is 111; zeros fill the byte.
    out.push(0xe0);
}

/// The frame that `header` begins; `None` if it is not the header of a frame that is made here.
pub fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Frame> {
    let length =
        usize::from(bytes[3] & 3) << 11 | usize::from(bytes[4]) << 3 | usize::from(bytes[5]) >> 5;
    let made = (LENGTH_MIN..=LENGTH_MAX).contains(&length) && header(length) == *bytes;
    made.then_some(Frame::Adts { length })
}

/// The data of a frame of `length` bytes: behind the data stream's head, before the end's byte.
pub fn room(length: usize) -> Range<usize> {
    let short = HEADER_BYTES + 8;
    // The escaped form counts 255 and more, and takes one byte more itself.
    let start = if length - 1 - short < COUNT_ESCAPE { short } else { short + 1 };
    start..length - 1
}

/// MPEG-4, no CRC; AAC-LC; sample rate index 4; two channels; the fullness that means a variable
/// rate, so that no decoder models a buffer; one raw data block.
fn header(length: usize) -> [u8; HEADER_BYTES] {
    let [high, middle, low] = [length >> 11 & 3, length >> 3 & 0xff, length & 7];
    [0xff, 0xf1, 0x50, 0x80 | high as u8, middle as u8, (low << 5) as u8 | 0x1f, 0xfc]
}

/// The count that says that another byte of count follows.
const COUNT_ESCAPE: usize = 255;
/// A frame at 32 kbit/s.
const LENGTH_MIN: usize = 92;
/// A frame at 160 kbit/s with the byte that some have more.
const LENGTH_MAX: usize = 465;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Cbr, Codec};

    #[test]
    fn lengths_keep_to_what_the_two_forms_of_a_count_can_say() {
        for kbit in BITRATES_KBIT {
            let cbr = Cbr::new(Codec::Adts, kbit).unwrap();
            for sequence in 0..300 {
                let length = cbr.frame(sequence).length();
                assert!((LENGTH_MIN..=LENGTH_MAX).contains(&length), "{length}");
                let (room, mut frame) = (room(length), Vec::new());
                write_silence(length, &mut frame);
                // Read back as a decoder does: 8 bits of count from bit 51 of the block.
                let block = &frame[HEADER_BYTES..];
                let count = usize::from(block[6] & 0x1f) << 3 | usize::from(block[7]) >> 5;
                let escape = usize::from(block[7] & 0x1f) << 3 | usize::from(block[8]) >> 5;
                let counted = if count == 255 { 255 + escape } else { count };
                assert_eq!(counted, room.len(), "{kbit} kbit/s, frame {sequence}");
                assert_eq!(room.start, HEADER_BYTES + if count == 255 { 9 } else { 8 });
            }
        }
    }

    #[test]
    fn a_changed_header_is_refused() {
        let good = header(371);
        assert_eq!(read(&good), Some(Frame::Adts { length: 371 }));
        for position in 0..HEADER_BYTES {
            for bit in 0..8 {
                let mut bad = good;
                bad[position] ^= 1 << bit;
                assert_ne!(read(&bad), Some(Frame::Adts { length: 371 }), "{position}.{bit}");
            }
        }
    }
}
