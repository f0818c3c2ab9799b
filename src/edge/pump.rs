//! HOT PATH
//! One visit to one listener: what is due to it, in as few sends as the kernel takes, straight from
//! the shared segments. Runs on a listener core; never waits, allocates or logs.

use crate::base::limits::SEND_BYTES_MAX;
use crate::base::{CloseReason, Moment};
use crate::domain::listener::{Standing, overdue};
use crate::rt::wire::Sent;

use super::feed::Feed;
use super::row::{JOINING, Row, Transmit};
use super::weave::send_woven;

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

/// Sends a listener what is due to it at `now`.
pub fn visit<W: Transmit>(row: &mut Row<W>, feed: &Feed, now: Moment) -> Visit {
    if let Some(reason) = row.closing {
        return Visit::Leaves { reason, sent: 0, slow: false };
    }
    if row.is_leading() {
        return visit_leading(row, feed, false, now);
    }
    let end = feed.end();
    let (sent, skipped) = match feed.standing(row.offset) {
        // The common case by far: no metadata, one range, one send.
        Standing::Follows if row.icy_interval == 0 => (send_range(row, feed, end), false),
        Standing::Follows => (send_woven(row, feed, end), false),
        Standing::Skips { cut, to } => skip(row, feed, cut, to),
        Standing::Rejoins => {
            row.offset = JOINING;
            return visit_leading(row, feed, true, now);
        }
        Standing::Leaves(reason) => return Visit::Leaves { reason, sent: 0, slow: true },
    };
    settle(row, feed, sent, skipped, now)
}

/// A newcomer, or one that went on elsewhere: it gets what comes before the stream, and the stream
/// right behind it. One that stalls in its intro is told by time alone: it is not behind anything.
#[cold]
fn visit_leading<W: Transmit>(row: &mut Row<W>, feed: &Feed, skipped: bool, now: Moment) -> Visit {
    if row.lead.is_none() {
        row.enter(feed);
    }
    let sent = send_woven(row, feed, feed.end());
    if row.lead.is_none() && row.offset == JOINING {
        // The intro is out: its place is taken now, so that the next lap comes for it.
        row.enter(feed);
    }
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
            row.move_to(to, feed);
        }
        return (sent, moves);
    }
    row.move_to(to, feed);
    (send_woven(row, feed, feed.end()), true)
}

fn settle<W>(row: &mut Row<W>, feed: &Feed, sent: Sent, skipped: bool, now: Moment) -> Visit {
    let sent = match sent {
        Sent::Bytes(count) => count,
        Sent::Full => 0,
        Sent::Gone(reason) => return Visit::Leaves { reason, sent: 0, slow: skipped },
    };
    let behind = row.offset < feed.end() || row.lead.is_some() || row.block.is_some();
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

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Studio, Taker, bytes_of};
    use super::*;
    use crate::base::limits::PREAMBLES_KEPT_MAX;
    use crate::config::Lag;
    use std::sync::Arc;
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

    /// A listener at the beginning of the stream.
    fn row(id: u64, room: usize, interval: u32, now: Moment) -> Row<Taker> {
        Row { offset: 0, ..testing::row(id, room, interval, now) }
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
        row.offset = feed.start_point(None).expect("there are points");
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

    #[test]
    fn a_newcomer_gets_intro_preamble_and_burst_in_order_whatever_its_socket_takes() {
        let mut studio = Studio::new();
        let mut feed = studio.feed();
        studio.preamble(b"old head", &mut feed);
        studio.publish(5_000, &mut feed);
        let title = studio.title("One", &mut feed);
        studio.preamble(b"head", &mut feed);
        (0..20).for_each(|_| studio.publish(1_000, &mut feed));
        let intro = Arc::new(bytes_of(0..1_500));
        let lead = [&intro[..], b"head"].concat();
        let burst = bytes_of(17_000..25_000);
        let all = [&lead[..], &burst].concat();
        for interval in [0_u32, 700, 2_000] {
            for bite in [0, 1, 3, 699, 1_500] {
                let mut row = testing::row(1, usize::MAX, interval, NOW);
                row.lead = Some(Arc::clone(&intro));
                row.wire.bite = bite;
                drain(&mut row, &feed);
                let pieces = all.chunks(if interval == 0 { all.len() } else { interval as usize });
                let mut wanted: Vec<u8> = Vec::new();
                for (index, piece) in pieces.enumerate() {
                    if index > 0 {
                        wanted.extend(if index == 1 { &title[..] } else { &[0] });
                    }
                    wanted.extend(piece);
                }
                assert_eq!(row.wire.taken, wanted, "{interval} {bite}");
            }
        }
    }

    #[test]
    fn in_a_chain_of_short_links_nobody_starts_where_the_head_is_forgotten() {
        let mut studio = Studio::new();
        let mut feed = studio.feed();
        let head = |link: u8| [link; 4];
        for link in 0..40 {
            studio.preamble(&head(link), &mut feed);
            studio.publish(100, &mut feed);
        }
        // The mount's burst would begin with the first link.
        let mut row = testing::row(1, usize::MAX, 0, NOW);
        drain(&mut row, &feed);
        let oldest = 40 - PREAMBLES_KEPT_MAX as u8;
        let from = u64::from(oldest) * 100;
        assert_eq!(row.wire.taken, [&head(oldest)[..], &bytes_of(from..4_000)].concat());
    }

    #[test]
    fn who_comes_before_a_player_can_start_waits_for_the_first_start_and_is_not_stalled() {
        let mut studio = Studio::new();
        let mut feed = studio.feed();
        let mut row = testing::row(1, usize::MAX, 0, NOW);
        let later = Moment(100_000_000);
        for now in [NOW, later] {
            assert_eq!(visit(&mut row, &feed, now), stays(0, false));
            assert_eq!(row.offset, JOINING);
        }
        studio.publish(1_000, &mut feed);
        assert_eq!(visit(&mut row, &feed, later), stays(1_000, false));
        assert_eq!(row.offset, 1_000);
    }

    #[test]
    fn a_laggard_that_skips_to_another_link_gets_its_head_first() {
        for (links, head) in [(1, &b""[..]), (2, b"second")] {
            let mut studio = Studio::new();
            let mut feed = studio.feed();
            studio.preamble(b"first", &mut feed);
            studio.publish(1_000, &mut feed);
            let mut row = row(1, 500, 0, NOW);
            visit(&mut row, &feed, NOW);
            if links == 2 {
                studio.publish(1_000, &mut feed);
                studio.preamble(b"second", &mut feed);
            }
            (0..201 - links).for_each(|_| studio.publish(1_000, &mut feed));
            row.wire.room = usize::MAX;
            drain(&mut row, &feed);
            let wanted = [&bytes_of(0..1_000)[..], head, &bytes_of(193_000..201_000)].concat();
            assert_eq!(row.wire.taken, wanted, "{links} links");
        }
    }
}
