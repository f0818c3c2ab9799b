//! What stands before a stream's clusters: read from the source, and put together anew as the
//! preamble that every newcomer is sent. Source core.

use super::super::Tags;
use super::ebml::{Children, UNKNOWN, id, push_header};
use super::tracks::Tracks;
use crate::base::limits::PREAMBLE_BYTES_MAX;

/// The head of a segment while it comes in.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The EBML header as it came; it holds for all segments behind it.
    ebml: Vec<u8>,
    /// Info as it goes out.
    info: Vec<u8>,
    /// Tracks as they came, and what they say.
    tracks: Option<(Vec<u8>, Tracks)>,
    /// Length of a tick in nanoseconds.
    tick_ns: Option<u64>,
    title: Option<String>,
}

/// A head that is complete.
#[derive(Debug)]
pub(super) struct Head {
    /// What a newcomer is sent before any cluster.
    pub(super) preamble: Vec<u8>,
    /// The stream's tracks.
    pub(super) tracks: Tracks,
    /// Length of a tick in nanoseconds, 1 to [`TICK_NS_MAX`].
    pub(super) tick_ns: u64,
    /// The title of all of it.
    pub(super) title: Option<String>,
}

/// Longest tick, in nanoseconds: a second. Players round to milliseconds, and at a second for each
/// tick a cluster's 16 bits would span nine hours.
const TICK_NS_MAX: u64 = 1_000_000_000;

/// A tick where none is told (RFC 9559, section 5.1.2.9).
const TICK_NS: u64 = 1_000_000;

/// Longest EBML header. Encoders write 31 to 40 bytes; some keep room for changes.
pub(super) const EBML_HEADER_BYTES_MAX: usize = 4096;

/// Whether the body of an EBML header announces Matroska with lengths that RFC 9559 allows.
pub(super) fn is_matroska(body: &[u8]) -> bool {
    let fields = Children::of(body);
    let at_most = |id, most| fields.find_unsigned(id).is_none_or(|value| value <= most);
    fields.are_whole()
        && matches!(fields.find_text(id::DOC_TYPE).as_deref(), Some("webm" | "matroska"))
        && at_most(id::EBML_MAX_ID_LENGTH, 4)
        && at_most(id::EBML_MAX_SIZE_LENGTH, 8)
}

impl Draft {
    /// Takes the EBML header `whole`.
    pub(super) fn take_ebml(&mut self, whole: &[u8]) {
        *self = Self { ebml: whole.to_vec(), ..Self::default() };
    }

    /// Another segment begins behind the same EBML header.
    pub(super) fn begin_segment(&mut self) {
        *self = Self { ebml: std::mem::take(&mut self.ebml), ..Self::default() };
    }

    /// Takes the body of an Info element; says whether it is one.
    pub(super) fn take_info(&mut self, body: &[u8]) -> bool {
        let fields = Children::of(body);
        let tick_ns = fields.find_unsigned(id::TIMESTAMP_SCALE).unwrap_or(TICK_NS);
        if !fields.are_whole() || !(1..=TICK_NS_MAX).contains(&tick_ns) {
            return false;
        }
        // A live stream has no end, and with one player seek or stop. Without it the checksum does
        // not hold.
        let kept = fields.filter(|field| !matches!(field.id, id::DURATION | id::VOID | id::CRC_32));
        let body: Vec<u8> = kept.flat_map(|field| field.whole.iter().copied()).collect();
        self.info.clear();
        push_header(&mut self.info, id::INFO, body.len() as u64);
        self.info.extend_from_slice(&body);
        self.tick_ns = Some(tick_ns);
        self.title = fields.find_text(id::TITLE).map(|title| Tags::kept(&title));
        true
    }

    /// Takes the Tracks element `whole` with this body; says whether it is one.
    pub(super) fn take_tracks(&mut self, whole: &[u8], body: &[u8]) -> bool {
        self.tracks = Tracks::parse(body).map(|tracks| (whole.to_vec(), tracks));
        self.tracks.is_some()
    }

    /// Whether `bytes` more would make the preamble too large.
    pub(super) fn is_full_with(&self, bytes: Option<usize>) -> bool {
        // Heads of Segment and Info as they are written, longer than those that came maybe.
        const HEADS_BYTES: usize = 24;
        let tracks_bytes = self.tracks.as_ref().map_or(0, |(whole, _)| whole.len());
        let held = self.ebml.len() + HEADS_BYTES + self.info.len() + tracks_bytes;
        bytes.is_none_or(|bytes| held + bytes > PREAMBLE_BYTES_MAX)
    }

    /// The head, once it is complete. Index, tags, chapters and attachments are not in it: places
    /// in a file mean nothing in a live stream, and covers would delay everybody's sound.
    pub(super) fn settle(&mut self) -> Option<Head> {
        let (tracks_whole, tracks) = self.tracks.take()?;
        let mut preamble = self.ebml.clone();
        push_header(&mut preamble, id::SEGMENT, UNKNOWN);
        preamble.extend_from_slice(&self.info);
        preamble.extend_from_slice(&tracks_whole);
        let tick_ns = self.tick_ns.unwrap_or(TICK_NS);
        let title = self.title.take().filter(|title| !title.is_empty());
        self.begin_segment();
        Some(Head { preamble, tracks, tick_ns, title })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::header::Parsed;
    use super::super::ebml::Element;
    use super::super::testing::{audio_entry, ebml_header, element, number};
    use super::*;

    #[test]
    fn only_matroska_and_webm_with_sane_lengths_are_announced() {
        let of = |fields: &[Vec<u8>]| is_matroska(&fields.concat());
        let webm = element(id::DOC_TYPE, b"webm");
        assert!(of(std::slice::from_ref(&webm)));
        assert!(of(&[element(id::DOC_TYPE, b"matroska\0"), number(id::EBML_MAX_ID_LENGTH, 4)]));
        assert!(!of(&[element(id::DOC_TYPE, b"avi")]));
        assert!(!of(&[]));
        assert!(!of(&[webm.clone(), number(id::EBML_MAX_ID_LENGTH, 5)]));
        assert!(!of(&[webm.clone(), number(id::EBML_MAX_SIZE_LENGTH, 9)]));
        assert!(!of(&[webm, vec![0x42]]), "a cut field");
    }

    #[test]
    fn info_goes_out_without_duration_and_checksum() {
        let kept = [number(id::TIMESTAMP_SCALE, 500_000), element(id::TITLE, b"Night")].concat();
        let sums = element(id::CRC_32, &[0; 4]);
        let duration = element(id::DURATION, &9.5_f64.to_be_bytes());
        let mut draft = Draft::default();
        draft.take_ebml(&ebml_header("webm"));
        assert!(draft.take_info(&[&sums[..], &kept, &duration].concat()));
        let entry = audio_entry(1, "A_OPUS", b"");
        let tracks = element(id::TRACKS, &entry);
        assert!(draft.settle().is_none() && draft.take_tracks(&tracks, &entry));
        let head = draft.settle().unwrap();
        assert_eq!((head.tick_ns, head.title.as_deref()), (500_000, Some("Night")));
        let mut wanted = ebml_header("webm");
        push_header(&mut wanted, id::SEGMENT, UNKNOWN);
        push_header(&mut wanted, id::INFO, kept.len() as u64);
        assert_eq!(head.preamble, [&wanted[..], &kept, &tracks].concat());
        assert!(matches!(Element::parse(&head.preamble), Parsed::Whole(_)));
    }

    #[test]
    fn ticks_of_no_length_or_of_minutes_are_refused() {
        for (tick_ns, taken) in [(0, false), (1, true), (TICK_NS_MAX, true), (u64::MAX, false)] {
            let info = number(id::TIMESTAMP_SCALE, tick_ns);
            assert_eq!(Draft::default().take_info(&info), taken, "{tick_ns}");
        }
    }

    #[test]
    fn a_head_of_more_than_a_preamble_is_full() {
        let mut draft = Draft::default();
        draft.take_ebml(&ebml_header("webm"));
        let room = PREAMBLE_BYTES_MAX - 24 - ebml_header("webm").len();
        assert!(!draft.is_full_with(Some(room)) && draft.is_full_with(Some(room + 1)));
        assert!(draft.is_full_with(None));
    }
}
