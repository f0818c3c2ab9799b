//! HOT PATH. What the formats of this room have in common: a header at the start of each frame that
//! tells the frame's length. No format's bits are known here. Source core.

use super::sniff::Sniffed;

/// A frame's header, decoded as far as framing needs it.
pub(super) trait Header: Copy + std::fmt::Debug + Send {
    /// What is remembered of the frames of a stream, for [`Header::look`].
    type Notes: Default + std::fmt::Debug + Send;

    /// Bytes that [`Header::parse`] needs.
    const BYTES: usize;

    /// The first byte of every header.
    const FIRST: u8;

    /// The header at the start of `input`, if it is one, is whole and describes a possible frame.
    fn parse(input: &[u8]) -> Option<Self>;

    /// Whether a frame with this header can follow one with `before` in the same stream.
    fn continues(self, before: Self) -> bool;

    /// Length of the frame with its header; more than zero.
    fn frame_bytes(self) -> usize;

    /// Looks into the whole `frame`, for what the header alone does not tell. What it answers
    /// stands for the frame from here on.
    #[inline]
    fn look(self, _frame: &[u8], _notes: &mut Self::Notes) -> Look<Self> {
        Look::Frame { header: self, starts: true }
    }

    /// Samples per channel that the frame decodes to; zero if that is not known.
    fn samples(self) -> u32;

    /// In Hz, of [`Header::samples`]; more than zero.
    fn sample_rate(self) -> u32;

    /// In Hz, of what a decoder puts out, if that is known.
    fn output_rate(self) -> Option<u32> {
        Some(self.sample_rate())
    }

    /// The bitrate the header names, in kbit/s, if the format's headers do.
    fn nominal_kbps(self) -> Option<u32>;

    /// Number of channels, if the header tells.
    fn channels(self) -> Option<u8>;

    /// The label of the codec in [`super::Facts`].
    fn codec(self) -> Option<&'static str>;

    /// What one decoder understands; the codec, where it is not found out on the way.
    fn family(self) -> Option<&'static str> {
        self.codec()
    }

    /// Whether `input`, which begins with no header, begins with frames of the same format that do
    /// not tell their length.
    fn has_free_format(_input: &[u8]) -> Sniffed {
        Sniffed::No
    }
}

/// What a frame turns out to be.
pub(super) enum Look<H> {
    /// A unit of the stream, with what is known of it by now.
    Frame {
        /// With what its header does not tell.
        header: H,
        /// Whether a player can start with it.
        starts: bool,
    },
    /// No audio, but what describes a file.
    Info,
}

/// What some bytes are, read as a header of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed<T> {
    /// It is all there.
    Whole(T),
    /// Too few bytes to tell.
    Incomplete,
    /// No such header.
    Nothing,
}

impl<H: Header> Parsed<H> {
    /// Without the first byte of every header nothing needs waiting for.
    pub(super) fn of(input: &[u8]) -> Self {
        if input.len() < H::BYTES && input.first().is_none_or(|&first| first == H::FIRST) {
            return Self::Incomplete;
        }
        H::parse(input).map_or(Self::Nothing, Self::Whole)
    }
}
