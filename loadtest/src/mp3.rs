//! Valid, silent MP3: MPEG-1 Layer III at 44.1 kHz stereo, constant bitrate (ISO/IEC 11172-3).
//!
//! A frame whose side information is all zero has no main data, so every decoder plays silence, and
//! everything behind the side information is ancillary data, which decoders skip. That is where
//! marks travel. Pure arithmetic: no socket, no clock.

use std::time::Duration;

/// Bitrates of MPEG-1 Layer III in kbit/s, in the order of the header's index 1 to 14 (table
/// 2.4.2.3).
pub const BITRATES_KBIT: [u32; 14] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// Samples one frame carries per channel.
pub const FRAME_SAMPLES: u64 = 1_152;

/// Samples a second and channel.
pub const SAMPLE_RATE: u64 = 44_100;

/// Where ancillary data begins: 4 bytes of header and 32 of stereo side information.
pub const ANCILLARY_AT: usize = 4 + 32;

/// The longest frame this module makes or accepts: 320 kbit/s with padding.
pub const FRAME_BYTES_MAX: usize = 1_045;

/// A constant bitrate, checked to be one that MPEG-1 Layer III has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cbr {
    index: u8,
}

impl Cbr {
    /// `None` if MPEG-1 Layer III has no such bitrate.
    pub fn new(kbit: u32) -> Option<Self> {
        let position = BITRATES_KBIT.iter().position(|&known| known == kbit)?;
        Some(Self { index: u8::try_from(position + 1).ok()? })
    }

    /// The bitrate in kbit/s.
    pub fn kbit(self) -> u32 {
        BITRATES_KBIT[usize::from(self.index) - 1]
    }

    /// Bytes of frame `sequence`, counted from zero. A frame is 144 * bitrate / 44,100 bytes, which
    /// is no whole number; the padding bit is set on the frames where the remainder adds up to one.
    pub fn frame_bytes(self, sequence: u64) -> usize {
        let start = self.bytes_before(u128::from(sequence));
        let length = self.bytes_before(u128::from(sequence) + 1) - start;
        usize::try_from(length).unwrap_or(FRAME_BYTES_MAX)
    }

    /// Frames that have begun when `elapsed` has passed since frame 0 began. Counting samples
    /// instead of adding up durations is what keeps a day of frames from drifting.
    pub fn frames_begun(self, elapsed: Duration) -> u64 {
        let samples = elapsed.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000;
        u64::try_from(samples / u128::from(FRAME_SAMPLES)).unwrap_or(u64::MAX - 1) + 1
    }

    /// Appends frame `sequence` to `out`: header, zero side information, zero ancillary data.
    pub fn write_silence(self, sequence: u64, out: &mut Vec<u8>) {
        let length = self.frame_bytes(sequence);
        let padded = length > self.unpadded_bytes();
        out.extend_from_slice(&[0xff, 0xfb, self.index << 4 | u8::from(padded) << 1, 0x04]);
        out.resize(out.len() + length - 4, 0);
    }

    fn unpadded_bytes(self) -> usize {
        (u64::from(self.kbit()) * 144_000 / SAMPLE_RATE) as usize
    }

    /// 320 kbit/s times 2^64 frames stays far below 2^128.
    fn bytes_before(self, sequence: u128) -> u128 {
        sequence * u128::from(self.kbit()) * 144_000 / u128::from(SAMPLE_RATE)
    }
}

/// Length in bytes of the frame that `header` begins; `None` if it is not the header of a frame
/// that this module makes.
pub fn frame_length(header: [u8; 4]) -> Option<usize> {
    let [0xff, 0xfb, rate, 0x04] = header else { return None };
    let index = rate >> 4;
    // Bits 2 and 3 are the sample rate (0 is 44.1 kHz), bit 0 is private and left zero.
    if rate & 0b1101 != 0 || index == 0 || index > 14 {
        return None;
    }
    Some(Cbr { index }.unpadded_bytes() + usize::from(rate >> 1 & 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bitrate_of_the_standard_makes_frames_whose_headers_say_their_length() {
        for kbit in BITRATES_KBIT {
            let cbr = Cbr::new(kbit).unwrap();
            assert_eq!(cbr.kbit(), kbit);
            for sequence in 0..500 {
                let mut frame = Vec::new();
                cbr.write_silence(sequence, &mut frame);
                let header = frame[..4].try_into().unwrap();
                assert_eq!(frame_length(header), Some(frame.len()));
                assert!(frame.len() <= FRAME_BYTES_MAX && frame.len() > ANCILLARY_AT);
            }
        }
        assert_eq!(Cbr::new(129), None);
    }

    #[test]
    fn a_minute_of_frames_holds_a_minute_of_the_bitrate() {
        let cbr = Cbr::new(128).unwrap();
        let frames = cbr.frames_begun(Duration::from_secs(60));
        let bytes: usize = (0..frames).map(|sequence| cbr.frame_bytes(sequence)).sum();
        // 16,000 bytes a second; the frame that began before the minute ended is whole.
        assert!((960_000..960_419).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_first_frame_is_due_at_once_and_the_next_after_1152_samples() {
        let cbr = Cbr::new(128).unwrap();
        assert_eq!(cbr.frames_begun(Duration::ZERO), 1);
        assert_eq!(cbr.frames_begun(Duration::from_micros(26_122)), 1);
        assert_eq!(cbr.frames_begun(Duration::from_micros(26_123)), 2);
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!(cbr.frames_begun(year), 365 * 86_400 * 44_100 / 1_152 + 1);
        cbr.frames_begun(Duration::MAX);
    }

    #[test]
    fn other_headers_are_refused() {
        for header in [
            [0xff, 0xfa, 0x90, 0x04],
            [0xff, 0xfb, 0x00, 0x04],
            [0xff, 0xfb, 0xf0, 0x04],
            [0xff, 0xfb, 0x94, 0x04],
            [0xff, 0xfb, 0x91, 0x04],
            [0xff, 0xfb, 0x90, 0xc4],
        ] {
            assert_eq!(frame_length(header), None, "{header:x?}");
        }
    }
}
