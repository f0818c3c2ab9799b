//! Finding sync with a stream of frames: when a first header is believed, what happens when one is
//! missing, and what stands between two tracks. Looks at no audio. Source core.

use super::super::header::{Header, Parsed};
use super::super::mean::Mean;
use super::super::pace::Pace;
use super::super::sniff::Sniffed;
use super::super::tag::{self, Sight};
use super::super::{Objection, Step};
use super::{FrameSync, Phase, UNFRAMED_BYTES_MAX};

/// What stands at some place of a stream that is out of sync.
enum Verdict<H> {
    /// A frame with this header, all of whose bytes are there.
    Frame(H),
    /// A tag of so many bytes.
    Tag(usize),
    /// Frames that do not tell their length.
    FreeFormat,
    /// Something that more bytes will decide.
    Undecided,
    /// None of these.
    Nothing,
}

impl<H: Header> FrameSync<H> {
    /// Every case but a frame where one is expected.
    #[cold]
    pub(super) fn step_out_of_line(&mut self, input: &[u8]) -> Step {
        if input.is_empty() {
            return Step::More;
        }
        if self.tag_bytes_left > 0 {
            return self.take_tag(input);
        }
        match self.phase {
            Phase::GivenUp => Step::pass(input),
            Phase::Hunting => self.hunt(input),
            Phase::Locked => self.miss(input),
        }
    }

    /// No fitting header where the last frame ended: between two tracks that is a tag.
    fn miss(&mut self, input: &[u8]) -> Step {
        if input.len() < H::BYTES {
            return Step::More;
        }
        match tag::sight_after_frame(input) {
            Sight::Undecided => Step::More,
            Sight::Tag(bytes) => self.begin_tag(bytes, input),
            Sight::None => {
                self.phase = Phase::Hunting;
                self.counters.resyncs += 1;
                self.hunt(input)
            }
        }
    }

    /// Skips to the first place that is, or may become, a frame or a tag.
    fn hunt(&mut self, input: &[u8]) -> Step {
        match self.judge(input) {
            Verdict::Undecided => return Step::More,
            Verdict::Tag(bytes) => return self.begin_tag(bytes, input),
            Verdict::Frame(header) => return self.lock(header, input),
            Verdict::FreeFormat => {
                self.objection = Some(Objection::FreeFormat);
                self.give_up();
                return Step::pass(input);
            }
            Verdict::Nothing => {}
        }
        let allowed = input.len().min(UNFRAMED_BYTES_MAX - self.unframed_bytes);
        let junk = (1..allowed)
            .find(|&at| !matches!(self.judge(&input[at..]), Verdict::Nothing))
            .unwrap_or(allowed);
        self.skip(junk)
    }

    /// A first frame is believed if two more headers follow at the announced distances. After a
    /// loss one more is enough for the stream that was lost: a random place of junk passes for a
    /// header of a given stream once in 150,000 bytes, so two in a row once in 20 billion.
    fn judge(&self, input: &[u8]) -> Verdict<H> {
        match tag::sight(input) {
            Sight::Tag(bytes) => return Verdict::Tag(bytes),
            Sight::Undecided => return Verdict::Undecided,
            Sight::None => {}
        }
        let first = match Parsed::<H>::of(input) {
            Parsed::Whole(first) => first,
            Parsed::Incomplete => return Verdict::Undecided,
            Parsed::Nothing => return self.judge_free_format(input),
        };
        let is_known = self.last.is_some_and(|last| first.continues(last));
        let mut frames_bytes = first.frame_bytes();
        for _ in 0..if is_known { 1 } else { 2 } {
            match Parsed::<H>::of(input.get(frames_bytes..).unwrap_or_default()) {
                Parsed::Whole(next) if next.continues(first) => frames_bytes += next.frame_bytes(),
                Parsed::Incomplete => return Verdict::Undecided,
                Parsed::Whole(_) | Parsed::Nothing => return Verdict::Nothing,
            }
        }
        Verdict::Frame(first)
    }

    /// Free format is looked for only until there was a frame.
    fn judge_free_format(&self, input: &[u8]) -> Verdict<H> {
        if self.last.is_some() {
            return Verdict::Nothing;
        }
        match H::has_free_format(input) {
            Sniffed::Yes => Verdict::FreeFormat,
            Sniffed::Maybe => Verdict::Undecided,
            Sniffed::No => Verdict::Nothing,
        }
    }

    /// Takes up the stream that `header` begins.
    fn lock(&mut self, header: H, input: &[u8]) -> Step {
        if !self.last.is_some_and(|last| header.continues(last)) {
            self.pace = Pace::default();
            self.mean = Mean::default();
            self.notes = H::Notes::default();
            self.last = None;
        }
        self.phase = Phase::Locked;
        self.deliver(header, &input[..header.frame_bytes()])
    }

    fn begin_tag(&mut self, bytes: usize, input: &[u8]) -> Step {
        self.tag_bytes_left = bytes;
        self.id3.begin();
        self.take_tag(input)
    }

    fn take_tag(&mut self, input: &[u8]) -> Step {
        let bytes = input.len().min(self.tag_bytes_left);
        self.tag_bytes_left -= bytes;
        self.counters.tag_bytes += bytes as u64;
        self.id3.read(&input[..bytes]);
        if self.tag_bytes_left == 0 {
            self.id3.end();
        }
        Step::Tag { bytes }
    }

    fn skip(&mut self, bytes: usize) -> Step {
        self.counters.junk_bytes += bytes as u64;
        self.unframed_bytes += bytes;
        if self.unframed_bytes >= UNFRAMED_BYTES_MAX {
            self.give_up();
        }
        Step::Junk { bytes }
    }

    fn give_up(&mut self) {
        self.phase = Phase::GivenUp;
        self.last = None;
    }
}

/// Whether a stream begins with three frames of one kind, or with a tag and then those.
pub(in super::super) fn sniff<H: Header>(input: &[u8]) -> Sniffed {
    let start = match tag::sight(input) {
        Sight::Undecided => return Sniffed::Maybe,
        Sight::Tag(bytes) => bytes,
        Sight::None => 0,
    };
    // A tag that is longer than what is sniffed at stays undecided, and the content type decides.
    let Some(frames) = input.get(start..) else { return Sniffed::Maybe };
    match FrameSync::<H>::default().judge(frames) {
        Verdict::Frame(_) | Verdict::FreeFormat => Sniffed::Yes,
        Verdict::Undecided => Sniffed::Maybe,
        Verdict::Tag(_) | Verdict::Nothing => Sniffed::No,
    }
}
