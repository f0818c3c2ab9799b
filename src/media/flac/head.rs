//! What stands before a FLAC stream's frames (RFC 9639, 8): the fields of STREAMINFO that a decoder
//! needs, read from a source's head or told by a frame, and the head that newcomers get. Source
//! core.

use super::super::Signature;
use super::frame::FrameHeader;

/// `fLaC`, and the header of the STREAMINFO that has to follow.
pub(super) const MARK: [u8; 4] = *b"fLaC";
/// Bytes of a metadata block's header: last flag and type, and a length of 24 bits.
pub(super) const BLOCK_HEADER_BYTES: usize = 4;
/// Bytes of STREAMINFO's body, by which a head is told from four letters in the audio.
pub(super) const STREAMINFO_BYTES: usize = 34;

/// Set in the header of the last block.
const LAST: u8 = 0x80;
const STREAMINFO: u8 = 0;
const VORBIS_COMMENT: u8 = 4;
/// Forbidden, lest a header looks like a frame's sync.
const FORBIDDEN: u8 = 127;

/// The header of a metadata block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Whether frames follow behind this block.
    pub(super) is_last: bool,
    /// What the block is for.
    pub(super) kind: BlockKind,
    /// Length of its body.
    pub(super) bytes: usize,
}

/// What metadata blocks are for, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Codec parameters.
    StreamInfo,
    /// Title and artist.
    Comments,
    /// Padding, pictures, cue sheets, seek tables, applications' own.
    Other,
}

impl BlockHeader {
    /// `None` if the type is forbidden.
    pub(super) fn of([kind, b2, b1, b0]: [u8; BLOCK_HEADER_BYTES]) -> Option<Self> {
        let is_last = kind & LAST != 0;
        let kind = match kind & !LAST {
            STREAMINFO => BlockKind::StreamInfo,
            VORBIS_COMMENT => BlockKind::Comments,
            FORBIDDEN => return None,
            _ => BlockKind::Other,
        };
        Some(Self { is_last, kind, bytes: u32::from_be_bytes([0, b2, b1, b0]) as usize })
    }
}

/// The codec parameters of a stream. Frame sizes, the number of samples and the MD5 of the audio
/// are those of a file, and are told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamInfo {
    block_samples_min: u16,
    block_samples_max: u16,
    pub(super) rate: u32,
    pub(super) channels: u8,
    /// Of a sample, 4 to 32.
    pub(super) bits: u8,
}

impl StreamInfo {
    /// `None` if a value is forbidden (8.2). A rate of zero is that of a file without audio.
    pub(super) fn parse(body: &[u8; STREAMINFO_BYTES]) -> Option<Self> {
        let [min1, min0, max1, max0, _, _, _, _, _, _, b10, b11, b12, b13, ..] = *body;
        let packed = u32::from_be_bytes([b10, b11, b12, b13]);
        let read = Self {
            block_samples_min: u16::from_be_bytes([min1, min0]),
            block_samples_max: u16::from_be_bytes([max1, max0]),
            rate: packed >> 12,
            channels: (packed >> 9 & 0b111) as u8 + 1,
            bits: (packed >> 4 & 0b1_1111) as u8 + 1,
        };
        let blocks = BLOCK_SAMPLES_MIN..=read.block_samples_max;
        let is_possible =
            blocks.contains(&read.block_samples_min) && read.rate > 0 && read.bits >= 4;
        is_possible.then_some(read)
    }

    /// What a decoder has to know of a stream that was joined in its middle. `None` if the frame
    /// itself relies on a STREAMINFO that is not there.
    pub(super) fn told_by(frame: FrameHeader) -> Option<Self> {
        if frame.rate == 0 || frame.bits == 0 {
            return None;
        }
        // A decoder makes room for the largest block, and takes equal bounds for "all the same".
        let longest = u16::try_from(frame.samples).unwrap_or(u16::MAX).max(BLOCK_SAMPLES_MIN);
        let (block_samples_min, block_samples_max) =
            if frame.varies { (BLOCK_SAMPLES_MIN, u16::MAX) } else { (longest, longest) };
        let (rate, channels, bits) = (frame.rate, frame.channels, frame.bits);
        Some(Self { block_samples_min, block_samples_max, rate, channels, bits })
    }

    /// Whether `frame` can be of a stream with these parameters.
    pub(super) fn allows(self, frame: FrameHeader) -> bool {
        frame.channels == self.channels
            && frame.samples <= u32::from(self.block_samples_max)
            && [0, self.rate].contains(&frame.rate)
            && [0, self.bits].contains(&frame.bits)
    }

    /// Whether `frame` is shorter than all blocks of its stream must be but the very last
    /// (RFC 9639, 8.2 and 9.1).
    pub(super) fn is_short(self, frame: FrameHeader) -> bool {
        !frame.varies
            && self.block_samples_min == self.block_samples_max
            && frame.samples < u32::from(self.block_samples_max)
    }

    /// Writes the head that a newcomer gets into `out`: this STREAMINFO, and `comments`, the body
    /// of a VORBIS_COMMENT block, if there is one.
    pub(super) fn write_head(self, comments: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&MARK);
        let last = if comments.is_empty() { LAST } else { 0 };
        out.extend_from_slice(&[STREAMINFO | last, 0, 0, STREAMINFO_BYTES as u8]);
        out.extend_from_slice(&self.block_samples_min.to_be_bytes());
        out.extend_from_slice(&self.block_samples_max.to_be_bytes());
        // The least and the greatest size of a frame are unknown.
        out.extend_from_slice(&[0; 6]);
        let (channels, bits) = (u32::from(self.channels) - 1, u32::from(self.bits) - 1);
        out.extend_from_slice(&(self.rate << 12 | channels << 9 | bits << 4).to_be_bytes());
        // The number of samples and the MD5 are unknown.
        out.extend_from_slice(&[0; 20]);
        if !comments.is_empty() {
            out.extend_from_slice(&(comments.len() as u32).to_be_bytes());
            let kind = out.len() - BLOCK_HEADER_BYTES;
            out[kind] = VORBIS_COMMENT | LAST;
            out.extend_from_slice(comments);
        }
    }

    /// Equal where one decoder can go on, be it that blocks vary or not.
    pub(super) fn signature(self, varies: bool) -> Signature {
        Signature::of(&[
            b"FLAC",
            &[u8::from(varies), self.channels, self.bits],
            &self.rate.to_le_bytes(),
            &self.block_samples_max.to_le_bytes(),
        ])
    }
}

/// The least size of a block but for a stream's last (8.2).
const BLOCK_SAMPLES_MIN: u16 = 16;

#[cfg(test)]
mod tests {
    use super::super::super::header::Parsed;
    use super::*;

    /// STREAMINFO of RFC 9639's example D.2: 16 samples a block, 44.1 kHz, stereo, 16 bits.
    const EXAMPLE: [u8; STREAMINFO_BYTES] = *b"\x00\x10\x00\x10\x00\x00\x17\x00\x00\x44\
        \x0a\xc4\x42\xf0\x00\x00\x00\x13\xd5\xb0\x56\x49\x75\xe9\x8b\x8d\x8b\x93\x04\x22\x75\x7b\
        \x81\x03";

    fn frame(sizes: u8, format: u8) -> FrameHeader {
        let crc = crc::Crc::<u8>::new(&crc::CRC_8_SMBUS);
        let mut bytes = vec![0xFF, 0xF8, sizes, format, 0];
        bytes.push(crc.checksum(&bytes));
        match FrameHeader::parse(&bytes) {
            Parsed::Whole(header) => header,
            Parsed::Incomplete | Parsed::Nothing => panic!("{bytes:02x?}"),
        }
    }

    #[test]
    fn streaminfo_is_read_and_told_without_what_only_a_file_has() {
        let info = StreamInfo::parse(&EXAMPLE).unwrap();
        assert_eq!((info.rate, info.channels, info.bits), (44_100, 2, 16));
        let mut head = Vec::new();
        info.write_head(b"", &mut head);
        assert_eq!(head[..8], *b"fLaC\x80\0\0\x22");
        let told = head[8..].first_chunk().unwrap();
        assert_eq!(StreamInfo::parse(told), Some(info));
        assert_eq!((head.len(), &head[22..]), (42, &[0; 20][..]));
        info.write_head(b"comments", &mut head);
        assert_eq!(head[..8], *b"fLaC\0\0\0\x22");
        assert_eq!(head[42..], *b"\x84\0\0\x08comments");
    }

    #[test]
    fn forbidden_parameters_are_none() {
        for (what, at, byte) in [("least block", 1, 15), ("greatest block", 3, 15)] {
            let mut body = EXAMPLE;
            body[at] = byte;
            assert_eq!(StreamInfo::parse(&body), None, "{what}");
        }
        let mut silent = EXAMPLE;
        silent[10..13].copy_from_slice(&[0, 0, 0x02]);
        assert_eq!(StreamInfo::parse(&silent), None);
        assert_eq!(BlockHeader::of([0xFF, 0, 0, 0]), None);
    }

    #[test]
    fn a_frame_tells_what_a_missing_head_would_have() {
        let told = StreamInfo::told_by(frame(0xC9, 0x18)).unwrap();
        assert_eq!((told.rate, told.channels, told.bits), (44_100, 2, 16));
        assert_eq!((told.block_samples_min, told.block_samples_max), (4_096, 4_096));
        assert!(told.allows(frame(0x49, 0x88)), "a shorter block");
        assert!(!told.allows(frame(0xD9, 0x18)), "a block of 8,192");
        assert!(!told.allows(frame(0xCA, 0x18)), "48 kHz");
        assert!(!told.allows(frame(0xC9, 0x28)), "three channels");
        assert!(!told.allows(frame(0xC9, 0x1C)), "24 bits");
        assert_eq!(StreamInfo::told_by(frame(0xC0, 0x18)), None);
        assert_eq!(StreamInfo::told_by(frame(0xC9, 0x10)), None);
    }

    #[test]
    fn signatures_differ_where_a_decoder_cannot_go_on() {
        let info = StreamInfo::parse(&EXAMPLE).unwrap();
        assert_eq!(info.signature(false), info.signature(false));
        assert_ne!(info.signature(false), info.signature(true));
        for other in [
            StreamInfo { rate: 48_000, ..info },
            StreamInfo { channels: 1, ..info },
            StreamInfo { bits: 24, ..info },
            StreamInfo { block_samples_max: 4_096, ..info },
        ] {
            assert_ne!(info.signature(false), other.signature(false));
        }
    }
}
