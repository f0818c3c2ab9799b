//! WAV: RIFF, and RF64 whose sizes have 64 bits, around samples that are stored as they are
//! (Multimedia Programming Interface 1.0, 1991; EBU Tech 3306). The head is read and left out, and
//! samples are cut at whole blocks, one sample of each channel. Not here: compressed WAV, and the
//! big-endian RIFX. Source core.
//!
//! A live source cannot know how long it will send. Sizes of zero and close to the field's end mean
//! that, and a size that turns out too small is not believed either: what goes on like samples is
//! samples. Newcomers get a head with the size that ffmpeg writes to a pipe.

use super::format::{Format, Seam};
use super::pace::{Pace, micros};
use super::sniff::Sniffed;
use super::sync::UNFRAMED_BYTES_MAX;
use super::tag::TAG_BYTES_MAX;
use super::{Counters, Facts, Parser, Signature, Step};

/// The format's row in the table.
pub(super) const FORMAT: Format = Format {
    name: "WAV",
    content_types: &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"],
    sniff: head_begins,
    seam: Seam::Start,
    make: || Box::<Wav>::default(),
};

/// Units in a second: each is 20 ms. Longer, and every listener hears that much later; shorter, and
/// units are many for nothing, since start points stand 100 ms apart.
const UNITS_A_SECOND: u32 = 50;
/// Most bytes of a unit, where 20 ms would be more: eight channels of doubles at 192 kHz are 12 MB
/// a second.
const BYTES_MAX: usize = 64 * 1024;
/// Sizes from here on are not meant: encoders that cannot know write all bits set, or the greatest
/// number with a sign.
const SIZE_UNKNOWN_MIN: u64 = 0x7FFF_0000;
/// The size stands in `ds64`.
const SIZE_IN_DS64: u64 = u32::MAX as u64;
/// Bytes of `RIFF`, a size and `WAVE`.
const HEAD_BYTES: usize = 12;
/// Bytes of a chunk's name and size.
const CHUNK_HEADER_BYTES: usize = 8;
/// Longest body of `fmt ` and `ds64` that is read; known ones have 40 and 28 bytes.
const BODY_BYTES_MAX: usize = 1024;

/// The state of one mount's stream.
#[derive(Debug, Default)]
struct Wav {
    phase: Phase,
    /// From the head that was read last.
    format: Option<PcmFormat>,
    /// Size of the data by `ds64`.
    long_size: Option<u64>,
    /// Junk since the last unit, up to [`UNFRAMED_BYTES_MAX`].
    unframed_bytes: usize,
    /// Bytes of the chunk under way that are still to come.
    tag_bytes_left: usize,
    pace: Pace,
    counters: Counters,
    /// Head for newcomers; outlives the source.
    preamble: Vec<u8>,
}

/// What is read next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// `RIFF`.
    #[default]
    Head,
    /// A chunk in front of the samples.
    Chunks,
    /// Samples, and how many bytes of them are still to come if their size is believed.
    Samples(Option<u64>),
    /// What stands behind the announced end of the samples, and whether some of that was a chunk.
    End { has_chunk: bool },
    /// The stream is passed on as it is.
    GivenUp,
}

/// The chunk `fmt `, of samples that are stored as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PcmFormat {
    /// As it came.
    body: Vec<u8>,
    channels: u16,
    rate: u32,
    /// Bytes of one sample of each channel.
    block_bytes: usize,
}

impl PcmFormat {
    /// `None` if the samples are compressed, or the numbers do not fit together.
    fn parse(body: &[u8]) -> Option<Self> {
        let (&[t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, a0, a1, b0, b1], more) =
            body.split_first_chunk()?;
        let kind = match u16::from_le_bytes([t0, t1]) {
            // The extension holds its own size, valid bits, a mask of speakers, and the kind.
            EXTENSIBLE => u16::from_le_bytes(*more.get(8..)?.first_chunk()?),
            kind => kind,
        };
        let channels = u16::from_le_bytes([c0, c1]);
        let rate = u32::from_le_bytes([r0, r1, r2, r3]);
        let block_bytes = usize::from(u16::from_le_bytes([a0, a1]));
        let sample_bytes = usize::from(u16::from_le_bytes([b0, b1]).div_ceil(8));
        let is_stored = [PCM, FLOAT, A_LAW, MU_LAW].contains(&kind)
            && (1..=64).contains(&channels)
            && (1..=8).contains(&sample_bytes)
            && (1..=RATE_MAX).contains(&rate)
            && block_bytes == sample_bytes * usize::from(channels);
        is_stored.then(|| Self { body: body.to_vec(), channels, rate, block_bytes })
    }

    /// Blocks in one unit.
    fn blocks(&self) -> usize {
        let wanted = (self.rate / UNITS_A_SECOND) as usize;
        wanted.min(BYTES_MAX / self.block_bytes).max(1)
    }

    /// The head for newcomers: sizes of which every player knows that they are not meant.
    fn head(&self) -> Vec<u8> {
        let size = (self.body.len() as u32).to_le_bytes();
        let unknown = u32::MAX.to_le_bytes();
        [b"RIFF", &unknown[..], b"WAVEfmt ", &size, &self.body, b"data", &unknown].concat()
    }
}

/// Kinds of samples that are stored as they are (RFC 2361).
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
/// The kind stands in the chunk's extension.
const EXTENSIBLE: u16 = 0xFFFE;
/// In Hz; the highest of any converter.
const RATE_MAX: u32 = 768_000;

impl Wav {
    fn hunt(&mut self, input: &[u8]) -> Step {
        match head_begins(input) {
            Sniffed::Maybe => return Step::More,
            Sniffed::Yes => return self.begin_head(input),
            Sniffed::No => {}
        }
        let allowed = input.len().min(UNFRAMED_BYTES_MAX - self.unframed_bytes);
        let junk = memchr::memchr_iter(b'R', &input[..allowed])
            .find(|&at| head_begins(&input[at..]) != Sniffed::No);
        self.skip(junk.unwrap_or(allowed))
    }

    fn begin_head(&mut self, input: &[u8]) -> Step {
        self.phase = Phase::Chunks;
        self.format = None;
        self.long_size = None;
        self.leave_out(HEAD_BYTES, input)
    }

    /// A chunk in front of the samples.
    fn read_chunk(&mut self, input: &[u8]) -> Step {
        let (name, size) = match chunk(input) {
            Chunk::Header(name, size) => (name, size),
            Chunk::Undecided => return Step::More,
            Chunk::Nothing => {
                self.phase = Phase::Head;
                return self.skip(1);
            }
        };
        if name == *b"data" {
            return self.begin_samples(size, input);
        }
        if [*b"fmt ", *b"ds64"].contains(&name) && size <= BODY_BYTES_MAX {
            let Some(body) = input.get(CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + size) else {
                return Step::More;
            };
            match name == *b"fmt " {
                true => self.format = PcmFormat::parse(body),
                // The size of the whole, then that of the data.
                false => {
                    let size = body.get(8..).and_then(|behind| behind.first_chunk());
                    self.long_size = size.map(|size| u64::from_le_bytes(*size));
                }
            }
        } else if size > TAG_BYTES_MAX {
            self.phase = Phase::Head;
            return self.skip(1);
        }
        self.leave_out(CHUNK_HEADER_BYTES + size + size % 2, input)
    }

    /// The head is complete: newcomers get one if it says something new.
    fn begin_samples(&mut self, size: usize, input: &[u8]) -> Step {
        let Some(format) = &self.format else {
            self.phase = Phase::GivenUp;
            return Step::pass(input);
        };
        let head = format.head();
        if head != self.preamble {
            self.preamble = head;
            self.pace = Pace::default();
            return Step::Head { bytes: 0 };
        }
        let size = match (size as u64, self.long_size) {
            (SIZE_IN_DS64, Some(long)) => long,
            (size, _) if size >= SIZE_UNKNOWN_MIN => 0,
            (size, _) => size,
        };
        self.phase = Phase::Samples(Some(size).filter(|&size| size > 0));
        self.leave_out(CHUNK_HEADER_BYTES, input)
    }

    /// Samples: a whole unit, or what is left of an announced size.
    fn cut(&mut self, left: Option<u64>, input: &[u8]) -> Step {
        let Some(format) = &self.format else { return self.hunt(input) };
        let left_bytes =
            left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let blocks = format.blocks().min(left_bytes / format.block_bytes);
        if blocks == 0 {
            // Part of a block, of which no decoder can make anything.
            self.phase = Phase::End { has_chunk: false };
            self.tag_bytes_left = left_bytes;
            return self.next(input);
        }
        let bytes = blocks * format.block_bytes;
        if input.len() < bytes {
            return Step::More;
        }
        let duration_us = self.pace.duration_us(blocks as u32, format.rate);
        self.phase = match left.map(|left| left - bytes as u64) {
            Some(0) => Phase::End { has_chunk: false },
            left => Phase::Samples(left),
        };
        self.unframed_bytes = 0;
        self.counters.frames += 1;
        Step::frame(bytes, duration_us)
    }

    /// Behind the announced end: another file, a chunk of metadata, or, where the size was a lie,
    /// more samples. Samples that look like a chunk's header are met once in 10,000 such places.
    fn end(&mut self, has_chunk: bool, input: &[u8]) -> Step {
        // A chunk of odd size has a byte of padding, but not every writer knows.
        for padding in [0, 1] {
            let behind = input.get(padding..).unwrap_or_default();
            match (head_begins(behind), chunk(behind)) {
                (Sniffed::Yes, _) => {
                    self.phase = Phase::Head;
                    self.tag_bytes_left = padding;
                    return self.next(input);
                }
                (Sniffed::Maybe, _) | (_, Chunk::Undecided) => return Step::More,
                (Sniffed::No, Chunk::Header(_, size)) if size <= TAG_BYTES_MAX => {
                    self.phase = Phase::End { has_chunk: true };
                    return self.leave_out(padding + CHUNK_HEADER_BYTES + size + size % 2, input);
                }
                (Sniffed::No, _) => {}
            }
        }
        self.phase = if has_chunk { Phase::Head } else { Phase::Samples(None) };
        self.next(input)
    }

    fn next(&mut self, input: &[u8]) -> Step {
        if input.is_empty() {
            return Step::More;
        }
        if self.tag_bytes_left > 0 {
            return self.leave_out(self.tag_bytes_left, input);
        }
        match self.phase {
            Phase::Head => self.hunt(input),
            Phase::Chunks => self.read_chunk(input),
            Phase::Samples(left) => self.cut(left, input),
            Phase::End { has_chunk } => self.end(has_chunk, input),
            Phase::GivenUp => Step::pass(input),
        }
    }

    /// Leaves out the next `bytes`, which need not all be here.
    fn leave_out(&mut self, bytes: usize, input: &[u8]) -> Step {
        let here = bytes.min(input.len());
        self.tag_bytes_left = bytes - here;
        self.counters.tag_bytes += here as u64;
        Step::Tag { bytes: here }
    }

    fn skip(&mut self, bytes: usize) -> Step {
        self.counters.junk_bytes += bytes as u64;
        self.unframed_bytes += bytes;
        if self.unframed_bytes >= UNFRAMED_BYTES_MAX {
            self.phase = Phase::GivenUp;
            self.format = None;
        }
        Step::Junk { bytes }
    }
}

/// What stands at some place, read as a chunk's header.
enum Chunk {
    /// A name of four printable letters, and the size of what follows.
    Header([u8; 4], usize),
    Undecided,
    Nothing,
}

fn chunk(input: &[u8]) -> Chunk {
    let name = &input[..input.len().min(4)];
    if !name.iter().all(|letter| (b' '..=b'~').contains(letter)) {
        return Chunk::Nothing;
    }
    let Some(&[n0, n1, n2, n3, s0, s1, s2, s3]) = input.first_chunk() else {
        return Chunk::Undecided;
    };
    Chunk::Header([n0, n1, n2, n3], u32::from_le_bytes([s0, s1, s2, s3]) as usize)
}

/// Whether `input` begins with `RIFF` or `RF64`, a size, and `WAVE`.
fn head_begins(input: &[u8]) -> Sniffed {
    let mut magic: [u8; HEAD_BYTES] = *b"RIFF....WAVE";
    if input.get(1) == Some(&b'F') {
        magic[..4].copy_from_slice(b"RF64");
    }
    // Any size will do.
    let seen = input.len().min(8);
    magic[4.min(seen)..seen].copy_from_slice(&input[4.min(seen)..seen]);
    Sniffed::by_magic(input, &magic)
}

impl Parser for Wav {
    fn step(&mut self, input: &[u8]) -> Step {
        self.next(input)
    }

    fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    fn facts(&self) -> Facts {
        let Some(format) = &self.format else { return Facts::default() };
        let bits = format.block_bytes as u64 * 8 * u64::from(format.rate);
        Facts {
            codec: Some("PCM"),
            video_codec: None,
            bitrate_kbps: u32::try_from((bits + 500) / 1_000).ok(),
            sample_rate: Some(format.rate),
            channels: u8::try_from(format.channels).ok(),
            frame_us: Some(micros(format.blocks() as u32, format.rate)),
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn signature(&self) -> Option<Signature> {
        Some(Signature::of(&[b"WAV", &self.format.as_ref()?.body]))
    }

    fn gave_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    fn next_source(&mut self) {
        *self = Self { preamble: std::mem::take(&mut self.preamble), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Framer;
    use super::super::testing::{Xorshift, hear, hear_every_way};
    use super::*;

    const TYPE: &str = "audio/wav";

    /// Stereo of 16 bits at 8 kHz: a unit is 160 blocks of 4 bytes.
    const FMT: [u8; 16] = *b"\x01\0\x02\0\x40\x1F\0\0\0\x7D\0\0\x04\0\x10\0";

    fn chunk_of(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let padding = &[0][..body.len() % 2];
        [name, &(body.len() as u32).to_le_bytes()[..], body, padding].concat()
    }

    /// A head that announces `size` bytes of samples.
    fn head(size: u32, more: &[u8]) -> Vec<u8> {
        let fmt = chunk_of(b"fmt ", &FMT);
        [b"RIFF\x24\0\0\0WAVE", &fmt[..], more, b"data", &size.to_le_bytes()].concat()
    }

    /// Bytes of which none is a letter.
    fn samples(count: usize) -> Vec<u8> {
        Xorshift(7).bytes(count).iter().map(|byte| byte | 0x80).collect()
    }

    #[test]
    fn samples_are_cut_at_20_ms_and_newcomers_get_a_head_without_an_end() {
        let head = head(6_400, &chunk_of(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0"));
        let (heard, framer) = hear_every_way(TYPE, &[&head[..], &samples(6_400)].concat());
        assert_eq!(heard.frames.len(), 10);
        assert_eq!(heard.durations_us, [20_000; 10]);
        assert_eq!((heard.left, &heard.tags[..]), (0, &[(0, head.len())][..]));
        assert_eq!(heard.out, samples(6_400));
        assert_eq!(heard.starts.len(), 10);
        let expected =
            [&b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0"[..], &FMT, b"data\xFF\xFF\xFF\xFF"];
        assert_eq!(heard.heads, [(0, expected.concat())]);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.bitrate_kbps), (Some("PCM"), Some(256)));
        assert_eq!((facts.sample_rate, facts.channels), (Some(8_000), Some(2)));
    }

    #[test]
    fn unknown_and_lying_sizes_never_end_the_samples() {
        for size in [0, u32::MAX, i32::MAX as u32, 1_280, 1_000] {
            let stream = [head(size, b""), samples(12_800)].concat();
            let (heard, framer) = hear_every_way(TYPE, &stream);
            assert!(heard.out == samples(12_800)[..12_800 - heard.left], "{size}");
            assert!(heard.left < 640 && framer.counters().junk_bytes == 0, "{size}");
        }
    }

    #[test]
    fn sizes_of_64_bits_are_read() {
        let body = [&0_u64.to_le_bytes()[..], &1_280_u64.to_le_bytes(), &[0; 12]].concat();
        let long = [&b"RF64\xFF\xFF\xFF\xFFWAVE"[..], &chunk_of(b"ds64", &body)].concat();
        let file = [&long[..], &head(u32::MAX, b"")[12..], &samples(1_280)].concat();
        let (heard, _) = hear_every_way(TYPE, &file.repeat(3));
        assert_eq!((heard.frames.len(), heard.heads.len()), (6, 1));
        assert_eq!(heard.out, samples(1_280).repeat(3));
    }

    #[test]
    fn files_in_a_row_go_on_as_one_stream_whatever_stands_between() {
        let file = [head(1_300, b""), samples(1_300)].concat();
        let list = chunk_of(b"LIST", b"INFOINAM\x03\0\0\0Ebb");
        for between in [vec![], list.clone(), [list, chunk_of(b"id3 ", &[0xFF; 99])].concat()] {
            let (heard, framer) = hear_every_way(TYPE, &[&file[..], &between].concat().repeat(4));
            assert_eq!(heard.out, samples(1_300).repeat(4));
            // Two whole units, and five blocks that the file has left.
            assert_eq!((heard.frames.len(), heard.heads.len()), (12, 1));
            assert_eq!(framer.counters().junk_bytes, 0);
        }
    }

    #[test]
    fn part_of_a_block_at_a_files_end_and_padding_are_left_out() {
        let file = [head(643, b""), samples(643), vec![0]].concat();
        for writer_knows_padding in [true, false] {
            let bytes = file.len() - usize::from(!writer_knows_padding);
            let (heard, framer) = hear_every_way(TYPE, &file[..bytes].repeat(3));
            assert_eq!(heard.out, samples(643)[..640].repeat(3));
            assert_eq!(framer.counters().junk_bytes, 0);
        }
    }

    #[test]
    fn another_source_goes_on_and_another_format_makes_another_head() {
        let mut framer = Framer::for_content_type(TYPE);
        let stream = [head(0, b""), samples(1_280)].concat();
        assert_eq!(hear(&mut framer, &stream, || 99).heads.len(), 1);
        let signature = framer.signature();
        framer.next_source(TYPE);
        let heard = hear(&mut framer, &stream, || 99);
        assert_eq!((heard.frames.len(), heard.heads.len()), (2, 0));
        assert_eq!(framer.signature(), signature);
        framer.next_source(TYPE);
        let mut mono = stream.clone();
        mono[22] = 1;
        mono[32] = 2;
        let heard = hear(&mut framer, &mono, || 99);
        assert_eq!((heard.frames.len(), heard.heads.len()), (4, 1));
        assert_ne!(framer.signature(), signature);
    }

    #[test]
    fn floats_and_extensible_formats_are_read_and_compressed_ones_passed_on() {
        let mut extensible = [&FMT[..], b"\x16\0\x10\0\x03\0\0\0\x01\0"].concat();
        extensible.extend(b"\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71");
        extensible[..2].copy_from_slice(&[0xFE, 0xFF]);
        assert_eq!(PcmFormat::parse(&extensible).unwrap().block_bytes, 4);
        for cut in 0..26 {
            assert_eq!(PcmFormat::parse(&extensible[..cut]), None, "{cut}");
        }
        let with = |at: usize, byte: u8| {
            let mut fmt = FMT;
            fmt[at] = byte;
            PcmFormat::parse(&fmt)
        };
        assert!(with(0, 0x03).is_some() && with(0, 0x06).is_some());
        // MP3 in WAV, no channels, no rate, blocks that are not the sum of their samples.
        for (at, byte) in [(0, 0x55), (2, 0), (7, 9), (12, 3), (14, 8)] {
            assert_eq!(with(at, byte), None, "{at}");
        }
        let mut stream = [head(0, b""), samples(3_000)].concat();
        stream[20] = 0x55;
        let (heard, framer) = hear_every_way(TYPE, &stream);
        assert_eq!((heard.passed, framer.gave_up()), (3_008, true));
    }

    #[test]
    fn junk_in_front_is_skipped_and_hostile_chunks_are_not_kept() {
        let junk = b"HTTP RIFF banner RIF".repeat(20);
        let stream = [&junk[..], &head(0, b""), &samples(640)].concat();
        let (heard, _) = hear_every_way(TYPE, &stream);
        assert_eq!((heard.frames.len(), &heard.junk[..]), (1, &[(0, junk.len())][..]));

        let hostile = [&b"RIFF....WAVEfmt \xFF\xFF\0\0"[..], &[0; 500]].concat();
        let mut framer = Framer::for_content_type(TYPE);
        assert_eq!(hear(&mut framer, &hostile, || 30).left, 0);
        let endless = [&b"RIFF....WAVEJUNK\xFF\xFF\xFF\xFF"[..], &[0; 80_000]].concat();
        let (heard, framer) = hear_every_way(TYPE, &endless);
        assert!(framer.gave_up());
        assert_eq!(heard.junk, [(12, UNFRAMED_BYTES_MAX)]);
    }

    #[test]
    fn a_unit_has_a_ceiling_and_is_never_less_than_a_block() {
        // Doubles of 64 channels.
        let mut fmt = FMT;
        fmt[2..4].copy_from_slice(&64_u16.to_le_bytes());
        fmt[4..8].copy_from_slice(&RATE_MAX.to_le_bytes());
        fmt[12..16].copy_from_slice(&[0, 2, 64, 0]);
        let format = PcmFormat::parse(&fmt).unwrap();
        assert_eq!(format.blocks() * format.block_bytes, BYTES_MAX);
        fmt[4..8].copy_from_slice(&[1, 0, 0, 0]);
        assert_eq!(PcmFormat::parse(&fmt).unwrap().blocks(), 1);
    }

    #[test]
    fn a_head_is_told_when_it_is_whole() {
        for head in [b"RIFF\x01\x02\x03\x04WAVE", b"RF64\xFF\xFF\xFF\xFFWAVE"] {
            for cut in 0..HEAD_BYTES {
                assert_eq!(head_begins(&head[..cut]), Sniffed::Maybe, "{cut}");
            }
            assert_eq!(head_begins(head), Sniffed::Yes);
        }
        for other in [&b"RIFX"[..], b"RF65", b"RIFF....AVI ", b"RIF64", b"X"] {
            assert_eq!(head_begins(other), Sniffed::No);
        }
    }
}
