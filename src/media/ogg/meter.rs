//! How long packets play, codec by codec, and what a page's granule position counts. Reads the
//! first bytes of packets; decodes nothing.
//!
//! Both are needed: a granule position alone says nothing of the first page of a stream that was
//! joined, and packets alone nothing of what is cut off at the end of a track.

use super::codec::{Codec, Identity, le32};

/// What tells the durations of one logical stream.
#[derive(Debug)]
pub(super) struct Meter {
    kind: Kind,
    /// Ticks a second, and how many of them one count of [`Self::counted`] is: one for sound.
    pub(super) rate: u32,
    per_count: u32,
    /// Where counting starts: what a player of a whole stream drops first.
    pub(super) skip: i64,
}

#[derive(Debug)]
enum Kind {
    Vorbis(Blocks),
    Opus,
    Flac,
    /// Samples in every packet.
    Speex(u32),
    /// Bits of a granule position that count from the last key frame.
    Theora(u32),
}

/// Ticks a second that are believed. Sound has 768 kHz at most; frame rates are given as fractions
/// with up to ten million.
const RATE_MAX: u32 = 10_000_000;

impl Meter {
    /// For a stream with these header packets; `None` if it does not tell.
    pub(super) fn of(codec: Codec, head: &[Vec<u8>], identity: Identity) -> Option<Self> {
        let first = head.first()?.as_slice();
        let (mut rate, mut per_count, mut skip) = (identity.rate, 1, 0);
        let kind = match codec {
            Codec::Vorbis => Kind::Vorbis(Blocks::of(first, head.get(2)?)?),
            Codec::Opus => {
                skip = i64::from(u16::from_le_bytes(*first.get(10..)?.first_chunk()?));
                Kind::Opus
            }
            Codec::Flac => Kind::Flac,
            Codec::Speex => Kind::Speex(le32(first, 56)?.checked_mul(le32(first, 64)?)?),
            Codec::Theora => {
                // Theora, 6.2: a fraction of frames a second, then, bit by bit, the shift.
                let number = |at: usize| first.get(at..)?.first_chunk().copied();
                (rate, per_count) =
                    (u32::from_be_bytes(number(22)?), u32::from_be_bytes(number(26)?));
                let [b40, b41] = *first.get(40..)?.first_chunk()?;
                Kind::Theora(u32::from(b40 & 3) << 3 | u32::from(b41 >> 5))
            }
            Codec::Skeleton | Codec::Other => return None,
        };
        let known = (1..=RATE_MAX).contains(&rate) && (1..=RATE_MAX).contains(&per_count);
        known.then_some(Self { kind, rate, per_count, skip })
    }

    /// What the packet that begins with `start` plays; the packets have to come in order.
    pub(super) fn packet(&mut self, start: &[u8]) -> u32 {
        match &mut self.kind {
            Kind::Vorbis(blocks) => blocks.packet(start),
            Kind::Opus => opus_samples(start),
            Kind::Flac => flac_samples(start).unwrap_or(0),
            Kind::Speex(samples) => *samples,
            Kind::Theora(_) => 1,
        }
    }

    /// What a granule position counts, in the unit of [`Self::packet`].
    pub(super) fn counted(&self, granule: i64) -> i64 {
        match self.kind {
            Kind::Theora(shift) => (granule >> shift).saturating_add(granule & ((1 << shift) - 1)),
            _ => granule,
        }
    }

    /// How many ticks `count` is.
    pub(super) fn ticks(&self, count: u64) -> u32 {
        u32::try_from(count.saturating_mul(u64::from(self.per_count))).unwrap_or(u32::MAX)
    }
}

/// RFC 6716, 3.1: the first byte tells the duration of a frame in its upper five bits and the
/// number of frames in the lower two, or that it stands in the second byte.
pub(super) fn opus_samples(packet: &[u8]) -> u32 {
    let Some(&first) = packet.first() else { return 0 };
    let frame = match first >> 3 {
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |byte| u32::from(byte & 0x3F)),
    };
    frame * frames
}

/// RFC 9639, 9.1.1: a code of four bits, for some of them with a number behind the frame's own.
fn flac_samples(frame: &[u8]) -> Option<u32> {
    let &[0xFF, _, codes, _, number, ..] = frame else { return None };
    // The frame's number is coded as a character of UTF-8 is: leading ones tell its length.
    let behind = frame.get(4 + number.leading_ones().max(1) as usize..)?;
    match codes >> 4 {
        0 => None,
        1 => Some(192),
        code @ 2..=5 => Some(576 << (code - 2)),
        6 => behind.first().map(|&less_one| u32::from(less_one) + 1),
        7 => behind.first_chunk().map(|&less_one| u32::from(u16::from_be_bytes(less_one)) + 1),
        code => Some(256 << (code - 8)),
    }
}

/// The blocks of a Vorbis stream: each packet is a short or a long one, and plays from the middle
/// of the block before to its own.
#[derive(Debug)]
struct Blocks {
    short: u32,
    long: u32,
    /// One bit for each mode: whether its block is a long one.
    long_modes: u64,
    /// Bits of a packet that name its mode.
    mode_bits: u32,
    last: Option<u32>,
}

impl Blocks {
    fn of(first: &[u8], setup: &[u8]) -> Option<Self> {
        let sizes = *first.get(28)?;
        let (short, long) = (1 << (sizes & 15), 1 << (sizes >> 4));
        let (modes, long_modes) = modes(setup)?;
        Some(Self { short, long, long_modes, mode_bits: ilog(modes - 1), last: None })
    }

    fn packet(&mut self, start: &[u8]) -> u32 {
        let Some(&first) = start.first() else { return 0 };
        let mode = u32::from(first >> 1) & ((1 << self.mode_bits) - 1);
        let block = if self.long_modes >> mode & 1 == 1 { self.long } else { self.short };
        self.last.replace(block).map_or(0, |last| (last + block) / 4)
    }
}

/// Number of modes in a Vorbis setup packet, and one bit for each that is set for long blocks.
///
/// The modes are the last things in it, behind code books that only a decoder can measure, so it is
/// read from its end (as FFmpeg's and liboggz' parsers do): the framing bit, then for each mode 8
/// bits of mapping, 32 bits that are always zero and the block's bit, and in front of them the
/// number of modes in 6 bits. What stands there by chance may look like one mode more, so the last
/// number that fits is taken.
fn modes(setup: &[u8]) -> Option<(u32, u64)> {
    let body = setup.strip_prefix(b"\x05vorbis")?;
    let framing = (0..body.len() * 8).rev().find(|&at| bit(body, at) == 1)?;
    let (mut end, mut found, mut flags, mut count) = (framing, None, 0_u64, 0);
    while end >= MODE_BITS + MODE_COUNT_BITS && count < MODES_MAX {
        let mode = end - MODE_BITS;
        if bits(body, mode + 1, 32) != 0 || bits(body, mode + 33, 8) >= 64 {
            break;
        }
        count += 1;
        // Later modes were met first.
        flags = flags << 1 | bit(body, mode);
        end = mode;
        if bits(body, end - MODE_COUNT_BITS, MODE_COUNT_BITS) + 1 == u64::from(count) {
            found = Some((count, flags));
        }
    }
    found
}

/// Bits of one mode, and of their number.
const MODE_BITS: usize = 41;
const MODE_COUNT_BITS: usize = 6;
const MODES_MAX: u32 = 64;

/// Vorbis counts bits from the lowest one of the first byte.
fn bit(bytes: &[u8], at: usize) -> u64 {
    u64::from(bytes[at / 8] >> (at % 8) & 1)
}

fn bits(bytes: &[u8], at: usize, count: usize) -> u64 {
    (0..count).fold(0, |number, index| number | bit(bytes, at + index) << index)
}

/// Vorbis I, 9.2.1: bits needed for `number`.
fn ilog(number: u32) -> u32 {
    u32::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_packets_tell_frames_and_their_number() {
        for (packet, samples) in [
            (&[0x00][..], 480),
            (&[0x18], 2_880),
            (&[0x68], 960),
            (&[0x80], 120),
            (&[0xFC], 960),
            (&[0xFD], 1_920),
            (&[0x83, 0x06], 720),
            (&[0x03], 0),
            (&[], 0),
        ] {
            assert_eq!(opus_samples(packet), samples, "{packet:?}");
        }
    }

    #[test]
    fn flac_frames_tell_their_block_size() {
        for (frame, samples) in [
            (&[0xFF, 0xF8, 0x19, 0x18, 0x00, 0xC2][..], Some(192)),
            (&[0xFF, 0xF8, 0x59, 0x18, 0x00, 0xC2], Some(4_608)),
            (&[0xFF, 0xF8, 0xC9, 0x18, 0x00, 0xC2], Some(4_096)),
            (&[0xFF, 0xF8, 0x69, 0x18, 0x00, 0x0F, 0xC2], Some(16)),
            (&[0xFF, 0xF8, 0x79, 0x18, 0xC2, 0x80, 0x01, 0x00], Some(257)),
            (&[0xFF, 0xF8, 0x79, 0x18, 0x00, 0x01], None),
            (&[0xFF, 0xF8, 0x09, 0x18, 0x00, 0x01], None),
            (&[0x00; 8], None),
        ] {
            assert_eq!(flac_samples(frame), samples, "{frame:02x?}");
        }
    }

    #[test]
    fn vorbis_modes_are_found_from_the_end() {
        // Two modes, short and long, behind books that end with bits set; then the framing bit.
        let mut written: Vec<u64> = vec![1; 80];
        let mut put = |number: u64, count: usize| {
            written.extend((0..count).map(|index| number >> index & 1));
        };
        put(1, 6);
        for (long, mapping) in [(0, 0), (1, 1)] {
            put(long, 1);
            put(0, 32);
            put(mapping, 8);
        }
        put(1, 1);
        let bytes = written.chunks(8).map(|byte| {
            byte.iter().enumerate().fold(0, |sum, (index, bit)| sum | (*bit as u8) << index)
        });
        let setup: Vec<u8> = b"\x05vorbis".iter().copied().chain(bytes).collect();
        assert_eq!(modes(&setup), Some((2, 0b10)));
        for end in 0..setup.len() {
            let _ = modes(&setup[..end]);
        }
        let mut first = [0; 30];
        first[28] = 0xB8;
        let mut blocks = Blocks::of(&first, &setup).expect("two modes");
        let played: Vec<u32> = [0x00, 0x02, 0x02, 0x00].map(|byte| blocks.packet(&[byte])).to_vec();
        assert_eq!(played, [0, (256 + 2_048) / 4, 1_024, (256 + 2_048) / 4]);
    }
}
