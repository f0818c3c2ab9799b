//! AAC in LATM, framed by LOAS (ISO/IEC 14496-3, 1.7): the length of each element, and what the
//! configuration says that some of them bring along. Such an element is where a player can start;
//! those between two of them are understood only behind one. Decodes no audio. Source core.

use super::asc::{AudioConfig, Bits};
use super::format::{Format, Seam};
use super::header::{Header, Look};
use super::sync::{FrameSync, sniff};

/// The format's row in the table.
pub(super) const FORMAT: Format = Format {
    name: "LATM",
    content_types: &["audio/mp4a-latm", "audio/loas", "audio/x-loas", "audio/aac-latm"],
    sniff: sniff::<LoasHeader>,
    seam: Seam::Frames,
    make: || Box::<FrameSync<LoasHeader>>::default(),
};

/// Sync word of eleven bits (1.7.2, table 1.36), in the upper part of the header's 24.
const SYNC: u32 = 0x2B7 << 13;
const LENGTH_MASK: u32 = (1 << 13) - 1;

/// The header of an AudioSyncStream, and what the last configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LoasHeader {
    element_bytes: usize,
    /// `None` until the first configuration.
    config: Option<StreamMuxConfig>,
}

/// The part of a StreamMuxConfig that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StreamMuxConfig {
    audio: AudioConfig,
    /// Frames in one element.
    frames: u32,
}

impl Header for LoasHeader {
    type Notes = Option<StreamMuxConfig>;

    const BYTES: usize = 3;
    const FIRST: u8 = 0x56;

    #[inline]
    fn parse(input: &[u8]) -> Option<Self> {
        let &[b2, b1, b0] = input.first_chunk()?;
        let header = u32::from_be_bytes([0, b2, b1, b0]);
        let element_bytes = (header & LENGTH_MASK) as usize;
        let is_header = header & !LENGTH_MASK == SYNC && element_bytes > 0;
        is_header.then_some(Self { element_bytes, config: None })
    }

    /// The header says nothing of the stream.
    #[inline]
    fn continues(self, _before: Self) -> bool {
        true
    }

    #[inline]
    fn frame_bytes(self) -> usize {
        Self::BYTES + self.element_bytes
    }

    /// The first bit says whether the configuration of before holds (table 1.37).
    fn look(self, frame: &[u8], notes: &mut Option<StreamMuxConfig>) -> Look<Self> {
        let mut bits = Bits::new(&frame[Self::BYTES..]);
        let has_config = bits.take(1) == Some(0);
        if has_config {
            *notes = StreamMuxConfig::parse(&mut bits);
        }
        let config = *notes;
        Look::Frame { header: Self { config, ..self }, starts: has_config && config.is_some() }
    }

    fn samples(self) -> u32 {
        self.config.map_or(0, |config| config.audio.frame_samples * config.frames)
    }

    fn sample_rate(self) -> u32 {
        self.config.map_or(1, |config| config.audio.rate)
    }

    fn output_rate(self) -> Option<u32> {
        self.config.map(|config| config.audio.output_rate)
    }

    fn nominal_kbps(self) -> Option<u32> {
        None
    }

    fn channels(self) -> Option<u8> {
        self.config?.audio.channels
    }

    fn codec(self) -> Option<&'static str> {
        self.config.map(|config| config.audio.codec)
    }
}

impl StreamMuxConfig {
    /// The first program's first layer (table 1.42). Later ones are for players to know.
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let version = bits.take(1)?;
        if version == 1 {
            // audioMuxVersionA, which is reserved, and the fullness of a buffer.
            if bits.take(1)? == 1 {
                return None;
            }
            latm_value(bits)?;
        }
        // All streams have the same framing; then counts less one: frames, programs, layers.
        let _same_framing = bits.take(1)?;
        let frames = bits.take(6)? + 1;
        bits.take(4)?;
        bits.take(3)?;
        if version == 1 {
            // Length of the configuration that follows.
            latm_value(bits)?;
        }
        Some(Self { audio: AudioConfig::parse(bits)?, frames })
    }
}

/// LatmGetValue (table 1.43): up to four bytes, whose number stands in front.
fn latm_value(bits: &mut Bits<'_>) -> Option<u32> {
    let bytes = bits.take(2)? + 1;
    bits.take(8 * bytes)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Xorshift, hear_every_way};
    use super::*;

    const TYPE: &str = "audio/mp4a-latm";
    /// LC at 44.1 kHz in stereo, as an AudioSpecificConfig.
    const LC: [u8; 2] = [0x12, 0x10];

    /// An element of `bytes` in which no other begins, with the configuration `asc` or with that of
    /// before.
    fn element(asc: Option<&[u8]>, bytes: usize, random: &mut Xorshift) -> Vec<u8> {
        // The first bit, version 0, one framing for all, one frame, one program, one layer.
        let mut body = asc.map_or(vec![0x80], |asc| [&[0x20, 0x00], asc].concat());
        let payload = bytes - body.len();
        body.extend(random.bytes(payload).iter().map(|byte| byte | 0x80));
        let header = (SYNC | bytes as u32).to_be_bytes();
        [&header[1..], &body].concat()
    }

    /// `count` elements, every fifth with a configuration.
    fn elements(count: usize) -> Vec<Vec<u8>> {
        let mut random = Xorshift(3);
        let mut next = |index: usize| {
            let bytes = 150 + random.below(300);
            element((index.is_multiple_of(5)).then_some(&LC[..]), bytes, &mut random)
        };
        (0..count).map(&mut next).collect()
    }

    #[test]
    fn players_start_where_a_configuration_comes_along() {
        let elements = elements(11);
        let (heard, framer) = hear_every_way(TYPE, &elements.concat());
        assert_eq!(heard.out, elements.concat());
        let starts = [0, elements[..5].concat().len(), elements[..10].concat().len()];
        assert_eq!(heard.starts, starts);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.sample_rate), (Some("AAC"), Some(44_100)));
        assert_eq!((facts.channels, facts.frame_us), (Some(2), Some(23_219)));
        assert_eq!(heard.durations_us[..2], [23_219, 23_220]);
    }

    #[test]
    fn before_the_first_configuration_nobody_starts() {
        let elements = elements(11);
        let (heard, _) = hear_every_way(TYPE, &elements[2..].concat());
        assert_eq!(heard.starts.len(), 2);
        assert_eq!(heard.durations_us[..4], [0, 0, 0, 23_219]);
        let (heard, framer) = hear_every_way(TYPE, &elements[1..5].concat());
        assert_eq!((heard.frames.len(), heard.starts.len()), (4, 0));
        assert_eq!((framer.facts().codec, framer.facts().frame_us), (None, None));
        assert_eq!(framer.signature(), None);
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_no_start() {
        let mut random = Xorshift(8);
        let mut of = |asc: &[u8]| element(Some(asc), 200, &mut random);
        let stream = [of(&LC), of(&[0x02, 0x10]), of(&[0x2B, 0x92, 0x08, 0x00])];
        let (heard, framer) = hear_every_way(TYPE, &stream.concat());
        assert_eq!(heard.starts, [0, 2 * stream[0].len()]);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.sample_rate), (Some("HE-AAC"), Some(44_100)));
    }

    #[test]
    fn the_second_version_of_the_configuration_is_read() {
        // Version 1, not A, a fullness of one byte; then as in version 0; a length of one byte, and
        // LC at 44.1 kHz in stereo.
        let parts = ["1", "0", "00", "11111111", "1", "000000", "0000", "000"];
        let config = ["00", "00010000", "00010", "0100", "0010", "000"];
        let bits = [parts.concat(), config.concat()].concat();
        let bytes: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|bits| {
                bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')) << (8 - bits.len())
            })
            .collect();
        let read = StreamMuxConfig::parse(&mut Bits::new(&bytes)).unwrap();
        assert_eq!((read.audio.rate, read.audio.channels, read.frames), (44_100, Some(2), 1));
        assert_eq!(StreamMuxConfig::parse(&mut Bits::new(&[0xC0, 0, 0, 0])), None);
    }

    #[test]
    fn junk_costs_no_element_behind_it() {
        let elements = elements(20);
        let junk = vec![0x56; 333];
        let stream = [&junk[..], &elements[..9].concat(), &junk, &elements[9..].concat()].concat();
        let (heard, framer) = hear_every_way(TYPE, &stream);
        assert_eq!(heard.out, elements.concat());
        assert_eq!((framer.counters().resyncs, framer.counters().junk_bytes), (1, 666));
    }

    #[test]
    fn flipped_bits_cost_at_most_two_elements_each() {
        let elements = elements(400);
        for seed in 1..=6 {
            let mut random = Xorshift(seed);
            let mut stream = elements.concat();
            let hurts = stream.len() * 8 / 10_000;
            (0..hurts).for_each(|_| {
                let at = random.below(stream.len());
                stream[at] ^= 1 << random.below(8);
            });
            let (heard, _) = hear_every_way(TYPE, &stream);
            assert!(heard.frames.len() + 2 * hurts >= elements.len(), "seed {seed}");
        }
    }

    #[test]
    fn other_words_and_empty_elements_are_no_header() {
        assert!(LoasHeader::parse(&[0x56, 0xE0, 0x01]).is_some());
        for other in [[0x56, 0xE0, 0x00], [0x56, 0xC0, 0x01], [0x57, 0xE0, 0x01]] {
            assert_eq!(LoasHeader::parse(&other), None);
        }
        let longest = LoasHeader::parse(&[0x56, 0xFF, 0xFF]).unwrap();
        assert_eq!(longest.frame_bytes(), 3 + 8_191);
    }
}
