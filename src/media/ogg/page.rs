//! Pages of Ogg (RFC 3533, section 6): reading one with its checksum, the pieces of packets in it,
//! and writing. Knows nothing of codecs or of what stood on other pages.
//!
//! A page is a header of 27 bytes, up to 255 lengths of segments, and the segments. A packet is a
//! run of segments of 255 bytes and one shorter; the run may go on over pages.

use crc::{Algorithm, Crc, Table};

use crate::media::sniff::Sniffed;

/// What every page begins with.
const MARK: &[u8] = b"OggS";
/// Bytes in front of the lengths of the segments. The version is byte 4 and always zero.
const HEADER_BYTES: usize = 27;
/// Places of the header's fields. All numbers are little-endian.
const FLAGS_AT: usize = 5;
const GRANULE_AT: usize = 6;
const SERIAL_AT: usize = 14;
const SEQUENCE_AT: usize = 18;
const CHECKSUM_AT: usize = 22;
const SEGMENTS_AT: usize = 26;

/// Segments that a page has room for.
pub(super) const SEGMENTS_MAX: usize = 255;
/// Length of a segment behind which the packet goes on.
pub(super) const FULL_SEGMENT_BYTES: usize = 255;
/// The largest page.
pub(super) const PAGE_BYTES_MAX: usize =
    HEADER_BYTES + SEGMENTS_MAX + SEGMENTS_MAX * FULL_SEGMENT_BYTES;

/// The first packet on the page goes on from the page before.
pub(super) const CONTINUED: u8 = 1;
/// The first page of a logical stream.
pub(super) const FIRST: u8 = 2;
/// The last page of a logical stream.
pub(super) const LAST: u8 = 4;

/// The granule position of a page on which no packet ends.
pub(super) const NO_GRANULE: i64 = -1;

/// RFC 3533, section 6: the polynomial 0x04C11DB7, no bit reversed, nothing before or after. The
/// check value is that of the nine digits.
const CHECKSUM: Algorithm<u32> = Algorithm {
    width: 32,
    poly: 0x04C1_1DB7,
    init: 0,
    refin: false,
    refout: false,
    xorout: 0,
    check: 0x89A1_897F,
    residue: 0,
};
/// Sixteen tables, 16 KiB: four times as fast as one, and small enough for the nearest cache.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CHECKSUM);

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    /// A whole page whose checksum is right.
    Page(Page<'a>),
    /// What may become one.
    More,
    /// What begins like a page, and is none: its checksum is wrong.
    Damaged {
        /// How long the page would be.
        bytes: usize,
    },
    /// Nothing that begins like a page.
    Nothing,
}

/// Looks at the start of `input`.
pub(super) fn see(input: &[u8]) -> Seen<'_> {
    match begins(input) {
        Sniffed::No => return Seen::Nothing,
        Sniffed::Maybe => return Seen::More,
        Sniffed::Yes => {}
    }
    let Some(page) = Page::framed(input) else { return Seen::More };
    match page.number(CHECKSUM_AT) == checksum(page.bytes) {
        true => Seen::Page(page),
        false => Seen::Damaged { bytes: page.bytes.len() },
    }
}

/// Whether `input` begins like a page, or may.
pub(super) fn begins(input: &[u8]) -> Sniffed {
    match (Sniffed::by_magic(input, MARK), input.get(MARK.len())) {
        (Sniffed::Yes, None) => Sniffed::Maybe,
        (Sniffed::Yes, Some(version)) if *version != 0 => Sniffed::No,
        (verdict, _) => verdict,
    }
}

/// The checksum that belongs into `page`: its own place counts as zeros.
fn checksum(page: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&page[..CHECKSUM_AT]);
    digest.update(&[0; 4]);
    digest.update(&page[CHECKSUM_AT + 4..]);
    digest.finalize()
}

/// One whole page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    /// From its mark to its last segment.
    bytes: &'a [u8],
    /// Where the segments begin.
    body_at: usize,
}

impl<'a> Page<'a> {
    /// The page that `input` begins with, by its lengths alone; `None` if it is not all there.
    fn framed(input: &'a [u8]) -> Option<Self> {
        let segments = usize::from(*input.get(SEGMENTS_AT)?);
        let body_at = HEADER_BYTES + segments;
        let lengths = input.get(HEADER_BYTES..body_at)?;
        let body_bytes: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        let bytes = input.get(..body_at + body_bytes)?;
        Some(Self { bytes, body_at })
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn header(&self) -> Header {
        let granule = i64::from(self.number(GRANULE_AT))
            | i64::from(self.number(GRANULE_AT + 4).cast_signed()) << 32;
        Header {
            flags: self.bytes[FLAGS_AT],
            granule,
            serial: self.serial(),
            sequence: self.number(SEQUENCE_AT),
        }
    }

    pub(super) fn serial(&self) -> u32 {
        self.number(SERIAL_AT)
    }

    pub(super) fn is(&self, flag: u8) -> bool {
        self.bytes[FLAGS_AT] & flag != 0
    }

    /// Lengths of its segments.
    pub(super) fn lengths(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..self.body_at]
    }

    pub(super) fn body(&self) -> &'a [u8] {
        &self.bytes[self.body_at..]
    }

    /// Whether the last packet on the page goes on behind it.
    pub(super) fn leaves_open(&self) -> bool {
        self.lengths().last().is_some_and(|&length| usize::from(length) == FULL_SEGMENT_BYTES)
    }

    /// What it holds of packets, in order.
    pub(super) fn pieces(&self) -> Pieces<'a> {
        Pieces { lengths: self.lengths(), body: self.body(), begins: !self.is(CONTINUED) }
    }

    fn number(&self, at: usize) -> u32 {
        let bytes = self.bytes[at..at + 4].first_chunk();
        u32::from_le_bytes(*bytes.expect("a page holds its whole header"))
    }
}

/// Fields of a page's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of [`CONTINUED`], [`FIRST`] and [`LAST`].
    pub(super) flags: u8,
    /// The codec's time at the end of the last packet that ends on the page, or [`NO_GRANULE`].
    pub(super) granule: i64,
    /// Which logical stream it is of.
    pub(super) serial: u32,
    /// Which page of that stream it is.
    pub(super) sequence: u32,
}

/// What a page holds of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether the packet begins here.
    pub(super) begins: bool,
    /// Whether it ends here.
    pub(super) ends: bool,
}

/// See [`Page::pieces`].
#[derive(Clone, Debug)]
pub(super) struct Pieces<'a> {
    lengths: &'a [u8],
    body: &'a [u8],
    begins: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let (&last, _) = self.lengths.split_last()?;
        let full = |length: &u8| usize::from(*length) == FULL_SEGMENT_BYTES;
        let full_segments = self.lengths.iter().take_while(|length| full(length)).count();
        let ends = full_segments < self.lengths.len();
        let (segments, tail_bytes) = match ends {
            true => (full_segments + 1, usize::from(self.lengths[full_segments])),
            false => (full_segments, 0),
        };
        debug_assert!(ends || full(&last));
        let bytes;
        (bytes, self.body) = self.body.split_at(full_segments * FULL_SEGMENT_BYTES + tail_bytes);
        self.lengths = &self.lengths[segments..];
        Some(Piece { bytes, begins: std::mem::replace(&mut self.begins, true), ends })
    }
}

/// Appends a page to `out`, with its checksum. `lengths` are those of the segments in `body`, at
/// most [`SEGMENTS_MAX`].
pub(super) fn write(out: &mut Vec<u8>, header: Header, lengths: &[u8], body: &[u8]) {
    let start = out.len();
    out.extend_from_slice(MARK);
    out.extend([0, header.flags]);
    out.extend(header.granule.to_le_bytes());
    out.extend(header.serial.to_le_bytes());
    out.extend(header.sequence.to_le_bytes());
    out.extend([0; 4]);
    out.push(u8::try_from(lengths.len()).expect("a page has at most 255 segments"));
    out.extend_from_slice(lengths);
    out.extend_from_slice(body);
    let sum = checksum(&out[start..]);
    out[start + CHECKSUM_AT..start + CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
}

/// Appends `packet` on pages of its own, the first of which has the fields of `header`; whole
/// segments without an end if it `stays_open`. Gives the number of the page behind them.
pub(super) fn write_packet(
    out: &mut Vec<u8>,
    header: Header,
    packet: &[u8],
    stays_open: bool,
) -> u32 {
    let mut lengths = lengths_of(packet);
    if stays_open {
        lengths.pop();
    }
    let mut header = header;
    let ends_with = std::mem::replace(&mut header.granule, NO_GRANULE);
    let pages = lengths.len().div_ceil(SEGMENTS_MAX);
    let bodies = packet.chunks(SEGMENTS_MAX * FULL_SEGMENT_BYTES).chain([&[][..]]);
    for (index, (lengths, body)) in lengths.chunks(SEGMENTS_MAX).zip(bodies).enumerate() {
        if index + 1 == pages && !stays_open {
            header.granule = ends_with;
        }
        write(out, header, lengths, body);
        header.flags = CONTINUED;
        header.sequence = header.sequence.wrapping_add(1);
    }
    header.sequence
}

/// Lengths of the segments that `packet` makes: full ones, and one that is shorter.
pub(super) fn lengths_of(packet: &[u8]) -> Vec<u8> {
    let mut lengths = vec![FULL_SEGMENT_BYTES as u8; packet.len() / FULL_SEGMENT_BYTES];
    lengths.push((packet.len() % FULL_SEGMENT_BYTES) as u8);
    lengths
}

/// The pages in `bytes`, which were checked before.
pub(super) fn pages(mut bytes: &[u8]) -> impl Iterator<Item = Page<'_>> {
    std::iter::from_fn(move || {
        let page = Page::framed(bytes)?;
        bytes = &bytes[page.bytes.len()..];
        Some(page)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { flags: FIRST, granule: 77, serial: 0xA1B2_C3D4, sequence: 9 };

    fn page(lengths: &[u8]) -> Vec<u8> {
        let body: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        let mut out = Vec::new();
        write(&mut out, HEADER, lengths, &vec![0x5A; body]);
        out
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(CRC.checksum(b"123456789"), CHECKSUM.check);
    }

    #[test]
    fn a_page_that_was_written_is_read_again_and_cut_anywhere_it_is_unfinished() {
        let bytes = page(&[255, 255, 3, 0, 255]);
        let Seen::Page(seen) = see(&bytes) else { panic!("a page") };
        assert_eq!((seen.header(), seen.bytes().len()), (HEADER, bytes.len()));
        assert!(seen.is(FIRST) && !seen.is(LAST) && seen.leaves_open());
        for end in 0..bytes.len() {
            assert!(matches!(see(&bytes[..end]), Seen::More), "{end} bytes");
        }
    }

    #[test]
    fn any_wrong_bit_makes_it_no_page() {
        let bytes = page(&[40]);
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(see(&wrong), Seen::Page(_)), "bit {bit}");
        }
    }

    #[test]
    fn pieces_tell_where_packets_begin_and_end() {
        let pieces = |lengths: &[u8], flags| {
            let mut bytes = page(lengths);
            bytes[FLAGS_AT] = flags;
            let page = Page::framed(&bytes).expect("a page");
            let piece = |piece: Piece<'_>| (piece.bytes.len(), piece.begins, piece.ends);
            page.pieces().map(piece).collect::<Vec<_>>()
        };
        assert_eq!(pieces(&[], 0), []);
        assert_eq!(pieces(&[7, 0], 0), [(7, true, true), (0, true, true)]);
        assert_eq!(pieces(&[255, 0, 9], CONTINUED), [(255, false, true), (9, true, true)]);
        assert_eq!(pieces(&[255, 255], 0), [(510, true, false)]);
        assert_eq!(pieces(&[1, 255], CONTINUED), [(1, false, true), (255, true, false)]);
    }

    #[test]
    fn a_packet_of_any_length_comes_back_from_its_pages() {
        for length in [0, 1, 254, 255, 256, 65_024, 65_025, 65_026, 65_279, 65_280, 200_000] {
            let packet: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut out = Vec::new();
            let next = write_packet(&mut out, HEADER, &packet, false);
            let pages: Vec<_> = pages(&out).collect();
            assert_eq!(next, HEADER.sequence + pages.len() as u32);
            let read: Vec<u8> = pages
                .iter()
                .flat_map(|page| page.pieces())
                .flat_map(|p| p.bytes.to_vec())
                .collect();
            assert_eq!(read, packet, "{length}");
            let (last, before) = pages.split_last().expect("a page at least");
            assert_eq!(last.header().granule, HEADER.granule);
            assert!(last.pieces().last().is_some_and(|piece| piece.ends));
            assert!(before.iter().all(|page| page.header().granule == NO_GRANULE));
            assert!(pages[1..].iter().all(|page| page.is(CONTINUED)), "{length}");
        }
    }
}
