//! HOT PATH. ADTS, the framing in which AAC is streamed (ISO/IEC 13818-7, 6.2, and 14496-3,
//! 1.A.3.2): header fields, frame length and duration. MPEG-2 and MPEG-4, with and without CRC.
//! Decodes no audio; how HE-AAC is told is `sbr.rs`. Source core.

use super::asc::SAMPLE_RATES;
use super::format::{Format, Seam, boxed};
use super::header::{Header, Look};
use super::sbr::SbrVote;
use super::sync::{FrameSync, sniff};

/// The format's row in the table.
pub(super) const FORMAT: Format = Format {
    name: "ADTS",
    content_types: CONTENT_TYPES,
    sniff: sniff::<AdtsHeader>,
    seam: Seam::Frames,
    make: boxed::<FrameSync<AdtsHeader>>,
};

/// Content types that mean AAC in ADTS. `aacp` and `aac+` announce HE-AAC, whose framing is the
/// same.
const CONTENT_TYPES: &[&str] = &[
    "audio/aac",
    "audio/aacp",
    "audio/aac+",
    "audio/adts",
    "audio/x-aac",
    "audio/x-aacp",
    "audio/x-aac+",
    "audio/x-hx-aac-adts",
    "audio/vnd.dlna.adts",
];

/// Longest frame: the length field has 13 bits.
#[cfg(test)]
const FRAME_BYTES_MAX: usize = (1 << 13) - 1;

/// Fixed and variable header without the CRC.
const HEADER_BYTES: usize = 7;

/// The header's 56 bits, most significant first, checked by [`Header::parse`]: the sample rate
/// index is one of the table, and the frame is longer than its header. Above them stands
/// [`HAS_SBR`], which no header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdtsHeader(u64);

impl Header for AdtsHeader {
    type Notes = SbrVote;

    const BYTES: usize = HEADER_BYTES;
    const FIRST: u8 = 0xFF;

    /// Sample rate indices 13 and 14 are reserved, and 15 would need a rate that ADTS has no field
    /// for.
    #[inline]
    fn parse(input: &[u8]) -> Option<Self> {
        let [b0, b1, b2, b3, b4, b5, b6] = *input.first_chunk::<HEADER_BYTES>()?;
        let header = Self(u64::from_be_bytes([0, b0, b1, b2, b3, b4, b5, b6]));
        let is_header = header.0 & SYNC_MASK == SYNC_WORD
            && (header.rate_index() as usize) < SAMPLE_RATES.len()
            && header.frame_bytes() > header.header_bytes();
        is_header.then_some(header)
    }

    /// Version, profile, sample rate and channels hold for a stream. The rest of the fixed header
    /// should too, but is no reason to lose sync over when an encoder toggles its copyright bits.
    #[inline]
    fn continues(self, before: Self) -> bool {
        (self.0 ^ before.0) & STREAM_MASK == 0
    }

    #[inline]
    fn frame_bytes(self) -> usize {
        (self.0 >> 13 & 0x1FFF) as usize
    }

    /// Each raw data block holds 1,024 samples of the core. A decoder of HE-AAC makes 2,048 of
    /// them, at twice the rate: the time is the same.
    #[inline]
    fn samples(self) -> u32 {
        1_024 * self.blocks()
    }

    #[inline]
    fn sample_rate(self) -> u32 {
        SAMPLE_RATES.get(self.rate_index() as usize).copied().unwrap_or(u32::MAX)
    }

    #[inline]
    fn look(self, frame: &[u8], notes: &mut SbrVote) -> Look<Self> {
        let mut header = self;
        if self.sample_rate() <= SBR_RATE_MAX && self.blocks() == 1 {
            let block = frame.get(self.header_bytes()..).unwrap_or_default();
            header.0 |= if notes.count(block) { HAS_SBR } else { 0 };
        }
        Look::Frame { header, starts: true }
    }

    fn output_rate(self) -> Option<u32> {
        Some(self.sample_rate() * if self.has_sbr() { 2 } else { 1 })
    }

    /// ADTS names no bitrate: every AAC frame has its own length.
    #[inline]
    fn nominal_kbps(self) -> Option<u32> {
        None
    }

    /// Configuration 0 leaves the layout to an element within the raw data; 7 is 7.1. One channel
    /// with SBR may be parametric stereo, which only a decoder of SBR finds.
    fn channels(self) -> Option<u8> {
        match self.0 >> 30 & 0b111 {
            0 => None,
            1 if self.has_sbr() => None,
            7 => Some(8),
            few => Some(few as u8),
        }
    }

    fn codec(self) -> Option<&'static str> {
        Some(if self.has_sbr() { "HE-AAC" } else { "AAC" })
    }

    /// A decoder that knows SBR needs no new start to find it.
    fn family(self) -> Option<&'static str> {
        Some("AAC")
    }
}

impl AdtsHeader {
    fn rate_index(self) -> u64 {
        self.0 >> 34 & 0b1111
    }

    fn has_sbr(self) -> bool {
        self.0 & HAS_SBR != 0
    }

    /// Raw data blocks in the frame, 1 to 4.
    fn blocks(self) -> u32 {
        (self.0 & 0b11) as u32 + 1
    }

    /// Header with the CRC, and with the blocks' positions that a CRC brings along (6.2.1).
    fn header_bytes(self) -> usize {
        let is_protected = self.0 >> 40 & 1 == 0;
        HEADER_BYTES + if is_protected { 2 * self.blocks() as usize } else { 0 }
    }
}

/// Whether the stream was found to have SBR.
const HAS_SBR: u64 = 1 << 63;
/// In Hz. Players look for SBR that nothing announces only where its output is 48 kHz at most.
const SBR_RATE_MAX: u32 = 24_000;
/// Sync word and layer, which is always zero.
const SYNC_MASK: u64 = 0xFFF6 << 40;
const SYNC_WORD: u64 = 0xFFF0 << 40;
/// Sync word, version, layer, profile, sample rate, channels.
const STREAM_MASK: u64 = 0xFFFE_FDC0 << 24;

#[cfg(test)]
mod tests {
    use super::super::testing::{Xorshift, adts_header, frame, hear_every_way};
    use super::super::{Framer, Step};
    use super::*;

    fn parse(header: [u8; 7]) -> Option<AdtsHeader> {
        AdtsHeader::parse(&header)
    }

    #[test]
    fn fields_are_read_from_a_known_header() {
        // MPEG-4 LC, 44.1 kHz, stereo, 371 bytes, as ffmpeg writes it.
        let header = parse([0xFF, 0xF1, 0x50, 0x80, 0x2E, 0x7F, 0xFC]).unwrap();
        assert_eq!(header.frame_bytes(), 371);
        assert_eq!(header.sample_rate(), 44_100);
        assert_eq!(header.samples(), 1_024);
        assert_eq!(header.channels(), Some(2));
        assert_eq!(header.header_bytes(), 7);
    }

    #[test]
    fn the_longest_frame_and_all_its_blocks_are_read() {
        let header = parse(adts_header(8_191, 3)).unwrap();
        assert_eq!(header.frame_bytes(), FRAME_BYTES_MAX);
        assert_eq!(header.samples(), 4_096);
    }

    #[test]
    fn a_crc_makes_the_shortest_possible_frame_longer() {
        let with_crc = |bytes: usize, blocks: u8| {
            let mut header = adts_header(bytes, blocks);
            header[1] &= !1;
            parse(header)
        };
        assert!(parse(adts_header(7, 0)).is_none());
        assert!(parse(adts_header(8, 0)).is_some());
        assert!(with_crc(9, 0).is_none());
        assert!(with_crc(10, 0).is_some());
        assert!(with_crc(15, 3).is_none());
        assert!(with_crc(16, 3).is_some());
    }

    #[test]
    fn reserved_values_are_refused() {
        let good = adts_header(300, 0);
        assert!(parse(good).is_some());
        for layer in 1..4 {
            let mut header = good;
            header[1] |= layer << 1;
            assert_eq!(parse(header), None, "layer {layer}");
        }
        for rate_index in 13..16 {
            let mut header = good;
            header[2] = header[2] & !0x3C | rate_index << 2;
            assert_eq!(parse(header), None, "rate index {rate_index}");
        }
        assert_eq!(parse([0xFF, 0xE1, 0x4C, 0x80, 0x2E, 0x7F, 0xFC]), None);
    }

    #[test]
    fn a_cut_header_is_none() {
        for cut in 0..HEADER_BYTES {
            assert_eq!(AdtsHeader::parse(&adts_header(300, 0)[..cut]), None);
        }
    }

    #[test]
    fn channels_are_those_of_the_configuration() {
        let channels = |configuration: u8| {
            let mut header = adts_header(300, 0);
            header[2] = header[2] & !1 | configuration >> 2;
            header[3] = header[3] & 0x3F | configuration << 6;
            parse(header).unwrap().channels()
        };
        assert_eq!(channels(0), None);
        assert_eq!((1..7).map(channels).collect::<Vec<_>>(), (1..7).map(Some).collect::<Vec<_>>());
        assert_eq!(channels(7), Some(8));
    }

    #[test]
    fn frames_with_several_blocks_last_longer() {
        let mut random = Xorshift(11);
        let stream: Vec<u8> = [0, 1, 3, 0]
            .into_iter()
            .flat_map(|blocks| frame(&adts_header(700, blocks), 700, &mut random))
            .collect();
        let (heard, _) = hear_every_way("audio/aac", &stream);
        assert_eq!(heard.frames.len(), 4);
        // 1,024 samples at 48 kHz are 21,333 and a third microseconds.
        assert_eq!(heard.durations_us, [21_333, 42_667, 85_333, 21_333]);
    }

    #[test]
    fn two_frames_of_the_greatest_length_and_a_header_are_enough_to_begin() {
        let mut random = Xorshift(12);
        let mut longest = || frame(&adts_header(FRAME_BYTES_MAX, 0), FRAME_BYTES_MAX, &mut random);
        let stream = [longest(), longest(), longest()].concat();
        let mut framer = Framer::for_content_type("audio/aac");
        let enough = 2 * FRAME_BYTES_MAX + HEADER_BYTES;
        assert_eq!(framer.step(&stream[..enough - 1]), Step::More);
        assert_eq!(framer.step(&stream[..enough]), Step::frame(FRAME_BYTES_MAX, 21_333));
    }
}
