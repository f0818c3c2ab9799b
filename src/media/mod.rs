//! FLOOR 1 · media: frame and container parsers. They tell which bytes of a source's stream are
//! whole units, at which of them a player can start and what it must be given first, how long each
//! lasts, what the stream says of itself, and which bytes are none of it.
//!
//! Sans-IO: bytes in, a [`Step`] out. The room keeps no socket, clock or log, and of the stream
//! only what a newcomer needs (see [`Framer::preamble`]) within
//! [`PREAMBLE_BYTES_MAX`](crate::base::limits::PREAMBLE_BYTES_MAX); the caller keeps the bytes that
//! were not taken yet. Runs on the source core, once per source and unit.
//!
//! A new format is one file here that implements `Parser` and one line in `FORMATS`.

mod adts;
mod asc;
mod comments;
mod flac;
mod format;
mod framer;
mod free;
mod header;
mod id3;
mod latm;
mod matroska;
mod mean;
mod mpeg;
mod mpegts;
mod ogg;
mod opaque;
mod pace;
mod sbr;
mod sniff;
mod sync;
mod tag;
mod tags;
#[cfg(test)]
mod testing;
mod wav;

pub use framer::Framer;
pub use sniff::SNIFF_BYTES_MAX;
pub use sync::UNFRAMED_BYTES_MAX;
pub use tags::Tags;

use format::Format;

/// All formats. A stream of none of them is passed on as it is. The order is that of sniffing:
/// formats with a magic number first, then those told by their frames alone.
static FORMATS: &[Format] = &[
    mpegts::FORMAT,
    flac::FORMAT,
    wav::FORMAT,
    matroska::FORMAT,
    ogg::FORMAT,
    latm::FORMAT,
    mpeg::FORMAT,
    adts::FORMAT,
];

/// Bytes with which every parser of this room reaches a verdict: with so many at hand
/// [`Step::More`] is never the answer. The largest unit is a Matroska block: a key frame of video
/// at 20 Mbit/s has about 1 MB. Smaller, and live video would be refused; larger, and a source
/// that lies about a length holds that much of the source core's memory for nothing. Each parser
/// promises a bound of its own below this one.
pub const UNIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The parser of one container or codec. All bytes a method speaks of are of one source until
/// [`Parser::next_source`].
trait Parser: std::fmt::Debug + Send {
    /// See [`Framer::step`].
    fn step(&mut self, input: &[u8]) -> Step;

    /// See [`Framer::written`].
    fn written(&self) -> &[u8] {
        &[]
    }

    /// See [`Framer::preamble`].
    fn preamble(&self) -> &[u8] {
        &[]
    }

    /// See [`Framer::facts`].
    fn facts(&self) -> Facts;

    /// See [`Framer::counters`].
    fn counters(&self) -> Counters;

    /// See [`Framer::signature`].
    fn signature(&self) -> Option<Signature>;

    /// See [`Framer::take_tags`].
    fn take_tags(&mut self) -> Option<Tags> {
        None
    }

    /// See [`Framer::objection`].
    fn objection(&self) -> Option<Objection> {
        None
    }

    /// See [`Framer::gave_up`].
    fn gave_up(&self) -> bool {
        false
    }

    /// See [`Framer::retitle`].
    fn retitle(&mut self, _tags: &Tags) -> Retitled {
        Retitled::NotCarried
    }

    /// See [`Framer::end_source`].
    fn end_source(&mut self) -> bool {
        false
    }

    /// Another source of the same format begins. What was read of the old one and its counts are
    /// forgotten; what was written goes on: numbers and times that listeners have seen never run
    /// backwards. Formats that write nothing start anew.
    fn next_source(&mut self);
}

/// What the first bytes not yet taken are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "bytes that a step takes have to be removed from the input"]
pub enum Step {
    /// Too few bytes to tell: come again with these and more.
    More,
    /// One whole unit of the stream: a frame, page, block or packet. A stream that is passed on
    /// unframed gives all its bytes at once with a duration of zero.
    Frame {
        /// Bytes of the input that it takes.
        bytes: usize,
        /// How long it plays. The fractions left out are carried on, so that sums do not drift.
        /// Zero if the format does not tell, or tells with another unit.
        duration_us: u32,
        /// Whether a player that got the preamble can start with it.
        starts: bool,
        /// Whether [`Framer::written`] goes to listeners in its place.
        rewritten: bool,
    },
    /// What a newcomer needs first has come, or has changed: [`Framer::preamble`] holds for all
    /// frames from here on. Those who listen already get [`Framer::written`], which is empty where
    /// the format allows a head only at the very beginning.
    Head {
        /// Bytes of the input that it takes; may be none.
        bytes: usize,
    },
    /// Bytes that are understood and left out: an ID3 or APE tag, an index, padding. Not an error.
    /// Much of it comes in several such steps.
    Tag {
        /// Length of this piece.
        bytes: usize,
    },
    /// Bytes that belong to nothing known, skipped while looking for the next frame.
    Junk {
        /// Length of this stretch.
        bytes: usize,
    },
}

impl Step {
    /// A unit that goes out as it came and that a player can start with.
    const fn frame(bytes: usize, duration_us: u32) -> Self {
        Self::Frame { bytes, duration_us, starts: true, rewritten: false }
    }

    /// All of `input` as one unit of unknown duration.
    fn pass(input: &[u8]) -> Self {
        if input.is_empty() { Self::More } else { Self::frame(input.len(), 0) }
    }

    /// Bytes of the input that the step takes.
    pub fn taken(self) -> usize {
        match self {
            Self::More => 0,
            Self::Frame { bytes, .. }
            | Self::Head { bytes }
            | Self::Tag { bytes }
            | Self::Junk { bytes } => bytes,
        }
    }
}

/// What a stream says of itself. All of it is unknown until the first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The audio's codec, such as `MP3`, `AAC`, `HE-AAC`, `Opus`, `Vorbis`, `FLAC`, `PCM`.
    pub codec: Option<&'static str>,
    /// The video's codec, such as `VP8`, `VP9`, `Theora`, `H.264`; `None` for audio alone.
    pub video_codec: Option<&'static str>,
    /// In kbit/s, of the whole stream: what the last frame's header names if the stream has a
    /// constant rate, else the mean of the last 8 to 16 seconds.
    pub bitrate_kbps: Option<u32>,
    /// In Hz, of what a decoder puts out as far as the stream tells.
    pub sample_rate: Option<u32>,
    /// Number of channels; unknown too when an AAC stream describes its own channel layout.
    pub channels: Option<u8>,
    /// Playing time of the last unit that told it.
    pub frame_us: Option<u32>,
}

/// What a parser has seen since its source came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Units delivered.
    pub frames: u64,
    /// Bytes skipped because they belonged to no unit and no tag.
    pub junk_bytes: u64,
    /// Times that what is expected after a unit was missing. The first sync is none.
    pub resyncs: u64,
    /// Bytes of tags and structure left out.
    pub tag_bytes: u64,
    /// Units left out because their checksum was wrong.
    pub crc_errors: u64,
    /// Units that the source's own numbering says are missing.
    pub gaps: u64,
}

/// The codec parameters of a stream, comparable: two streams with equal signatures can follow each
/// other in one player without a new start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(u64);

impl Signature {
    /// The signature of the codec parameters `parts`; the order counts.
    fn of(parts: &[&[u8]]) -> Self {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        Self(hasher.finish())
    }
}

/// Why a stream cannot be served at all: its source is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// MPEG audio in free format, whose frames do not tell their length.
    FreeFormat,
    /// What a newcomer would need first is larger than
    /// [`PREAMBLE_BYTES_MAX`](crate::base::limits::PREAMBLE_BYTES_MAX).
    HeadTooLarge,
    /// An MPEG transport stream whose packets have 192 or 204 bytes.
    PacketLength,
}

impl Objection {
    /// What is wrong and what cures it, as a sentence for the log.
    pub fn cure(self) -> &'static str {
        match self {
            Self::FreeFormat => {
                "the source sends MPEG audio in free format, whose frames do not tell their \
                 length: set a standard bitrate in the encoder"
            }
            Self::HeadTooLarge => {
                "the stream's headers are larger than a newcomer can be sent: take the cover art \
                 out of its tags"
            }
            Self::PacketLength => {
                "the source sends a transport stream with 192 or 204 bytes a packet: set its \
                 output to plain MPEG-TS with 188"
            }
        }
    }
}

/// What came of a title given from outside the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retitled {
    /// The next step is a [`Step::Head`] that carries it.
    Carried,
    /// The format has no place for it within the stream.
    NotCarried,
    /// The format has, but this stream does not allow it: several streams are multiplexed, or no
    /// head has come yet.
    Refused,
}
