//! What fuzz targets share: the framers of every audio format keep the same promises, so they are
//! held to them by the same code. It runs in no server and judges nothing else.

use floe::base::limits::PREAMBLE_BYTES_MAX;
use floe::media::{Framer, Step, Tags, UNIT_BYTES_MAX};

/// What a framer said of one stretch of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Frame {
        duration_us: u32,
        starts: bool,
        /// What goes out in its place.
        written: Option<Vec<u8>>,
    },
    Head {
        preamble: Vec<u8>,
        written: Vec<u8>,
        tags: Option<Tags>,
    },
    /// Unframed: pieces as the transport cut them, so only their sum means something.
    Passed,
    Tag,
    Junk,
}

impl Kind {
    /// Whether only the sum of neighbours of this kind means something.
    fn has_no_bounds(&self) -> bool {
        matches!(self, Self::Passed | Self::Tag | Self::Junk)
    }
}

/// First bytes from here on ask for a repeated stream.
const REPEATED: u8 = 0xf0;
/// Takes 3 KB past the 64 KiB at which framers give up.
const REPEATS: usize = 24;
/// Longest stream that is fed a byte at a time; longer ones go in pieces, to keep inputs many.
const BY_BYTES_MAX: usize = 4096;
/// A piece that no frame length is a multiple of.
const PIECE_BYTES: usize = 61;

/// Feeds a framer of `content_type` with a stream made from `input`, at once and in pieces, and
/// checks what every caller relies on: each step moves on, nothing is taken twice or left unsaid,
/// a verdict comes with [`UNIT_BYTES_MAX`] bytes at hand, and how the bytes were cut changes
/// nothing.
///
/// The first byte of `input` says whether the rest is repeated, so that a small input can reach the
/// point where a framer gives up. Most are not: short streams make many tries.
pub fn check_framer(content_type: &str, input: &[u8]) {
    let Some((kind, unit)) = input.split_first() else { return };
    let stream = unit.repeat(if *kind >= REPEATED { REPEATS } else { 1 });
    let piece = if stream.len() <= BY_BYTES_MAX { 1 } else { PIECE_BYTES };
    let whole = feed(content_type, &stream, stream.len().max(1));
    let pieces = feed(content_type, &stream, piece);
    assert_eq!(whole, pieces, "the same bytes, cut in another way");
}

/// Everything said of `stream`, with neighbours of one kind put together (frames aside).
fn feed(content_type: &str, stream: &[u8], piece: usize) -> Vec<(Kind, usize)> {
    let mut framer = Framer::for_content_type(content_type);
    let mut said: Vec<(Kind, usize)> = Vec::new();
    let mut start = 0;
    let mut end = 0;
    while end < stream.len() {
        end = (end + piece).min(stream.len());
        while let Some((kind, bytes)) = step(&mut framer, &stream[start..end]) {
            start += bytes;
            match said.last_mut() {
                Some((last, sum)) if *last == kind && kind.has_no_bounds() => {
                    *sum += bytes;
                }
                _ => said.push((kind, bytes)),
            }
        }
    }
    let counters = framer.counters();
    let sum = |wanted: Kind| -> u64 {
        said.iter().filter(|(kind, _)| *kind == wanted).map(|(_, bytes)| *bytes as u64).sum()
    };
    assert_eq!(counters.junk_bytes, sum(Kind::Junk), "junk is counted");
    assert_eq!(counters.tag_bytes, sum(Kind::Tag), "tags are counted");
    said
}

fn step(framer: &mut Framer, input: &[u8]) -> Option<(Kind, usize)> {
    let step = framer.step(input);
    let bytes = step.taken();
    let kind = match step {
        Step::More => {
            assert!(input.len() < UNIT_BYTES_MAX, "a verdict comes with so many bytes");
            return None;
        }
        Step::Frame { .. } if framer.gave_up() => Kind::Passed,
        Step::Frame { duration_us, starts, rewritten, .. } => {
            let written = rewritten.then(|| framer.written().to_vec());
            Kind::Frame { duration_us, starts, written }
        }
        Step::Head { .. } => {
            assert!(framer.preamble().len() <= PREAMBLE_BYTES_MAX, "a head has its ceiling");
            let (preamble, written) = (framer.preamble().to_vec(), framer.written().to_vec());
            Kind::Head { preamble, written, tags: framer.take_tags() }
        }
        Step::Tag { .. } => Kind::Tag,
        Step::Junk { .. } => Kind::Junk,
    };
    let least = usize::from(!matches!(kind, Kind::Head { .. }));
    assert!((least..=input.len()).contains(&bytes), "a step takes what is there, and moves on");
    Some((kind, bytes))
}
