//! A title given from outside: ends the link and begins another, with the same head but for the
//! comments, that goes on with the same sound. Cold.
//!
//! A decoder that starts anew has to warm up, so the new link begins with the last packet that was
//! heard. For Vorbis the next packet needs its second half, and by itself it plays nothing; for
//! Opus it is declared as what to drop first. Decoders that heed this (libvorbis, libopus) lose and
//! repeat nothing; those that do not start anew (FFmpeg's, browsers') may repeat that one packet.
//! RFC 7845 wants 80 ms to warm up, but that would be what the latter repeat.
//!
//! FLAC and Speex are left alone: FFmpeg takes header packets of their later links for sound, and
//! Chromium stops playing over it. A title is not worth a listener.

use super::codec::Codec;
use super::head::packets;
use super::link::Link;
use super::meter::opus_samples;
use super::page::{self, FIRST, Header, NO_GRANULE};
use crate::base::limits::PREAMBLE_BYTES_MAX;
use crate::media::Tags;

/// A link that can take the place of the present one before the next page.
#[derive(Debug)]
pub(super) struct Titled {
    /// The pages of its head.
    head: Vec<u8>,
    /// Fields of the page behind them.
    next: Header,
    /// What is taken off the source's granule positions.
    granule_base: i64,
}

impl Titled {
    /// For the link that `preamble` is the head of. `None` if that is not one stream of Vorbis or
    /// Opus alone, has no list of comments, or is in the middle of a packet too long to be kept.
    pub(super) fn of(link: &mut Link, preamble: &[u8], tags: &Tags) -> Option<Self> {
        let serial = link.only()?.0.serial;
        let serial = link.unused(serial);
        let (stream, tail) = link.only()?;
        tail.open()?;
        let mut head = packets(preamble, stream.serial);
        *head.get_mut(1)? = stream.codec.retitled(&head, tags)?;
        let mut granule_base = stream.last_granule.unwrap_or(stream.granule_base);
        if stream.codec == Codec::Opus && stream.last_granule.is_some() {
            let skip = u16::try_from(tail.last().map_or(0, opus_samples)).ok()?;
            head[0].get_mut(10..12)?.copy_from_slice(&skip.to_le_bytes());
            granule_base = granule_base.saturating_sub(i64::from(skip));
        }
        let mut pages = Vec::new();
        let mut next = Header { flags: FIRST, granule: 0, serial, sequence: 0 };
        for packet in &head {
            next.sequence = page::write_packet(&mut pages, next, packet, false);
            next.flags = 0;
        }
        let fits = pages.len() <= PREAMBLE_BYTES_MAX;
        fits.then_some(Self { head: pages, next, granule_base })
    }

    /// Ends the present link and begins this one, which goes on with its sound. Appends to
    /// `written` what those who listen get, and gives the new head.
    pub(super) fn begin(self, link: &mut Link, written: &mut Vec<u8>) -> Vec<u8> {
        let Self { head, mut next, granule_base } = self;
        link.note_serial(next.serial);
        let Some((stream, tail)) = link.only() else { return head };
        stream.end(written);
        written.extend_from_slice(&head);
        if let Some(last) = tail.last() {
            let heard = stream.last_granule.unwrap_or(0);
            let granule = heard.saturating_sub(granule_base).max(0);
            next.sequence = page::write_packet(written, Header { granule, ..next }, last, false);
        }
        let open = tail.open().unwrap_or_default();
        if !open.is_empty() {
            let header = Header { granule: NO_GRANULE, ..next };
            next.sequence = page::write_packet(written, header, open, true);
        }
        stream.restart(next.serial, next.sequence, granule_base, !open.is_empty());
        head
    }
}
