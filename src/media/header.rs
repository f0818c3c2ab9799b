//! HOT PATH. What the formats of this room have in common: a header at the start of each frame that
//! tells the frame's length. No format's bits are known here. Source core.

/// A frame's header, decoded as far as framing needs it.
pub(super) trait Header: Copy + std::fmt::Debug + Send {
    /// Bytes that [`Header::parse`] needs.
    const BYTES: usize;

    /// The header at the start of `input`, if it is one, is whole and describes a possible frame.
    fn parse(input: &[u8]) -> Option<Self>;

    /// Whether a frame with this header can follow one with `before` in the same stream.
    fn continues(self, before: Self) -> bool;

    /// Length of the frame with its header; more than zero.
    fn frame_bytes(self) -> usize;

    /// Samples per channel that the frame decodes to.
    fn samples(self) -> u32;

    /// In Hz; more than zero.
    fn sample_rate(self) -> u32;

    /// The bitrate the header names, in kbit/s, if the format's headers do.
    fn nominal_kbps(self) -> Option<u32>;

    /// Number of channels, if the header tells.
    fn channels(self) -> Option<u8>;

    /// The label of the codec in [`super::Facts`].
    fn codec(self) -> &'static str;
}

/// What some bytes are, read as a header.
pub(super) enum Parsed<H> {
    /// A whole header.
    Header(H),
    /// Too few bytes to tell.
    Incomplete,
    /// No header.
    Nothing,
}

impl<H: Header> Parsed<H> {
    /// Every header of this room begins with eight set bits; without them nothing needs waiting
    /// for.
    pub(super) fn of(input: &[u8]) -> Self {
        if input.len() < H::BYTES && matches!(input.first(), None | Some(0xFF)) {
            return Self::Incomplete;
        }
        H::parse(input).map_or(Self::Nothing, Self::Header)
    }
}
