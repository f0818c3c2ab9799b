//! Ogg (RFC 3533): Vorbis, Opus, FLAC, Speex and Theora, alone or several at once, link after link.
//! Source core.
//!
//! The unit is the page, and most pages go out as they came. What a newcomer needs first is the
//! head of the link; what goes out otherwise than it came is
//! - nothing, for pages whose checksum is wrong or that belong to no stream of the link;
//! - a last page for each stream that its source left unfinished, so that players know;
//! - pages in another numbering, where a link would have a number of the one before, or the source
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
//! | `tail` | what another link needs to go on with it |
//! | `link` | the streams that play together |
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

/// Ogg as sources announce it.
pub(super) const FORMAT: Format = Format {
    name: "Ogg",
    content_types: &[
        "application/ogg",
        "audio/ogg",
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
                if self.head.is_none() && !page.is(FIRST) {
                    self.play(&page)
                } else {
                    self.gather(&page)
                }
            }
            Seen::Damaged => {
                // What begins like a page is Ogg, damaged or not: no reason to give up. Players drop
                // such pages as well.
                self.counters.crc_errors += 1;
                self.unframed_bytes = 0;
                self.hunt(input)
            }
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
            Took::Last => self.begin(bytes),
            Took::Data => self.begin(0),
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

    /// The head that was gathered is complete, with a page of `bytes`: its link begins, and with it
    /// the one before ends for those who listen.
    fn begin(&mut self, bytes: usize) -> Step {
        let head = self.head.take().unwrap_or_default();
        self.written.clear();
        self.link.end(&mut self.written);
        let rate = self.link.rate();
        (self.link, self.preamble) = Link::begin(head, &self.link);
        self.written.extend_from_slice(&self.preamble);
        self.tags = self.link.told.tags.take();
        self.is_known = true;
        if self.link.rate() != rate {
            (self.owed, self.mean) = (0, Mean::default());
        }
        Step::Head { bytes }
    }

    /// A title from outside takes its place.
    fn begin_titled(&mut self, titled: Titled) -> Step {
        self.written.clear();
        self.preamble = titled.begin(&mut self.link, &mut self.written);
        Step::Head { bytes: 0 }
    }

    /// Skips to the next place where a page begins, or may begin.
    #[cold]
    fn hunt(&mut self, input: &[u8]) -> Step {
        if std::mem::replace(&mut self.is_locked, false) {
            self.counters.resyncs += 1;
        }
        let allowed = input.len().min(UNFRAMED_BYTES_MAX - self.unframed_bytes);
        let may_begin = |&at: &usize| page::begins(&input[at..]) != Sniffed::No;
        let bytes = (1..allowed).find(may_begin).unwrap_or(allowed);
        self.unframed_bytes += bytes;
        self.has_given_up = self.unframed_bytes >= UNFRAMED_BYTES_MAX;
        self.skip(bytes)
    }

    fn skip(&mut self, bytes: usize) -> Step {
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

    /// The link stays for its numbers, which the next one must not have, and to be ended in front of
    /// the next head if it was not.
    fn next_source(&mut self) {
        self.link.close();
        let (link, preamble) = (std::mem::take(&mut self.link), std::mem::take(&mut self.preamble));
        *self = Self { link, preamble, ..Self::default() };
    }
}
