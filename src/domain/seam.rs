//! Where one source's stream meets the next one's: whether those who listen can go on.

use crate::media::{Framer, Signature};

/// What a stream is, as far as a decoder cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The format's name; `None` for bytes that are passed on as they are.
    format: Option<&'static str>,
    /// The audio's codec, as far as it is known.
    codec: Option<&'static str>,
    /// The codec parameters, if the format tells them.
    signature: Option<Signature>,
    /// Whether a player can go on with other parameters of the same format.
    goes_on: bool,
}

/// How the next part of a stream fits the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As if nothing had happened.
    Smooth,
    /// Other codec parameters, which the stream itself announces to those who are on.
    Announced,
    /// Only a new answer can tell those who are on: they have to go.
    Broken,
}

impl Kind {
    /// What `framer` has found out.
    pub fn of(framer: &Framer) -> Self {
        Self {
            format: framer.format(),
            codec: framer.facts().codec,
            signature: framer.signature(),
            goes_on: framer.goes_on_when_changed(),
        }
    }

    /// How `next` follows this. A stream that changes within one source (`same_source`) and
    /// announces it does what it likes: only what cannot be announced is a seam. Another source
    /// with another codec is a break in every format: ffmpeg ends at a link of Ogg whose codec is
    /// not that of the link before.
    pub fn fit(self, next: Self, same_source: bool) -> Fit {
        if self.format != next.format {
            return Fit::Broken;
        }
        let is_recast = self.codec.zip(next.codec).is_some_and(|(codec, next)| codec != next);
        match self.signature == next.signature {
            true => Fit::Smooth,
            false if is_recast && !same_source => Fit::Broken,
            false if !next.goes_on => Fit::Broken,
            false if same_source => Fit::Smooth,
            false => Fit::Announced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream of `frames` is.
    fn kind(content_type: &str, frames: &[u8]) -> Kind {
        let mut framer = Framer::for_content_type(content_type);
        assert!(framer.step(frames).taken() > 0);
        Kind::of(&framer)
    }

    fn mp3(header: u32) -> Kind {
        let mut frame = header.to_be_bytes().to_vec();
        // 128 kbit/s: 417 bytes at 44.1 kHz, 384 at 48 kHz.
        frame.resize(if header & 0x0C00 == 0 { 417 } else { 384 }, 0x55);
        kind("audio/mpeg", &frame.repeat(4))
    }

    #[test]
    fn the_same_parameters_join_smoothly_whatever_the_bitrate_mode() {
        let one = mp3(0xFFFB_9064);
        assert_eq!(one.fit(mp3(0xFFFB_9064), false), Fit::Smooth);
        assert_eq!(one.fit(mp3(0xFFFB_90C4), false), Fit::Smooth);
    }

    #[test]
    fn another_codec_of_another_source_breaks() {
        let one = mp3(0xFFFB_9064);
        // Layer II at 44.1 kHz and 128 kbit/s has frames of the same length.
        let mut frame = 0xFFFD_8064_u32.to_be_bytes().to_vec();
        frame.resize(417, 0x55);
        let other = kind("audio/mpeg", &frame.repeat(4));
        assert_eq!(one.fit(other, false), Fit::Broken);
        assert_eq!(one.fit(other, true), Fit::Smooth);
    }

    #[test]
    fn other_parameters_are_announced_by_frames_and_another_format_breaks() {
        let one = mp3(0xFFFB_9064);
        assert_eq!(one.fit(mp3(0xFFFB_9464), false), Fit::Announced);
        assert_eq!(one.fit(mp3(0xFFFB_9464), true), Fit::Smooth);
        let bytes = kind("application/octet-stream", b"bytes of no known kind");
        assert_eq!(one.fit(bytes, false), Fit::Broken);
        assert_eq!(bytes.fit(bytes, false), Fit::Smooth);
    }
}
