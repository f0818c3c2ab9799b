//! HOT PATH. The parser of one mount's stream: finds the format out, hands every step to it, and
//! lets the next source go on where the last one stopped. Source core.

use super::format::{Format, Seam, boxed};
use super::opaque::Opaque;
use super::sniff::sniff;
use super::{Counters, FORMATS, Facts, Objection, Parser, Retitled, Signature, Step, Tags};

/// The parser of one mount's stream, over all its sources.
#[derive(Debug)]
pub struct Framer {
    /// The format the present source's content type names.
    declared: Option<&'static Format>,
    /// The format its bytes are parsed as.
    format: Option<&'static Format>,
    parser: Box<dyn Parser>,
    /// Whether the present source's format is found out.
    sniffed: bool,
}

impl Framer {
    /// The parser for a source's content type: case does not count, parameters after `;` do not
    /// either. The first bytes have the last word on what the stream is.
    pub fn for_content_type(content_type: &str) -> Self {
        Self {
            declared: declared(content_type),
            format: None,
            parser: boxed::<Opaque>(),
            sniffed: false,
        }
    }

    /// Looks at the start of `input`, which holds all bytes not yet taken, and says what they are.
    ///
    /// A step other than [`Step::More`] and [`Step::Head`] takes at least one byte, and none takes
    /// more than all of them. `More` is answered only while `input` is shorter than
    /// [`UNIT_BYTES_MAX`](super::UNIT_BYTES_MAX). What the steps say of a framed stream does not
    /// depend on how its bytes were cut on the way here.
    #[inline]
    pub fn step(&mut self, input: &[u8]) -> Step {
        if !self.sniffed && !self.find_out(input) {
            return Step::More;
        }
        self.parser.step(input)
    }

    /// Whether the format is known now.
    #[cold]
    fn find_out(&mut self, input: &[u8]) -> bool {
        let Some(found) = sniff(input, self.declared) else { return false };
        self.sniffed = true;
        match (self.format, found) {
            (Some(last), Some(found)) if std::ptr::eq(last, found) => self.parser.next_source(),
            (_, Some(found)) => self.parser = (found.make)(),
            (_, None) => self.parser = boxed::<Opaque>(),
        }
        self.format = found;
        true
    }

    /// Another source goes on with the stream. What was written of the old one stays written: see
    /// [`Self::end_source`].
    pub fn next_source(&mut self, content_type: &str) {
        self.declared = declared(content_type);
        self.sniffed = false;
    }

    /// The source has ended, maybe in the middle of a unit: says whether [`Self::written`] now
    /// holds bytes that end its part of the stream for those who listen.
    pub fn end_source(&mut self) -> bool {
        self.sniffed && self.parser.end_source()
    }

    /// What goes to listeners for the last step, where that is not the input's own bytes: see
    /// [`Step::Frame`] and [`Step::Head`]. Holds until the next step.
    pub fn written(&self) -> &[u8] {
        self.parser.written()
    }

    /// What a newcomer must be sent before any frame; empty for formats whose frames stand alone.
    /// Changes with [`Step::Head`] only.
    pub fn preamble(&self) -> &[u8] {
        self.parser.preamble()
    }

    /// What the stream says of itself, as far as it is known by now.
    pub fn facts(&self) -> Facts {
        self.parser.facts()
    }

    /// What was seen of the present source so far.
    pub fn counters(&self) -> Counters {
        self.parser.counters()
    }

    /// The codec parameters, once they are known.
    pub fn signature(&self) -> Option<Signature> {
        if self.sniffed { self.parser.signature() } else { None }
    }

    /// What the stream says is playing, if it said so since the last call. Asked after a
    /// [`Step::Head`] or [`Step::Tag`].
    pub fn take_tags(&mut self) -> Option<Tags> {
        self.parser.take_tags()
    }

    /// Why the stream cannot be served, if it cannot.
    pub fn objection(&self) -> Option<Objection> {
        self.parser.objection()
    }

    /// Whether the stream was not what it seemed for so long
    /// ([`UNFRAMED_BYTES_MAX`](super::UNFRAMED_BYTES_MAX)) that it is passed on unframed until the
    /// source leaves.
    pub fn gave_up(&self) -> bool {
        self.parser.gave_up()
    }

    /// Puts what is playing into the stream itself, where its format can carry it. Before the first
    /// bytes there is no stream to carry anything.
    pub fn retitle(&mut self, tags: &Tags) -> Retitled {
        if self.sniffed { self.parser.retitle(tags) } else { Retitled::NotCarried }
    }

    /// Whether the format is found out and is another one than the content type names; then its
    /// name and the content type that it should have.
    pub fn mismatch(&self) -> Option<(&'static str, &'static str)> {
        let found = self.format.filter(|_| self.sniffed)?;
        let differs = !self.declared.is_some_and(|declared| std::ptr::eq(declared, found));
        differs.then(|| (found.name, found.content_types[0]))
    }

    /// Whether the stream's container carries titles of its own that can change on the way.
    pub fn carries_titles(&self) -> bool {
        self.format.is_some_and(|format| format.seam == Seam::Chain)
    }

    /// Whether those who listen can go on when the stream's [`Self::signature`] changes.
    pub fn goes_on_when_changed(&self) -> bool {
        self.format.is_none_or(|format| format.seam != Seam::Start)
    }

    /// A word for the format, the same for as long as it is the same; `None` for bytes passed on as
    /// they are.
    pub fn format(&self) -> Option<&'static str> {
        self.format.map(|format| format.name)
    }
}

/// The format that a content type names.
fn declared(content_type: &str) -> Option<&'static Format> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let names = |format: &&Format| {
        format.content_types.iter().any(|known| known.eq_ignore_ascii_case(essence))
    };
    FORMATS.iter().find(names)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{adts_frames, mp3_frames};
    use super::*;

    fn declares(content_type: &str) -> Option<&'static str> {
        declared(content_type).map(|format| format.name)
    }

    #[test]
    fn content_types_find_their_format_in_any_case_and_with_parameters() {
        for mpeg in ["audio/mpeg", "Audio/MPEG", "audio/mp3", "audio/mpeg3", "audio/x-mpeg; q=1"] {
            assert_eq!(declares(mpeg), Some("MPEG audio"), "{mpeg}");
        }
        for adts in ["audio/aac", "audio/aacp", "audio/x-aac", "audio/AAC+", " audio/aac ;a=b"] {
            assert_eq!(declares(adts), Some("ADTS"), "{adts}");
        }
        for unknown in ["", ";", "audio/mpegurl", "audio", "audio/mp4", "application/octet-stream"]
        {
            assert_eq!(declares(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_unknown_format_passes_every_byte() {
        let mut framer = Framer::for_content_type("application/octet-stream");
        assert_eq!(framer.step(b""), Step::More);
        assert_eq!(framer.step(b"what"), Step::frame(4, 0));
        assert_eq!(framer.facts(), Facts::default());
        assert_eq!(framer.counters(), Counters::default());
        assert!(!framer.gave_up() && framer.mismatch().is_none());
    }

    #[test]
    fn the_first_bytes_have_the_last_word() {
        let (mp3, aac) = (mp3_frames(9).concat(), adts_frames(9).concat());
        for (content_type, stream, found) in [
            ("audio/aac", &mp3, "MPEG audio"),
            ("audio/mpeg", &aac, "ADTS"),
            ("application/octet-stream", &aac, "ADTS"),
        ] {
            let mut framer = Framer::for_content_type(content_type);
            assert!(matches!(framer.step(stream), Step::Frame { .. }));
            assert_eq!(framer.mismatch().map(|(name, _)| name), Some(found));
        }
        let mut framer = Framer::for_content_type("audio/mpeg");
        assert!(matches!(framer.step(&mp3), Step::Frame { .. }));
        assert_eq!(framer.mismatch(), None);
    }
}
