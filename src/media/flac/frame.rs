//! HOT PATH. The header of a FLAC frame (RFC 9639, 9.1): its fields, its CRC-8, and the frame
//! number, which can be written anew. Looks at nothing behind the header. Source core.

use crc::{CRC_8_SMBUS, CRC_16_UMTS, Crc, Table};

use super::super::header::Parsed;

/// CRC-8 of headers: polynomial 0x07, nothing reflected, starts at zero (9.1.8).
const CRC_8: Crc<u8, Table<1>> = Crc::<u8, Table<1>>::new(&CRC_8_SMBUS);
/// CRC-16 of frames: polynomial 0x8005, likewise (9.3). A frame with its footer sums up to zero.
/// Sixteen tables of 512 bytes make it more than twice as fast as one.
static CRC_16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_UMTS);

/// Bytes of the CRC-16 that ends a frame.
pub(super) const FOOTER_BYTES: usize = 2;
/// First two bytes of a frame: fifteen bits of sync, and whether blocks vary in size.
pub(super) const SYNC: u8 = 0xFF;
const SYNC_FIXED: u8 = 0xF8;
const SYNC_VARIABLE: u8 = 0xF9;
/// Where the frame's number stands.
const NUMBER_AT: usize = 4;
/// Numbers of frames have 31 bits, numbers of samples 36.
const FRAME_NUMBER_MASK: u64 = (1 << 31) - 1;
const SAMPLE_NUMBER_MASK: u64 = (1 << 36) - 1;

/// In Hz, by sample rate bits 1 to 11 (9.1.2).
const RATES: [u32; 12] =
    [0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
/// Bits of a sample by the header's three bits (9.1.4); zero where STREAMINFO tells, 3 is reserved.
const SAMPLE_BITS: [u8; 8] = [0, 8, 12, 0, 16, 20, 24, 32];
const SAMPLE_BITS_RESERVED: u8 = 3;

/// A header whose CRC-8 is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Whether blocks vary in size: then numbers count samples, else frames.
    pub(super) varies: bool,
    /// Samples per channel, 1 to 65,536.
    pub(super) samples: u32,
    /// In Hz; zero where STREAMINFO tells.
    pub(super) rate: u32,
    /// 1 to 8.
    pub(super) channels: u8,
    /// Bits of a sample; zero where STREAMINFO tells.
    pub(super) bits: u8,
    /// Of the frame, or of its first sample.
    pub(super) number: u64,
    /// Bytes of the number.
    number_bytes: usize,
    /// Bytes of the header with its CRC-8.
    pub(super) bytes: usize,
}

impl FrameHeader {
    /// The header at the start of `input`, if it is one; incomplete while it may become one.
    pub(super) fn parse(input: &[u8]) -> Parsed<Self> {
        if !could_begin(input) {
            return Parsed::Nothing;
        }
        let Some(&[_, sync, sizes, format, first]) = input.first_chunk() else {
            return Parsed::Incomplete;
        };
        let (block_code, rate_code) = (sizes >> 4, sizes & 0x0F);
        let (Some(channels), Some(number_bytes)) = (channels(format >> 4), coded_bytes(first))
        else {
            return Parsed::Nothing;
        };
        let block_bytes = match block_code {
            6 => 1,
            7 => 2,
            _ => 0,
        };
        let rate_bytes = match rate_code {
            12 => 1,
            13 | 14 => 2,
            _ => 0,
        };
        let block_at = NUMBER_AT + number_bytes;
        let rate_at = block_at + block_bytes;
        let crc_at = rate_at + rate_bytes;
        let Some(header) = input.get(..=crc_at) else { return Parsed::Incomplete };
        let Some(number) = decoded(&header[NUMBER_AT..block_at]) else { return Parsed::Nothing };
        if CRC_8.checksum(header) != 0 {
            return Parsed::Nothing;
        }
        let read = Self {
            varies: sync == SYNC_VARIABLE,
            samples: samples(block_code, big_endian(&header[block_at..rate_at])),
            rate: rate(rate_code, big_endian(&header[rate_at..crc_at])),
            channels,
            bits: SAMPLE_BITS[usize::from(format >> 1 & 0b111)],
            number,
            number_bytes,
            bytes: crc_at + 1,
        };
        Parsed::Whole(read)
    }

    /// Whether a frame with this header can be of the same stream as one with `other`. The way
    /// channels are coupled changes from frame to frame, their number does not.
    pub(super) fn is_kin_of(self, other: Self) -> bool {
        let kin = |header: Self| (header.varies, header.rate, header.channels, header.bits);
        kin(self) == kin(other)
    }

    /// The number that the next frame has.
    pub(super) fn next_number(self) -> u64 {
        self.number + if self.varies { u64::from(self.samples) } else { 1 }
    }

    /// Greatest length of a frame with this header, if its samples have `bits`: all channels stored
    /// as they are, with one bit more where channels are coupled, and room for the subframes'
    /// own headers. An encoder that does worse than storing is not believed. Below 2.4 MB.
    pub(super) fn frame_bytes_max(self, bits: u8) -> usize {
        let sample_bits = (usize::from(bits) + 1) * usize::from(self.channels);
        let stored = self.samples as usize * sample_bits / 8;
        self.bytes + stored + SUBFRAME_SLACK_BYTES * usize::from(self.channels) + FOOTER_BYTES
    }

    /// Appends `frame`, which has this header, to `out` with `number` in place of its own and both
    /// checksums made anew. Numbers wrap where the format has no more bits: at 192 kHz a stream of
    /// variable blocks does so after four days.
    pub(super) fn renumber(self, frame: &[u8], number: u64, out: &mut Vec<u8>) {
        let mask = if self.varies { SAMPLE_NUMBER_MASK } else { FRAME_NUMBER_MASK };
        let begin = out.len();
        out.extend_from_slice(&frame[..NUMBER_AT]);
        encode(number & mask, out);
        out.extend_from_slice(&frame[NUMBER_AT + self.number_bytes..self.bytes - 1]);
        out.push(CRC_8.checksum(&out[begin..]));
        out.extend_from_slice(&frame[self.bytes..frame.len() - FOOTER_BYTES]);
        let crc = sum(0, &out[begin..]);
        out.extend_from_slice(&crc.to_be_bytes());
    }
}

/// Room for the header, warm-up samples and predictor of one subframe.
const SUBFRAME_SLACK_BYTES: usize = 256;

/// The frame checksum of bytes that sum up to `before` with `bytes` behind them. Zero for a whole
/// frame.
pub(super) fn sum(before: u16, bytes: &[u8]) -> u16 {
    let mut digest = CRC_16.digest_with_initial(before);
    digest.update(bytes);
    digest.finalize()
}

/// Whether the fields of the first four bytes, as far as they are here, hold no forbidden value.
fn could_begin(input: &[u8]) -> bool {
    let fits = |at: usize, test: fn(u8) -> bool| input.get(at).is_none_or(|&byte| test(byte));
    fits(0, |byte| byte == SYNC)
        && fits(1, |byte| matches!(byte, SYNC_FIXED | SYNC_VARIABLE))
        && fits(2, |byte| byte >> 4 != 0 && byte & 0x0F != 0x0F)
        && fits(3, |byte| byte >> 4 <= 10 && byte & 1 == 0)
        && fits(3, |byte| byte >> 1 & 0b111 != SAMPLE_BITS_RESERVED)
}

/// By channel bits (9.1.3): up to eight channels on their own, or two coupled in one of three ways.
fn channels(code: u8) -> Option<u8> {
    match code {
        0..=7 => Some(code + 1),
        8..=10 => Some(2),
        _ => None,
    }
}

/// By block size bits (9.1.1), with `behind` what stands behind the number.
fn samples(code: u8, behind: u32) -> u32 {
    match code {
        1 => 192,
        2..=5 => 576 << (code - 2),
        6 | 7 => behind + 1,
        _ => 256 << (code & 0b111),
    }
}

/// By sample rate bits (9.1.2), with `behind` what stands behind the number.
fn rate(code: u8, behind: u32) -> u32 {
    match code {
        12 => behind * 1_000,
        13 => behind,
        14 => behind * 10,
        _ => RATES.get(usize::from(code)).copied().unwrap_or(0),
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

/// Bytes of a number that begins with `first`: coded like UTF-8, up to seven bytes (9.1.5).
fn coded_bytes(first: u8) -> Option<usize> {
    match first.leading_ones() {
        0 => Some(1),
        bytes @ 2..=7 => Some(bytes as usize),
        _ => None,
    }
}

/// The number that `coded` holds; `None` if a byte behind the first is of another number.
fn decoded(coded: &[u8]) -> Option<u64> {
    let (&first, rest) = coded.split_first()?;
    let lead = u64::from(first) & (0x7F >> coded.len().min(7));
    let lead = if rest.is_empty() { u64::from(first) } else { lead };
    rest.iter().try_fold(lead, |number, &byte| {
        (byte >> 6 == 0b10).then_some(number << 6 | u64::from(byte & 0x3F))
    })
}

/// Appends `number`, below 2^36, as [`coded_bytes`] describes it.
fn encode(number: u64, out: &mut Vec<u8>) {
    if number < 0x80 {
        out.push(number as u8);
        return;
    }
    // n bytes hold six bits each, but the first only what its n ones and a zero leave of it.
    let fits = |&bytes: &u32| number >> (5 * bytes + 1) == 0;
    let bytes = (2..7).find(fits).unwrap_or(7);
    let ones = (0xFF00_u32 >> bytes) as u8;
    out.push(ones | (number >> (6 * (bytes - 1))) as u8);
    for place in (0..bytes - 1).rev() {
        out.push(0x80 | (number >> (6 * place)) as u8 & 0x3F);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 4,096 samples at 44.1 kHz, stereo, 16 bits, with `number`.
    fn header(number: u64) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xF8, 0xC9, 0x18];
        encode(number, &mut bytes);
        bytes.push(CRC_8.checksum(&bytes));
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<FrameHeader> {
        match FrameHeader::parse(bytes) {
            Parsed::Whole(header) => Some(header),
            Parsed::Incomplete | Parsed::Nothing => None,
        }
    }

    #[test]
    fn fields_are_read_from_a_known_header() {
        // The first frame of RFC 9639's example D.1: one sample, stereo, 44.1 kHz, 16 bits.
        let read = parse(&[0xFF, 0xF8, 0x69, 0x18, 0x00, 0x00, 0xBF]).unwrap();
        assert_eq!((read.samples, read.rate, read.channels, read.bits), (1, 44_100, 2, 16));
        assert_eq!((read.varies, read.number, read.bytes), (false, 0, 7));
        // And the frame as a whole, with its CRC-16.
        let frame = b"\xff\xf8\x69\x18\x00\x00\xbf\x03\x58\xfd\x03\x12\x8b\xaa\x9a";
        assert_eq!(sum(0, frame), 0);
        assert_eq!(sum(sum(0, &frame[..5]), &frame[5..]), 0);
    }

    #[test]
    fn numbers_of_every_length_are_read_as_they_were_written() {
        let mut lengths = Vec::new();
        for bit in 0..36 {
            for number in [1_u64 << bit, (1 << bit) - 1, (2 << bit) - 1] {
                let mut coded = Vec::new();
                encode(number, &mut coded);
                assert_eq!(coded_bytes(coded[0]), Some(coded.len()), "{number}");
                assert_eq!(decoded(&coded), Some(number));
                lengths.push(coded.len());
            }
        }
        assert!((1..=7).all(|bytes| lengths.contains(&bytes)));
        let mut euro = Vec::new();
        encode(0x20AC, &mut euro);
        assert_eq!(euro, "€".as_bytes());
    }

    #[test]
    fn a_cut_header_is_incomplete_and_a_changed_one_nothing() {
        let whole = header(70_000);
        for cut in 0..whole.len() {
            assert!(matches!(FrameHeader::parse(&whole[..cut]), Parsed::Incomplete), "{cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut hurt = whole.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&hurt), None, "bit {bit}");
        }
    }

    #[test]
    fn sizes_and_rates_behind_the_number_are_read() {
        let read = |sizes: u8, behind: &[u8]| {
            let mut bytes = vec![0xFF, 0xF9, sizes, 0x70, 5];
            bytes.extend(behind);
            bytes.push(CRC_8.checksum(&bytes));
            parse(&bytes).map(|read| (read.samples, read.rate))
        };
        assert_eq!(read(0x6C, &[15, 48]), Some((16, 48_000)));
        assert_eq!(read(0x7D, &[0x12, 0x34, 0x56, 0x78]), Some((0x1235, 0x5678)));
        assert_eq!(read(0x7E, &[0xFF, 0xFF, 0x11, 0x3A]), Some((65_536, 44_100)));
        assert_eq!(read(0x50, &[]), Some((4_608, 0)));
        assert_eq!(read(0xF1, &[]), Some((32_768, 88_200)));
    }

    #[test]
    fn a_frame_with_another_number_has_right_checksums_and_the_same_audio() {
        let mut frame = header(3);
        let bytes = frame.len();
        frame.extend([0x55; 40]);
        frame.extend(sum(0, &frame).to_be_bytes());
        let mut out = Vec::new();
        parse(&frame).unwrap().renumber(&frame, 300, &mut out);
        let read = parse(&out).unwrap();
        assert_eq!((read.number, read.bytes), (300, bytes + 1));
        assert_eq!(sum(0, &out), 0);
        assert_eq!(out[read.bytes..][..40], [0x55; 40]);
        let same =
            |header: FrameHeader| FrameHeader { number: 0, number_bytes: 0, bytes: 0, ..header };
        assert_eq!(same(read), same(parse(&frame).unwrap()));
    }

    #[test]
    fn no_header_promises_a_frame_beyond_the_units_ceiling() {
        let widest = FrameHeader { samples: 65_536, channels: 8, ..parse(&header(1)).unwrap() };
        assert!(widest.frame_bytes_max(32) < super::super::super::UNIT_BYTES_MAX / 4 * 3);
    }
}
