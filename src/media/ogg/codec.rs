//! Codecs in Ogg: which one a logical stream is of, how many packets its head has, what its first
//! packets tell, and where the list of comments stands in them. Reads header packets only.

use crate::media::tags::Tags;
use crate::media::{Signature, comments};

/// What a logical stream is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Vorbis,
    Opus,
    Flac,
    Speex,
    Theora,
    /// Descriptions of the other streams of a link: all of it is head.
    Skeleton,
    /// One that is passed on without being understood.
    Other,
}

/// Packets still wanted where nothing but the stream itself tells the end of its head.
const UNTOLD: u32 = u32::MAX;

impl Codec {
    /// By the first packet of a stream.
    pub(super) fn of(packet: &[u8]) -> Self {
        let known: [(&[u8], Self); 6] = [
            (b"\x01vorbis", Self::Vorbis),
            (b"OpusHead", Self::Opus),
            (b"\x7FFLAC", Self::Flac),
            (b"Speex   ", Self::Speex),
            (b"\x80theora", Self::Theora),
            (b"fishead\0", Self::Skeleton),
        ];
        let found = known.iter().find(|(magic, _)| packet.starts_with(magic));
        found.map_or(Self::Other, |(_, codec)| *codec)
    }

    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Vorbis => Some("Vorbis"),
            Self::Opus => Some("Opus"),
            Self::Flac => Some("FLAC"),
            Self::Speex => Some("Speex"),
            Self::Theora => Some("Theora"),
            Self::Skeleton | Self::Other => None,
        }
    }

    pub(super) fn is_audio(self) -> bool {
        matches!(self, Self::Vorbis | Self::Opus | Self::Flac | Self::Speex)
    }

    pub(super) fn is_video(self) -> bool {
        self == Self::Theora
    }

    /// Packets that the head has from `packet` on: the first of the stream (`is_first`), or one
    /// that comes while some are still wanted. `None` if it changes nothing.
    pub(super) fn wanted(self, packet: &[u8], is_first: bool) -> Option<u32> {
        match (self, is_first) {
            (Self::Vorbis | Self::Theora, true) => Some(3),
            (Self::Opus, true) => Some(2),
            // The number of extra headers, "normally zero" (Speex manual, 7.1).
            (Self::Speex, true) => Some(2_u32.saturating_add(le32(packet, 68).unwrap_or(0))),
            // RFC 9639, 10.1: the number of header packets behind this one, or zero if unknown;
            // the first bit of each block says whether it is the last.
            (Self::Flac, true) => match *packet.get(7..9)? {
                _ if is_last_block(packet.get(FLAC_BLOCK_AT..)?) => Some(1),
                [0, 0] => Some(UNTOLD),
                [high, low] => Some(u32::from(u16::from_be_bytes([high, low])) + 1),
                _ => None,
            },
            (Self::Flac, false) => is_last_block(packet).then_some(1),
            (Self::Skeleton | Self::Other, true) => Some(UNTOLD),
            _ => None,
        }
    }

    /// Whether a packet that is not the first one of the stream can be of its head.
    pub(super) fn is_of_head(self, packet: &[u8]) -> bool {
        match self {
            Self::Vorbis => packet.first().is_some_and(|byte| byte & 1 == 1),
            Self::Theora => packet.first().is_some_and(|byte| byte & 0x80 != 0),
            Self::Opus => packet.starts_with(b"OpusTags"),
            // A frame begins with its sync code.
            Self::Flac => packet.first().is_some_and(|byte| *byte != 0xFF),
            Self::Speex | Self::Skeleton | Self::Other => true,
        }
    }

    /// What a stream's head tells; `None` if its first packet is not as it has to be.
    pub(super) fn identify(self, head: &[Vec<u8>]) -> Option<Identity> {
        let first = head.first()?.as_slice();
        let (rate, channels) = match self {
            Self::Vorbis => (le32(first, 12)?, *first.get(11)?),
            // RFC 7845, 5.1: decoders put out 48 kHz whatever went in.
            Self::Opus => (48_000, *first.get(9)?),
            Self::Flac => {
                let [r0, r1, r2] = *first.get(FLAC_INFO_AT + 10..)?.first_chunk()?;
                let rate = u32::from(r0) << 12 | u32::from(r1) << 4 | u32::from(r2) >> 4;
                (rate, (r2 >> 1 & 7) + 1)
            }
            Self::Speex => (le32(first, 36)?, u8::try_from(le32(first, 48)?).ok()?),
            Self::Theora | Self::Skeleton | Self::Other => (0, 0),
        };
        Some(Identity { rate, channels })
    }

    /// The codec's parameters: what a decoder is set up with, without lengths, sums and delays.
    pub(super) fn signature(self, head: &[Vec<u8>]) -> Signature {
        let packet = |index: usize| head.get(index).map_or(&[][..], Vec::as_slice);
        let part = |packet: &'_ [u8], from: usize, to: usize| -> Vec<u8> {
            packet.get(from..packet.len().min(to)).unwrap_or_default().to_vec()
        };
        let first = packet(0);
        let parts = match self {
            Self::Vorbis | Self::Theora => vec![first.to_vec(), packet(2).to_vec()],
            // Channels; gain, and the mapping of channels behind it.
            Self::Opus => vec![part(first, 9, 10), part(first, 16, usize::MAX)],
            // Block sizes; rate, channels and bits of a sample.
            Self::Flac => vec![
                part(first, FLAC_INFO_AT, FLAC_INFO_AT + 4),
                part(first, FLAC_INFO_AT + 10, FLAC_INFO_AT + 13),
            ],
            Self::Speex => vec![part(first, 36, 52), part(first, 56, 68)],
            Self::Skeleton | Self::Other => vec![first.to_vec()],
        };
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Signature::of(&[&[self.name().unwrap_or_default().as_bytes()], &parts[..]].concat())
    }

    /// What the head says is playing.
    pub(super) fn tags(self, head: &[Vec<u8>]) -> Option<Tags> {
        let (prefix, _) = self.around_comments(head.get(1)?)?;
        comments::read(&head[1][prefix..])
    }

    /// Whether a link of it can be followed by another with a new title: see `retitle`.
    pub(super) fn can_be_retitled(self) -> bool {
        matches!(self, Self::Vorbis | Self::Opus)
    }

    /// The packet of comments in `head`, with those of `tags` in it; `None` if it has none that can
    /// be read.
    pub(super) fn retitled(self, head: &[Vec<u8>], tags: &Tags) -> Option<Vec<u8>> {
        let old = head.get(1).filter(|_| self.can_be_retitled())?;
        let (prefix, suffix) = self.around_comments(old)?;
        let mut new = old[..prefix].to_vec();
        comments::write(&old[prefix..], tags, &mut new)?;
        new.extend_from_slice(suffix);
        Some(new)
    }

    /// What stands in front of and behind the list of comments in the packet of them.
    fn around_comments(self, packet: &[u8]) -> Option<(usize, &'static [u8])> {
        let fits = |magic: &[u8]| packet.starts_with(magic).then_some(magic.len());
        match self {
            // The framing bit, without which decoders do not believe the list.
            Self::Vorbis => Some((fits(b"\x03vorbis")?, &[1])),
            Self::Opus => Some((fits(b"OpusTags")?, &[])),
            Self::Theora => Some((fits(b"\x81theora")?, &[])),
            Self::Speex => Some((0, &[])),
            // A block of type 4; the header of a block has four bytes.
            Self::Flac => (packet.len() >= 4 && packet[0] & 0x7F == 4).then_some((4, &[])),
            Self::Skeleton | Self::Other => None,
        }
    }
}

/// What the first packet of a stream tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// In Hz; zero where there is no sound.
    pub(super) rate: u32,
    pub(super) channels: u8,
}

/// Where the first block of FLAC's metadata stands in the first packet: behind `\x7FFLAC`, the
/// mapping's version, the number of packets and `fLaC`.
const FLAC_BLOCK_AT: usize = 13;
/// Where what it says stands: STREAMINFO without the header of the block.
const FLAC_INFO_AT: usize = FLAC_BLOCK_AT + 4;

fn is_last_block(block: &[u8]) -> bool {
    block.first().is_some_and(|byte| byte & 0x80 != 0)
}

/// The number of 32 bits at `at`, in the order that all codecs but Theora and FLAC have.
pub(super) fn le32(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(title: &str) -> Tags {
        Tags { title: Some(title.to_owned()), ..Tags::default() }
    }

    fn list() -> Vec<u8> {
        let mut list = b"\x01\0\0\0v\x01\0\0\0\x07\0\0\0".to_vec();
        list.extend(b"TITLE=a");
        list
    }

    #[test]
    fn heads_have_the_packets_of_their_standards() {
        let first = |packet: &[u8]| Codec::of(packet).wanted(packet, true);
        assert_eq!(first(b"\x01vorbis"), Some(3));
        assert_eq!(first(b"OpusHead"), Some(2));
        assert_eq!(first(b"\x80theora"), Some(3));
        let mut speex = [0; 80];
        speex[..8].copy_from_slice(b"Speex   ");
        assert_eq!(first(&speex), Some(2));
        speex[68] = 3;
        assert_eq!(first(&speex), Some(5));
        assert_eq!(first(b"\x7FFLAC\x01\0\0\x02fLaC\0"), Some(3));
        assert_eq!(first(b"\x7FFLAC\x01\0\0\0fLaC\0"), Some(UNTOLD));
        assert_eq!(first(b"\x7FFLAC\x01\0\0\x02fLaC\x80"), Some(1));
        assert_eq!(Codec::Flac.wanted(b"\x84", false), Some(1));
        assert_eq!(Codec::Flac.wanted(b"\x04", false), None);
    }

    #[test]
    fn a_new_title_keeps_what_a_codec_has_around_the_list() {
        for (codec, prefix, suffix) in [
            (Codec::Vorbis, &b"\x03vorbis"[..], &b"\x01"[..]),
            (Codec::Opus, b"OpusTags", b""),
            (Codec::Speex, b"", b""),
            (Codec::Flac, b"\x84\0\0\x14", b""),
        ] {
            let head = [Vec::new(), [prefix, &list(), suffix].concat()];
            assert_eq!(codec.tags(&head), Some(tags("a")), "{codec:?}");
            let new = codec.retitled(&head, &tags("longer"));
            assert_eq!(new.is_some(), codec.can_be_retitled());
            let Some(new) = new else { continue };
            assert!(new.ends_with(suffix), "{codec:?}");
            assert_eq!(codec.tags(&[Vec::new(), new]), Some(tags("longer")), "{codec:?}");
        }
    }

    #[test]
    fn heads_cut_short_tell_nothing_and_break_nothing() {
        let streams: [&[u8]; 5] =
            [b"\x01vorbis", b"OpusHead", b"\x7FFLAC\x01\0\0\x01", b"Speex   ", b"\x80theora"];
        for packet in streams {
            let codec = Codec::of(packet);
            let head = [packet.to_vec(), b"\x03vorbis".to_vec()];
            assert!(codec.identify(&head).is_none() || codec == Codec::Theora, "{codec:?}");
            assert_eq!(codec.tags(&head), None);
            assert_eq!(codec.retitled(&head, &tags("t")), None);
            let _ = codec.signature(&[]);
        }
    }
}
