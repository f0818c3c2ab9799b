//! HOT PATH
//! One visit to one listener: what is due to it, in as few sends as the kernel takes, straight from
//! the shared segments. Runs on a listener core; never waits, allocates or logs.

use std::io::IoSlice;
use std::sync::Arc;

use crate::base::limits::{SEND_BYTES_MAX, SEND_PIECES_MAX};
use crate::base::{CloseReason, Moment};
use crate::domain::bus::TitleBlock;
use crate::domain::listener::{Standing, overdue};
use crate::rt::wire::Sent;

use super::feed::Feed;
use super::row::{Row, Transmit};

/// What a visit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The listener stays.
    Stays {
        /// Bytes the kernel took.
        sent: usize,
        /// Whether it still waits for bytes that are published.
        behind: bool,
        /// Whether it was moved forward because it had fallen too far behind.
        skipped: bool,
    },
    /// The listener leaves.
    Leaves {
        /// Why.
        reason: CloseReason,
        /// Bytes the kernel took before.
        sent: usize,
        /// Whether it was too slow: it leaves for that, or was moved forward before.
        slow: bool,
    },
}

/// The block of a title that has not changed.
const NO_CHANGE: &[u8] = &[0];

/// Sends a listener what is due to it at `now`.
pub fn visit<W: Transmit>(row: &mut Row<W>, feed: &Feed, now: Moment) -> Visit {
    if let Some(reason) = row.closing {
        return Visit::Leaves { reason, sent: 0, slow: false };
    }
    let end = feed.end();
    let (sent, skipped) = match feed.standing(row.offset) {
        // The common case by far: no metadata, one range, one send.
        Standing::Follows if row.icy_interval == 0 => (send_range(row, feed, end), false),
        Standing::Follows => (send_woven(row, feed, end), false),
        Standing::Skips { cut, to } => skip(row, feed, cut, to),
        Standing::Leaves(reason) => return Visit::Leaves { reason, sent: 0, slow: true },
    };
    settle(row, feed, sent, skipped, now)
}

/// Moves a listener that fell too far behind to `to`, after the frame it is in has ended at `cut`.
/// Says whether it moved.
fn skip<W: Transmit>(row: &mut Row<W>, feed: &Feed, cut: Option<u64>, to: u64) -> (Sent, bool) {
    let frame_end = cut.unwrap_or(row.offset);
    if frame_end > row.offset {
        let sent = send_woven(row, feed, frame_end);
        let moves = row.offset >= frame_end;
        if moves {
            row.offset = to;
        }
        return (sent, moves);
    }
    row.offset = to;
    (send_woven(row, feed, feed.end()), true)
}

fn settle<W>(row: &mut Row<W>, feed: &Feed, sent: Sent, skipped: bool, now: Moment) -> Visit {
    let sent = match sent {
        Sent::Bytes(count) => count,
        Sent::Full => 0,
        Sent::Gone(reason) => return Visit::Leaves { reason, sent: 0, slow: skipped },
    };
    let behind = row.offset < feed.end() || row.block.is_some();
    if sent > 0 || !behind {
        row.took_s = now.seconds();
        row.bytes_sent += sent as u64;
    }
    let (stall, most) = (feed.rules.stall_timeout, feed.rules.max_duration);
    match overdue(row.joined_s, row.took_s, behind, now, stall, most) {
        Some(reason) => Visit::Leaves { reason, sent, slow: skipped },
        None => Visit::Stays { sent, behind, skipped },
    }
}

/// Sends one range without metadata: one send if it lies in one segment, else a gathered one.
#[inline]
fn send_range<W: Transmit>(row: &mut Row<W>, feed: &Feed, end: u64) -> Sent {
    let bytes = feed.at(row.offset, end);
    let waiting = (end - row.offset).min(SEND_BYTES_MAX as u64);
    if (bytes.len() as u64) < waiting {
        return send_woven(row, feed, end);
    }
    if bytes.is_empty() {
        return Sent::Bytes(0);
    }
    let sent = row.wire.send(&bytes[..bytes.len().min(SEND_BYTES_MAX)]);
    if let Sent::Bytes(count) = sent {
        row.offset += count as u64;
    }
    sent
}

/// One piece of a gathered send.
#[derive(Clone, Copy)]
enum Piece<'f> {
    /// Bytes of the stream.
    Stream(&'f [u8]),
    /// A metadata block, from its `from`th byte.
    Block { title: &'f Arc<TitleBlock>, serial: u32, from: u16 },
    /// The block of an unchanged title.
    Unchanged,
}

impl<'f> Piece<'f> {
    fn bytes(&self) -> &'f [u8] {
        match *self {
            Self::Stream(bytes) => bytes,
            Self::Block { title, from, .. } => &title.block[usize::from(from)..],
            Self::Unchanged => NO_CHANGE,
        }
    }
}

/// Sends stream bytes up to `end` with metadata blocks woven in at the listener's own positions:
/// one gathered send, or several where blocks stand so close that one has too few pieces for the
/// bytes of a beat.
fn send_woven<W: Transmit>(row: &mut Row<W>, feed: &Feed, end: u64) -> Sent {
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
    let started = row.block.take();
    let mut pieces = [Piece::Unchanged; SEND_PIECES_MAX];
    let count = weave(row, feed, started.as_ref(), end, &mut pieces);
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
        // Nothing was taken: a block that was under way stays under way.
        row.block = started;
        return (sent, false);
    };
    take_note(row, pieces, taken);
    let offered = || pieces.iter().map(|piece| piece.bytes().len()).sum::<usize>();
    (sent, count == SEND_PIECES_MAX && taken == offered())
}

/// Plans the pieces of one send; returns how many.
fn weave<'f, W>(
    row: &Row<W>,
    feed: &'f Feed,
    started: Option<&'f Arc<TitleBlock>>,
    end: u64,
    pieces: &mut [Piece<'f>; SEND_PIECES_MAX],
) -> usize {
    let (mut offset, mut left, mut seen) = (row.offset, row.icy_left, row.title_seen);
    let (mut count, mut bytes) = (0, 0);
    if let Some(title) = started {
        pieces[0] = Piece::Block { title, serial: seen, from: row.block_sent };
        (count, left) = (1, row.icy_interval);
    }
    while offset < end && count < SEND_PIECES_MAX && bytes < SEND_BYTES_MAX {
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
        let stretch = feed.at(offset, end);
        let until_block = if row.icy_interval > 0 { left as usize } else { usize::MAX };
        let stretch = &stretch[..stretch.len().min(until_block).min(SEND_BYTES_MAX)];
        if stretch.is_empty() {
            break;
        }
        pieces[count] = Piece::Stream(stretch);
        count += 1;
        bytes += stretch.len();
        offset += stretch.len() as u64;
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Studio, Taker, bytes_of, row};
    use super::*;
    use crate::config::Lag;
    use std::time::Duration;

    const NOW: Moment = Moment(1_000_000);

    /// A feed of `count` published bytes and its studio.
    fn published(count: usize) -> (Studio, Feed) {
        let mut studio = Studio::new();
        let mut feed = studio.feed();
        for start in (0..count).step_by(1_000) {
            studio.publish(1_000.min(count - start), &mut feed);
        }
        (studio, feed)
    }

    fn stays(sent: usize, behind: bool) -> Visit {
        Visit::Stays { sent, behind, skipped: false }
    }

    /// Visits until the listener has everything.
    fn drain(row: &mut Row<Taker>, feed: &Feed) {
        for _ in 0..1_000_000 {
            match visit(row, feed, NOW) {
                Visit::Stays { behind: false, .. } => return,
                Visit::Stays { .. } => {}
                Visit::Leaves { reason, .. } => panic!("left: {reason:?}"),
            }
        }
        panic!("it never had everything");
    }

    #[test]
    fn a_listener_who_has_everything_costs_no_send() {
        let (_, feed) = published(5_000);
        for interval in [0, 1_000] {
            let mut row = row(1, usize::MAX, interval, NOW);
            row.offset = 5_000;
            assert_eq!(visit(&mut row, &feed, NOW), stays(0, false));
            assert_eq!(row.wire.sends, 0);
        }
    }

    #[test]
    fn a_stretch_over_two_segments_is_one_send() {
        let (_, feed) = published(70_000);
        let mut row = row(1, usize::MAX, 0, NOW);
        assert_eq!(visit(&mut row, &feed, NOW), stays(70_000, false));
        assert_eq!(row.wire.sends, 1);
        assert_eq!(row.wire.taken, bytes_of(0..70_000));
    }

    #[test]
    fn blocks_stand_on_the_grid_and_an_unchanged_title_costs_one_byte() {
        let mut studio = Studio::new();
        let mut feed = studio.feed();
        let first = studio.title("One", &mut feed);
        studio.publish(2_500, &mut feed);
        let second = studio.title("Two", &mut feed);
        studio.publish(2_000, &mut feed);
        let mut wanted = bytes_of(0..1_000);
        wanted.extend(&first);
        wanted.extend(bytes_of(1_000..2_000));
        wanted.push(0);
        wanted.extend(bytes_of(2_000..3_000));
        wanted.extend(&second);
        wanted.extend(bytes_of(3_000..4_000));
        wanted.push(0);
        wanted.extend(bytes_of(4_000..4_500));
        // However few bytes the socket takes at once, they are the same.
        for bite in [0, 1, 2, 3, 16, 17, 18, 999, 1_000, 1_001, 1_017, 2_018] {
            let mut row = row(1, usize::MAX, 1_000, NOW);
            row.wire.bite = bite;
            drain(&mut row, &feed);
            assert_eq!(row.wire.taken, wanted, "{bite} bytes at once");
            assert_eq!(row.bytes_sent, wanted.len() as u64);
        }
    }

    #[test]
    fn a_block_is_finished_even_if_the_title_changes_meanwhile() {
        let mut studio = Studio::new();
        let mut feed = studio.feed();
        let first = studio.title("One", &mut feed);
        studio.publish(2_500, &mut feed);
        for room in 1_000..=1_000 + first.len() {
            let mut studio = Studio::new();
            let mut feed = studio.feed();
            studio.title("One", &mut feed);
            studio.publish(1_000, &mut feed);
            let mut row = row(1, room, 1_000, NOW);
            visit(&mut row, &feed, NOW);
            studio.publish(500, &mut feed);
            visit(&mut row, &feed, NOW);
            visit(&mut row, &feed, NOW);
            let second = studio.title("Two", &mut feed);
            studio.publish(1_000, &mut feed);
            row.wire.room = usize::MAX;
            drain(&mut row, &feed);
            let wanted = [&bytes_of(0..1_000), &first, &bytes_of(1_000..2_000), &second[..]];
            assert!(row.wire.taken.starts_with(&wanted.concat()), "{room} bytes of room");
        }
    }

    #[test]
    fn blocks_close_together_do_not_hold_a_listener_back() {
        let (_, feed) = published(60_000);
        let blocks = (60_000 - 1) / 256;
        let mut eager = row(1, usize::MAX, 256, NOW);
        assert_eq!(visit(&mut eager, &feed, NOW), stays(60_000 + blocks, false));
        // A socket that fills up at any byte gets the same, only later.
        for room in [1, 4_111, 4_112, 4_113, 20_000] {
            let mut slow = row(2, usize::MAX, 256, NOW);
            slow.wire.room = room;
            assert_eq!(visit(&mut slow, &feed, NOW), stays(room, true));
            slow.wire.room = usize::MAX;
            drain(&mut slow, &feed);
            assert_eq!(slow.wire.taken, eager.wire.taken);
        }
    }

    #[test]
    fn a_full_socket_changes_nothing() {
        let (mut studio, mut feed) = published(1_000);
        studio.title("One", &mut feed);
        studio.publish(500, &mut feed);
        for room in [0, 700, 1_000, 1_001, 1_010] {
            let mut row = row(1, room, 1_000, NOW);
            visit(&mut row, &feed, NOW);
            let before = (row.offset, row.icy_left, row.block_sent, row.block.is_some());
            assert_eq!(visit(&mut row, &feed, NOW), stays(0, true));
            let after = (row.offset, row.icy_left, row.block_sent, row.block.is_some());
            assert_eq!(after, before);
            assert_eq!(row.wire.taken.len(), room);
        }
    }

    #[test]
    fn a_laggard_finishes_its_frame_and_goes_on_near_the_live_edge() {
        let (mut studio, mut feed) = published(1_000);
        let mut row = row(1, 500, 0, NOW);
        visit(&mut row, &feed, NOW);
        for _ in 0..200 {
            studio.publish(1_000, &mut feed);
        }
        row.wire.room = usize::MAX;
        let moved = visit(&mut row, &feed, NOW);
        assert_eq!(moved, Visit::Stays { sent: 500, behind: true, skipped: true });
        drain(&mut row, &feed);
        let wanted = [bytes_of(0..1_000), bytes_of(193_000..201_000)].concat();
        assert_eq!(row.wire.taken, wanted);
    }

    #[test]
    fn a_laggard_leaves_where_the_mount_drops_them() {
        let (_, mut feed) = published(200_000);
        feed.rules.lag = Lag::Drop;
        let mut row = row(1, usize::MAX, 0, NOW);
        let left = Visit::Leaves { reason: CloseReason::TooSlow, sent: 0, slow: true };
        assert_eq!(visit(&mut row, &feed, NOW), left);
        row.offset = feed.join_offset();
        assert_eq!(visit(&mut row, &feed, NOW), stays(8_000, false));
    }

    #[test]
    fn one_visit_sends_no_more_than_its_share() {
        let (_, mut feed) = published(600_000);
        feed.rules.lag_bytes = 1 << 20;
        let mut row = row(1, usize::MAX, 0, NOW);
        row.offset = feed.end() - 300_000;
        let first = visit(&mut row, &feed, NOW);
        let Visit::Stays { sent, behind: true, .. } = first else { panic!("{first:?}") };
        assert!((1..=2 * SEND_BYTES_MAX).contains(&sent), "{sent}");
    }

    #[test]
    fn a_listener_who_takes_nothing_leaves_and_one_who_has_everything_stays() {
        let (_, feed) = published(2_000);
        let second = |count: u64| Moment(count * 1_000_000);
        let mut stopped = row(1, 0, 0, second(1));
        assert_eq!(visit(&mut stopped, &feed, second(31)), stays(0, true));
        let left = Visit::Leaves { reason: CloseReason::Stalled, sent: 0, slow: false };
        assert_eq!(visit(&mut stopped, &feed, second(32)), left);
        let mut quiet = row(2, usize::MAX, 0, second(1));
        assert_eq!(visit(&mut quiet, &feed, second(1)), stays(2_000, false));
        assert_eq!(visit(&mut quiet, &feed, second(500)), stays(0, false));
    }

    #[test]
    fn a_broken_socket_and_a_row_that_is_closing_leave() {
        let (_, mut feed) = published(2_000);
        feed.rules.max_duration = Duration::from_secs(3);
        let leaves = |reason, sent| Visit::Leaves { reason, sent, slow: false };
        let mut broken = row(1, usize::MAX, 0, NOW);
        broken.wire.gone = Some(CloseReason::PeerBroke);
        assert_eq!(visit(&mut broken, &feed, NOW), leaves(CloseReason::PeerBroke, 0));
        let mut closing = row(2, usize::MAX, 0, NOW);
        closing.close(CloseReason::Killed);
        assert_eq!(visit(&mut closing, &feed, NOW), leaves(CloseReason::Killed, 0));
        let mut done = row(3, usize::MAX, 0, NOW);
        let late = Moment(4_000_000);
        assert_eq!(visit(&mut done, &feed, late), leaves(CloseReason::DurationOver, 2_000));
    }
}
