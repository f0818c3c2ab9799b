//! Matroska and WebM (RFC 9559): a walk over a source's elements that gives every block as soon as
//! it is whole, written into clusters of this server's own. Source core.
//!
//! Listeners get a segment without end: what it begins with is the preamble, see [`head`]; its
//! clusters are written anew, see [`clusters`]; and their times go on over all sources, see
//! [`timeline`]. Index, chapters, covers and padding are left out. No frame is ever looked into.
//!
//! The size that a Segment announces is not believed: encoders that cannot seek write wrong ones,
//! and what may follow announces itself anyway. That of a Cluster is, because an element that
//! crosses its end is the first sign of damage.

mod block;
mod clusters;
mod ebml;
mod head;
mod level;
mod resync;
mod tags;
#[cfg(test)]
mod testing;
mod timeline;
mod tracks;

use super::format::{Format, Seam};
use super::header::Parsed;
use super::mean::Mean;
use super::sniff::Sniffed;
use super::{Counters, Facts, Objection, Parser, Signature, Step, Tags, UNIT_BYTES_MAX};
use block::{Block, BlockHead};
use clusters::Clusters;
use ebml::{Element, id};
use head::Draft;
use level::Level;
use timeline::{Stamp, Timeline};
use tracks::{Kind, Tracks};

/// Matroska and WebM, as the table of formats knows them.
pub(super) const FORMAT: Format = Format {
    name: "Matroska",
    content_types: &[
        "video/webm",
        "audio/webm",
        "video/x-matroska",
        "audio/x-matroska",
        "video/matroska",
        "audio/matroska",
        "video/x-matroska-3d",
    ],
    sniff: |input| Sniffed::by_magic(input, &id::EBML.to_be_bytes()),
    seam: Seam::Start,
    make: || Box::new(Matroska::default()),
};

/// Longest block of a stream with video. What is left of [`UNIT_BYTES_MAX`] holds the head of the
/// element behind it, which says whether a block is believed after damage.
const BLOCK_BYTES_MAX: usize = UNIT_BYTES_MAX - 64;

/// Longest block of a stream without video: 0.2 s of sound in eight channels of 32 bits at 96 kHz
/// fit, and a length that damage made up holds listeners back no longer than this lasts.
const AUDIO_BLOCK_BYTES_MAX: usize = 640 * 1024;

/// Longest element that is skipped by its length: a cover or an index. A longer one is not
/// believed, so a wrong length costs listeners no more than this.
const SKIPPED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The state of one mount's stream.
#[derive(Debug, Default)]
struct Matroska {
    phase: Phase,
    level: Level,
    /// Bytes of an element under way that are left out.
    skipped_bytes_left: usize,
    /// Junk since the last block.
    unframed_bytes: usize,
    /// The head of the segment under way, and whether its first cluster is still to come.
    draft: Draft,
    is_heading: bool,
    /// Of the present source, once a first cluster has come.
    tracks: Option<Tracks>,
    /// Of the source's cluster under way, in ticks.
    cluster_time: Option<i64>,
    /// What the stream said is playing and nobody has asked for yet.
    told: Option<Tags>,
    mean: Mean,
    /// Bytes since the last block that told the time, with it.
    untimed_bytes: usize,
    frame_us: Option<u32>,
    counters: Counters,
    /// What was written, over all sources.
    out: Out,
}

/// What those who listen have, whatever source it came from.
#[derive(Debug, Default)]
struct Out {
    preamble: Vec<u8>,
    signature: Option<Signature>,
    timeline: Option<Timeline>,
    clusters: Clusters,
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Looking for an EBML header, a cluster or a block.
    #[default]
    Hunting,
    /// Behind an element: the next one stands right here.
    Locked,
    /// Its bytes are passed on as they are.
    GivenUp,
    /// It cannot be served.
    Refused(Objection),
}

impl Matroska {
    /// The step for the element at the start of `input`; `None` if none that may stand here does.
    #[inline]
    fn element(&mut self, input: &[u8]) -> Option<Step> {
        let element = match Element::parse(input) {
            Parsed::Whole(element) => element,
            Parsed::Incomplete => return Some(Step::More),
            Parsed::Nothing => return None,
        };
        if !self.level.admits(element) {
            return None;
        }
        match element.id {
            id::SIMPLE_BLOCK | id::BLOCK_GROUP => self.block(input, element),
            id::TIMESTAMP => self.timestamp(input, element),
            id::CLUSTER => self.cluster(element),
            id::SEGMENT => Some(self.segment(element)),
            id::EBML => self.ebml_header(input, element),
            id::INFO | id::TRACKS if self.is_heading => self.head_part(input, element),
            id::TAGS => self.tags(input, element),
            _ => self.leave_out(input, element),
        }
    }

    /// Leaves out `bytes` of an element with this id that was understood.
    fn leave(&mut self, id: u32, bytes: usize) -> Step {
        self.level = self.level.behind(id, bytes);
        self.counters.tag_bytes += bytes as u64;
        Step::Tag { bytes }
    }

    /// Leaves out an element unread, piece by piece.
    fn leave_out(&mut self, input: &[u8], element: Element) -> Option<Step> {
        let bytes = element.whole_bytes(SKIPPED_BYTES_MAX)?;
        self.level = self.level.behind(element.id, bytes);
        self.skipped_bytes_left = bytes;
        Some(self.skip(input))
    }

    /// As much of what is left out as is here.
    fn skip(&mut self, input: &[u8]) -> Step {
        let bytes = input.len().min(self.skipped_bytes_left);
        self.skipped_bytes_left -= bytes;
        self.counters.tag_bytes += bytes as u64;
        Step::Tag { bytes }
    }

    /// An EBML header: an encoder begins a file.
    fn ebml_header(&mut self, input: &[u8], element: Element) -> Option<Step> {
        let bytes = element.whole_bytes(head::EBML_HEADER_BYTES_MAX)?;
        let Some(whole) = input.get(..bytes) else { return Some(Step::More) };
        if !head::is_matroska(&whole[element.header_bytes..]) {
            return None;
        }
        self.draft.take_ebml(whole);
        Some(self.leave(element.id, bytes))
    }

    /// A segment begins: its times do too.
    fn segment(&mut self, element: Element) -> Step {
        self.draft.begin_segment();
        self.is_heading = true;
        self.cluster_time = None;
        self.told = None;
        self.out.restart();
        self.leave(element.id, element.header_bytes)
    }

    /// Info or Tracks before the first cluster.
    fn head_part(&mut self, input: &[u8], element: Element) -> Option<Step> {
        let bytes = element.whole_bytes(UNIT_BYTES_MAX);
        if self.draft.is_full_with(bytes) {
            self.phase = Phase::Refused(Objection::HeadTooLarge);
            return Some(self.junk(input.len()));
        }
        let bytes = bytes?;
        let Some(whole) = input.get(..bytes) else { return Some(Step::More) };
        let body = &whole[element.header_bytes..];
        let is_taken = match element.id {
            id::INFO => self.draft.take_info(body),
            _ => self.draft.take_tracks(whole, body),
        };
        is_taken.then(|| self.leave(element.id, bytes))
    }

    fn tags(&mut self, input: &[u8], element: Element) -> Option<Step> {
        let Some(bytes) = element.whole_bytes(tags::TAGS_BYTES_MAX) else {
            return self.leave_out(input, element);
        };
        let Some(whole) = input.get(..bytes) else { return Some(Step::More) };
        let tags = tags::parse(&whole[element.header_bytes..]);
        if !tags.is_empty() {
            let told = self.told.get_or_insert_default();
            told.title = tags.title.or(told.title.take());
            told.artist = tags.artist.or(told.artist.take());
        }
        Some(self.leave(element.id, bytes))
    }

    /// The head of a cluster. The first one of a segment ends its head.
    fn cluster(&mut self, element: Element) -> Option<Step> {
        let head = if self.is_heading { self.draft.settle() } else { None };
        if head.is_none() && self.tracks.is_none() {
            return None;
        }
        self.is_heading = false;
        self.cluster_time = None;
        let step = match head {
            None => self.leave(element.id, element.header_bytes),
            Some(head) => {
                self.begin(head);
                Step::Head { bytes: element.header_bytes }
            }
        };
        self.level = Level::in_cluster(element.body_bytes);
        Some(step)
    }

    /// Goes on with the stream that `head` describes.
    fn begin(&mut self, head: head::Head) {
        let signature = head.tracks.signature(head.tick_ns);
        if self.out.signature.replace(signature) != Some(signature) {
            // Nobody goes on listening over such a seam, so no time was seen yet.
            self.out.timeline = Some(Timeline::new(head.tick_ns, head.tracks.entries.len()));
            self.mean = Mean::default();
            self.untimed_bytes = 0;
        }
        if let Some(title) = head.title {
            self.told.get_or_insert_default().title.get_or_insert(title);
        }
        self.out.preamble = head.preamble;
        self.tracks = Some(head.tracks);
    }

    /// The time of a cluster.
    fn timestamp(&mut self, input: &[u8], element: Element) -> Option<Step> {
        let bytes = element.whole_bytes(element.header_bytes + 8)?;
        let Some(whole) = input.get(..bytes) else { return Some(Step::More) };
        let time = ebml::unsigned(&whole[element.header_bytes..])?;
        if time > timeline::TIME_MAX {
            return None;
        }
        self.cluster_time = Some(time.cast_signed());
        Some(self.leave(element.id, bytes))
    }

    /// A block or a group that holds one.
    #[inline]
    fn block(&mut self, input: &[u8], element: Element) -> Option<Step> {
        let cluster_time = self.cluster_time?;
        let bytes = element.whole_bytes(self.block_bytes_max())?;
        if element.id == id::SIMPLE_BLOCK {
            // Tells damage from a block before all that it claims is waited for.
            match self.known_block(&input[element.header_bytes..]) {
                Parsed::Whole(()) => {}
                Parsed::Incomplete if input.len() < bytes => return Some(Step::More),
                Parsed::Incomplete | Parsed::Nothing => return None,
            }
        }
        let Some(whole) = input.get(..bytes) else { return Some(Step::More) };
        let block = match element.id {
            id::SIMPLE_BLOCK => Block::simple(whole, element),
            _ => Block::group(whole, element),
        }?;
        let tracks = self.tracks.as_ref()?;
        let place = tracks.find(block.track)?;
        let track = &tracks.entries[place];
        let Out { timeline, clusters, .. } = &mut self.out;
        let timeline = timeline.as_mut()?;
        let time = cluster_time + i64::from(block.relative);
        let stamp = Stamp { track: place, time, duration: block.duration };
        let Some(at) = timeline.place(stamp, track) else {
            return Some(self.leave(element.id, bytes));
        };
        // Sound can be decoded from everywhere, and some encoders do not mark it.
        let is_key = block.is_key || track.kind == Kind::Audio;
        let may_start = is_key && place == tracks.lead;
        let apart = timeline.ticks(clusters::STARTS_APART_MS);
        let starts = clusters.write(whole, block, at, may_start, apart);
        let mut duration_us = 0;
        if place == tracks.clock {
            duration_us = timeline.tell(at);
            self.mean.add(self.untimed_bytes, duration_us, 1_000_000, false);
            self.untimed_bytes = 0;
            self.frame_us = Some(duration_us).filter(|us| *us > 0).or(self.frame_us);
        }
        self.untimed_bytes += bytes;
        self.unframed_bytes = 0;
        self.counters.frames += 1;
        self.level = self.level.behind(element.id, bytes);
        Some(Step::Frame { bytes, duration_us, starts, rewritten: true })
    }

    /// Whether a block's body that begins with `body` is one of a track that was announced.
    #[inline]
    fn known_block(&self, body: &[u8]) -> Parsed<()> {
        let Some(tracks) = &self.tracks else { return Parsed::Nothing };
        match BlockHead::parse(body) {
            Parsed::Whole(head) if tracks.find(head.track).is_some() => Parsed::Whole(()),
            Parsed::Incomplete => Parsed::Incomplete,
            Parsed::Whole(_) | Parsed::Nothing => Parsed::Nothing,
        }
    }

    fn block_bytes_max(&self) -> usize {
        match &self.tracks {
            Some(tracks) if !tracks.have_video() => AUDIO_BLOCK_BYTES_MAX,
            _ => BLOCK_BYTES_MAX,
        }
    }
}

impl Out {
    /// What is written next begins a cluster, and its times follow those before.
    fn restart(&mut self) {
        self.clusters.close();
        if let Some(timeline) = &mut self.timeline {
            timeline.restart();
        }
    }
}

impl Parser for Matroska {
    fn step(&mut self, input: &[u8]) -> Step {
        if input.is_empty() {
            return Step::More;
        }
        if self.skipped_bytes_left > 0 {
            return self.skip(input);
        }
        match self.phase {
            Phase::Locked => self.element(input).unwrap_or_else(|| self.lose(input)),
            Phase::Hunting => self.hunt(input),
            Phase::GivenUp => Step::pass(input),
            Phase::Refused(_) => self.junk(input.len()),
        }
    }

    /// Empty at a new head: Matroska has one place for it, the beginning.
    fn written(&self) -> &[u8] {
        self.out.clusters.written()
    }

    fn preamble(&self) -> &[u8] {
        &self.out.preamble
    }

    fn facts(&self) -> Facts {
        let Some(tracks) = &self.tracks else { return Facts::default() };
        Facts { bitrate_kbps: self.mean.kbps(1_000_000), frame_us: self.frame_us, ..tracks.facts() }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn signature(&self) -> Option<Signature> {
        self.out.signature.filter(|_| self.tracks.is_some())
    }

    /// Held back until a head is complete, so that a file's title and artist are told together.
    fn take_tags(&mut self) -> Option<Tags> {
        if self.is_heading { None } else { self.told.take() }
    }

    fn objection(&self) -> Option<Objection> {
        match self.phase {
            Phase::Refused(objection) => Some(objection),
            _ => None,
        }
    }

    fn gave_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    fn next_source(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        out.restart();
        *self = Self { out, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Heard, Xorshift, hear, hear_every_way};
    use super::super::{Framer, Retitled, UNFRAMED_BYTES_MAX};
    use super::testing::*;
    use super::*;

    const WEBM: &str = "video/webm";

    /// What a player reads of everything that went out: the framer itself must find nothing odd.
    fn played(heard: &Heard) -> Heard {
        let preamble = &heard.heads.last().expect("a head came").1;
        let mut player = Framer::for_content_type(WEBM);
        let all = [preamble, &heard.out[..]].concat();
        let played = hear(&mut player, &all, || all.len());
        let counters = player.counters();
        assert_eq!((counters.junk_bytes, counters.resyncs, played.left), (0, 0, 0));
        assert_eq!(played.frames.len(), heard.frames.len());
        played
    }

    fn total_us(heard: &Heard) -> u64 {
        heard.durations_us.iter().map(|&us| u64::from(us)).sum()
    }

    #[test]
    fn blocks_of_clusters_with_and_without_size_go_out_alike() {
        let mut out = Vec::new();
        for is_sized in [true, false] {
            let stream = [opus_head(), sound(0..10_000, is_sized)].concat();
            let (heard, framer) = hear_every_way(WEBM, &stream);
            assert_eq!((heard.frames.len(), heard.left, heard.junk.len()), (500, 0, 0));
            assert_eq!(heard.heads.len(), 1);
            assert_eq!(heard.heads[0].1, opus_head());
            assert_eq!((heard.starts.len(), total_us(&heard)), (20, 9_980_000));
            let facts = framer.facts();
            assert_eq!((facts.codec, facts.frame_us), (Some("Opus"), Some(20_000)));
            // 40 bytes of sound and 13 around them every 20 ms are 21.2 kbit/s.
            assert_eq!(facts.bitrate_kbps, Some(21));
            assert!(framer.signature().is_some() && !framer.goes_on_when_changed());
            assert!(played(&heard).out == heard.out, "a second pass changes nothing");
            out.push(heard.out);
        }
        assert!(out[0] == out[1]);
    }

    #[test]
    fn a_block_goes_out_with_its_last_byte_and_not_with_its_cluster() {
        let stream = [opus_head(), sound(0..1_000, true)].concat();
        let (heard, _) = hear_every_way(WEBM, &stream);
        let mut framer = Framer::for_content_type(WEBM);
        let (at, bytes) = heard.frames[3];
        assert_eq!(hear(&mut framer, &stream[..at + bytes - 1], || 1).frames.len(), 3);
        let step = framer.step(&stream[at..at + bytes]);
        assert!(matches!(step, Step::Frame { rewritten: true, starts: false, .. }));
    }

    #[test]
    fn with_video_a_player_starts_at_its_key_frames_alone() {
        let mut blocks = Vec::new();
        for frame in 0..50_i16 {
            blocks.push(block(2, frame * 40, frame % 25 == 0, &[1; 90]));
            blocks.push(block(1, frame * 40, true, &[2; 30]));
            blocks.push(block(1, frame * 40 + 20, true, &[2; 30]));
        }
        let stream = [film_head(), cluster(7_000, true, &blocks)].concat();
        let (heard, framer) = hear_every_way(WEBM, &stream);
        assert_eq!((heard.frames.len(), heard.starts.len()), (150, 2));
        assert_eq!(total_us(&heard), 1_980_000);
        assert_eq!(framer.facts().video_codec, Some("VP8"));
        played(&heard);
    }

    #[test]
    fn groups_that_refer_to_others_are_no_starts() {
        let inner = |relative: u8| element(id::BLOCK, &[0x82, 0, relative, 0, 5, 5, 5]);
        let reference = element(id::REFERENCE_BLOCK, &[0xD8]);
        let key = element(id::BLOCK_GROUP, &inner(0));
        let other = element(id::BLOCK_GROUP, &[inner(40), reference].concat());
        let stream = [film_head(), cluster(0, true, &[key, other])].concat();
        let (heard, _) = hear_every_way(WEBM, &stream);
        assert_eq!((heard.frames.len(), heard.starts), (2, vec![0]));
    }

    #[test]
    fn index_covers_and_padding_are_left_out() {
        let junk_to_listeners = [
            element(id::SEEK_HEAD, &[1; 50]),
            element(id::ATTACHMENTS, &[2; 3_000]),
            element(id::VOID, &[0; 90]),
        ]
        .concat();
        let sound = sound(0..1_000, true);
        let cues = element(id::CUES, &[3; 500]);
        let head = opus_head();
        let start = ebml_header("webm").len() + 12;
        let stream =
            [&head[..start], &junk_to_listeners, &head[start..], &sound, &cues, &sound].concat();
        let (heard, framer) = hear_every_way(WEBM, &stream);
        assert_eq!(heard.heads[0].1, head);
        assert_eq!(heard.frames.len(), 100);
        assert_eq!((framer.counters().junk_bytes, framer.counters().resyncs), (0, 0));
        played(&heard);
    }

    #[test]
    fn title_and_artist_of_a_file_are_told_together_and_later_ones_at_once() {
        let info = element(id::INFO, &element(id::TITLE, b"Night"));
        let tracks = element(id::TRACKS, &audio_entry(1, "A_OPUS", b""));
        let tag = |name, string| element(id::TAGS, &element(id::TAG, &simple_tag(name, string)));
        let parts = [
            ebml_header("matroska"),
            open(id::SEGMENT),
            info,
            tag("ARTIST", "Band"),
            tracks,
            sound(0..1_000, true),
            tag("TITLE", "Day"),
            sound(1_000..2_000, true),
        ];
        let (heard, mut framer) = hear_every_way(WEBM, &parts.concat());
        let title = |title: &str| Some(title.to_owned());
        let first = Tags { title: title("Night"), artist: title("Band"), url: None };
        assert_eq!(heard.told, [first, Tags { title: title("Day"), ..Tags::default() }]);
        assert_eq!(framer.retitle(&Tags::default()), Retitled::NotCarried);
    }

    /// Feeds sources one after the other to one framer.
    fn sources(streams: &[Vec<u8>]) -> (Heard, Framer) {
        let mut framer = Framer::for_content_type(WEBM);
        let mut all = Heard::default();
        for stream in streams {
            framer.next_source(WEBM);
            let heard = hear(&mut framer, stream, || 700);
            assert!(!framer.end_source());
            let from = all.out.len();
            all.starts.extend(heard.starts.iter().map(|start| start + from));
            all.heads.extend(heard.heads.into_iter().map(|(at, head)| (at + from, head)));
            all.frames.extend(heard.frames);
            all.durations_us.extend(heard.durations_us);
            all.out.extend(heard.out);
        }
        (all, framer)
    }

    #[test]
    fn a_returning_source_goes_on_where_the_last_one_stopped() {
        let whole = [opus_head(), sound(0..3_000, true)].concat();
        let cut = whole[..whole.len() - 30].to_vec();
        let (heard, framer) = sources(&[cut, whole.clone(), whole]);
        assert_eq!(heard.frames.len(), 149 + 150 + 150);
        assert_eq!(framer.counters().frames, 150);
        // The first block of each source is one step and a tick behind the last before it.
        assert_eq!(total_us(&heard), 448 * 20_000 + 2 * 1_000);
        let player = played(&heard);
        assert_eq!(player.durations_us, heard.durations_us);
        let seam = heard.heads[1].0;
        assert!(heard.starts.contains(&seam), "the seam is a start");
    }

    #[test]
    fn a_file_that_begins_anew_in_one_connection_goes_on_too() {
        let file = [opus_head(), sound(0..3_000, false)].concat();
        let (heard, framer) = hear_every_way(WEBM, &file.repeat(3));
        assert_eq!((heard.frames.len(), heard.heads.len()), (450, 3));
        assert_eq!(total_us(&heard), 449 * 20_000 + 2 * 1_000);
        assert_eq!(framer.counters().resyncs, 0);
        played(&heard);
    }

    #[test]
    fn other_tracks_change_the_signature_and_begin_at_their_own_time() {
        let other = [film_head(), cluster(0, true, &[block(1, 0, true, &[9; 20])])].concat();
        let first = [opus_head(), sound(0..3_000, true)].concat();
        let (before, framer) = hear_every_way(WEBM, &first);
        let signature = framer.signature();
        let (heard, framer) = hear_every_way(WEBM, &[first, other.clone()].concat());
        assert_ne!(framer.signature(), signature);
        assert_eq!(heard.heads.len(), 2);
        assert_eq!(heard.heads[1], (before.out.len(), film_head()));
        let (alone, _) = hear_every_way(WEBM, &other);
        assert!(heard.out.ends_with(&alone.out));
    }

    #[test]
    fn junk_between_blocks_costs_none_of_them() {
        for is_sized in [true, false] {
            let sound = sound(0..3_000, is_sized);
            let stream = [opus_head(), sound.clone()].concat();
            let (whole, _) = hear_every_way(WEBM, &stream);
            for block in [0, 10, 49, 50, 120] {
                let (at, _) = whole.frames[block];
                let mut random = Xorshift(0xB10C);
                let junk = random.bytes(5_000);
                let damaged = [&stream[..at], &junk, &stream[at..]].concat();
                let (heard, framer) = hear_every_way(WEBM, &damaged);
                let lost = whole.frames.len() - heard.frames.len();
                assert!(lost <= 1, "{lost} lost at block {block}");
                assert_eq!(framer.counters().resyncs, 1);
                played(&heard);
            }
        }
    }

    #[test]
    fn flipped_bits_cost_little_more_than_the_blocks_they_hit() {
        for is_sized in [true, false] {
            let mut stream = [opus_head(), sound(0..200_000, is_sized)].concat();
            let (whole, _) = hear_every_way(WEBM, &stream);
            let mut random = Xorshift(0xF11B);
            let mut hit = std::collections::HashSet::new();
            let head = opus_head().len();
            for (at, byte) in stream.iter_mut().enumerate().skip(head) {
                if random.below(10_000) == 0 {
                    *byte ^= 1 << random.below(8);
                    hit.insert(whole.frames.partition_point(|(start, _)| *start <= at));
                }
            }
            assert!(hit.len() > 30);
            let (heard, framer) = hear_every_way(WEBM, &stream);
            let found: std::collections::HashSet<_> = heard.frames.iter().collect();
            let lost = whole.frames.iter().filter(|frame| !found.contains(frame)).count();
            assert!(lost <= 2 * hit.len(), "{lost} blocks lost by {} flips", hit.len());
            assert!(framer.counters().resyncs > 0 && !framer.gave_up());
            let player = played(&heard);
            assert!(player.durations_us.iter().all(|us| *us <= 10_000_000));
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_not_waited_for() {
        let huge = |id: u32, body_bytes: u64| {
            let mut out = Vec::new();
            ebml::push_header(&mut out, id, body_bytes);
            out.extend_from_slice(&[0x81, 0, 0, 0x80]);
            out
        };
        let good = [opus_head(), sound(0..1_000, false)].concat();
        for liar in [
            huge(id::SIMPLE_BLOCK, (1 << 56) - 2),
            huge(id::SIMPLE_BLOCK, AUDIO_BLOCK_BYTES_MAX as u64),
            huge(id::BLOCK_GROUP, ebml::UNKNOWN),
            huge(id::VOID, 1 << 40),
            huge(id::ATTACHMENTS, SKIPPED_BYTES_MAX as u64),
            huge(id::TAGS, ebml::UNKNOWN),
            huge(id::TIMESTAMP, 9),
            number(id::TIMESTAMP, timeline::TIME_MAX + 1),
        ] {
            let stream = [&good[..], &liar, &sound(1_000..2_000, true)].concat();
            let (heard, framer) = hear_every_way(WEBM, &stream);
            assert_eq!(heard.frames.len(), 100, "{liar:x?}");
            assert_eq!((framer.counters().resyncs, heard.left), (1, 0));
        }
    }

    #[test]
    fn an_element_that_crosses_its_clusters_end_is_not_believed() {
        let mut short = sound(0..1_000, true);
        // The cluster's size loses 100 bytes: its last two blocks stand behind its end.
        let size = u64::from_be_bytes(short[4..12].try_into().unwrap()) - 100;
        short[4..12].copy_from_slice(&size.to_be_bytes());
        let stream = [opus_head(), short, sound(1_000..2_000, true)].concat();
        let (heard, framer) = hear_every_way(WEBM, &stream);
        assert_eq!((heard.frames.len(), framer.counters().resyncs), (100, 1));
        assert_eq!(framer.counters().junk_bytes, 0, "the next cluster stands right there");
    }

    #[test]
    fn a_head_larger_than_a_preamble_lets_the_source_go() {
        for (id, body_bytes) in [(id::TRACKS, 1 << 40), (id::INFO, 1 << 20)] {
            let mut stream = [ebml_header("webm"), open(id::SEGMENT)].concat();
            ebml::push_header(&mut stream, id, body_bytes);
            stream.extend([0; 3_000]);
            let (heard, framer) = hear_every_way(WEBM, &stream);
            assert_eq!(framer.objection(), Some(Objection::HeadTooLarge));
            assert_eq!((heard.out.len(), heard.left, framer.gave_up()), (0, 0, false));
        }
    }

    #[test]
    fn a_stream_without_a_head_is_passed_on_after_its_allowance() {
        let stream = sound(0..60_000, false);
        let (heard, framer) = hear_every_way(WEBM, &stream);
        assert!(framer.gave_up() && heard.frames.is_empty());
        assert_eq!(heard.junk, [(0, UNFRAMED_BYTES_MAX)]);
        assert_eq!(heard.passed + UNFRAMED_BYTES_MAX, stream.len());
    }

    #[test]
    fn truncated_anywhere_it_gives_what_was_whole() {
        let stream = [film_head(), sound(0..200, true)].concat();
        let (whole, _) = hear_every_way(WEBM, &stream);
        for end in 0..stream.len() {
            let mut framer = Framer::for_content_type(WEBM);
            let heard = hear(&mut framer, &stream[..end], || end);
            let complete = whole.frames.iter().filter(|(at, bytes)| at + bytes <= end).count();
            assert_eq!(heard.frames.len(), complete, "{end}");
            assert_eq!(framer.counters().junk_bytes, 0);
        }
    }
}
