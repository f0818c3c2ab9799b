//! HOT PATH
//! One gathered send to one listener: what leads it into the stream, the stream's own bytes, and
//! ICY metadata blocks between them at the listener's own positions. Nothing is copied: each piece
//! points into a segment, a block or a lead that all listeners share. Runs on a listener core.

use std::io::IoSlice;
use std::sync::Arc;

use crate::base::limits::{SEND_BYTES_MAX, SEND_PIECES_MAX};
use crate::domain::bus::TitleBlock;
use crate::rt::wire::Sent;

use super::feed::Feed;
use super::row::{Row, Transmit};

/// The block of a title that has not changed.
const NO_CHANGE: &[u8] = &[0];

/// One piece of a gathered send.
#[derive(Clone, Copy)]
enum Piece<'f> {
    /// Bytes of the stream.
    Stream(&'f [u8]),
    /// Bytes that come before it.
    Lead(&'f [u8]),
    /// A metadata block, from its `from`th byte.
    Block { title: &'f Arc<TitleBlock>, serial: u32, from: u16 },
    /// The block of an unchanged title.
    Unchanged,
}

impl<'f> Piece<'f> {
    fn bytes(&self) -> &'f [u8] {
        match *self {
            Self::Stream(bytes) | Self::Lead(bytes) => bytes,
            Self::Block { title, from, .. } => &title.block[usize::from(from)..],
            Self::Unchanged => NO_CHANGE,
        }
    }
}

/// Sends stream bytes up to `end` with metadata blocks woven in at the listener's own positions:
/// one gathered send, or several where blocks stand so close that one has too few pieces for the
/// bytes of a beat.
pub(super) fn send_woven<W: Transmit>(row: &mut Row<W>, feed: &Feed, end: u64) -> Sent {
    let mut sent = 0;
    loop {
        let (taken, more) = send_gathered(row, feed, end);
        match taken {
            Sent::Bytes(count) => sent += count,
            // What failed after a part was taken fails again at the next visit.
            Sent::Full | Sent::Gone(_) if sent > 0 => return Sent::Bytes(sent),
            failed => return failed,
        }
        if !more || sent >= SEND_BYTES_MAX {
            return Sent::Bytes(sent);
        }
    }
}

/// One gathered send. Also says whether all of it was taken and it had no piece left for the rest.
fn send_gathered<W: Transmit>(row: &mut Row<W>, feed: &Feed, end: u64) -> (Sent, bool) {
    let (started, lead) = (row.block.take(), row.lead.take());
    let ahead = lead.as_ref().map_or(&[][..], |lead| &lead[row.lead_sent as usize..]);
    let mut pieces = [Piece::Unchanged; SEND_PIECES_MAX];
    let count = weave(row, feed, started.as_ref(), ahead, end, &mut pieces);
    let pieces = &pieces[..count];
    if pieces.is_empty() {
        return (Sent::Bytes(0), false);
    }
    let mut slices = [IoSlice::new(&[]); SEND_PIECES_MAX];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece.bytes());
    }
    let sent = row.wire.send_pieces(&slices[..count]);
    let Sent::Bytes(taken) = sent else {
        // Nothing was taken: what was under way stays under way.
        (row.block, row.lead) = (started, lead);
        return (sent, false);
    };
    take_note(row, pieces, taken);
    let offered = || pieces.iter().map(|piece| piece.bytes().len()).sum::<usize>();
    let more = count == SEND_PIECES_MAX && taken == offered();
    row.lead = lead.filter(|lead| lead.len() > row.lead_sent as usize);
    (sent, more)
}

/// Plans the pieces of one send; returns how many.
fn weave<'f, W>(
    row: &Row<W>,
    feed: &'f Feed,
    started: Option<&'f Arc<TitleBlock>>,
    mut ahead: &'f [u8],
    end: u64,
    pieces: &mut [Piece<'f>; SEND_PIECES_MAX],
) -> usize {
    let (mut offset, mut left, mut seen) = (row.offset, row.icy_left, row.title_seen);
    let (mut count, mut bytes) = (0, 0);
    if let Some(title) = started {
        pieces[0] = Piece::Block { title, serial: seen, from: row.block_sent };
        (count, left) = (1, row.icy_interval);
    }
    while (offset < end || !ahead.is_empty()) && count < SEND_PIECES_MAX && bytes < SEND_BYTES_MAX {
        if row.icy_interval > 0 && left == 0 {
            pieces[count] = match feed.title_at(offset) {
                Some((serial, title)) if serial != seen => {
                    seen = serial;
                    Piece::Block { title, serial, from: 0 }
                }
                _ => Piece::Unchanged,
            };
            (count, left) = (count + 1, row.icy_interval);
            continue;
        }
        let leads = !ahead.is_empty();
        let stretch = if leads { ahead } else { feed.at(offset, end) };
        let until_block = if row.icy_interval > 0 { left as usize } else { usize::MAX };
        let stretch = &stretch[..stretch.len().min(until_block).min(SEND_BYTES_MAX)];
        if stretch.is_empty() {
            break;
        }
        if leads {
            pieces[count] = Piece::Lead(stretch);
            ahead = &ahead[stretch.len()..];
        } else {
            pieces[count] = Piece::Stream(stretch);
            offset += stretch.len() as u64;
        }
        count += 1;
        bytes += stretch.len();
        left = left.saturating_sub(stretch.len() as u32);
    }
    count
}

/// Moves the row past the first `taken` bytes of `pieces`.
fn take_note<W>(row: &mut Row<W>, pieces: &[Piece<'_>], mut taken: usize) {
    for piece in pieces {
        let length = piece.bytes().len();
        if taken == 0 {
            // A block that was under way before this send is its first piece: it stays under way.
            if let Piece::Block { title, from, .. } = *piece
                && from > 0
            {
                row.block = Some(Arc::clone(title));
            }
            return;
        }
        let part = taken.min(length);
        taken -= part;
        match *piece {
            Piece::Stream(_) => {
                row.offset += part as u64;
                row.icy_left = row.icy_left.saturating_sub(part as u32);
            }
            Piece::Lead(_) => {
                row.lead_sent += part as u32;
                row.icy_left = row.icy_left.saturating_sub(part as u32);
            }
            Piece::Block { title, serial, from } => {
                row.title_seen = serial;
                row.icy_left = row.icy_interval;
                if part < length {
                    row.block_sent = from + part as u16;
                    row.block = Some(Arc::clone(title));
                    return;
                }
                row.block_sent = 0;
            }
            Piece::Unchanged => row.icy_left = row.icy_interval,
        }
    }
}
