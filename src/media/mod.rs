//! FLOOR 1 · media: frame parsers. They tell which bytes of a source's stream are whole units that
//! a player can start at, how long each lasts, and which bytes are no audio at all.
//!
//! Sans-IO: bytes in, a [`Step`] out. The room keeps no socket, clock, log or copy of the stream;
//! the caller keeps the bytes that were not taken yet. Runs on the source core, once per source and
//! frame, and allocates nothing.
//!
//! A new format is one file here and one line in `FORMATS`.

pub mod adts;
mod header;
mod mean;
pub mod mpeg;
mod sync;
mod tag;
#[cfg(test)]
mod testing;

pub use sync::UNFRAMED_BYTES_MAX;

/// Bytes with which every parser of this room reaches a verdict: with so many at hand
/// [`Step::More`] is never the answer. An ADTS frame is the largest unit (its length field has 13
/// bits), and a first sync sees two whole frames and the header of a third before it believes the
/// first.
pub const FRAME_BYTES_MAX: usize = 2 * adts::FRAME_BYTES_MAX + adts::HEADER_BYTES;

/// One format this room can frame.
struct Format {
    /// As sources send them, in lower case and without parameters.
    content_types: &'static [&'static str],
    make: fn() -> Framer,
}

/// All formats. A stream of none of them is passed on unframed.
const FORMATS: &[Format] = &[
    Format { content_types: mpeg::CONTENT_TYPES, make: || Framer::Mpeg(Default::default()) },
    Format { content_types: adts::CONTENT_TYPES, make: || Framer::Adts(Default::default()) },
];

/// The parser of one source's stream.
#[derive(Debug)]
pub enum Framer {
    /// MPEG 1, 2 and 2.5 audio, layers I to III.
    Mpeg(mpeg::MpegFramer),
    /// AAC in ADTS, MPEG-2 and MPEG-4.
    Adts(adts::AdtsFramer),
    /// A format this room has no parser for: every byte is passed on as it came.
    Opaque,
}

impl Framer {
    /// The parser for a source's content type: case does not count, parameters after `;` do not
    /// either. A type that no parser claims gives [`Framer::Opaque`].
    pub fn for_content_type(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let claims = |format: &&Format| {
            format.content_types.iter().any(|known| known.eq_ignore_ascii_case(essence))
        };
        FORMATS.iter().find(claims).map_or(Self::Opaque, |format| (format.make)())
    }

    /// Looks at the start of `input`, which holds all bytes not yet taken, and says what they are.
    ///
    /// A step other than [`Step::More`] takes at least one byte and at most all of them. `More` is
    /// answered only while `input` is shorter than [`FRAME_BYTES_MAX`]. What the steps say of a
    /// framed stream does not depend on how its bytes were cut on the way here.
    #[inline]
    pub fn step(&mut self, input: &[u8]) -> Step {
        match self {
            Self::Mpeg(framer) => framer.step(input),
            Self::Adts(framer) => framer.step(input),
            Self::Opaque => Step::pass(input),
        }
    }

    /// What the stream says of itself, as far as it is known by now.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Mpeg(framer) => framer.facts(),
            Self::Adts(framer) => framer.facts(),
            Self::Opaque => Facts::default(),
        }
    }

    /// What was seen so far.
    pub fn counters(&self) -> Counters {
        match self {
            Self::Mpeg(framer) => framer.counters(),
            Self::Adts(framer) => framer.counters(),
            Self::Opaque => Counters::default(),
        }
    }

    /// Whether the stream was not what its content type promised for so long
    /// ([`UNFRAMED_BYTES_MAX`]) that it is passed on unframed until the source leaves.
    pub fn gave_up(&self) -> bool {
        match self {
            Self::Mpeg(framer) => framer.gave_up(),
            Self::Adts(framer) => framer.gave_up(),
            Self::Opaque => false,
        }
    }
}

/// What the first bytes not yet taken are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "bytes that a step takes have to be removed from the input"]
pub enum Step {
    /// Too few bytes to tell: come again with these and more.
    More,
    /// One whole unit that a player can start at. A stream that is passed on unframed gives all its
    /// bytes at once with a duration of zero.
    Frame {
        /// Length of the unit.
        bytes: usize,
        /// How long it plays. The fractions left out are carried on, so that sums do not drift.
        duration_us: u32,
    },
    /// Bytes of an ID3 or APE tag: no audio, left out of the stream, not an error. A large tag
    /// comes in several such steps.
    Tag {
        /// Length of this piece of the tag.
        bytes: usize,
    },
    /// Bytes that belong to nothing known, skipped while looking for the next frame.
    Junk {
        /// Length of this stretch.
        bytes: usize,
    },
}

impl Step {
    /// All of `input` as one unit of unknown duration.
    fn pass(input: &[u8]) -> Self {
        if input.is_empty() {
            return Self::More;
        }
        Self::Frame { bytes: input.len(), duration_us: 0 }
    }
}

/// What a stream says of itself. All of it is unknown until the first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `MP1`, `MP2`, `MP3` or `AAC`.
    pub codec: Option<&'static str>,
    /// In kbit/s: what the last frame's header names if the stream has a constant rate, else the
    /// mean of the last 8 to 16 seconds.
    pub bitrate_kbps: Option<u32>,
    /// In Hz. For HE-AAC it is the core's rate, half of what a decoder puts out: the header does
    /// not tell more.
    pub sample_rate: Option<u32>,
    /// Number of channels; unknown too when an AAC stream describes its own channel layout.
    pub channels: Option<u8>,
}

/// What a parser has seen since its source came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames delivered.
    pub frames: u64,
    /// Bytes skipped because they belonged to no frame and no tag.
    pub junk_bytes: u64,
    /// Times that the header expected after a frame was missing. The first sync is none.
    pub resyncs: u64,
    /// Bytes of tags left out.
    pub tag_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_find_their_parser_in_any_case_and_with_parameters() {
        for mpeg in ["audio/mpeg", "Audio/MPEG", "audio/mp3", "audio/mpeg3", "audio/x-mpeg; q=1"] {
            assert!(matches!(Framer::for_content_type(mpeg), Framer::Mpeg(_)), "{mpeg}");
        }
        for adts in ["audio/aac", "audio/aacp", "audio/x-aac", "audio/AAC+", " audio/aac ;a=b"] {
            assert!(matches!(Framer::for_content_type(adts), Framer::Adts(_)), "{adts}");
        }
        for opaque in ["", ";", "audio/ogg", "audio/mpegurl", "audio", "audio/mp4", "video/webm"] {
            assert!(matches!(Framer::for_content_type(opaque), Framer::Opaque), "{opaque}");
        }
    }

    #[test]
    fn an_unknown_format_passes_every_byte() {
        let mut framer = Framer::for_content_type("application/ogg");
        assert_eq!(framer.step(b""), Step::More);
        assert_eq!(framer.step(b"OggS"), Step::Frame { bytes: 4, duration_us: 0 });
        assert_eq!(framer.facts(), Facts::default());
        assert_eq!(framer.counters(), Counters::default());
        assert!(!framer.gave_up());
    }
}
