//! AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), by which MPEG-4 audio is announced where no
//! header of each frame does it: object type, rates, channels, and the extensions of HE-AAC where
//! they are signalled explicitly. Source core, once for each configuration.

/// What a decoder is configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioConfig {
    /// `AAC`, `HE-AAC` or `HE-AAC v2`; other object types have `MPEG-4 audio`.
    pub(super) codec: &'static str,
    /// In Hz, of the core.
    pub(super) rate: u32,
    /// In Hz, of what comes out.
    pub(super) output_rate: u32,
    /// Unknown if an element within describes its own layout.
    pub(super) channels: Option<u8>,
    /// Samples of the core in one frame.
    pub(super) frame_samples: u32,
}

/// In Hz, by sampling frequency index (table 1.18).
pub(super) const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Audio object types (table 1.17).
const SBR: u32 = 5;
const PS: u32 = 29;
/// Those that begin with a GASpecificConfig and are AAC to every player: main, LC, SSR, LTP,
/// scalable, and the error resilient ones.
const AAC: [u32; 8] = [1, 2, 3, 4, 6, 17, 19, 20];
/// Low delay: frames of 512 samples, or 480.
const LOW_DELAY: u32 = 23;

impl AudioConfig {
    /// `None` if a value is reserved, or there are too few bits.
    pub(super) fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let mut object = object_type(bits)?;
        let rate = sample_rate(bits)?;
        let mut output_rate = rate;
        let configuration = bits.take(4)?;
        let mut channels = channels(configuration)?;
        let mut codec = if AAC.contains(&object) || object == LOW_DELAY { "AAC" } else { OTHER };
        if [SBR, PS].contains(&object) {
            // The extension comes first, and the core's own type behind it.
            (codec, channels) = match object {
                PS => ("HE-AAC v2", Some(2)),
                _ => ("HE-AAC", channels),
            };
            output_rate = sample_rate(bits)?;
            object = object_type(bits)?;
        }
        // GASpecificConfig (table 4.1) begins with whether frames are the shorter ones.
        let is_short = bits.take(1)? == 1;
        let frame_samples = match (object == LOW_DELAY, is_short) {
            (false, false) => 1_024,
            (false, true) => 960,
            (true, false) => 512,
            (true, true) => 480,
        };
        Some(Self { codec, rate, output_rate, channels, frame_samples })
    }
}

/// Codecs that no player of streams is known to have.
const OTHER: &str = "MPEG-4 audio";

/// Five bits, or six more behind a mark (table 1.16).
fn object_type(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(5)? {
        31 => Some(32 + bits.take(6)?),
        0 => None,
        object => Some(object),
    }
}

/// By index, or 24 bits behind a mark.
fn sample_rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(4)? {
        15 => bits.take(24).filter(|&rate| rate > 0),
        index => SAMPLE_RATES.get(index as usize).copied(),
    }
}

/// Table 1.19; `None` if the configuration is reserved.
pub(super) fn channels(configuration: u32) -> Option<Option<u8>> {
    match configuration {
        0 => Some(None),
        few @ 1..=6 => Some(Some(few as u8)),
        7 | 12 | 14 => Some(Some(8)),
        11 => Some(Some(7)),
        13 => Some(Some(24)),
        _ => None,
    }
}

/// Bits from the most significant on.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits that were taken.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 32 at most; `None`, and nothing taken, if there are not so many.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32, "a number has 32 bits");
        let end = self.at + count as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let mut value = 0_u64;
        for byte in &self.bytes[self.at / 8..end.div_ceil(8)] {
            value = value << 8 | u64::from(*byte);
        }
        let behind = end.next_multiple_of(8) - end;
        self.at = end;
        Some((value >> behind & ((1 << count) - 1)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Option<AudioConfig> {
        AudioConfig::parse(&mut Bits::new(bytes))
    }

    #[test]
    fn bits_are_taken_across_bytes_and_never_beyond_the_end() {
        let mut bits = Bits::new(&[0b1010_0101, 0xFF, 0x00, 0x12, 0x34, 0x56]);
        assert_eq!(bits.take(3), Some(0b101));
        assert_eq!(bits.take(32), Some(0x2FF8_0091));
        assert_eq!(bits.take(14), None);
        assert_eq!(bits.take(13), Some(0x1456));
        assert_eq!((bits.take(0), bits.take(1)), (Some(0), None));
    }

    #[test]
    fn known_configurations_are_read() {
        // LC at 44.1 kHz in stereo, as every encoder writes it.
        let lc = parse(&[0x12, 0x10]).unwrap();
        assert_eq!((lc.codec, lc.rate, lc.output_rate), ("AAC", 44_100, 44_100));
        assert_eq!((lc.channels, lc.frame_samples), (Some(2), 1_024));
        // HE-AAC: type 5, 22.05 kHz, stereo, 44.1 kHz, LC.
        let he = parse(&[0x2B, 0x92, 0x08, 0x00]).unwrap();
        assert_eq!((he.codec, he.rate, he.output_rate), ("HE-AAC", 22_050, 44_100));
        assert_eq!(he.channels, Some(2));
        // HE-AAC v2: type 29, 24 kHz, one channel, 48 kHz, LC.
        let v2 = parse(&[0xEB, 0x09, 0x88, 0x00]).unwrap();
        assert_eq!((v2.codec, v2.rate, v2.output_rate), ("HE-AAC v2", 24_000, 48_000));
        assert_eq!(v2.channels, Some(2));
        // LC with 960 samples, and a rate of 24 bits.
        assert_eq!(parse(&[0x12, 0x14]).unwrap().frame_samples, 960);
        assert_eq!(parse(&[0x17, 0x80, 0x56, 0x22, 0x08]).unwrap().rate, 44_100);
    }

    #[test]
    fn reserved_values_and_too_few_bits_are_none() {
        for cut in 0..2 {
            assert_eq!(parse(&[0x12, 0x10][..cut]), None, "{cut}");
        }
        for (what, bytes) in
            [("no type", [0x02, 0x10]), ("rate 13", [0x16, 0x90]), ("channels 15", [0x12, 0x78])]
        {
            assert_eq!(parse(&bytes), None, "{what}");
        }
        assert_eq!(parse(&[0x17, 0x80, 0, 0, 0x08]), None, "a rate of zero");
    }
}
