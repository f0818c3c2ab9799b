//! Gathering the head of a link: the first pages of all its logical streams, which a newcomer has
//! to get first. Takes whole pages, says when the head is complete, and keeps data out of it.
//!
//! A link begins with one first page for each stream; then come the other header pages of all
//! streams, then data (RFC 3533, section 4, and the mappings of the codecs). How many header
//! packets a stream has is its codec's word; one of an unknown codec has them until data comes.
//! The head is complete when data comes and not before: links without any are never put out,
//! because players that open one (FFmpeg's) take the whole stream for broken.

use super::codec::Codec;
use super::page::{self, CONTINUED, FIRST, LAST, NO_GRANULE, Page};
use crate::base::limits::PREAMBLE_BYTES_MAX;

/// Logical streams of a link that are followed; more are left out. A film has a picture, sound and
/// subtitles in some languages; each costs a look at every page.
const STREAMS_MAX: usize = 32;

/// The head of a link as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    pages: Vec<u8>,
    streams: Vec<Begun>,
    /// Whether a page that is no stream's first was seen: no other stream can join the link.
    is_grouped: bool,
}

/// A logical stream in a head.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) serial: u32,
    pub(super) codec: Codec,
    /// Number of the page behind the ones that came.
    pub(super) sequence: u32,
    /// Header packets that are still to come, the unfinished one included.
    wanted: u32,
    /// Whether a packet goes on behind the last page.
    is_open: bool,
    /// Whether its last page has come.
    pub(super) has_ended: bool,
    /// Whether a part of its head is missing: nobody can decode it.
    is_broken: bool,
}

/// What a page did to a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// It belongs to the head.
    Part,
    /// It is data, of a stream whose head is complete: so is the link's.
    Data,
    /// It begins another link.
    OtherLink,
    /// It belongs to no stream of the link.
    Foreign,
    /// It is part of the link and of no use: of a stream too many, or one that is broken.
    Useless,
    /// With it, the head is larger than [`PREAMBLE_BYTES_MAX`].
    TooLarge,
}

impl Head {
    pub(super) fn take(&mut self, page: &Page<'_>) -> Took {
        let known = self.streams.iter().position(|stream| stream.serial == page.serial());
        match known {
            Some(index) if !page.is(FIRST) => self.go_on(index, page),
            None if page.is(FIRST) && !self.is_grouped => self.begin(page),
            _ if page.is(FIRST) => Took::OtherLink,
            _ => Took::Foreign,
        }
    }

    fn begin(&mut self, page: &Page<'_>) -> Took {
        if self.streams.len() == STREAMS_MAX {
            return Took::Useless;
        }
        let packet = page.pieces().next().map_or(&[][..], |piece| piece.bytes);
        let codec = Codec::of(packet);
        let mut stream = Begun {
            serial: page.serial(),
            codec,
            sequence: page.header().sequence,
            wanted: codec.wanted(packet, true).unwrap_or(1),
            is_open: false,
            has_ended: false,
            is_broken: false,
        };
        stream.take(page);
        self.streams.push(stream);
        self.keep(page)
    }

    fn go_on(&mut self, index: usize, page: &Page<'_>) -> Took {
        self.is_grouped = true;
        let stream = &mut self.streams[index];
        if stream.is_broken {
            return Took::Useless;
        }
        let is_data = stream.is_data(page);
        if stream.wanted == 0 || (is_data && stream.codec == Codec::Other) {
            return Took::Data;
        }
        // Data comes behind all heads: a stream whose own is not complete by then never will be.
        let is_missing = page.header().sequence != stream.sequence;
        if is_data || is_missing || page.is(CONTINUED) != stream.is_open {
            stream.is_broken = true;
            return Took::Useless;
        }
        stream.take(page);
        self.keep(page)
    }

    fn keep(&mut self, page: &Page<'_>) -> Took {
        if self.pages.len() + page.bytes().len() > PREAMBLE_BYTES_MAX {
            return Took::TooLarge;
        }
        self.pages.extend_from_slice(page.bytes());
        Took::Part
    }

    /// The numbers of the streams that have begun.
    pub(super) fn serials(&self) -> impl Iterator<Item = u32> {
        self.streams.iter().map(|stream| stream.serial)
    }

    /// The streams whose heads are complete, and the pages of them. Skeleton is kept only if asked
    /// for.
    pub(super) fn finish(self, with_skeleton: bool) -> (Vec<Begun>, Vec<u8>) {
        let is_kept = |stream: &Begun| match stream.codec {
            Codec::Other => !stream.is_broken,
            Codec::Skeleton => with_skeleton && !stream.is_broken && stream.wanted == 0,
            _ => !stream.is_broken && stream.wanted == 0,
        };
        let (kept, left): (Vec<_>, Vec<_>) = self.streams.into_iter().partition(is_kept);
        if left.is_empty() {
            return (kept, self.pages);
        }
        let is_kept = |page: &Page<'_>| kept.iter().any(|stream| stream.serial == page.serial());
        let pages = page::pages(&self.pages).filter(is_kept).flat_map(|page| page.bytes().to_vec());
        let pages = pages.collect();
        (kept, pages)
    }
}

impl Begun {
    /// Whether `page`, which is not the stream's first, cannot be of its head. Header pages have a
    /// granule position of zero, or none.
    fn is_data(&self, page: &Page<'_>) -> bool {
        if self.codec == Codec::Skeleton {
            return false;
        }
        let of_head = |packet: &[u8]| self.codec.is_of_head(packet);
        ![0, NO_GRANULE].contains(&page.header().granule)
            || page.pieces().find(|piece| piece.begins).is_some_and(|piece| !of_head(piece.bytes))
    }

    /// Accounts for a page of the head.
    fn take(&mut self, page: &Page<'_>) {
        for piece in page.pieces() {
            if piece.begins && !page.is(FIRST) {
                self.wanted = self.codec.wanted(piece.bytes, false).unwrap_or(self.wanted);
            }
            // What is endless ends otherwise.
            if piece.ends && self.wanted < u32::MAX {
                self.wanted = self.wanted.saturating_sub(1);
            }
        }
        self.is_open = page.leaves_open();
        self.sequence = page.header().sequence.wrapping_add(1);
        if page.is(LAST) {
            self.has_ended = true;
            self.wanted = if self.codec == Codec::Skeleton { 0 } else { self.wanted };
        }
    }
}

/// The packets of one stream in `pages`.
pub(super) fn packets(pages: &[u8], serial: u32) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for page in page::pages(pages).filter(|page| page.serial() == serial) {
        for piece in page.pieces() {
            match packets.last_mut() {
                Some(packet) if !piece.begins => packet.extend_from_slice(piece.bytes),
                _ => packets.push(piece.bytes.to_vec()),
            }
        }
    }
    packets
}
