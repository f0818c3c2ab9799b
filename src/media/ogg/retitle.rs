//! A title given from outside: ends the link and begins another, with the same head but for the
//! comments, that goes on with the same sound. Cold.
//!
//! A decoder that starts anew has to warm up, so the new link begins with packets that were heard
//! already and that a player drops: for Vorbis the last packet, whose second half the next one needs
//! and which by itself plays nothing; for Opus 80 ms, declared as pre-skip. FLAC needs none. Speex
//! has no way to say what to drop, and starts without.

use super::codec::Codec;
use super::head::packets;
use super::link::Link;
use super::meter::{forget_flac_total, opus_samples};
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
    /// For the link that `preamble` is the head of. `None` if that is not one sound alone, has no
    /// list of comments, or is in the middle of a packet too long to be kept.
    pub(super) fn of(link: &mut Link, preamble: &[u8], tags: &Tags) -> Option<Self> {
        let (stream, tail) = link.only()?;
        tail.open()?;
        let mut head = packets(preamble, stream.serial);
        *head.get_mut(1)? = stream.codec.retitled(&head, tags)?;
        let mut granule_base = stream.last_granule.unwrap_or(stream.granule_base);
        if stream.codec == Codec::Opus && stream.last_granule.is_some() {
            let skip: u32 = tail.packets().map(opus_samples).sum();
            let skip = u16::try_from(skip).ok()?;
            head[0].get_mut(10..12)?.copy_from_slice(&skip.to_le_bytes());
            granule_base = granule_base.saturating_sub(i64::from(skip));
        }
        if stream.codec == Codec::Flac {
            forget_flac_total(&mut head[0]);
        }
        let serial = stream.serial.wrapping_add(1);
        let mut pages = Vec::new();
        let mut next = Header { flags: FIRST, granule: 0, serial, sequence: 0 };
        for packet in &head {
            next.sequence = page::write_packet(&mut pages, next, packet, false);
            next.flags = 0;
        }
        let fits = pages.len() <= PREAMBLE_BYTES_MAX;
        fits.then_some(Self { head: pages, next, granule_base })
    }

    /// Ends the present link and begins this one, which goes on with its sound. Appends to `written`
    /// what those who listen get, and gives the new head.
    pub(super) fn begin(self, link: &mut Link, written: &mut Vec<u8>) -> Vec<u8> {
        let Self { head, mut next, granule_base } = self;
        let Some((stream, tail)) = link.only() else { return head };
        stream.end(written);
        written.extend_from_slice(&head);
        let lengths: Vec<u8> = tail.packets().flat_map(page::lengths_of).collect();
        if !lengths.is_empty() {
            let heard = stream.last_granule.unwrap_or(0);
            let granule = heard.saturating_sub(granule_base).max(0);
            let packets = tail.packets().collect::<Vec<_>>().concat();
            page::write(written, Header { granule, ..next }, &lengths, &packets);
            next.sequence = next.sequence.wrapping_add(1);
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
