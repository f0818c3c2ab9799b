//! HOT PATH. The end of a logical stream, as much of it as another link needs to go on without a
//! gap: the last whole packets, from which a decoder warms up, and the beginning of the one that is
//! on its way. Judges nothing; its memory has a ceiling, and is used again.

use std::collections::VecDeque;

use super::codec::Codec;
use super::meter::opus_samples;
use super::page::Page;

/// Bytes of whole packets that are kept; they have to fit on one page. Packets of sound have up to
/// some 2 KB.
const PACKETS_BYTES_MAX: usize = 32 * 1024;
/// Bytes of an unfinished packet that are kept. FLAC's largest in practice have 100 KB: eight
/// channels of 24 bits in 4,096 samples.
const OPEN_BYTES_MAX: usize = 128 * 1024;
/// RFC 7845, 4.6: an Opus decoder that starts anew sounds right after 80 ms, here in samples.
const OPUS_WARM_UP: u32 = 3_840;
/// Opus packets that make up 80 ms if they are as short as can be.
const OPUS_PACKETS_MAX: usize = 32;

/// See above.
#[derive(Debug)]
pub(super) struct Tail {
    codec: Codec,
    /// The last whole packets, one behind the other, and the length of each.
    packets: Vec<u8>,
    lengths: VecDeque<usize>,
    /// The beginning of the packet that goes on behind the last page.
    open: Vec<u8>,
    /// Whether that packet is too long to be kept.
    is_overlong: bool,
}

impl Tail {
    pub(super) fn of(codec: Codec) -> Self {
        let (packets, lengths, open) = Default::default();
        Self { codec, packets, lengths, open, is_overlong: false }
    }

    /// Takes the packets of `page`; `is_fresh` if the packet that it goes on with, if any, is lost.
    #[inline]
    pub(super) fn take(&mut self, page: &Page<'_>, is_fresh: bool) {
        if is_fresh {
            self.open.clear();
            self.is_overlong = false;
        }
        let kept = self.kept(page);
        let mut index = page.lengths().iter().filter(|&&length| length < 255).count();
        for piece in page.pieces() {
            let is_lost = !piece.begins && self.open.is_empty();
            if piece.begins {
                self.open.clear();
                self.is_overlong = false;
            }
            if !piece.ends {
                self.hold(piece.bytes, is_lost);
                continue;
            }
            if index <= kept && !is_lost && !self.is_overlong {
                self.push(piece.bytes, kept);
            }
            self.open.clear();
            self.is_overlong = false;
            index -= 1;
        }
    }

    /// How many packets are worth keeping, as far as the first one on `page` tells.
    fn kept(&self, page: &Page<'_>) -> usize {
        match self.codec {
            // A block is heard together with the one before it.
            Codec::Vorbis => 1,
            Codec::Opus => {
                let first = page.pieces().find(|piece| piece.begins);
                let samples = first.map_or(0, |piece| opus_samples(piece.bytes)).max(1);
                (OPUS_WARM_UP.div_ceil(samples) as usize).min(OPUS_PACKETS_MAX)
            }
            // A frame of FLAC stands alone. Speex has no way to tell a player what not to play.
            _ => 0,
        }
    }

    fn hold(&mut self, bytes: &[u8], is_lost: bool) {
        self.is_overlong |= self.open.len() + bytes.len() > OPEN_BYTES_MAX;
        if self.is_overlong || is_lost {
            self.open.clear();
        } else {
            self.open.extend_from_slice(bytes);
        }
    }

    /// Keeps the packet that `end` ends, as one of the last `kept`.
    fn push(&mut self, end: &[u8], kept: usize) {
        while self.lengths.len() >= kept.max(1) {
            let first = self.lengths.pop_front().unwrap_or(0);
            self.packets.drain(..first);
        }
        let length = self.open.len() + end.len();
        if self.packets.len() + length > PACKETS_BYTES_MAX {
            self.forget();
            return;
        }
        self.packets.extend_from_slice(&self.open);
        self.packets.extend_from_slice(end);
        self.lengths.push_back(length);
    }

    /// Forgets the whole packets.
    pub(super) fn forget(&mut self) {
        self.packets.clear();
        self.lengths.clear();
    }

    /// The last whole packets, oldest first.
    pub(super) fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.packets.as_slice();
        self.lengths.iter().map(move |&length| {
            let packet;
            (packet, rest) = rest.split_at(length);
            packet
        })
    }

    /// The beginning of the packet under way; `None` if it is too long to be known.
    pub(super) fn open(&self) -> Option<&[u8]> {
        (!self.is_overlong).then_some(&self.open)
    }
}
