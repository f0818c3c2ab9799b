//! What a SimpleBlock or BlockGroup says of itself (RFC 9559, section 10): its track, its time
//! within the cluster, and whether a decoder can start with it. The frames in it, laced or not, are
//! never looked at. Source core.

use super::super::header::Parsed;
use super::ebml::{Children, Element, id, number};

/// A block that is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Number of its track.
    pub(super) track: u64,
    /// Its time in ticks after that of its cluster.
    pub(super) relative: i16,
    /// Whether it needs no other frame to be decoded.
    pub(super) is_key: bool,
    /// Playing time in ticks, where it is told.
    pub(super) duration: Option<u64>,
    /// Where the two bytes of `relative` stand in the element.
    pub(super) relative_at: usize,
    /// Where the id of a checksum stands in the element; it would not hold for another `relative`.
    pub(super) checksum_at: Option<usize>,
}

/// What stands at the start of a block's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    /// Number of its track.
    pub(super) track: u64,
    track_bytes: usize,
    relative: i16,
    flags: u8,
}

/// Flag of a SimpleBlock: it holds key frames only.
const KEY: u8 = 0x80;

/// Flags that are zero in every block.
const RESERVED: u8 = 0x70;

impl BlockHead {
    /// The head at the start of `body`.
    #[inline]
    pub(super) fn parse(body: &[u8]) -> Parsed<Self> {
        let (track, track_bytes) = match number(body) {
            Parsed::Whole(read) => read,
            Parsed::Incomplete => return Parsed::Incomplete,
            Parsed::Nothing => return Parsed::Nothing,
        };
        let Some(&[high, low, flags]) = body.get(track_bytes..track_bytes + 3) else {
            return Parsed::Incomplete;
        };
        if flags & RESERVED != 0 {
            return Parsed::Nothing;
        }
        let relative = i16::from_be_bytes([high, low]);
        Parsed::Whole(Self { track, track_bytes, relative, flags })
    }
}

impl Block {
    /// The SimpleBlock `whole`, whose head `element` is.
    #[inline]
    pub(super) fn simple(whole: &[u8], element: Element) -> Option<Self> {
        let Parsed::Whole(head) = BlockHead::parse(&whole[element.header_bytes..]) else {
            return None;
        };
        Some(Self {
            track: head.track,
            relative: head.relative,
            is_key: head.flags & KEY != 0,
            duration: None,
            relative_at: element.header_bytes + head.track_bytes,
            checksum_at: None,
        })
    }

    /// The BlockGroup `whole`, whose head `element` is. Its block is a key frame if it refers to no
    /// other.
    pub(super) fn group(whole: &[u8], element: Element) -> Option<Self> {
        let children = Children::of(&whole[element.header_bytes..]);
        let mut found: Option<Self> = None;
        let mut at = element.header_bytes;
        let (mut is_key, mut duration, mut checksum_at) = (true, None, None);
        for child in children {
            match child.id {
                id::BLOCK if found.is_none() => {
                    let Parsed::Whole(head) = BlockHead::parse(child.body) else { return None };
                    let body_at = at + child.whole.len() - child.body.len();
                    found = Some(Self {
                        track: head.track,
                        relative: head.relative,
                        is_key: true,
                        duration: None,
                        relative_at: body_at + head.track_bytes,
                        checksum_at: None,
                    });
                }
                // Two blocks would need two times.
                id::BLOCK => return None,
                id::REFERENCE_BLOCK => is_key = false,
                id::BLOCK_DURATION => duration = super::ebml::unsigned(child.body),
                id::CRC_32 => checksum_at = Some(at),
                _ => {}
            }
            at += child.whole.len();
        }
        let found = found.filter(|_| at == whole.len())?;
        Some(Self { is_key, duration, checksum_at, ..found })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ebml::push_header;
    use super::*;

    fn element(id: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_header(&mut out, id, body.len() as u64);
        out.extend_from_slice(body);
        out
    }

    fn read(whole: &[u8]) -> Option<Block> {
        let Parsed::Whole(element) = Element::parse(whole) else { return None };
        match element.id {
            id::SIMPLE_BLOCK => Block::simple(whole, element),
            _ => Block::group(whole, element),
        }
    }

    #[test]
    fn a_simple_block_tells_track_time_and_key() {
        for (body, track, track_bytes, relative, is_key) in [
            (&[0x81, 0x00, 0x15, 0x80, 7][..], 1, 1, 21, true),
            (&[0x40, 0x81, 0xFF, 0xFF, 0x00, 7], 129, 2, -1, false),
            // Laced and discardable.
            (&[0x82, 0x80, 0x00, 0x87, 1, 2, 3], 2, 1, -32_768, true),
        ] {
            let whole = element(id::SIMPLE_BLOCK, body);
            let block = read(&whole).unwrap();
            assert_eq!((block.track, block.relative, block.is_key), (track, relative, is_key));
            assert_eq!(block.relative_at, 9 + track_bytes);
        }
    }

    #[test]
    fn a_group_is_key_unless_it_refers_to_another() {
        let block = element(id::BLOCK, &[0x81, 0x00, 0x07, 0x00, 1, 2]);
        let duration = element(id::BLOCK_DURATION, &[40]);
        let checksum = element(id::CRC_32, &[0; 4]);
        let reference = element(id::REFERENCE_BLOCK, &[0xD8]);
        let group = |parts: &[&[u8]]| read(&element(id::BLOCK_GROUP, &parts.concat()));
        let found = group(&[&checksum, &block, &duration]).unwrap();
        assert!(found.is_key);
        assert_eq!((found.relative, found.duration), (7, Some(40)));
        assert_eq!(found.checksum_at, Some(9));
        assert_eq!(found.relative_at, 9 + checksum.len() + 9 + 1);
        assert!(!group(&[&reference, &block]).unwrap().is_key);
        assert_eq!(group(&[&duration]), None, "no block");
        assert_eq!(group(&[&block, &block]), None, "two");
        assert_eq!(group(&[&block, &duration[..3]]), None, "crosses the end");
    }

    #[test]
    fn a_block_too_short_or_with_reserved_flags_is_none() {
        for body in [&[][..], &[0x81], &[0x81, 0, 0], &[0x81, 0, 0, 0x10], &[0x00, 0, 0, 0]] {
            assert_eq!(read(&element(id::SIMPLE_BLOCK, body)), None, "{body:?}");
        }
    }
}
