//! What is done where no element stands that could: skipping to where the stream goes on, and
//! giving up where it does not. Source core.
//!
//! A stretch of junk ends where more bytes could turn it into something, and never crosses the
//! point of giving up, so that the verdicts do not depend on how the bytes were cut on the way
//! here.

use super::super::header::Parsed;
use super::super::{Step, UNFRAMED_BYTES_MAX, UNIT_BYTES_MAX};
use super::ebml::{Element, id};
use super::level::{Home, Level};
use super::{Matroska, Phase};

impl Matroska {
    /// No element where one is expected.
    #[cold]
    pub(super) fn lose(&mut self, input: &[u8]) -> Step {
        self.phase = Phase::Hunting;
        self.level = Level::Cluster(None);
        self.counters.resyncs += 1;
        self.hunt(input)
    }

    /// Skips to the first place where the stream goes on, or may.
    pub(super) fn hunt(&mut self, input: &[u8]) -> Step {
        match self.judge(input) {
            Parsed::Incomplete => return Step::More,
            Parsed::Whole(()) => match self.element(input) {
                Some(Step::More) => return Step::More,
                Some(step) => {
                    self.phase = Phase::Locked;
                    return step;
                }
                None => {}
            },
            Parsed::Nothing => {}
        }
        let allowed = input.len().min(self.junk_bytes_max() - self.unframed_bytes);
        let junk = (1..allowed)
            .find(|&at| !matches!(self.judge(&input[at..]), Parsed::Nothing))
            .unwrap_or(allowed);
        self.junk(junk)
    }

    /// Whether the stream goes on at the start of `input`: at a file's beginning, at a cluster, or
    /// at a block of a known track with an element behind it. A random place passes for such a
    /// block about once in ten million: of its first bytes two have to match, of its flags three
    /// bits, and behind it one of eight ids has to stand.
    fn judge(&self, input: &[u8]) -> Parsed<()> {
        // First bytes of the four ids, for speed.
        if !matches!(input.first(), None | Some(0x1A | 0x1F | 0xA0 | 0xA3)) {
            return Parsed::Nothing;
        }
        let element = match Element::parse(input) {
            Parsed::Whole(element) => element,
            Parsed::Incomplete => return Parsed::Incomplete,
            Parsed::Nothing => return Parsed::Nothing,
        };
        match element.id {
            id::EBML => Parsed::Whole(()),
            id::CLUSTER if self.tracks.is_some() => Parsed::Whole(()),
            id::SIMPLE_BLOCK | id::BLOCK_GROUP if self.cluster_time.is_some() => {
                self.judge_block(input, element)
            }
            _ => Parsed::Nothing,
        }
    }

    /// Whether the block or group at the start of `input` is believed.
    fn judge_block(&self, input: &[u8], element: Element) -> Parsed<()> {
        let Some(bytes) = element.whole_bytes(self.block_bytes_max()) else {
            return Parsed::Nothing;
        };
        let mut body = &input[element.header_bytes..];
        if element.id == id::BLOCK_GROUP {
            match Element::parse(body) {
                Parsed::Whole(first) if first.id == id::BLOCK => body = &body[first.header_bytes..],
                Parsed::Incomplete => return Parsed::Incomplete,
                Parsed::Whole(_) | Parsed::Nothing => return Parsed::Nothing,
            }
        }
        match self.known_block(body) {
            Parsed::Whole(()) => {}
            unsure => return unsure,
        }
        match Element::parse(input.get(bytes..).unwrap_or_default()) {
            Parsed::Whole(next) if Home::of(next.id).is_some() => Parsed::Whole(()),
            Parsed::Incomplete => Parsed::Incomplete,
            Parsed::Whole(_) | Parsed::Nothing => Parsed::Nothing,
        }
    }

    /// Junk after which the source is passed on unframed. Behind a damaged length the rest of a key
    /// frame is junk, so a stream that was understood once is looked for as long as a block can be.
    fn junk_bytes_max(&self) -> usize {
        if self.tracks.is_some() { UNIT_BYTES_MAX } else { UNFRAMED_BYTES_MAX }
    }

    pub(super) fn junk(&mut self, bytes: usize) -> Step {
        self.counters.junk_bytes += bytes as u64;
        self.unframed_bytes += bytes;
        if self.phase == Phase::Hunting && self.unframed_bytes >= self.junk_bytes_max() {
            self.phase = Phase::GivenUp;
        }
        Step::Junk { bytes }
    }
}
