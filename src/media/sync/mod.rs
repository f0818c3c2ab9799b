//! HOT PATH. Keeping sync with a stream of frames that announce their length, whatever the format:
//! what happens in line, how long frames last, what is known of the stream. Finding sync is
//! `hunt.rs`; the formats themselves are [`Header`]s, in files of their own. Source core; allocates
//! nothing while frames follow each other.
//!
//! Two rules make the verdicts independent of how the bytes were cut on the way here: no verdict
//! rests on bytes that merely happen to be there already, and a stretch of junk never crosses the
//! point of giving up.

mod hunt;

use super::header::{Header, Look};
use super::id3::Id3;
use super::mean::Mean;
use super::pace::{Pace, micros};
use super::{Counters, Facts, Objection, Parser, Signature, Step, Tags};
pub(super) use hunt::sniff;

/// Bytes without a frame after which a stream is passed on as it is: it is in a format the content
/// type does not tell. Fewer, and an encoder's banner or the rest of a tag costs the stream its
/// framing; more, and listeners of an odd stream wait longer for sound (64 KiB are 4 seconds at 128
/// kbit/s). Passing on is better than dropping the whole stream: most players find their own way
/// into it.
pub const UNFRAMED_BYTES_MAX: usize = 64 * 1024;

/// The state of one stream.
#[derive(Debug)]
pub(super) struct FrameSync<H: Header> {
    phase: Phase,
    /// Header of the last frame delivered.
    last: Option<H>,
    /// What the format remembers of the frames that went by.
    notes: H::Notes,
    /// Junk since the last frame, up to [`UNFRAMED_BYTES_MAX`].
    unframed_bytes: usize,
    /// Bytes of the tag under way that are still to come.
    tag_bytes_left: usize,
    /// Reads that tag while it passes.
    id3: Id3,
    objection: Option<Objection>,
    pace: Pace,
    mean: Mean,
    counters: Counters,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Behind a frame: the next header stands right here.
    Locked,
    /// Looking for a frame.
    Hunting,
    /// The stream is passed on unframed.
    GivenUp,
}

impl<H: Header> Default for FrameSync<H> {
    fn default() -> Self {
        Self {
            phase: Phase::Hunting,
            last: None,
            notes: H::Notes::default(),
            unframed_bytes: 0,
            tag_bytes_left: 0,
            id3: Id3::default(),
            objection: None,
            pace: Pace::default(),
            mean: Mean::default(),
            counters: Counters::default(),
        }
    }
}

impl<H: Header> FrameSync<H> {
    /// See [`super::Framer::step`]. In sync a frame is delivered as soon as its last byte is here:
    /// waiting for the header behind it would add a frame's duration to every listener's delay.
    #[inline]
    fn next(&mut self, input: &[u8]) -> Step {
        if self.phase == Phase::Locked
            && self.tag_bytes_left == 0
            && let Some(last) = self.last
            && let Some(header) = H::parse(input)
            && header.continues(last)
        {
            let Some(frame) = input.get(..header.frame_bytes()) else { return Step::More };
            return self.deliver(header, frame);
        }
        self.step_out_of_line(input)
    }

    /// Accounts for the whole `frame` of `header`.
    #[inline]
    fn deliver(&mut self, header: H, frame: &[u8]) -> Step {
        self.unframed_bytes = 0;
        let (header, starts) = match header.look(frame, &mut self.notes) {
            Look::Frame { header, starts } => (header, starts),
            Look::Info => {
                self.last = self.last.or(Some(header));
                self.counters.tag_bytes += frame.len() as u64;
                return Step::Tag { bytes: frame.len() };
            }
        };
        let (samples, rate) = (header.samples(), header.sample_rate());
        let changed = self.counters.frames > 0
            && self.last.is_some_and(|last| last.nominal_kbps() != header.nominal_kbps());
        self.mean.add(frame.len(), samples, rate, changed);
        self.last = Some(header);
        self.counters.frames += 1;
        let duration_us = self.pace.duration_us(samples, rate);
        Step::Frame { bytes: frame.len(), duration_us, starts, rewritten: false }
    }
}

impl<H: Header> Parser for FrameSync<H> {
    fn step(&mut self, input: &[u8]) -> Step {
        self.next(input)
    }

    fn facts(&self) -> Facts {
        let Some(last) = self.last else { return Facts::default() };
        let nominal = last.nominal_kbps().filter(|_| self.mean.is_steady(last.sample_rate()));
        Facts {
            codec: last.codec(),
            video_codec: None,
            bitrate_kbps: nominal.or_else(|| self.mean.kbps(last.sample_rate())),
            sample_rate: last.output_rate(),
            channels: last.channels(),
            frame_us: Some(micros(last.samples(), last.sample_rate())).filter(|&us| us > 0),
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    /// Codec and sample rate: the number of channels may change from frame to frame.
    fn signature(&self) -> Option<Signature> {
        let last = self.last?;
        Some(Signature::of(&[last.family()?.as_bytes(), &last.sample_rate().to_le_bytes()]))
    }

    fn take_tags(&mut self) -> Option<Tags> {
        self.id3.take_tags()
    }

    fn objection(&self) -> Option<Objection> {
        self.objection
    }

    fn gave_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    fn next_source(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Heard, Xorshift, adts_frames, hear, hear_every_way, mp3_frames};
    use super::super::{Framer, UNIT_BYTES_MAX};
    use super::*;

    const MP3: &str = "audio/mpeg";
    const AAC: &str = "audio/aac";

    /// The room's formats with frames to test them on.
    fn formats(frames: usize) -> [(&'static str, Vec<Vec<u8>>); 2] {
        [(MP3, mp3_frames(frames)), (AAC, adts_frames(frames))]
    }

    /// Where `frames` stand in a stream in which `before` bytes stand in front of them.
    fn places(frames: &[Vec<u8>], before: usize) -> Vec<(usize, usize)> {
        let mut at = before;
        let place = |frame: &Vec<u8>| {
            at += frame.len();
            (at - frame.len(), frame.len())
        };
        frames.iter().map(place).collect()
    }

    fn id3v2(body: &[u8]) -> Vec<u8> {
        let mut tag = b"ID3\x04\0\0\0\0".to_vec();
        tag.extend([(body.len() >> 7) as u8, (body.len() & 0x7F) as u8]);
        tag.extend(body);
        tag
    }

    fn id3v1() -> Vec<u8> {
        let mut tag = b"TAGsong".to_vec();
        tag.resize(128, b' ');
        tag
    }

    #[test]
    fn every_frame_of_a_clean_stream_is_delivered() {
        for (content_type, frames) in formats(60) {
            let (heard, framer) = hear_every_way(content_type, &frames.concat());
            assert_eq!(heard.frames, places(&frames, 0));
            assert_eq!((heard.left, heard.passed), (0, 0));
            let counters = framer.counters();
            assert_eq!(counters, Counters { frames: 60, ..Counters::default() });
        }
    }

    #[test]
    fn in_sync_a_frame_is_delivered_with_its_last_byte() {
        for (content_type, frames) in formats(5) {
            let stream = frames.concat();
            let mut framer = Framer::for_content_type(content_type);
            let three = frames[..3].concat().len();
            let heard = hear(&mut framer, &stream[..three], || three);
            assert_eq!(heard.frames.len(), 3);
            let (head, tail) = (three, three + frames[3].len());
            assert_eq!(framer.step(&stream[head..tail - 1]), Step::More);
            let step = framer.step(&stream[head..tail]);
            assert!(matches!(step, Step::Frame { bytes, .. } if bytes == tail - head));
        }
    }

    #[test]
    fn a_first_frame_waits_for_two_more_headers() {
        for (content_type, frames) in formats(3) {
            let stream = frames.concat();
            let third = frames[0].len() + frames[1].len();
            let mut framer = Framer::for_content_type(content_type);
            assert_eq!(hear(&mut framer, &stream[..third + 3], || 1).frames, []);
            assert_eq!(hear(&mut framer, &stream[..third + 7], || third + 7).frames.len(), 2);
        }
    }

    #[test]
    fn junk_in_front_and_between_is_skipped_and_counted_once() {
        for (content_type, frames) in formats(12) {
            let front: Vec<u8> = b"HTTP banner, half a frame ".repeat(9);
            let between = vec![0; 777];
            let (first, second) = frames.split_at(6);
            let stream = [&front, &first.concat(), &between, &second.concat()[..]].concat();
            let (heard, framer) = hear_every_way(content_type, &stream);
            let gap = front.len() + first.concat().len();
            let mut expected = places(first, front.len());
            expected.extend(places(second, gap + between.len()));
            assert_eq!(heard.frames, expected);
            assert_eq!(heard.junk, [(0, front.len()), (gap, between.len())]);
            assert_eq!(framer.counters().resyncs, 1);
            assert_eq!(framer.counters().junk_bytes, (front.len() + between.len()) as u64);
        }
    }

    #[test]
    fn a_false_sync_in_junk_gives_no_frame() {
        for (content_type, frames) in formats(8) {
            // One header alone, then two at the right distance: neither makes a stream.
            let alone = [&frames[0][..7], &[0; 900]].concat();
            let pair = [&frames[1][..], &frames[2][..7], &[0; 900]].concat();
            let junk = [alone, pair].concat();
            let stream = [&junk[..], &frames[3..].concat()].concat();
            let (heard, _) = hear_every_way(content_type, &stream);
            assert_eq!(heard.frames, places(&frames[3..], junk.len()));
        }
    }

    #[test]
    fn a_missing_stretch_costs_only_the_frames_it_touched() {
        for (content_type, frames) in formats(20) {
            // Half of frame 8 up to half of frame 10 never arrived.
            let head = [frames[..8].concat(), frames[8][..150].to_vec()].concat();
            let tail = [frames[10][100..].to_vec(), frames[11..].concat()].concat();
            let (heard, framer) =
                hear_every_way(content_type, &[head.clone(), tail.clone()].concat());
            // Frame 8 is delivered with bytes of frame 10, because nothing tells before its end.
            assert_eq!(heard.frames[..8], places(&frames[..8], 0));
            let behind = places(&frames[11..], head.len() + frames[10].len() - 100);
            assert!(heard.frames.ends_with(&behind[2..]), "{content_type}");
            assert_eq!(framer.counters().resyncs, 1);
        }
    }

    #[test]
    fn another_stream_behind_the_first_is_taken_up_whole() {
        let first = mp3_frames(5);
        // The same layer at 48 kHz: frames of 384 bytes.
        let other: Vec<Vec<u8>> =
            (0..5).map(|_| [&[0xFF, 0xFB, 0x94, 0x64][..], &[0x11; 380]].concat()).collect();
        let stream = [first.concat(), other.concat()].concat();
        let (heard, framer) = hear_every_way(MP3, &stream);
        assert_eq!(heard.frames.len(), 10);
        assert_eq!(heard.durations_us[5..], [24_000; 5]);
        assert_eq!(framer.facts().sample_rate, Some(48_000));
        assert_eq!(framer.counters().resyncs, 1);
        assert_eq!(framer.counters().junk_bytes, 0);
    }

    #[test]
    fn tags_at_the_seam_of_two_tracks_are_left_out_without_losing_sync() {
        for (content_type, frames) in formats(10) {
            let (first, second) = frames.split_at(5);
            let front = id3v2(&[0xFF; 300]);
            let seam = [id3v1(), id3v2(b"cover")].concat();
            let stream = [&front[..], &first.concat(), &seam, &second.concat()].concat();
            let (heard, framer) = hear_every_way(content_type, &stream);
            let gap = front.len() + first.concat().len();
            assert_eq!(heard.tags, [(0, front.len()), (gap, seam.len())]);
            assert_eq!(heard.frames.len(), 10);
            let tag_bytes = (front.len() + seam.len()) as u64;
            let expected = Counters { frames: 10, tag_bytes, ..Counters::default() };
            assert_eq!(framer.counters(), expected);
        }
    }

    #[test]
    fn a_stream_without_frames_is_passed_on_after_its_allowance() {
        for content_type in [MP3, AAC] {
            let stream = vec![0x55; UNFRAMED_BYTES_MAX + 5_000];
            let (heard, framer) = hear_every_way(content_type, &stream);
            assert_eq!(heard.junk, [(0, UNFRAMED_BYTES_MAX)]);
            assert_eq!(heard.passed, 5_000);
            assert!(framer.gave_up());
            assert_eq!(framer.facts(), Facts::default());
        }
    }

    #[test]
    fn free_format_is_an_objection_at_once() {
        let frame = [&[0xFF, 0xFB, 0x00, 0x64][..], &[0x11; 600]].concat();
        let junk = [0x55; 77];
        let (heard, framer) = hear_every_way(MP3, &[&junk[..], &frame.repeat(9)].concat());
        assert_eq!((heard.frames.len(), heard.passed), (0, frame.len() * 9));
        assert_eq!(framer.objection(), Some(Objection::FreeFormat));
        // Where frames have been, it is damage.
        let stream = [mp3_frames(9).concat(), frame.repeat(9)].concat();
        let (_, framer) = hear_every_way(MP3, &stream);
        assert_eq!(framer.objection(), None);
    }

    #[test]
    fn frames_that_describe_a_file_are_left_out_wherever_they_come() {
        let info = |mark: &[u8], at: usize| {
            let mut frame = mp3_frames(1).remove(0);
            frame[at..at + 4].copy_from_slice(mark);
            frame
        };
        let frames = mp3_frames(12);
        for info in [info(b"Xing", 36), info(b"Info", 36), info(b"VBRI", 36)] {
            let (first, second) = frames.split_at(6);
            let stream = [&info[..], &first.concat(), &info, &second.concat()].concat();
            let (heard, framer) = hear_every_way(MP3, &stream);
            assert_eq!(heard.out, frames.concat());
            let tag_bytes = 2 * info.len() as u64;
            let expected = Counters { frames: 12, tag_bytes, ..Counters::default() };
            assert_eq!(framer.counters(), expected);
        }
        // Elsewhere in a frame the letters mean nothing.
        let (heard, _) = hear_every_way(MP3, &[info(b"Info", 21), frames.concat()].concat());
        assert_eq!(heard.frames.len(), 13);
    }

    #[test]
    fn a_tag_tells_what_is_playing_while_it_passes() {
        for (content_type, frames) in formats(10) {
            let (first, second) = frames.split_at(5);
            let title = |title: &[u8]| {
                let size = [0, 0, 0, title.len() as u8 + 1, 0, 0, 0];
                id3v2(&[&b"TIT2"[..], &size, title, &[0; 40]].concat())
            };
            let stream =
                [&title(b"Ebb")[..], &first.concat(), &title(b"Flow"), &second.concat()].concat();
            let (heard, _) = hear_every_way(content_type, &stream);
            let titles: Vec<_> =
                heard.told.iter().filter_map(|tags| tags.title.as_deref()).collect();
            assert_eq!(titles, ["Ebb", "Flow"]);
        }
    }

    #[test]
    fn a_frame_before_the_allowance_is_used_up_renews_it() {
        for (content_type, frames) in formats(12) {
            let junk = vec![0; UNFRAMED_BYTES_MAX - 1];
            let (first, second) = frames.split_at(6);
            let stream = [&junk[..], &first.concat(), &junk, &second.concat()].concat();
            let (heard, framer) = hear_every_way(content_type, &stream);
            assert_eq!(heard.frames.len(), 12);
            assert!(!framer.gave_up());
        }
    }

    #[test]
    fn durations_add_up_to_the_true_time() {
        // 44,100 samples at 1,152 a frame: after 1,225 frames the sum is a whole 32 seconds.
        let (heard, _) = hear_every_way(MP3, &mp3_frames(1_225).concat());
        let total: u64 = heard.durations_us.iter().map(|&us| u64::from(us)).sum();
        assert_eq!(total, 32_000_000);
        let (least, most) = (heard.durations_us.iter().min(), heard.durations_us.iter().max());
        assert_eq!((least, most), (Some(&26_122), Some(&26_123)));
    }

    #[test]
    fn facts_name_a_constant_bitrate_and_measure_a_variable_one() {
        let (_, constant) = hear_every_way(MP3, &mp3_frames(40).concat());
        let expected = Facts {
            codec: Some("MP3"),
            bitrate_kbps: Some(128),
            sample_rate: Some(44_100),
            channels: Some(2),
            frame_us: Some(26_122),
            video_codec: None,
        };
        assert_eq!(constant.facts(), expected);

        // 96 kbit/s and 160 kbit/s in turn, at 48 kHz: 288 and 480 bytes.
        let slow = [&[0xFF, 0xFB, 0x74, 0x64][..], &[0x11; 284]].concat();
        let fast = [&[0xFF, 0xFB, 0xA4, 0x64][..], &[0x11; 476]].concat();
        let (_, variable) = hear_every_way(MP3, &[slow, fast].concat().repeat(1_000));
        assert_eq!(variable.facts().bitrate_kbps, Some(128));

        // Frames of 400 bytes on average, 46.875 a second.
        let (_, adts) = hear_every_way(AAC, &adts_frames(900).concat());
        let kbps = adts.facts().bitrate_kbps.unwrap();
        assert!((140..=160).contains(&kbps), "{kbps}");
        assert_eq!(adts.facts().codec, Some("AAC"));
    }

    #[test]
    fn a_bitrate_that_settles_after_a_change_is_named_again() {
        let slow = [&[0xFF, 0xFB, 0x74, 0x64][..], &[0x11; 284]].concat();
        let fast = [&[0xFF, 0xFB, 0xA4, 0x64][..], &[0x11; 476]].concat();
        let mut framer = Framer::for_content_type(MP3);
        let seconds = |frame: &[u8], count: usize| frame.repeat(count * 125 / 3);
        let start = [seconds(&slow, 2), seconds(&fast, 3)].concat();
        hear(&mut framer, &start, || 4_096);
        assert_eq!(framer.facts().bitrate_kbps, Some(134));
        hear(&mut framer, &seconds(&fast, 14), || 4_096);
        assert_eq!(framer.facts().bitrate_kbps, Some(160));
    }

    #[test]
    fn flipped_bits_cost_at_most_two_clean_frames_each() {
        for (content_type, frames) in formats(400) {
            let clean = frames.concat();
            for seed in 1..=8 {
                let mut random = Xorshift(seed);
                let mut stream = clean.clone();
                let hurt: Vec<usize> = (0..6).map(|_| random.below(stream.len())).collect();
                for &at in &hurt {
                    stream[at] ^= 1 << random.below(8);
                }
                let (heard, framer) = hear_every_way(content_type, &stream);
                assert!(framer.counters().resyncs <= hurt.len() as u64);
                let missing = missing_clean(&frames, &heard, &hurt);
                assert!(missing <= 2 * hurt.len(), "{content_type}, seed {seed}: {missing}");
            }
        }
    }

    /// How many of `frames` that hold none of the places `hurt` were not heard.
    fn missing_clean(frames: &[Vec<u8>], heard: &Heard, hurt: &[usize]) -> usize {
        let is_clean = |&(at, bytes): &(usize, usize)| {
            !hurt.iter().any(|place| (at..at + bytes).contains(place))
        };
        let clean = places(frames, 0).into_iter().filter(is_clean);
        clean.filter(|place| !heard.frames.contains(place)).count()
    }

    #[test]
    fn a_header_hurt_in_any_bit_costs_no_frame_behind_what_it_announces() {
        for (content_type, frames) in formats(40) {
            for bit in 0..7 * 8 {
                let mut hurt = frames.clone();
                hurt[4][bit / 8] ^= 1 << (bit % 8);
                let (heard, _) = hear_every_way(content_type, &hurt.concat());
                let expected = places(&frames, 0);
                assert!(heard.frames.starts_with(&expected[..4]), "{content_type}, bit {bit}");
                // A wrong length is believed, because only the bytes behind it could tell.
                let (hurt_at, _) = expected[4];
                let announced = heard.frames.iter().find(|&&(at, _)| at == hurt_at);
                let end = announced.map_or(hurt_at + 1, |(at, bytes)| at + bytes);
                let behind: Vec<_> = expected.into_iter().filter(|&(at, _)| at >= end).collect();
                assert!(heard.frames.ends_with(&behind), "{content_type}, bit {bit}");
                assert!(behind.len() >= 10, "{content_type}, bit {bit}");
            }
        }
    }

    #[test]
    fn noise_is_judged_alike_however_it_is_cut() {
        for content_type in [MP3, AAC] {
            for seed in 1..=20 {
                let mut random = Xorshift(seed);
                let count = 20_000;
                // Bytes of which every fourth has all bits set: many beginnings, few ends.
                let noise: Vec<u8> = (0..count)
                    .map(|_| if random.below(4) == 0 { 0xFF } else { random.next() as u8 })
                    .collect();
                let (heard, _) = hear_every_way(content_type, &noise);
                let skipped: usize = heard.junk.iter().map(|&(_, bytes)| bytes).sum();
                assert!(skipped + heard.left + UNIT_BYTES_MAX > count);
            }
        }
    }
}
