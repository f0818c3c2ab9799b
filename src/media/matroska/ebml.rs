//! EBML (RFC 8794), the grammar below Matroska: element ids, sizes and the few kinds of values that
//! heads hold. What an element means is none of its business. Source core.

use super::super::header::Parsed;

/// The head of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// With its length marker, as specifications print it.
    pub(super) id: u32,
    /// Bytes of id and size.
    pub(super) header_bytes: usize,
    /// Bytes of the body; `None` if it ends where something stands that cannot be in it.
    pub(super) body_bytes: Option<u64>,
}

impl Element {
    /// The element's head at the start of `input`. Ids have up to four bytes and sizes up to eight,
    /// the most that Matroska allows (RFC 9559, section 5.1).
    #[inline]
    pub(super) fn parse(input: &[u8]) -> Parsed<Self> {
        let Some(&first) = input.first() else { return Parsed::Incomplete };
        let id_bytes = first.leading_zeros() as usize + 1;
        if id_bytes > 4 {
            return Parsed::Nothing;
        }
        let Some(id) = input.get(..id_bytes) else { return Parsed::Incomplete };
        let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        match number(&input[id_bytes..]) {
            Parsed::Whole((value, bytes)) => {
                let unknown = value == (1 << (7 * bytes)) - 1;
                let body_bytes = (!unknown).then_some(value);
                Parsed::Whole(Self { id, header_bytes: id_bytes + bytes, body_bytes })
            }
            Parsed::Incomplete => Parsed::Incomplete,
            Parsed::Nothing => Parsed::Nothing,
        }
    }

    /// Length with its head, if it is known and at most `bytes_max`.
    #[inline]
    pub(super) fn whole_bytes(self, bytes_max: usize) -> Option<usize> {
        let body_bytes = usize::try_from(self.body_bytes?).ok()?;
        let bytes = body_bytes.checked_add(self.header_bytes)?;
        (bytes <= bytes_max).then_some(bytes)
    }
}

/// The number of variable length (RFC 8794, section 4) at the start of `input`, without its length
/// marker, and how many bytes it takes.
#[inline]
pub(super) fn number(input: &[u8]) -> Parsed<(u64, usize)> {
    let Some(&first) = input.first() else { return Parsed::Incomplete };
    let bytes = first.leading_zeros() as usize + 1;
    if bytes > 8 {
        return Parsed::Nothing;
    }
    let Some(rest) = input.get(1..bytes) else { return Parsed::Incomplete };
    let marked = rest.iter().fold(u64::from(first), |value, byte| value << 8 | u64::from(*byte));
    Parsed::Whole((marked & ((1 << (7 * bytes)) - 1), bytes))
}

/// An element within a body that is all there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'a> {
    /// See [`Element::id`].
    pub(super) id: u32,
    /// Its head and body.
    pub(super) whole: &'a [u8],
    /// Its body.
    pub(super) body: &'a [u8],
}

/// The elements of a body one after the other, as far as each is whole and ends within the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Children<'a>(&'a [u8]);

impl<'a> Children<'a> {
    /// The elements of `body`.
    pub(super) fn of(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Whether all of the body is elements that end within it.
    pub(super) fn are_whole(mut self) -> bool {
        self.by_ref().for_each(drop);
        self.0.is_empty()
    }

    /// The body of the first element with this id.
    pub(super) fn find_body(mut self, id: u32) -> Option<&'a [u8]> {
        self.find(|child| child.id == id).map(|child| child.body)
    }

    /// The value of the first element with this id, read as [`unsigned`].
    pub(super) fn find_unsigned(self, id: u32) -> Option<u64> {
        self.find_body(id).and_then(unsigned)
    }

    /// The value of the first element with this id, read as [`text`].
    pub(super) fn find_text(self, id: u32) -> Option<String> {
        self.find_body(id).map(text)
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Child<'a>;

    #[inline]
    fn next(&mut self) -> Option<Child<'a>> {
        let Parsed::Whole(element) = Element::parse(self.0) else { return None };
        let bytes = element.whole_bytes(self.0.len())?;
        let (whole, rest) = self.0.split_at(bytes);
        self.0 = rest;
        Some(Child { id: element.id, whole, body: &whole[element.header_bytes..] })
    }
}

/// A body that holds a number; `None` if it is longer than eight bytes.
pub(super) fn unsigned(body: &[u8]) -> Option<u64> {
    let fits = body.len() <= 8;
    fits.then(|| body.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A body that holds a floating-point number, rounded to a whole one; `None` if it is of another
/// length than such numbers have, negative, or not finite.
pub(super) fn rounded(body: &[u8]) -> Option<u64> {
    let value = match *body {
        [] => 0.0,
        [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => return None,
    };
    (value.is_finite() && value >= 0.0).then(|| value.round() as u64)
}

/// A body that holds text: it may be padded with zeros at its end.
pub(super) fn text(body: &[u8]) -> String {
    let end = body.iter().position(|&byte| byte == 0).unwrap_or(body.len());
    String::from_utf8_lossy(&body[..end]).into_owned()
}

/// Appends the head of an element whose body is `body_bytes` long, with the size in eight bytes.
pub(super) fn push_header(out: &mut Vec<u8>, id: u32, body_bytes: u64) {
    let id_bytes = id.leading_zeros() as usize / 8;
    out.extend_from_slice(&id.to_be_bytes()[id_bytes..]);
    out.extend_from_slice(&(body_bytes | 1 << 56).to_be_bytes());
}

/// The size of a body that ends where something stands that cannot be in it, for [`push_header`].
pub(super) const UNKNOWN: u64 = (1 << 56) - 1;

/// Ids of elements (RFC 9559, section 5.1).
pub(super) mod id {
    pub(crate) const EBML: u32 = 0x1A45_DFA3;
    pub(crate) const EBML_MAX_ID_LENGTH: u32 = 0x42F2;
    pub(crate) const EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
    pub(crate) const DOC_TYPE: u32 = 0x4282;
    pub(crate) const VOID: u32 = 0xEC;
    pub(crate) const CRC_32: u32 = 0xBF;

    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const SEEK_HEAD: u32 = 0x114D_9B74;
    pub(crate) const CUES: u32 = 0x1C53_BB6B;
    pub(crate) const CHAPTERS: u32 = 0x1043_A770;
    pub(crate) const ATTACHMENTS: u32 = 0x1941_A469;

    pub(crate) const INFO: u32 = 0x1549_A966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
    pub(crate) const DURATION: u32 = 0x4489;
    pub(crate) const TITLE: u32 = 0x7BA9;

    pub(crate) const TRACKS: u32 = 0x1654_AE6B;
    pub(crate) const TRACK_ENTRY: u32 = 0xAE;
    pub(crate) const TRACK_NUMBER: u32 = 0xD7;
    pub(crate) const TRACK_TYPE: u32 = 0x83;
    pub(crate) const DEFAULT_DURATION: u32 = 0x23_E383;
    pub(crate) const CODEC_ID: u32 = 0x86;
    pub(crate) const CODEC_PRIVATE: u32 = 0x63A2;
    pub(crate) const CONTENT_ENCODINGS: u32 = 0x6D80;
    pub(crate) const AUDIO: u32 = 0xE1;
    pub(crate) const SAMPLING_FREQUENCY: u32 = 0xB5;
    pub(crate) const OUTPUT_SAMPLING_FREQUENCY: u32 = 0x78B5;
    pub(crate) const CHANNELS: u32 = 0x9F;

    pub(crate) const TAGS: u32 = 0x1254_C367;
    pub(crate) const TAG: u32 = 0x7373;
    pub(crate) const TARGETS: u32 = 0x63C0;
    pub(crate) const TARGET_TYPE_VALUE: u32 = 0x68CA;
    pub(crate) const SIMPLE_TAG: u32 = 0x67C8;
    pub(crate) const TAG_NAME: u32 = 0x45A3;
    pub(crate) const TAG_STRING: u32 = 0x4487;

    pub(crate) const CLUSTER: u32 = 0x1F43_B675;
    pub(crate) const TIMESTAMP: u32 = 0xE7;
    pub(crate) const SILENT_TRACKS: u32 = 0x5854;
    pub(crate) const POSITION: u32 = 0xA7;
    pub(crate) const PREV_SIZE: u32 = 0xAB;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xA3;
    pub(crate) const ENCRYPTED_BLOCK: u32 = 0xAF;
    pub(crate) const BLOCK_GROUP: u32 = 0xA0;
    pub(crate) const BLOCK: u32 = 0xA1;
    pub(crate) const BLOCK_DURATION: u32 = 0x9B;
    pub(crate) const REFERENCE_BLOCK: u32 = 0xFB;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_every_length_are_read_and_cut_ones_waited_for() {
        for (bytes, id, body_bytes) in [
            (&[0xA3, 0x85][..], 0xA3, Some(5)),
            (&[0x42, 0x82, 0x40, 0x05], 0x4282, Some(5)),
            (&[0x2A, 0xD7, 0xB1, 0x83], 0x2A_D7B1, Some(3)),
            (&[0x1F, 0x43, 0xB6, 0x75, 0x08, 0, 0, 0, 7], 0x1F43_B675, Some(7)),
            (&[0x1F, 0x43, 0xB6, 0x75, 0xFF], 0x1F43_B675, None),
            (&[0xA3, 0x01, 255, 255, 255, 255, 255, 255, 255], 0xA3, None),
            (&[0xA3, 0x01, 255, 255, 255, 255, 255, 255, 254], 0xA3, Some((1 << 56) - 2)),
            (&[0xA3, 0x7F, 0xFE], 0xA3, Some(0x3FFE)),
        ] {
            let header_bytes = bytes.len();
            let whole = Parsed::Whole(Element { id, header_bytes, body_bytes });
            assert_eq!(Element::parse(bytes), whole);
            for cut in 0..bytes.len() {
                assert_eq!(Element::parse(&bytes[..cut]), Parsed::Incomplete);
            }
        }
    }

    #[test]
    fn longer_ids_and_sizes_are_none() {
        assert_eq!(Element::parse(&[0x08, 0, 0, 0, 0, 0x81]), Parsed::Nothing);
        assert_eq!(Element::parse(&[0x00]), Parsed::Nothing);
        assert_eq!(Element::parse(&[0xA3, 0x00]), Parsed::Nothing);
    }

    #[test]
    fn a_child_beyond_its_parent_ends_the_walk() {
        let body = [0xEC, 0x81, 9, 0xEC, 0x82, 9];
        assert_eq!(Children::of(&body).count(), 1);
        assert!(!Children::of(&body).are_whole() && Children::of(&body[..3]).are_whole());
    }

    #[test]
    fn values_of_odd_lengths_are_none_and_texts_end_at_zero() {
        assert_eq!(
            (unsigned(&[]), unsigned(&[1, 0]), unsigned(&[0; 9])),
            (Some(0), Some(256), None)
        );
        assert_eq!(rounded(&44_100_f32.to_be_bytes()), Some(44_100));
        assert_eq!(rounded(&47_999.9_f64.to_be_bytes()), Some(48_000));
        for bad in [&f64::NAN.to_be_bytes()[..], &(-1.0_f32).to_be_bytes(), &[1, 2]] {
            assert_eq!(rounded(bad), None);
        }
        assert_eq!(text(b"webm\0\0"), "webm");
    }

    #[test]
    fn written_heads_are_read_back() {
        for (id, body_bytes) in [(id::VOID, 3), (id::INFO, 1 << 30), (id::TITLE, 0)] {
            let mut out = Vec::new();
            push_header(&mut out, id, body_bytes);
            let header_bytes = out.len();
            let read = Element { id, header_bytes, body_bytes: Some(body_bytes) };
            assert_eq!(Element::parse(&out), Parsed::Whole(read));
        }
        let mut out = Vec::new();
        push_header(&mut out, id::SEGMENT, UNKNOWN);
        assert!(matches!(Element::parse(&out), Parsed::Whole(Element { body_bytes: None, .. })));
    }
}
