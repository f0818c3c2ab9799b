//! Silent frames at a constant bitrate, and how much of each is free to carry other bytes: what MP3
//! (`mp3`) and AAC in ADTS (`adts`) have in common. Pure arithmetic: no socket, no clock.

use crate::{adts, mp3};
use std::ops::Range;
use std::time::Duration;

/// Samples a second and channel, of everything this program makes.
pub const SAMPLE_RATE: u64 = 44_100;

/// Bytes from which a header can be told, of either codec.
pub const HEADER_BYTES: usize = 7;

/// The longest frame that is made or accepted: MP3 at 320 kbit/s with padding.
pub const FRAME_BYTES_MAX: usize = 1_045;

/// How the audio is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// MPEG-1 Layer III.
    Mp3,
    /// AAC-LC in ADTS.
    Adts,
}

impl Codec {
    /// Samples one frame carries per channel.
    pub fn frame_samples(self) -> u64 {
        match self {
            Self::Mp3 => mp3::FRAME_SAMPLES,
            Self::Adts => adts::FRAME_SAMPLES,
        }
    }

    /// The bitrates it can have, in kbit/s.
    pub fn bitrates(self) -> &'static [u32] {
        match self {
            Self::Mp3 => &mp3::BITRATES_KBIT,
            Self::Adts => &adts::BITRATES_KBIT,
        }
    }

    /// The `Content-Type` under which it is published.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Adts => "audio/aac",
        }
    }
}

/// A codec at a constant bitrate, checked to be one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cbr {
    codec: Codec,
    kbit: u32,
}

impl Cbr {
    /// `None` if the codec has no such bitrate.
    pub fn new(codec: Codec, kbit: u32) -> Option<Self> {
        codec.bitrates().contains(&kbit).then_some(Self { codec, kbit })
    }

    /// How it is coded.
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// The bitrate in kbit/s.
    pub fn kbit(self) -> u32 {
        self.kbit
    }

    /// How long one frame plays.
    pub fn frame_span(self) -> Duration {
        Duration::from_nanos(self.codec.frame_samples() * 1_000_000_000 / SAMPLE_RATE)
    }

    /// Frame `sequence`, counted from zero. Samples times bitrate by sample rate is no whole number
    /// of bytes; the frames in which the remainder adds up to one are a byte longer.
    pub fn frame(self, sequence: u64) -> Frame {
        let start = self.bytes_before(u128::from(sequence));
        let length = self.bytes_before(u128::from(sequence) + 1) - start;
        let length = usize::try_from(length).unwrap_or(FRAME_BYTES_MAX);
        match self.codec {
            Codec::Mp3 => Frame::Mp3 { kbit: self.kbit, length },
            Codec::Adts => Frame::Adts { length },
        }
    }

    /// Frames that have begun when `elapsed` has passed since frame 0 began. Counting samples
    /// instead of adding up durations is what keeps a day of frames from drifting.
    pub fn frames_begun(self, elapsed: Duration) -> u64 {
        let samples = elapsed.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000;
        let frames = samples / u128::from(self.codec.frame_samples());
        u64::try_from(frames).unwrap_or(u64::MAX - 1) + 1
    }

    /// 320 kbit/s times 2^64 frames stays far below 2^128.
    fn bytes_before(self, sequence: u128) -> u128 {
        let bits = u128::from(self.codec.frame_samples()) * u128::from(self.kbit) * 1_000;
        sequence * (bits / 8) / u128::from(SAMPLE_RATE)
    }
}

/// What a frame's header says of it. With that every byte outside of [`Self::room`] is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One of MP3, whose header names the bitrate too.
    Mp3 {
        /// Its bitrate in kbit/s.
        kbit: u32,
        /// Its bytes.
        length: usize,
    },
    /// One of AAC in ADTS.
    Adts {
        /// Its bytes.
        length: usize,
    },
}

impl Frame {
    /// Reads a header; `None` if it is not that of a frame that this program makes.
    pub fn read(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        mp3::read(header).or_else(|| adts::read(header))
    }

    /// Its bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Mp3 { length, .. } | Self::Adts { length } => length,
        }
    }

    /// The bytes of it that may hold anything: a player skips them.
    pub fn room(self) -> Range<usize> {
        match self {
            Self::Mp3 { length, .. } => mp3::ANCILLARY_AT..length,
            Self::Adts { length } => adts::room(length),
        }
    }

    /// Appends it to `out`, silent, its room all zero.
    pub fn write_silence(self, out: &mut Vec<u8>) {
        match self {
            Self::Mp3 { kbit, length } => mp3::write_silence(kbit, length, out),
            Self::Adts { length } => adts::write_silence(length, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bitrate_makes_frames_whose_headers_say_what_they_are() {
        for codec in [Codec::Mp3, Codec::Adts] {
            for &kbit in codec.bitrates() {
                let cbr = Cbr::new(codec, kbit).unwrap();
                for sequence in 0..500 {
                    let (frame, mut bytes) = (cbr.frame(sequence), Vec::new());
                    frame.write_silence(&mut bytes);
                    assert_eq!(Frame::read(bytes.first_chunk().unwrap()), Some(frame));
                    assert_eq!(bytes.len(), frame.length());
                    assert!(bytes.len() <= FRAME_BYTES_MAX);
                    assert!(frame.room().len() >= 32 && frame.room().end <= bytes.len());
                    assert!(bytes[frame.room()].iter().all(|&byte| byte == 0));
                }
            }
            assert_eq!(Cbr::new(codec, 129), None);
        }
    }

    #[test]
    fn a_minute_of_frames_holds_a_minute_of_the_bitrate() {
        for codec in [Codec::Mp3, Codec::Adts] {
            let cbr = Cbr::new(codec, 128).unwrap();
            let frames = cbr.frames_begun(Duration::from_secs(60));
            let bytes: usize = (0..frames).map(|sequence| cbr.frame(sequence).length()).sum();
            // 16,000 bytes a second; the frame that began before the minute ended is whole.
            assert!((960_000..960_419).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn the_first_frame_is_due_at_once_and_the_next_after_its_samples() {
        let cbr = Cbr::new(Codec::Mp3, 128).unwrap();
        assert_eq!(cbr.frames_begun(Duration::ZERO), 1);
        assert_eq!(cbr.frames_begun(Duration::from_micros(26_122)), 1);
        assert_eq!(cbr.frames_begun(Duration::from_micros(26_123)), 2);
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!(cbr.frames_begun(year), 365 * 86_400 * 44_100 / 1_152 + 1);
        cbr.frames_begun(Duration::MAX);
        let aac = Cbr::new(Codec::Adts, 128).unwrap();
        assert_eq!(aac.frames_begun(Duration::from_micros(23_219)), 1);
        assert_eq!(aac.frames_begun(Duration::from_micros(23_220)), 2);
    }
}
