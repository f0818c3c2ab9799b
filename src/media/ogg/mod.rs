//! Ogg (RFC 3533): Vorbis, Opus, FLAC, Speex and Theora, alone or several at once, link after link.
//! Source core.
//!
//! The unit is the page, and most pages go out as they came. What a newcomer needs first is the
//! head of the link; what goes out otherwise than it came is
//! - nothing, for pages whose checksum is wrong or that belong to no stream of the link;
//! - a last page for each stream that its source left unfinished, so that players know;
//! - pages in another numbering, where a link would have a number that went out before, the source
//!   counts back, or a title was put in from outside;
//! - pages without the rest of a packet whose beginning is lost.
//!
//! | file | owns |
//! |---|---|
//! | `page` | the bytes of a page |
//! | `codec` | header packets, and comments in them |
//! | `meter` | durations of packets |
//! | `head` | gathering a link's head |
//! | `stream` | one logical stream's data pages |
//! | `link` | the streams that play together |
//! | `tail` | what another link needs to go on with one |
//! | `retitle` | a new link for a new title |

mod codec;
mod head;
mod link;
mod meter;
mod page;
mod retitle;
mod stream;
mod tail;

use super::format::{Format, Seam};
use super::mean::Mean;
use super::sniff::Sniffed;
use super::sync::UNFRAMED_BYTES_MAX;
use super::{Counters, Facts, Objection, Parser, Retitled, Signature, Step, Tags};
use head::{Head, Took};
use link::Link;
use page::{FIRST, Page, Seen};
use retitle::Titled;

/// A page is the largest thing that more bytes are wanted for.
const _: () = assert!(page::PAGE_BYTES_MAX < super::UNIT_BYTES_MAX);

/// Ogg as sources announce it.
pub(super) const FORMAT: Format = Format {
    name: "Ogg",
    content_types: &[
        "audio/ogg",
        "application/ogg",
        "video/ogg",
        "application/x-ogg",
        "audio/x-ogg",
        "video/x-ogg",
        "audio/vorbis",
        "audio/x-vorbis",
        "audio/x-vorbis+ogg",
        "audio/opus",
        "audio/x-opus+ogg",
        "audio/speex",
        "audio/x-speex",
        "audio/x-speex+ogg",
        "audio/x-flac+ogg",
        "video/theora",
        "video/x-theora+ogg",
    ],
    sniff: page::begins,
    seam: Seam::Chain,
    make: || Box::new(Ogg::default()),
};

/// Bytes summed up in vain after which a damaged page is left out whole: what begins like a page
/// of 64 KB at every fifth byte would otherwise cost 13,000 times what a stream does, and stop all
/// mounts at 4 Mbit/s. Damage on a line costs one page or two; fewer, and a wrong length would cost
/// the pages that it reaches over as well.
const VAIN_BYTES_MAX: usize = 4 * page::PAGE_BYTES_MAX;

/// The state of one stream.
#[derive(Debug, Default)]
struct Ogg {
    /// The head that is being gathered. The link before is still the present one.
    head: Option<Head>,
    link: Link,
    /// The head of `link`, as it went out.
    preamble: Vec<u8>,
    written: Vec<u8>,
    /// The link with a title given from outside, for the next step.
    titled: Option<Titled>,
    /// Whether the present source has begun a link.
    is_known: bool,
    tags: Option<Tags>,
    objection: Option<Objection>,
    is_locked: bool,
    has_given_up: bool,
    /// Bytes since something last began like a page, up to [`UNFRAMED_BYTES_MAX`].
    unframed_bytes: usize,
    /// Bytes that were summed up for damaged pages, beyond those that came since.
    vain_bytes: usize,
    /// What the durations fall short of the true time, in units of 1 µs / rate.
    owed: u64,
    frame_us: Option<u32>,
    mean: Mean,
    /// Bytes of pages that play nothing by themselves; they count with the next that does.
    due_bytes: usize,
    counters: Counters,
}

impl Ogg {
    #[inline]
    fn next(&mut self, input: &[u8]) -> Step {
        if self.titled.is_some() || self.objection.is_some() || self.has_given_up {
            return self.next_oddly(input);
        }
        match page::see(input) {
            Seen::More => Step::More,
            Seen::Page(page) => {
                self.is_locked = true;
                self.unframed_bytes = 0;
                self.vain_bytes = self.vain_bytes.saturating_sub(page.bytes().len());
                if self.head.is_none() && !page.is(FIRST) {
                    self.play(&page)
                } else {
                    self.gather(&page)
                }
            }
            Seen::Damaged { bytes } => self.leave_out(input, bytes),
            Seen::Nothing => self.hunt(input),
        }
    }

    #[cold]
    fn next_oddly(&mut self, input: &[u8]) -> Step {
        if let Some(titled) = self.titled.take() {
            return self.begin_titled(titled);
        }
        if self.has_given_up || input.is_empty() {
            return Step::pass(input);
        }
        self.skip(input.len())
    }

    /// A page of data.
    #[inline]
    fn play(&mut self, page: &Page<'_>) -> Step {
        self.written.clear();
        let bytes = page.bytes().len();
        let Some(taken) = self.link.take(page, &mut self.written) else { return self.skip(bytes) };
        self.counters.gaps += u64::from(taken.missing);
        if taken.is_left_out {
            return self.skip(bytes);
        }
        self.counters.frames += 1;
        let duration_us = self.measure(bytes, taken.ticks);
        Step::Frame { bytes, duration_us, starts: taken.starts, rewritten: taken.is_rewritten }
    }

    /// Accounts for a page of `bytes` that plays `ticks`; gives the duration in microseconds.
    #[inline]
    fn measure(&mut self, bytes: usize, ticks: u32) -> u32 {
        self.due_bytes = self.due_bytes.saturating_add(bytes);
        let Some(rate) = self.link.rate().filter(|_| ticks > 0) else { return 0 };
        self.mean.add(std::mem::take(&mut self.due_bytes), ticks, rate, false);
        let due = u64::from(ticks) * 1_000_000 + self.owed;
        self.owed = due % u64::from(rate);
        let duration_us = u32::try_from(due / u64::from(rate)).unwrap_or(u32::MAX);
        self.frame_us = Some(duration_us);
        duration_us
    }

    /// A page that begins a link or comes while its head is gathered.
    #[cold]
    fn gather(&mut self, page: &Page<'_>) -> Step {
        let bytes = page.bytes().len();
        match self.head.get_or_insert_default().take(page) {
            Took::Part | Took::Useless => {
                self.counters.tag_bytes += bytes as u64;
                Step::Tag { bytes }
            }
            Took::Data => self.begin(),
            Took::Foreign => self.skip(bytes),
            Took::OtherLink => {
                self.head = None;
                self.gather(page)
            }
            Took::TooLarge => {
                self.head = None;
                self.objection = Some(Objection::HeadTooLarge);
                self.skip(bytes)
            }
        }
    }

    /// The head that was gathered is complete: its link begins, and with it the one before ends for
    /// those who listen.
    fn begin(&mut self) -> Step {
        let head = self.head.take().unwrap_or_default();
        self.written.clear();
        self.link.end(&mut self.written);
        let rate = self.link.rate();
        (self.link, self.preamble) = Link::begin(head, &mut self.link);
        self.written.extend_from_slice(&self.preamble);
        self.tags = self.link.told.tags.take();
        self.is_known = true;
        if self.link.rate() != rate {
            (self.owed, self.mean) = (0, Mean::default());
        }
        Step::Head { bytes: 0 }
    }

    /// A title from outside takes its place.
    fn begin_titled(&mut self, titled: Titled) -> Step {
        self.written.clear();
        self.preamble = titled.begin(&mut self.link, &mut self.written);
        Step::Head { bytes: 0 }
    }

    /// What begins like a page of `bytes` is damaged. It is Ogg all the same, which is no reason to
    /// give up; players drop such pages as well. The next page stands within these bytes if it is
    /// the length that is wrong, so that they are looked through, as long as that is not too often.
    #[cold]
    fn leave_out(&mut self, input: &[u8], bytes: usize) -> Step {
        self.counters.crc_errors += 1;
        self.unframed_bytes = 0;
        self.vain_bytes += bytes;
        if self.vain_bytes <= VAIN_BYTES_MAX {
            return self.hunt(input);
        }
        self.lose();
        self.skip(bytes)
    }

    /// What was expected is not here.
    fn lose(&mut self) {
        self.counters.resyncs += u64::from(std::mem::replace(&mut self.is_locked, false));
    }

    /// Skips to the next place where a page begins, or may begin.
    #[cold]
    fn hunt(&mut self, input: &[u8]) -> Step {
        self.lose();
        let allowed = input.len().min(UNFRAMED_BYTES_MAX - self.unframed_bytes);
        let may_begin = |&at: &usize| page::begins(&input[at..]) != Sniffed::No;
        let bytes = (1..allowed).find(may_begin).unwrap_or(allowed);
        self.unframed_bytes += bytes;
        self.has_given_up = self.unframed_bytes >= UNFRAMED_BYTES_MAX;
        self.skip(bytes)
    }

    fn skip(&mut self, bytes: usize) -> Step {
        self.vain_bytes = self.vain_bytes.saturating_sub(bytes);
        self.counters.junk_bytes += bytes as u64;
        Step::Junk { bytes }
    }
}

impl Parser for Ogg {
    fn step(&mut self, input: &[u8]) -> Step {
        self.next(input)
    }

    fn written(&self) -> &[u8] {
        &self.written
    }

    fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    fn facts(&self) -> Facts {
        if !self.is_known {
            return Facts::default();
        }
        let told = &self.link.told;
        Facts {
            codec: told.codec,
            video_codec: told.video_codec,
            bitrate_kbps: self.link.rate().and_then(|rate| self.mean.kbps(rate)),
            sample_rate: told.sound.map(|sound| sound.rate),
            channels: told.sound.map(|sound| sound.channels),
            frame_us: self.frame_us,
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn signature(&self) -> Option<Signature> {
        self.link.told.signature.filter(|_| self.is_known)
    }

    fn take_tags(&mut self) -> Option<Tags> {
        self.tags.take()
    }

    fn objection(&self) -> Option<Objection> {
        self.objection
    }

    fn gave_up(&self) -> bool {
        self.has_given_up
    }

    fn retitle(&mut self, tags: &Tags) -> Retitled {
        if self.head.is_some() || !self.is_known || self.has_given_up {
            return Retitled::Refused;
        }
        self.titled = Titled::of(&mut self.link, &self.preamble, tags);
        if self.titled.is_some() { Retitled::Carried } else { Retitled::Refused }
    }

    fn end_source(&mut self) -> bool {
        self.titled = None;
        self.written.clear();
        self.link.end(&mut self.written);
        !self.written.is_empty()
    }

    /// The link stays for its numbers, which the next one must not have, and to be ended in front
    /// of the next head if it was not.
    fn next_source(&mut self) {
        self.link.close();
        let (link, preamble) = (std::mem::take(&mut self.link), std::mem::take(&mut self.preamble));
        *self = Self { link, preamble, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Heard, Xorshift, hear, hear_every_way};
    use super::super::{Framer, comments};
    use super::page::{CONTINUED, Header, LAST, NO_GRANULE};
    use super::*;
    use crate::base::limits::PREAMBLE_BYTES_MAX;

    const OGG: &str = "audio/ogg; codecs=opus";
    /// Samples of an Opus packet as [`Maker::sound`] makes them: 20 ms.
    const PACKET: i64 = 960;
    /// What an encoder tells players to drop first.
    const PRE_SKIP: i64 = 312;

    /// Makes the pages of one logical stream.
    struct Maker {
        out: Vec<u8>,
        next: Header,
        granule: i64,
        random: Xorshift,
    }

    impl Maker {
        /// A stream with no page yet.
        fn of(serial: u32) -> Self {
            let next = Header { flags: FIRST, granule: 0, serial, sequence: 0 };
            Self { out: Vec::new(), next, granule: 0, random: Xorshift(u64::from(serial) + 1) }
        }

        /// Opus with this title.
        fn opus(serial: u32, title: &str) -> Self {
            let mut maker = Self::of(serial);
            maker.packet(b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0");
            let tags = Tags { title: Some(title.to_owned()), ..Tags::default() };
            let mut packet = b"OpusTags".to_vec();
            comments::write(b"\0\0\0\0\0\0\0\0", &tags, &mut packet).expect("an empty list");
            maker.packet(&packet);
            maker
        }

        /// A packet on pages of its own.
        fn packet(&mut self, packet: &[u8]) {
            self.next.sequence = page::write_packet(&mut self.out, self.next, packet, false);
            self.next.flags = 0;
        }

        /// Pages of ten Opus packets each.
        fn sound(mut self, pages: usize) -> Self {
            for _ in 0..pages {
                self.granule += 10 * PACKET;
                self.page(0);
            }
            self
        }

        /// The last page.
        fn end(mut self) -> Self {
            self.granule += 10 * PACKET;
            self.page(LAST);
            self
        }

        fn page(&mut self, flags: u8) {
            let lengths: Vec<u8> = (0..10).map(|_| 60 + self.random.below(100) as u8).collect();
            let body: Vec<u8> = lengths
                .iter()
                .flat_map(|&length| {
                    let mut packet = self.random.bytes(usize::from(length));
                    packet[0] = 0xFC;
                    packet
                })
                .collect();
            self.raw(flags, &lengths, &body);
        }

        fn raw(&mut self, flags: u8, lengths: &[u8], body: &[u8]) {
            let granule = self.granule;
            page::write(&mut self.out, Header { flags, granule, ..self.next }, lengths, body);
            self.next.sequence += 1;
        }
    }

    fn opus(serial: u32, pages: usize) -> Vec<u8> {
        Maker::opus(serial, "Song").sound(pages).end().out
    }

    /// The pages of `stream`, one by one.
    fn pages(stream: &[u8]) -> Vec<Page<'_>> {
        page::pages(stream).collect()
    }

    /// What is put out, checked to be whole pages with right checksums.
    fn out(heard: &Heard) -> Vec<Page<'_>> {
        let mut at = 0;
        while at < heard.out.len() {
            let Seen::Page(page) = page::see(&heard.out[at..]) else { panic!("at {at}") };
            at += page.bytes().len();
        }
        pages(&heard.out)
    }

    fn ids(pages: &[Page<'_>]) -> Vec<(u32, u32)> {
        pages.iter().map(|page| (page.header().serial, page.header().sequence)).collect()
    }

    #[test]
    fn a_clean_stream_goes_out_as_it_came() {
        let stream = opus(7, 20);
        let (heard, framer) = hear_every_way(OGG, &stream);
        assert_eq!(heard.out, stream);
        assert_eq!((heard.frames.len(), heard.left, heard.junk.len()), (21, 0, 0));
        let head = pages(&stream)[..2].iter().map(|page| page.bytes().len()).sum::<usize>();
        assert_eq!(heard.heads, [(0, stream[..head].to_vec())]);
        assert_eq!(heard.tags, [(0, head)]);
        // The last page of a link is no place to start.
        assert_eq!(heard.starts.len(), 20);
        let us = |samples: i64| u32::try_from(samples * 1_000_000 / 48_000).expect("it fits");
        assert_eq!(heard.durations_us[0], us(10 * PACKET - PRE_SKIP));
        assert!(heard.durations_us[1..].iter().all(|&duration| duration == us(10 * PACKET)));
        let title = Tags { title: Some("Song".to_owned()), ..Tags::default() };
        assert_eq!(heard.told, [title]);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.sample_rate), (Some("Opus"), Some(48_000)));
        assert_eq!((facts.channels, facts.frame_us), (Some(2), Some(200_000)));
        assert!(facts.bitrate_kbps.is_some_and(|kbps| (40..60).contains(&kbps)), "{facts:?}");
        let (frames, tag_bytes) = (21, head as u64);
        assert_eq!(framer.counters(), Counters { frames, tag_bytes, ..Counters::default() });
    }

    #[test]
    fn a_source_that_joined_late_has_no_gap_and_plays_what_it_sends() {
        let stream = opus(7, 9);
        let whole = pages(&stream);
        let joined: Vec<u8> =
            [&whole[..2], &whole[6..]].concat().iter().fold(Vec::new(), |mut joined, page| {
                joined.extend_from_slice(page.bytes());
                joined
            });
        let (heard, framer) = hear_every_way(OGG, &joined);
        assert_eq!((heard.out, framer.counters().gaps), (joined.clone(), 0));
        assert_eq!(heard.durations_us, [200_000; 6]);
    }

    #[test]
    fn a_missing_page_is_counted_and_shows_in_the_numbers() {
        let stream = opus(7, 9);
        let whole = pages(&stream);
        let cut = whole[5].bytes().as_ptr() as usize - stream.as_ptr() as usize;
        let without = [&stream[..cut], &stream[cut + whole[5].bytes().len()..]].concat();
        let (heard, framer) = hear_every_way(OGG, &without);
        assert_eq!(framer.counters().gaps, 1);
        assert_eq!(heard.out, without);
        // What is missing does not play.
        assert!(heard.durations_us[1..].iter().all(|&duration| duration == 200_000));
    }

    #[test]
    fn a_source_that_counts_back_is_numbered_on() {
        let mut maker = Maker::opus(7, "Song").sound(5);
        maker.next.sequence = 3;
        let (heard, framer) = hear_every_way(OGG, &maker.sound(3).out);
        let numbers: Vec<_> = ids(&out(&heard)).into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]);
        assert_eq!(framer.counters().gaps, 1);
    }

    /// Three pages of sound with a packet that begins on the first, fills the second and ends on
    /// the third, between two pages without.
    fn spanning() -> (Vec<u8>, [usize; 3]) {
        let mut maker = Maker::opus(7, "Song").sound(1);
        let mut starts = [0; 3];
        let parts: [(u8, &[u8]); 3] =
            [(0, &[90, 255, 255]), (CONTINUED, &[255; 20]), (CONTINUED, &[255, 40, 90])];
        for (start, (flags, lengths)) in starts.iter_mut().zip(parts) {
            *start = maker.out.len();
            maker.granule += if lengths == [255; 20] { 0 } else { PACKET };
            let granule = std::mem::replace(&mut maker.granule, NO_GRANULE);
            if lengths != [255; 20] {
                maker.granule = granule;
            }
            let bytes: usize = lengths.iter().map(|&length| usize::from(length)).sum();
            let body = [&[0xFC][..], &vec![0x11; bytes - 1]].concat();
            maker.raw(flags, lengths, &body);
            maker.granule = granule;
        }
        (maker.sound(3).end().out, starts)
    }

    #[test]
    fn packets_over_several_pages_go_out_as_they_came() {
        let (stream, places) = spanning();
        let (heard, _) = hear_every_way(OGG, &stream);
        assert_eq!(heard.out, stream);
        assert!(!heard.starts.contains(&places[1]) && !heard.starts.contains(&places[2]));
        assert!(heard.starts.contains(&places[0]));
        assert_eq!(heard.durations_us[1..4], [20_000, 0, 20_000]);
    }

    #[test]
    fn a_damaged_page_takes_the_rest_of_its_packet_along() {
        let (stream, places) = spanning();
        for (damaged, left_out) in [(0, 2), (1, 1), (2, 0)] {
            let mut wrong = stream.clone();
            wrong[places[damaged] + 60] ^= 0x10;
            let (heard, framer) = hear_every_way(OGG, &wrong);
            let counters = framer.counters();
            assert_eq!((counters.crc_errors, counters.gaps, counters.resyncs), (1, 1, 1));
            let out = out(&heard);
            assert_eq!(heard.frames.len(), 8 - 1 - usize::from(damaged == 0), "{damaged}");
            // Behind the hole a page begins with the empty end of a packet that nobody hears.
            let mended: Vec<_> =
                out.iter().filter(|page| page.lengths().first() == Some(&0)).collect();
            assert_eq!(mended.len(), 1, "{damaged}");
            assert!(mended[0].is(CONTINUED));
            let pieces = mended[0].pieces().filter(|piece| piece.begins).count();
            assert_eq!(pieces, if left_out == 0 { 10 } else { 1 }, "{damaged}");
        }
    }

    #[test]
    fn pages_that_claim_each_other_s_bytes_are_not_summed_up_again_and_again() {
        // A page of 64 KB at every 27th byte, as far as lengths go.
        let mut claim = b"OggS\0\0".to_vec();
        claim.resize(27, 255);
        let claims = claim.repeat(20_000);
        let stream = [opus(7, 20), claims.clone(), opus(8, 20)].concat();
        let (heard, framer) = hear_every_way(OGG, &stream);
        let summed = framer.counters().crc_errors as usize * page::PAGE_BYTES_MAX;
        assert!(summed <= claims.len() + 2 * VAIN_BYTES_MAX, "{summed}");
        // The last claim reaches into the next link, and is looked through or left out with it.
        assert!(heard.frames.len() >= 21);
    }

    #[test]
    fn wrong_bits_cost_the_pages_they_are_in() {
        let stream = opus(7, 300);
        let whole = pages(&stream);
        for seed in 1..=4 {
            let mut random = Xorshift(seed);
            let mut wrong = stream.clone();
            let head = whole[0].bytes().len() + whole[1].bytes().len();
            for bit in head * 8..stream.len() * 8 {
                if random.below(10_000) == 0 {
                    wrong[bit / 8] ^= 1 << (bit % 8);
                }
            }
            let (heard, framer) = hear_every_way(OGG, &wrong);
            let (mut at, mut clean) = (0, 0);
            for page in &whole {
                let end = at + page.bytes().len();
                clean += usize::from(at >= head && wrong[at..end] == stream[at..end]);
                at = end;
            }
            assert_eq!(heard.frames.len(), clean, "seed {seed}");
            assert!(framer.counters().crc_errors > 10 && !framer.gave_up());
            out(&heard);
        }
    }

    #[test]
    fn junk_between_pages_is_left_out() {
        let stream = opus(7, 6);
        let whole = pages(&stream);
        let mut random = Xorshift(9);
        let mut wrong = Vec::new();
        for page in &whole {
            wrong.extend_from_slice(page.bytes());
            let junk_bytes = random.below(3_000);
            wrong.extend(random.bytes(junk_bytes));
            wrong.extend_from_slice(b"OggS\0Ogg");
        }
        let (heard, framer) = hear_every_way(OGG, &wrong);
        assert_eq!((heard.out, heard.frames.len()), (stream.clone(), 7));
        assert!(framer.counters().resyncs >= 8);
    }

    #[test]
    fn what_only_begins_like_ogg_is_passed_on_in_the_end() {
        let mut stream = b"OggS\0".to_vec();
        stream.extend(vec![0xFF; 3 * UNFRAMED_BYTES_MAX]);
        let (heard, framer) = hear_every_way(OGG, &stream);
        assert!(framer.gave_up());
        assert!(heard.passed > UNFRAMED_BYTES_MAX && heard.frames.is_empty());
    }

    #[test]
    fn links_follow_each_other_with_and_without_an_end() {
        let ended = [opus(1, 3), opus(2, 3)].concat();
        let (heard, _) = hear_every_way(OGG, &ended);
        assert_eq!((&heard.out, heard.heads.len(), heard.told.len()), (&ended, 2, 2));

        let open = [Maker::opus(1, "a").sound(3).out, opus(2, 3)].concat();
        let (heard, framer) = hear_every_way(OGG, &open);
        let out = out(&heard);
        let ends: Vec<_> = out.iter().filter(|page| page.is(LAST)).map(Page::header).collect();
        assert_eq!((ends.len(), ends[0].serial, ends[0].sequence), (2, 1, 5));
        assert_eq!(ends[0].granule, 30 * PACKET);
        assert_eq!((heard.junk.len(), framer.counters().gaps), (0, 0));
    }

    #[test]
    fn a_number_that_went_out_before_is_changed_on_the_way() {
        let chain = [opus(1, 3), opus(1, 2), opus(1, 2)].concat();
        let (heard, _) = hear_every_way(OGG, &chain);
        let serials: Vec<_> = ids(&out(&heard)).into_iter().map(|(serial, _)| serial).collect();
        assert_eq!(serials, [vec![1; 6], vec![2; 5], vec![3; 5]].concat());
        assert_eq!(heard.out.len(), chain.len());
        assert!(heard.heads[1].1.starts_with(b"OggS") && heard.heads[1].1[14] == 2);
    }

    #[test]
    fn a_source_that_drops_is_ended_and_the_next_one_goes_on() {
        let mut framer = Framer::for_content_type(OGG);
        let stream = opus(5, 6);
        let half = stream.len() / 2;
        let first = hear(&mut framer, &stream[..half], || half);
        assert!(framer.end_source());
        let end = framer.written().to_vec();
        let [end] = pages(&end)[..] else { panic!("one page") };
        let last = out(&first).last().map(|page| page.header()).expect("pages went out");
        let (sequence, granule) = (last.sequence + 1, last.granule);
        assert_eq!(end.header(), Header { flags: LAST, granule, serial: 5, sequence });
        assert!(!framer.end_source(), "once is enough");
        framer.next_source(OGG);
        assert_eq!(framer.signature(), None);
        let second = hear(&mut framer, &stream, || 999);
        assert_eq!(ids(&out(&second))[0], (6, 0));
        assert_eq!((second.frames.len(), framer.counters().frames), (7, 7));

        // A takeover ends nothing beforehand.
        framer.next_source(OGG);
        let third = hear(&mut framer, &Maker::opus(6, "x").sound(2).out, || 999);
        framer.next_source(OGG);
        let fourth = hear(&mut framer, &stream, || 999);
        assert_eq!(ids(&out(&third))[0], (7, 0));
        assert_eq!(ids(&out(&fourth))[..2], [(7, 4), (8, 0)]);
    }

    #[test]
    fn data_without_its_head_is_left_out_until_a_link_begins() {
        let stream = opus(1, 400);
        let whole = pages(&stream);
        let behind = whole[0].bytes().len();
        for headless in [&stream[behind..], &stream[behind + whole[1].bytes().len()..]] {
            let chain = [headless, &opus(2, 3)].concat();
            let (heard, framer) = hear_every_way(OGG, &chain);
            assert_eq!((heard.out, framer.gave_up()), (opus(2, 3), false));
        }
        // Of a head that lacks its second page nothing can be played either.
        let torn = [whole[0].bytes(), &stream[behind + whole[1].bytes().len()..]].concat();
        let (heard, _) = hear_every_way(OGG, &[&torn[..], &opus(2, 3)].concat());
        assert_eq!(heard.out, opus(2, 3));
    }

    #[test]
    fn heads_too_large_are_objected_to() {
        let mut maker = Maker::of(1);
        maker.packet(b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0");
        maker.packet(&[b"OpusTags".to_vec(), vec![0; PREAMBLE_BYTES_MAX]].concat());
        let stream = maker.sound(3).out;
        let mut framer = Framer::for_content_type(OGG);
        let heard = hear(&mut framer, &stream, || 4_000);
        assert_eq!(framer.objection(), Some(Objection::HeadTooLarge));
        assert_eq!((heard.out.len(), heard.heads.len()), (0, 0));
        framer.next_source(OGG);
        let heard = hear(&mut framer, &opus(1, 2), || 4_000);
        assert_eq!((framer.objection(), heard.frames.len()), (None, 3));
    }

    #[test]
    fn streams_without_end_in_a_head_are_bounded() {
        let mut stream = Vec::new();
        for serial in 0..3_000 {
            let mut maker = Maker::of(serial);
            maker.packet(b"fishead\0");
            stream.extend(maker.out);
        }
        stream.extend(opus(5_000, 2));
        let (heard, _) = hear_every_way(OGG, &stream);
        // Opus was one stream too many, so nobody hears it; the next link is heard.
        assert_eq!(heard.out.len(), 0);
        let mut framer = Framer::for_content_type(OGG);
        let _ = hear(&mut framer, &stream, || 999);
        let heard = hear(&mut framer, &[opus(1, 2), opus(3, 2)].concat(), || 999);
        assert_eq!(heard.heads.len(), 2);
    }

    /// The pages of several logical streams in the order of `turns`, which names one by its index.
    fn mixed(streams: &[Vec<u8>], turns: &[usize]) -> Vec<u8> {
        let mut pages: Vec<_> = streams.iter().map(|stream| page::pages(stream)).collect();
        let mut take = |turn: &usize| pages[*turn].next().map(|page| page.bytes().to_vec());
        turns.iter().filter_map(&mut take).flatten().collect()
    }

    /// Theora with a key frame on every third page of one frame each.
    fn theora(serial: u32, frames: i64) -> Vec<u8> {
        let mut maker = Maker::of(serial);
        let mut first = b"\x80theora\x03\x02\x01".to_vec();
        first.resize(42, 0);
        // 25 frames a second, counted from key frames in 6 bits.
        first[22..30].copy_from_slice(b"\0\0\0\x19\0\0\0\x01");
        first[41] = 0xC0;
        maker.packet(&first);
        maker.packet(b"\x81theora");
        maker.packet(b"\x82theora");
        for frame in 0..frames {
            let key = frame - frame % 3;
            maker.granule = (key + 1) << 6 | (frame - key);
            maker.raw(0, &[3], &[if frame == key { 0 } else { 0x40 }, 1, 2]);
        }
        maker.out
    }

    /// What describes the other streams of a link.
    fn skeleton(serial: u32) -> Vec<u8> {
        let mut maker = Maker::of(serial);
        maker.packet(b"fishead\0");
        maker.packet(b"fisbone\0");
        maker.raw(LAST, &[0], &[]);
        maker.out
    }

    #[test]
    fn films_start_at_key_frames_and_tell_the_time_by_their_sound() {
        let streams = [theora(1, 9), Maker::opus(2, "Film").sound(3).out, skeleton(3)];
        let turns = [2, 0, 1, 0, 2, 0, 1, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
        let stream = mixed(&streams, &turns);
        let (heard, framer) = hear_every_way("video/ogg", &stream);
        assert_eq!(heard.out, stream);
        assert_eq!(pages(&heard.heads[0].1).len(), 8);
        let keys = heard.starts.iter().map(|&at| pages(&stream[at..])[0].body()[0]);
        assert_eq!(keys.collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(heard.durations_us.iter().sum::<u32>(), 593_500);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.video_codec), (Some("Opus"), Some("Theora")));
    }

    #[test]
    fn a_picture_alone_tells_the_time_itself() {
        let (heard, _) = hear_every_way("video/ogg", &theora(1, 7));
        assert_eq!((heard.durations_us, heard.starts.len()), (vec![40_000; 7], 3));
    }

    #[test]
    fn a_stream_of_an_unknown_codec_is_passed_on_with_the_others() {
        let mut other = Maker::of(9);
        for packet in [b"\x80kate\0\0\0", b"\x81kate\0\0\0"] {
            other.packet(packet);
        }
        other.granule = 5;
        other.raw(0, &[1], &[7]);
        let streams = [other.out.clone(), Maker::opus(2, "a").sound(3).out];
        let stream = mixed(&streams, &[0, 1, 1, 0, 1, 0, 1, 1]);
        let (heard, framer) = hear_every_way(OGG, &stream);
        assert_eq!((heard.out, heard.frames.len()), (stream, 4));
        assert_eq!((heard.starts.len(), framer.facts().codec), (3, Some("Opus")));
        // And alone.
        let (heard, framer) = hear_every_way(OGG, &other.out);
        assert_eq!((heard.out, heard.starts.len()), (other.out, 1));
        assert_eq!(framer.facts(), Facts::default());
    }

    #[test]
    fn a_stream_whose_head_is_torn_is_left_out_of_its_link() {
        let torn = theora(1, 3);
        let whole = pages(&torn);
        let without = [whole[0].bytes(), whole[2].bytes(), whole[3].bytes()].concat();
        let sound = Maker::opus(2, "a").sound(3).out;
        let (heard, _) =
            hear_every_way(OGG, &mixed(&[without, sound.clone()], &[0, 1, 0, 1, 1, 0, 1, 1]));
        assert_eq!((heard.out, heard.starts.len()), (sound, 3));
    }

    #[test]
    fn a_title_from_outside_begins_a_link_that_repeats_one_packet() {
        let mut framer = Framer::for_content_type(OGG);
        let new = Tags { title: Some("New".to_owned()), ..Tags::default() };
        assert_eq!(framer.retitle(&new), Retitled::NotCarried, "nothing is known yet");
        let maker = Maker::opus(5, "Old").sound(4);
        let before = maker.out.len();
        let stream = maker.sound(4).end().out;
        let first = hear(&mut framer, &stream[..before], || before);
        assert_eq!(first.out, stream[..before]);
        assert_eq!(framer.retitle(&new), Retitled::Carried);
        let second = hear(&mut framer, &stream[before..], || 500);
        assert_eq!((second.told.len(), second.heads.len()), (0, 1), "no echo");
        let seen = out(&second);
        assert_eq!(ids(&seen)[..4], [(5, 6), (6, 0), (6, 1), (6, 2)]);
        assert!(seen[0].is(LAST) && seen[0].header().granule == 40 * PACKET);
        // The last packet is repeated, and what it plays is dropped.
        let heard_before = &pages(&stream[..before])[5];
        let repeated: Vec<_> = heard_before.pieces().skip(9).map(|piece| piece.bytes).collect();
        assert_eq!(seen[3].pieces().map(|piece| piece.bytes).collect::<Vec<_>>(), repeated);
        assert_eq!(seen[1].body()[10..12], (PACKET as u16).to_le_bytes());
        let granules: Vec<_> = seen[3..].iter().map(|page| page.header().granule).collect();
        assert_eq!(granules, [1, 11, 21, 31, 41, 51].map(|packets| packets * PACKET));
        assert_eq!(second.durations_us, [200_000; 5]);
        let told = hear(&mut Framer::for_content_type(OGG), &second.out, || 999).told;
        assert_eq!(told, std::slice::from_ref(&new));
        assert_eq!(framer.retitle(&new), Retitled::Refused, "the link has ended");
    }

    #[test]
    fn a_title_in_the_middle_of_a_packet_takes_its_beginning_along() {
        let (stream, places) = spanning();
        for (place, full) in [(places[1], 2), (places[2], 22)] {
            let mut framer = Framer::for_content_type(OGG);
            let _ = hear(&mut framer, &stream[..place], || place);
            assert_eq!(framer.retitle(&Tags::default()), Retitled::Carried);
            let heard = hear(&mut framer, &stream[place..], || 999);
            let seen = out(&heard);
            let open = seen.iter().find(|page| page.leaves_open()).expect("its beginning");
            assert_eq!(open.lengths(), vec![255; full]);
            assert!(open.header().granule == NO_GRANULE && !open.is(CONTINUED));
            let mut is_open = false;
            for page in &seen[1..] {
                assert_eq!(page.is(CONTINUED), is_open);
                is_open = page.leaves_open();
            }
        }
    }

    #[test]
    fn a_packet_too_long_to_be_kept_waits_with_the_title() {
        let mut maker = Maker::opus(7, "Song").sound(1);
        let mut places = Vec::new();
        for index in 0..4 {
            maker.granule = NO_GRANULE;
            maker.raw(u8::from(index > 0), &[255; 255], &vec![1; 65_025]);
            places.push(maker.out.len());
        }
        maker.granule = 10 * PACKET;
        maker.raw(CONTINUED, &[1], &[1]);
        let mut framer = Framer::for_content_type(OGG);
        let _ = hear(&mut framer, &maker.out[..places[1]], || 9_999);
        assert_eq!(framer.retitle(&Tags::default()), Retitled::Carried);
        let _ = hear(&mut framer, &maker.out[places[1]..places[3]], || 9_999);
        assert_eq!(framer.retitle(&Tags::default()), Retitled::Refused);
        let _ = hear(&mut framer, &maker.out[places[3]..], || 9_999);
        assert_eq!(framer.retitle(&Tags::default()), Retitled::Carried);
    }

    #[test]
    fn titles_are_refused_where_streams_are_mixed() {
        let streams = [theora(1, 9), Maker::opus(2, "Film").sound(3).out];
        let mut framer = Framer::for_content_type("video/ogg");
        let _ = hear(&mut framer, &mixed(&streams, &[0, 1, 0, 0, 1, 0, 1, 0, 1]), || 99);
        assert_eq!(framer.retitle(&Tags::default()), Retitled::Refused);
    }

    #[test]
    fn signatures_tell_codecs_apart_and_links_of_one_encoder_not() {
        let signature = |stream: &[u8]| {
            let mut framer = Framer::for_content_type(OGG);
            let _ = hear(&mut framer, stream, || 999);
            framer.signature()
        };
        let one = signature(&opus(1, 3));
        assert!(one.is_some());
        assert_eq!(one, signature(&Maker::opus(9, "Another").sound(2).out));
        assert_ne!(one, signature(&theora(1, 3)));
    }

    #[test]
    fn noise_is_judged_alike_however_it_is_cut() {
        for seed in 1..=20 {
            let mut random = Xorshift(seed);
            let mut noise = opus(3, 2);
            let letters = [b'O', b'g', b'g', b'S', 0, 0, 1, 27];
            noise.extend((0..20_000).map(|_| letters[random.below(letters.len())]));
            noise.extend(opus(4, 2));
            let _ = hear_every_way(OGG, &noise);
        }
    }
}
