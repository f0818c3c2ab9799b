//! HOT PATH. MPEG audio frame headers: MPEG 1 and 2 (ISO/IEC 11172-3 and 13818-3, 2.4.2.3) and the
//! unofficial 2.5, layers I to III. Says how long a frame is and how long it plays, and which
//! frames describe a file instead (Xing, Info, VBRI); decodes no audio. Source core.

use super::format::{Format, Seam, boxed};
use super::free;
use super::header::{Header, Look};
use super::sniff::Sniffed;
use super::sync::{FrameSync, sniff};

/// The format's row in the table.
pub(super) const FORMAT: Format = Format {
    name: "MPEG audio",
    content_types: CONTENT_TYPES,
    sniff: sniff::<MpegHeader>,
    seam: Seam::Frames,
    make: boxed::<FrameSync<MpegHeader>>,
};

/// Content types that mean MPEG audio, as encoders of all ages send them.
const CONTENT_TYPES: &[&str] = &[
    "audio/mpeg",
    "audio/mp3",
    "audio/mpeg3",
    "audio/mpg",
    "audio/mpa",
    "audio/mp2",
    "audio/x-mpeg",
    "audio/x-mp3",
    "audio/x-mpeg3",
    "audio/x-mpg",
    "audio/x-mp2",
];

/// The four header bytes, most significant first, checked by [`Header::parse`]: no field holds a
/// reserved value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MpegHeader(u32);

impl Header for MpegHeader {
    type Notes = ();

    const BYTES: usize = 4;
    const FIRST: u8 = 0xFF;

    /// Free format (bitrate index 0) is none: its frames' length is not in the header.
    #[inline]
    fn parse(input: &[u8]) -> Option<Self> {
        let header = Self(u32::from_be_bytes(*input.first_chunk()?));
        let is_header = header.0 >> 21 == SYNC_WORD
            && header.version() != VERSION_RESERVED
            && header.layer_code() != LAYER_RESERVED
            && !matches!(header.bitrate_index(), BITRATE_FREE | BITRATE_BAD)
            && header.rate_index() != RATE_RESERVED;
        is_header.then_some(header)
    }

    /// Version, layer and sample rate hold for a stream; bitrate, padding and stereo mode change
    /// from frame to frame.
    #[inline]
    fn continues(self, before: Self) -> bool {
        (self.0 ^ before.0) & STREAM_MASK == 0
    }

    /// Samples times bitrate over sample rate, in slots of one byte (four in layer I), rounded
    /// down, and the padding slot (2.4.3.1). At least 24 and at most 2,881 bytes.
    #[inline]
    fn frame_bytes(self) -> usize {
        let slot_bytes = if self.layer() == Layer::One { 4 } else { 1 };
        let slots = self.samples() / 8 * self.kbps() * 1_000 / slot_bytes / self.sample_rate();
        ((slots + self.padding()) * slot_bytes) as usize
    }

    #[inline]
    fn samples(self) -> u32 {
        match self.layer() {
            Layer::One => 384,
            Layer::Two => 1_152,
            Layer::Three if self.version() == VERSION_1 => 1_152,
            Layer::Three => 576,
        }
    }

    #[inline]
    fn sample_rate(self) -> u32 {
        SAMPLE_RATES[self.version() as usize][self.rate_index() as usize]
    }

    #[inline]
    fn nominal_kbps(self) -> Option<u32> {
        Some(self.kbps())
    }

    fn channels(self) -> Option<u8> {
        Some(if self.0 >> 6 & 0b11 == MODE_MONO { 1 } else { 2 })
    }

    fn codec(self) -> Option<&'static str> {
        Some(match self.layer() {
            Layer::One => "MP1",
            Layer::Two => "MP2",
            Layer::Three => "MP3",
        })
    }

    /// A frame that describes a file is no audio, and a player in its middle would take the length
    /// it names for the stream's.
    #[inline]
    fn look(self, frame: &[u8], _notes: &mut ()) -> Look<Self> {
        if self.layer() == Layer::Three && self.describes_file(frame) {
            return Look::Info;
        }
        Look::Frame { header: self, starts: true }
    }

    /// Three headers of one kind at one distance, give or take the padding each announces.
    fn has_free_format(input: &[u8]) -> Sniffed {
        free::sniff(input)
    }
}

impl MpegHeader {
    fn version(self) -> u32 {
        self.0 >> 19 & 0b11
    }

    fn layer_code(self) -> u32 {
        self.0 >> 17 & 0b11
    }

    fn bitrate_index(self) -> u32 {
        self.0 >> 12 & 0b1111
    }

    fn rate_index(self) -> u32 {
        self.0 >> 10 & 0b11
    }

    fn padding(self) -> u32 {
        self.0 >> 9 & 1
    }

    /// Xing's and LAME's header stands where the side information ends, an encoder's from
    /// Fraunhofer behind 32 bytes in any case. Neither counts the CRC that may stand in front.
    fn describes_file(self, frame: &[u8]) -> bool {
        let is_mono = self.0 >> 6 & 0b11 == MODE_MONO;
        let side_bytes = match (self.version(), is_mono) {
            (VERSION_1, false) => 32,
            (VERSION_1, true) | (_, false) => 17,
            (_, true) => 9,
        };
        let mark = |at: usize| frame.get(at..at + 4).unwrap_or_default();
        matches!(mark(4 + side_bytes), b"Xing" | b"Info") || mark(4 + 32) == b"VBRI"
    }

    fn layer(self) -> Layer {
        match self.layer_code() {
            3 => Layer::One,
            2 => Layer::Two,
            _ => Layer::Three,
        }
    }

    fn kbps(self) -> u32 {
        let column = match (self.version(), self.layer()) {
            (VERSION_1, Layer::One) => 0,
            (VERSION_1, Layer::Two) => 1,
            (VERSION_1, Layer::Three) => 2,
            (_, Layer::One) => 3,
            (_, Layer::Two | Layer::Three) => 4,
        };
        KBPS[column][self.bitrate_index() as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    One,
    Two,
    Three,
}

/// Eleven set bits: MPEG 2.5 took the twelfth for itself.
const SYNC_WORD: u32 = 0x7FF;
const VERSION_RESERVED: u32 = 1;
const VERSION_1: u32 = 3;
const LAYER_RESERVED: u32 = 0;
const BITRATE_FREE: u32 = 0;
const BITRATE_BAD: u32 = 15;
const RATE_RESERVED: u32 = 3;
const MODE_MONO: u32 = 0b11;
/// Sync word, version, layer and sample rate.
const STREAM_MASK: u32 = 0xFFFE_0C00;

/// In Hz, by version code (2.5, reserved, 2, 1) and rate index. No field is zero, so that nothing
/// is divided by zero whatever the header.
const SAMPLE_RATES: [[u32; 4]; 4] = [
    [11_025, 12_000, 8_000, u32::MAX],
    [u32::MAX, u32::MAX, u32::MAX, u32::MAX],
    [22_050, 24_000, 16_000, u32::MAX],
    [44_100, 48_000, 32_000, u32::MAX],
];

/// In kbit/s, by column of 11172-3's and 13818-3's tables (2.4.2.3) and bitrate index.
#[rustfmt::skip]
const KBPS: [[u32; 16]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0],
    [0, 32, 48, 56,  64,  80,  96, 112, 128, 160, 192, 224, 256, 320, 384, 0],
    [0, 32, 40, 48,  56,  64,  80,  96, 112, 128, 160, 192, 224, 256, 320, 0],
    [0, 32, 48, 56,  64,  80,  96, 112, 128, 144, 160, 176, 192, 224, 256, 0],
    [0,  8, 16, 24,  32,  40,  48,  56,  64,  80,  96, 112, 128, 144, 160, 0],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: u32) -> Option<MpegHeader> {
        MpegHeader::parse(&header.to_be_bytes())
    }

    fn frame_bytes(header: u32) -> usize {
        parse(header).unwrap().frame_bytes()
    }

    #[test]
    fn frame_lengths_match_known_streams() {
        // 44.1 kHz layer III: 128 kbit/s without and with padding, 320 kbit/s.
        assert_eq!(frame_bytes(0xFFFB_9064), 417);
        assert_eq!(frame_bytes(0xFFFB_9264), 418);
        assert_eq!(frame_bytes(0xFFFB_E064), 1_044);
        // 48 kHz layer II at 192 kbit/s, with a CRC, as broadcast contributions use it.
        assert_eq!(frame_bytes(0xFFFC_A400), 576);
        // MPEG 2 at 24 kHz and 64 kbit/s, MPEG 2.5 at 8 kHz and 8 kbit/s, both layer III.
        assert_eq!(frame_bytes(0xFFF3_84C0), 192);
        assert_eq!(frame_bytes(0xFFE3_18C0), 72);
        // Layer I counts in slots of four bytes: 384 kbit/s at 44.1 kHz with padding.
        assert_eq!(frame_bytes(0xFFFF_C200), (12 * 384_000 / 44_100 + 1) * 4);
    }

    #[test]
    fn reserved_values_and_free_format_are_refused() {
        assert!(parse(0xFFFB_9064).is_some());
        let refused = [
            ("sync", 0xFFDB_9064),
            ("version", 0xFFEB_9064),
            ("layer, as in ADTS", 0xFFF9_9064),
            ("free format", 0xFFFB_0064),
            ("bitrate", 0xFFFB_F064),
            ("sample rate", 0xFFFB_9C64),
        ];
        for (what, header) in refused {
            assert_eq!(parse(header), None, "{what}");
        }
    }

    #[test]
    fn a_cut_header_is_none() {
        for cut in 0..4 {
            assert_eq!(MpegHeader::parse(&0xFFFB_9064_u32.to_be_bytes()[..cut]), None);
        }
    }

    #[test]
    fn every_accepted_header_has_a_possible_length_and_duration() {
        for low in 0..=0x001F_FFFF_u32 {
            let Some(header) = parse(0xFFE0_0000 | low) else { continue };
            assert!((24..=2_881).contains(&header.frame_bytes()), "{header:?}");
            assert!((8_000..=48_000).contains(&header.sample_rate()), "{header:?}");
            assert!(header.samples() >= 384 && header.kbps() >= 8, "{header:?}");
        }
    }

    #[test]
    fn a_stream_keeps_version_layer_and_rate_only() {
        let before = parse(0xFFFB_9064).unwrap();
        // Another bitrate, padding and mono; then another rate, layer and version.
        assert!(parse(0xFFFB_B2C4).unwrap().continues(before));
        assert!(!parse(0xFFFB_9464).unwrap().continues(before));
        assert!(!parse(0xFFFD_9064).unwrap().continues(before));
        assert!(!parse(0xFFF3_9064).unwrap().continues(before));
    }

    #[test]
    fn mono_is_one_channel_and_every_other_mode_two() {
        let channels = |mode: u32| parse(0xFFFB_9024 | mode << 6).unwrap().channels();
        assert_eq!([0, 1, 2, 3].map(channels), [Some(2), Some(2), Some(2), Some(1)]);
    }
}
