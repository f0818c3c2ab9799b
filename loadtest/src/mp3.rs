//! Valid, silent MP3: MPEG-1 Layer III at 44.1 kHz stereo, constant bitrate (ISO/IEC 11172-3).
//!
//! A frame whose side information is all zero has no main data, so every decoder plays silence, and
//! everything behind the side information is ancillary data, which decoders skip. That is where
//! marks travel. Pure arithmetic: no socket, no clock.

use crate::frames::{Frame, HEADER_BYTES, SAMPLE_RATE};

/// Bitrates of MPEG-1 Layer III in kbit/s, in the order of the header's index 1 to 14 (table
/// 2.4.2.3).
pub const BITRATES_KBIT: [u32; 14] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// Samples one frame carries per channel.
pub const FRAME_SAMPLES: u64 = 1_152;

/// Where ancillary data begins: 4 bytes of header and 32 of stereo side information.
pub const ANCILLARY_AT: usize = 4 + 32;

/// Appends a frame of `length` bytes: header, zero side information, zero ancillary data. A frame
/// longer than its bitrate alone makes it has the padding bit set.
pub fn write_silence(kbit: u32, length: usize, out: &mut Vec<u8>) {
    let position = BITRATES_KBIT.iter().position(|&known| known == kbit);
    // Index 0 would mean a bitrate of the encoder's own; `Cbr` lets only those of the table pass.
    let index = position.and_then(|position| u8::try_from(position + 1).ok()).unwrap_or(0);
    let padded = length > unpadded_bytes(kbit);
    out.extend_from_slice(&[0xff, 0xfb, index << 4 | u8::from(padded) << 1, 0x04]);
    out.resize(out.len() + length - 4, 0);
}

/// The frame that `header` begins; `None` if it is not the header of a frame that is made here.
pub fn read(header: &[u8; HEADER_BYTES]) -> Option<Frame> {
    let [0xff, 0xfb, rate, 0x04, ..] = *header else { return None };
    // Bits 2 and 3 are the sample rate (0 is 44.1 kHz), bit 0 is private and left zero.
    if rate & 0b1101 != 0 {
        return None;
    }
    let kbit = *BITRATES_KBIT.get(usize::from(rate >> 4).checked_sub(1)?)?;
    Some(Frame::Mp3 { kbit, length: unpadded_bytes(kbit) + usize::from(rate >> 1 & 1) })
}

fn unpadded_bytes(kbit: u32) -> usize {
    (u64::from(kbit) * FRAME_SAMPLES / 8 * 1_000 / SAMPLE_RATE) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_headers_are_refused() {
        for header in [
            [0xff, 0xfa, 0x90, 0x04, 0, 0, 0],
            [0xff, 0xfb, 0x00, 0x04, 0, 0, 0],
            [0xff, 0xfb, 0xf0, 0x04, 0, 0, 0],
            [0xff, 0xfb, 0x94, 0x04, 0, 0, 0],
            [0xff, 0xfb, 0x91, 0x04, 0, 0, 0],
            [0xff, 0xfb, 0x90, 0xc4, 0, 0, 0],
        ] {
            assert_eq!(read(&header), None, "{header:x?}");
        }
    }

    #[test]
    fn a_header_at_128_kbit_is_the_known_one() {
        let mut frame = Vec::new();
        write_silence(128, 418, &mut frame);
        assert_eq!((&frame[..4], frame.len()), (&[0xff, 0xfb, 0x92, 0x04][..], 418));
    }
}
