//! What the first frame of an audio PES packet says of the stream, read with the frame headers of
//! this room. Source core.

use super::super::adts::AdtsHeader;
use super::super::header::Header;
use super::super::mpeg::MpegHeader;
use super::program::Codec;

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sound {
    /// The codec, where the program's map leaves it open.
    pub(super) codec: Option<&'static str>,
    /// In Hz.
    pub(super) rate: u32,
    /// Number of channels, if the header tells.
    pub(super) channels: Option<u8>,
}

impl Sound {
    /// Reads the header at the start of `body`, a PES packet's, if `codec` is one of this room's.
    pub(super) fn of(codec: Codec, body: &[u8]) -> Option<Self> {
        match codec {
            Codec::Adts => AdtsHeader::parse(body).map(Self::read),
            Codec::MpegAudio => MpegHeader::parse(body).map(Self::read),
            _ => None,
        }
    }

    fn read(header: impl Header) -> Self {
        Self { codec: header.codec(), rate: header.sample_rate(), channels: header.channels() }
    }
}
