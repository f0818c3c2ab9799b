//! FLAC on its own, without a container (RFC 9639): the head is read and left out of the stream,
//! frames are found, checked and, where another source went before, numbered on. Decodes no audio.
//! Source core.
//!
//! A frame does not tell its length. It ends where the next begins, which is certain if another
//! header with a right CRC-8 stands there and the CRC-16 of all before it is right. So a frame is
//! delivered when the header behind it has come, one frame later than it could have been played.
//!
//! What plays shorter than the stream's fixed blocks can only be its end (RFC 9639, 9.1). Since a
//! live stream has none, the rest of a block at the end of a file is left out.
//!
//! Players learn the codec parameters from STREAMINFO at the very beginning. What newcomers get is
//! made of the source's own, or of a frame's header if the source was met in mid-stream.

mod frame;
mod head;
mod writing;

use super::comments;
use super::format::{Format, Seam};
use super::header::Parsed;
use super::mean::Mean;
use super::pace::{Pace, micros};
use super::sniff::Sniffed;
use super::sync::UNFRAMED_BYTES_MAX;
use super::tag::{self, Sight};
use super::{Counters, Facts, Parser, Signature, Step, Tags};
use frame::FrameHeader;
use head::{BLOCK_HEADER_BYTES, BlockHeader, BlockKind, MARK, STREAMINFO_BYTES, StreamInfo};
use writing::Writing;

/// The format's row in the table.
pub(super) const FORMAT: Format = Format {
    name: "FLAC",
    content_types: &["audio/flac", "audio/x-flac", "application/flac", "application/x-flac"],
    sniff,
    seam: Seam::Start,
    make: || Box::<Flac>::default(),
};

/// Largest VORBIS_COMMENT that is read and sent to newcomers. Titles and credits take 2 KB; more
/// is a picture, which would be sent with every join.
const COMMENTS_BYTES_MAX: usize = 16 * 1024;

/// Frames with a wrong CRC-16 in a row after which the stream is passed on as it is. Fewer, and a
/// bad line costs a stream its framing; more, and an encoder that computes its checksums wrong is
/// not heard for longer (32 frames of 4,096 samples are 3 seconds).
const DAMAGED_FRAMES_MAX: u32 = 32;

/// The state of one mount's stream.
#[derive(Debug, Default)]
struct Flac {
    /// What was read of the present source.
    reading: Reading,
    /// What listeners have got, of this and all sources before.
    writing: Writing,
}

/// Where reading of one source stands.
#[derive(Debug, Default)]
struct Reading {
    phase: Phase,
    /// From the source's head, or what the last frame tells.
    info: Option<StreamInfo>,
    /// Whether newcomers get the head of `info` and `comments`.
    is_head_told: bool,
    /// The body of the head's VORBIS_COMMENT.
    comments: Vec<u8>,
    tags: Option<Tags>,
    /// The frame under way, at whose first byte the input stands.
    attempt: Option<Attempt>,
    /// Header of the last frame delivered.
    last: Option<FrameHeader>,
    /// The number that comes next. `None` at the start of a source and behind a head.
    expected: Option<u64>,
    /// Whether the last step ended where something known should begin.
    is_locked: bool,
    /// Damaged frames since the last whole one.
    damaged: u32,
    /// Junk since the last frame, up to [`UNFRAMED_BYTES_MAX`].
    unframed_bytes: usize,
    /// Bytes of the block or tag under way that are still to come.
    tag_bytes_left: usize,
    pace: Pace,
    mean: Mean,
    counters: Counters,
}

/// What is read next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// A frame, or a head.
    #[default]
    Frames,
    /// A metadata block.
    Blocks,
    /// The stream is passed on unframed.
    GivenUp,
}

/// A frame whose end is not found yet. All of it follows from the bytes before `searched`, so that
/// it is the same however they were cut.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    header: FrameHeader,
    /// Longest that the frame can be.
    bytes_max: usize,
    /// No frame begins before this place.
    searched: usize,
    /// Checksum of the first `summed` bytes.
    crc: u16,
    summed: usize,
}

/// What stands at some place.
enum Found {
    Frame(FrameHeader),
    /// `fLaC`, and a STREAMINFO behind it.
    Head,
    /// A tag of so many bytes.
    Tag(usize),
    /// Something that more bytes will decide.
    Undecided,
    Nothing,
}

impl Reading {
    fn step(&mut self, input: &[u8], writing: &mut Writing) -> Step {
        if input.is_empty() {
            return Step::More;
        }
        if self.tag_bytes_left > 0 {
            return self.take_tag(input);
        }
        match (self.phase, self.attempt) {
            (Phase::GivenUp, _) => Step::pass(input),
            (Phase::Blocks, _) => self.read_block(input),
            (Phase::Frames, Some(attempt)) => self.follow(attempt, input, writing),
            (Phase::Frames, None) => self.begin(input, writing),
        }
    }

    /// Decides what the first bytes are.
    fn begin(&mut self, input: &[u8], writing: &mut Writing) -> Step {
        let found = self.look(input);
        match found {
            Found::Undecided => return Step::More,
            Found::Frame(header) => {
                let bytes_max = header.frame_bytes_max(self.bits(header));
                let searched = header.bytes;
                let attempt = Attempt { header, bytes_max, searched, crc: 0, summed: 0 };
                return self.follow(attempt, input, writing);
            }
            Found::Head => {
                self.phase = Phase::Blocks;
                self.info = None;
                self.is_head_told = false;
                self.expected = None;
                self.comments.clear();
                self.tag_bytes_left = MARK.len();
                return self.take_tag(input);
            }
            Found::Tag(bytes) => {
                self.tag_bytes_left = bytes;
                return self.take_tag(input);
            }
            Found::Nothing => self.miss(),
        }
        let allowed = input.len().min(UNFRAMED_BYTES_MAX - self.unframed_bytes);
        let junk = memchr::memchr3_iter(frame::SYNC, MARK[0], ID3_MARK, &input[..allowed])
            .find(|&at| !matches!(self.look(&input[at..]), Found::Nothing));
        self.skip(junk.unwrap_or(allowed))
    }

    fn look(&self, input: &[u8]) -> Found {
        match input.first() {
            Some(&frame::SYNC) => match FrameHeader::parse(input) {
                Parsed::Whole(header) if self.info_for(header).is_some() => Found::Frame(header),
                Parsed::Incomplete => Found::Undecided,
                Parsed::Whole(_) | Parsed::Nothing => Found::Nothing,
            },
            Some(&ID3_MARK) => match tag::sight(input) {
                Sight::Tag(bytes) => Found::Tag(bytes),
                Sight::Undecided => Found::Undecided,
                Sight::None => Found::Nothing,
            },
            _ => match head_begins(input) {
                Sniffed::Yes => Found::Head,
                Sniffed::Maybe => Found::Undecided,
                Sniffed::No => Found::Nothing,
            },
        }
    }

    /// The parameters of a stream with a frame of `header`; `None` if nothing tells them.
    fn info_for(&self, header: FrameHeader) -> Option<StreamInfo> {
        self.info.filter(|info| info.allows(header)).or_else(|| StreamInfo::told_by(header))
    }

    fn bits(&self, header: FrameHeader) -> u8 {
        self.info_for(header).map_or(header.bits, |info| info.bits)
    }

    /// Looks for the end of the frame under way. A header of the same stream ends it in any case,
    /// so that damage costs one frame; another stream's only if the frame before it is whole. In
    /// random bytes the one is met once in 16 GB, the other never.
    fn follow(&mut self, mut attempt: Attempt, input: &[u8], writing: &mut Writing) -> Step {
        loop {
            let seen = input.len().min(attempt.bytes_max + 1);
            let rest = &input[attempt.searched..seen];
            let Some(next) = memchr::memchr2(frame::SYNC, MARK[0], rest) else {
                attempt.searched = seen;
                break;
            };
            attempt.searched += next;
            let found = self.look(&input[attempt.searched..]);
            let ends = match found {
                Found::Undecided => {
                    self.attempt = Some(attempt);
                    return Step::More;
                }
                Found::Frame(next) => next.is_kin_of(attempt.header) || attempt.is_whole(input),
                Found::Head => true,
                Found::Tag(_) | Found::Nothing => false,
            };
            if ends {
                return self.end(attempt, input, writing);
            }
            attempt.searched += 1;
        }
        if attempt.searched <= attempt.bytes_max {
            self.attempt = Some(attempt);
            return Step::More;
        }
        // Nothing ends it: its header was none, or what follows it is lost.
        self.attempt = None;
        self.miss();
        self.skip(attempt.bytes_max.min(UNFRAMED_BYTES_MAX - self.unframed_bytes))
    }

    /// The frame under way ends where it was searched to.
    fn end(&mut self, mut attempt: Attempt, input: &[u8], writing: &mut Writing) -> Step {
        let (header, bytes) = (attempt.header, attempt.searched);
        let info = self.info_for(header).filter(|_| attempt.is_whole(input));
        let Some(info) = info else { return self.leave_out(header, bytes) };
        if info.is_short(header) {
            return self.take_rest(bytes);
        }
        self.is_head_told &= self.info == Some(info);
        self.info = Some(info);
        if !std::mem::replace(&mut self.is_head_told, true)
            && writing.changes_head(info, &self.comments)
        {
            self.attempt = Some(attempt);
            return Step::Head { bytes: 0 };
        }
        self.attempt = None;
        if self.last.is_some_and(|last| last.rate != header.rate) {
            self.pace = Pace::default();
            self.mean = Mean::default();
        }
        self.mean.add(bytes, header.samples, info.rate, false);
        self.last = Some(header);
        self.unframed_bytes = 0;
        self.damaged = 0;
        self.is_locked = true;
        self.counters.frames += 1;
        let goes_on = self.expected.is_some_and(|expected| header.number >= expected);
        if let Some(expected) = self.expected.filter(|_| goes_on) {
            let missing = header.number - expected;
            // Of variable blocks only the samples that are missing are known.
            self.counters.gaps += if header.varies { missing.min(1) } else { missing };
        }
        self.expected = Some(header.next_number());
        let rewritten = writing.number(header, &input[..bytes], goes_on);
        let duration_us = self.pace.duration_us(header.samples, info.rate);
        Step::Frame { bytes, duration_us, starts: true, rewritten }
    }

    /// The last frame of a file, in front of another file: what follows a short block has no place
    /// in a stream of fixed ones, and ffmpeg would take the time of this one for a jump back.
    fn take_rest(&mut self, bytes: usize) -> Step {
        self.attempt = None;
        self.expected = None;
        self.counters.tag_bytes += bytes as u64;
        Step::Tag { bytes }
    }

    /// The frame of `header` is damaged; the next one stands behind its `bytes`.
    fn leave_out(&mut self, header: FrameHeader, bytes: usize) -> Step {
        self.attempt = None;
        self.is_locked = true;
        self.counters.crc_errors += 1;
        self.counters.junk_bytes += bytes as u64;
        if self.expected.is_some_and(|expected| header.number >= expected) {
            self.expected = Some(header.next_number());
        }
        self.damaged += 1;
        if self.damaged == DAMAGED_FRAMES_MAX {
            self.phase = Phase::GivenUp;
        }
        Step::Junk { bytes }
    }

    /// A metadata block, which goes to nobody as it is.
    fn read_block(&mut self, input: &[u8]) -> Step {
        let Some((&header, body)) = input.split_first_chunk::<BLOCK_HEADER_BYTES>() else {
            return Step::More;
        };
        let Some(header) = BlockHeader::of(header) else {
            self.phase = Phase::Frames;
            return self.skip(1);
        };
        // Whether a block is read depends on its header alone, not on how much of it is here.
        let is_read = match header.kind {
            BlockKind::StreamInfo => header.bytes == STREAMINFO_BYTES,
            BlockKind::Comments => header.bytes <= COMMENTS_BYTES_MAX,
            BlockKind::Other => false,
        };
        if is_read {
            let Some(body) = body.get(..header.bytes) else { return Step::More };
            self.keep(header.kind, body);
        }
        if header.is_last {
            self.phase = Phase::Frames;
        }
        self.tag_bytes_left = BLOCK_HEADER_BYTES + header.bytes;
        self.take_tag(input)
    }

    fn keep(&mut self, kind: BlockKind, body: &[u8]) {
        if kind == BlockKind::StreamInfo {
            self.info = body.first_chunk().and_then(StreamInfo::parse);
        } else {
            self.comments.clear();
            self.comments.extend_from_slice(body);
            self.tags = comments::read(body).filter(|tags| !tags.is_empty());
        }
    }

    fn take_tag(&mut self, input: &[u8]) -> Step {
        let bytes = input.len().min(self.tag_bytes_left);
        self.tag_bytes_left -= bytes;
        self.counters.tag_bytes += bytes as u64;
        Step::Tag { bytes }
    }

    /// What was expected is not here.
    fn miss(&mut self) {
        self.counters.resyncs += u64::from(self.is_locked);
        self.is_locked = false;
    }

    fn skip(&mut self, bytes: usize) -> Step {
        self.counters.junk_bytes += bytes as u64;
        self.unframed_bytes += bytes;
        if self.unframed_bytes >= UNFRAMED_BYTES_MAX {
            self.phase = Phase::GivenUp;
            self.last = None;
        }
        Step::Junk { bytes }
    }
}

impl Attempt {
    /// Whether the frame's checksum is right if it ends where it was searched to.
    fn is_whole(&mut self, input: &[u8]) -> bool {
        self.crc = frame::sum(self.crc, &input[self.summed..self.searched]);
        self.summed = self.searched;
        self.crc == 0
    }
}

/// First byte of an ID3v2 tag, which some taggers put in front of a head.
const ID3_MARK: u8 = b'I';

/// Whether `input` begins with `fLaC` and the header of a STREAMINFO.
fn head_begins(input: &[u8]) -> Sniffed {
    let mut mark = [0; MARK.len() + BLOCK_HEADER_BYTES];
    mark[..MARK.len()].copy_from_slice(&MARK);
    mark[MARK.len() + 3] = STREAMINFO_BYTES as u8;
    // The first bit behind `fLaC` says that no other block follows.
    mark[MARK.len()] = input.get(MARK.len()).map_or(0, |kind| kind & 0x80);
    Sniffed::by_magic(input, &mark)
}

/// Whether a stream begins with a head, or with an ID3v2 tag and then a head.
fn sniff(input: &[u8]) -> Sniffed {
    match tag::sight(input) {
        Sight::Undecided => Sniffed::Maybe,
        Sight::Tag(bytes) => input.get(bytes..).map_or(Sniffed::Maybe, head_begins),
        Sight::None => head_begins(input),
    }
}

impl Parser for Flac {
    fn step(&mut self, input: &[u8]) -> Step {
        self.reading.step(input, &mut self.writing)
    }

    fn written(&self) -> &[u8] {
        self.writing.frame()
    }

    fn preamble(&self) -> &[u8] {
        self.writing.preamble()
    }

    fn facts(&self) -> Facts {
        let reading = &self.reading;
        let (Some(last), Some(info)) = (reading.last, reading.info) else {
            return Facts::default();
        };
        Facts {
            codec: Some("FLAC"),
            video_codec: None,
            bitrate_kbps: reading.mean.kbps(info.rate),
            sample_rate: Some(info.rate),
            channels: Some(info.channels),
            frame_us: Some(micros(last.samples, info.rate)),
        }
    }

    fn counters(&self) -> Counters {
        self.reading.counters
    }

    fn signature(&self) -> Option<Signature> {
        let (last, info) = (self.reading.last?, self.reading.info?);
        Some(info.signature(last.varies))
    }

    fn take_tags(&mut self) -> Option<Tags> {
        self.reading.tags.take()
    }

    fn gave_up(&self) -> bool {
        self.reading.phase == Phase::GivenUp
    }

    fn next_source(&mut self) {
        self.reading = Reading::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Heard, Xorshift, hear, hear_every_way};
    use super::super::{Framer, UNIT_BYTES_MAX};
    use super::*;

    const TYPE: &str = "audio/flac";
    /// 4,096 samples at 44.1 kHz, stereo, 16 bits.
    const FORMAT_BYTES: [u8; 2] = [0xC9, 0x18];

    /// A frame with a body of `bytes` random bytes in which no header can begin.
    fn frame_of(format: [u8; 2], number: u8, bytes: usize, random: &mut Xorshift) -> Vec<u8> {
        assert!(number < 0x80, "one byte of the code");
        let mut frame = vec![0xFF, 0xF8, format[0], format[1], number];
        frame.push(crc::Crc::<u8>::new(&crc::CRC_8_SMBUS).checksum(&frame));
        frame.extend(random.bytes(bytes).iter().map(|byte| byte & 0x7F));
        let crc = frame::sum(0, &frame);
        frame.extend(crc.to_be_bytes());
        frame
    }

    /// `count` frames numbered from `first` on.
    fn frames(first: u8, count: u8) -> Vec<Vec<u8>> {
        let mut random = Xorshift(u64::from(first) + 99);
        let mut next = |number| {
            let bytes = 300 + random.below(400);
            frame_of(FORMAT_BYTES, number, bytes, &mut random)
        };
        (first..first + count).map(&mut next).collect()
    }

    /// A file's head with a seek table, comments that name `title`, a picture and padding.
    fn head(title: &str, picture_bytes: usize) -> Vec<u8> {
        let mut head = b"fLaC\0\0\0\x22\x10\0\x10\0\0\x01\x02\0\x03\x04\x0A\xC4\x42\xF0".to_vec();
        head.extend([0x77; 20]);
        head.extend(b"\x03\0\0\x12");
        head.extend([0xFF; 18]);
        let list = list(title);
        head.extend([4, 0, 0, list.len() as u8]);
        head.extend(list);
        head.extend([6]);
        head.extend(&(picture_bytes as u32).to_be_bytes()[1..]);
        head.extend(vec![0xFF; picture_bytes]);
        head.extend(b"\x81\0\0\x05\0\0\0\0\0");
        head
    }

    fn list(title: &str) -> Vec<u8> {
        let comment = format!("TITLE={title}");
        let mut list = b"\x04\0\0\0Lavf\x01\0\0\0".to_vec();
        list.extend((comment.len() as u32).to_le_bytes());
        list.extend(comment.as_bytes());
        list
    }

    fn lengths(heard: &Heard) -> Vec<usize> {
        heard.frames.iter().map(|&(_, bytes)| bytes).collect()
    }

    /// Numbers of all frames in `out`, which are whole.
    fn numbers(out: &[u8]) -> Vec<u64> {
        let mut framer = Framer::for_content_type(TYPE);
        let heard = hear(&mut framer, out, || out.len());
        assert_eq!((framer.counters().junk_bytes, framer.counters().gaps), (0, 0));
        let number = |&(at, _): &(usize, usize)| match FrameHeader::parse(&out[at..]) {
            Parsed::Whole(header) => header.number,
            Parsed::Incomplete | Parsed::Nothing => panic!("no frame at {at}"),
        };
        heard.frames.iter().map(number).collect()
    }

    #[test]
    fn a_file_is_heard_as_its_head_and_its_frames_but_the_last() {
        let (head, frames) = (head("Ebb", 5_000), frames(0, 12));
        let stream = [&head[..], &frames.concat()].concat();
        let (heard, framer) = hear_every_way(TYPE, &stream);
        assert_eq!(lengths(&heard), frames[..11].iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(heard.tags, [(0, head.len())]);
        assert_eq!((heard.left, &heard.junk[..]), (frames[11].len(), &[][..]));
        assert_eq!(heard.out, frames[..11].concat());
        assert_eq!(heard.starts.len(), 11);
        // 4,096 samples at 44.1 kHz are 92,879.8 µs.
        assert_eq!(heard.durations_us[..3], [92_879, 92_880, 92_880]);
        let counters = framer.counters();
        let tag_bytes = head.len() as u64;
        assert_eq!(counters, Counters { frames: 11, tag_bytes, ..Counters::default() });
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.sample_rate), (Some("FLAC"), Some(44_100)));
        assert_eq!((facts.channels, facts.frame_us), (Some(2), Some(92_879)));
        assert_eq!(heard.told[0].title.as_deref(), Some("Ebb"));
    }

    #[test]
    fn a_newcomers_head_has_parameters_and_comments_and_nothing_of_a_file() {
        let stream = [head("Ebb", 100), frames(0, 3).concat()].concat();
        let (heard, _) = hear_every_way(TYPE, &stream);
        let [(0, preamble)] = &heard.heads[..] else { panic!("{:?}", heard.heads) };
        let info = b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0A\xC4\x42\xF0";
        let comments = [&b"\x84\0\0"[..], &[list("Ebb").len() as u8], &list("Ebb")].concat();
        assert_eq!(*preamble, [&info[..], &[0; 20], &comments].concat());
    }

    #[test]
    fn a_stream_met_in_its_middle_gets_a_head_made_of_a_frame() {
        let (whole, stream) = (frames(50, 6), frames(50, 6).concat());
        let (heard, framer) = hear_every_way(TYPE, &stream[100..]);
        assert_eq!(heard.junk, [(0, whole[0].len() - 100)]);
        assert_eq!(heard.frames.len(), 4);
        assert_eq!(framer.counters().resyncs, 0);
        let expected = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0A\xC4\x42\xF0";
        assert_eq!(heard.heads, [(0, [&expected[..], &[0; 20]].concat())]);
        // The frames keep their numbers: a decoder may begin with any.
        assert_eq!(heard.out, whole[1..5].concat());
    }

    #[test]
    fn the_next_file_goes_on_with_its_frames_numbered_behind_the_last() {
        let file = [head("Ebb", 0), frames(0, 4).concat()].concat();
        let other = [head("Flow", 0), frames(0, 4).concat()].concat();
        let (heard, framer) = hear_every_way(TYPE, &[&file[..], &file, &other].concat());
        // The last frame of a file ends at the next one's head.
        assert_eq!(heard.frames.len(), 11);
        assert_eq!(numbers(&heard.out), (0..10).collect::<Vec<_>>());
        assert_eq!(heard.heads.len(), 2, "one more, for the other title");
        let counters = framer.counters();
        assert_eq!((counters.junk_bytes, counters.gaps, counters.crc_errors), (0, 0, 0));
        let titles: Vec<_> = heard.told.iter().filter_map(|tags| tags.title.as_deref()).collect();
        assert_eq!(titles, ["Ebb", "Ebb", "Flow"]);
    }

    #[test]
    fn the_rest_of_a_block_at_a_files_end_is_left_out() {
        // 256 of 4,096 samples.
        let rest = frame_of([0x89, 0x18], 3, 60, &mut Xorshift(5));
        let file = [head("Ebb", 0), frames(0, 3).concat(), rest].concat();
        let (heard, framer) = hear_every_way(TYPE, &file.repeat(3));
        assert_eq!((heard.frames.len(), &heard.junk[..]), (9, &[][..]));
        assert_eq!(numbers(&heard.out), (0..8).collect::<Vec<_>>());
        assert_eq!((framer.counters().gaps, framer.counters().resyncs), (0, 0));
    }

    #[test]
    fn another_source_goes_on_with_numbers_that_only_rise() {
        let mut framer = Framer::for_content_type(TYPE);
        let first = frames(100, 6).concat();
        let mut out = hear(&mut framer, &first, || 999).out;
        let signature = framer.signature();
        for _ in 0..40 {
            framer.next_source(TYPE);
            let next = [head("Ebb", 0), frames(0, 8).concat()].concat();
            out.extend(hear(&mut framer, &next, || 999).out);
            assert_eq!(framer.signature(), signature);
        }
        // The last frame of each source never ends.
        assert_eq!(numbers(&out), (100..100 + 5 + 40 * 7 - 1).collect::<Vec<_>>());
    }

    #[test]
    fn other_parameters_make_another_head_and_another_signature() {
        let mut random = Xorshift(4);
        let mut mono = |number| frame_of([0xC9, 0x08], number, 300, &mut random);
        let other: Vec<u8> = (0..4).flat_map(&mut mono).collect();
        let mut framer = Framer::for_content_type(TYPE);
        let before = [head("Ebb", 0), frames(0, 3).concat()].concat();
        hear(&mut framer, &before, || 500);
        let signature = framer.signature();
        framer.next_source(TYPE);
        let heard = hear(&mut framer, &other, || 500);
        assert_eq!(heard.heads.len(), 1);
        assert_ne!(framer.signature(), signature);
        assert_eq!(framer.facts().channels, Some(1));
        // Within one source, too, even without a head.
        let (heard, _) = hear_every_way(TYPE, &[before, other].concat());
        assert_eq!((heard.frames.len(), heard.heads.len(), &heard.junk[..]), (6, 2, &[][..]));
    }

    #[test]
    fn a_frame_with_a_wrong_checksum_costs_only_itself() {
        for bit in 0..8 {
            let mut frames = frames(0, 10);
            frames[4][200] ^= 1 << bit;
            let (heard, framer) = hear_every_way(TYPE, &frames.concat());
            assert_eq!(heard.frames.len(), 8);
            let counters = framer.counters();
            assert_eq!((counters.crc_errors, counters.resyncs, counters.gaps), (1, 0, 0));
            assert_eq!(counters.junk_bytes, frames[4].len() as u64);
        }
    }

    #[test]
    fn a_hurt_header_costs_its_frame_and_the_one_it_ended() {
        for bit in 0..48 {
            let mut frames = frames(0, 10);
            frames[4][bit / 8] ^= 1 << (bit % 8);
            let (heard, framer) = hear_every_way(TYPE, &frames.concat());
            assert_eq!(heard.frames.len(), 7, "bit {bit}");
            assert_eq!((framer.counters().crc_errors, framer.counters().gaps), (1, 1));
        }
    }

    #[test]
    fn junk_and_missing_stretches_cost_the_frames_they_touch() {
        let all = frames(0, 20);
        let junk = vec![0xFF; 777];
        let tail = [all[12][100..].to_vec(), all[13..].concat()].concat();
        let stream = [&all[..8].concat()[..], &junk, &all[8..10].concat(), &tail].concat();
        let (heard, framer) = hear_every_way(TYPE, &stream);
        // Frame 7 ends in junk, frame 9 in the half of frame 12; 19 has no end.
        assert_eq!(heard.frames.len(), 7 + 1 + 6);
        assert_eq!((framer.counters().crc_errors, framer.counters().gaps), (2, 3));
    }

    #[test]
    fn flipped_bits_cost_at_most_two_frames_each() {
        let all: Vec<Vec<u8>> = (0..4).flat_map(|_| frames(0, 100)).collect();
        for seed in 1..=6 {
            let mut random = Xorshift(seed);
            let mut stream = all.concat();
            let hurts = stream.len() * 8 / 10_000 / 8;
            for _ in 0..hurts {
                let at = random.below(stream.len());
                stream[at] ^= 1 << random.below(8);
            }
            let (heard, _) = hear_every_way(TYPE, &stream);
            assert!(heard.frames.len() + 1 >= all.len() - 2 * hurts, "seed {seed}");
            let lengths: Vec<usize> = all.iter().map(Vec::len).collect();
            assert!(heard.frames.iter().all(|(_, bytes)| lengths.contains(bytes)));
        }
    }

    #[test]
    fn wrong_checksums_without_end_give_up() {
        let mut all = frames(0, 60);
        for frame in &mut all {
            *frame.last_mut().unwrap() ^= 1;
        }
        let (heard, framer) = hear_every_way(TYPE, &all.concat());
        assert!(framer.gave_up());
        let dropped: usize = all[..32].iter().map(Vec::len).sum();
        assert_eq!((heard.frames.len(), &heard.junk[..]), (0, &[(0, dropped)][..]));
        assert_eq!(heard.passed, all.concat().len() - dropped);
    }

    #[test]
    fn a_stream_without_frames_is_passed_on_after_its_allowance() {
        for filler in [0x55, 0xFF, b'f', b'I'] {
            let stream = vec![filler; UNFRAMED_BYTES_MAX + 5_000];
            let (heard, framer) = hear_every_way(TYPE, &stream);
            assert_eq!((heard.passed, framer.gave_up()), (5_000, true));
        }
    }

    #[test]
    fn a_header_with_no_end_is_given_up_within_its_bound() {
        // Eight channels of 65,536 samples: 2.1 MB if they were stored.
        let mut stream = vec![0xFF, 0xF8, 0x79, 0x7E, 0, 0xFF, 0xFF];
        stream.push(crc::Crc::<u8>::new(&crc::CRC_8_SMBUS).checksum(&stream));
        stream.resize(3_000_000, 0);
        let mut framer = Framer::for_content_type(TYPE);
        let heard = hear(&mut framer, &stream, || 100_000);
        assert!(framer.gave_up() && heard.passed > 2_900_000);
        // A block that lies about its length goes by without being kept.
        let mut hostile = head("Ebb", 0);
        hostile.truncate(42);
        hostile.extend(b"\x04\xFF\xFF\xFF");
        let mut framer = Framer::for_content_type(TYPE);
        hear(&mut framer, &hostile, || hostile.len());
        let step = framer.step(&vec![0; UNIT_BYTES_MAX]);
        assert_eq!(step, Step::Tag { bytes: UNIT_BYTES_MAX });
    }

    #[test]
    fn a_streaminfo_of_another_length_is_left_out_however_it_is_cut() {
        let odd = b"\0\0\0\x07padding";
        let head = head("Ebb", 0);
        let stream = [&head[..42], odd, &head[42..], &frames(0, 3).concat()].concat();
        let (heard, _) = hear_every_way(TYPE, &stream);
        assert_eq!((heard.frames.len(), heard.heads[0].1[8]), (2, 0x10));
    }

    #[test]
    fn sniffing_knows_a_head_also_behind_a_tag() {
        let head = head("Ebb", 0);
        let tagged = [b"ID3\x04\0\0\0\0\x02\0"[..].to_vec(), vec![0; 256], head.clone()].concat();
        for stream in [&head, &tagged] {
            let until = stream.len() - head.len() + 8;
            for cut in 0..until {
                assert_eq!(sniff(&stream[..cut]), Sniffed::Maybe, "{cut}");
            }
            assert_eq!(sniff(&stream[..until]), Sniffed::Yes);
        }
        for other in [&b"fLaX"[..], b"OggS", b"fLaC\x04\0\0\x22", b"fLaC\0\0\0\x21"] {
            assert_eq!(sniff(other), Sniffed::No);
        }
        let framer = &mut Framer::for_content_type("audio/mpeg");
        hear(framer, &[tagged, frames(0, 3).concat()].concat(), || 1);
        assert_eq!(framer.mismatch(), Some(("FLAC", TYPE)));
    }
}
