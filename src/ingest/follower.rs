//! A listener core that follows a mount: what it was told, so that it can be told the rest.

use std::sync::Arc;

use crate::base::MountId;
use crate::domain::bus::{IngestToEdge, Outbox, TitleAt, WindowStart};
use crate::domain::listener::Edge;

use super::publish::Stream;

/// One core's place in one mount's stream.
#[derive(Debug)]
pub(super) struct Follower {
    /// End of the last segment it was given.
    segments_to: u64,
    /// Whether edges were held back because its lane was full: it is told the newest when there is
    /// room, and start points between are lost to it, nothing else.
    behind: bool,
    /// Whether it missed a title. It is told the newest only, so what waits for it stays bounded.
    missed_title: bool,
    /// Whether it missed a preamble.
    missed_preamble: bool,
}

impl Follower {
    /// Starts to follow: posts everything a newcomer can be given.
    pub(super) fn start(
        mount: MountId,
        stream: &Stream,
        titles: &[TitleAt],
        outbox: &mut Outbox<IngestToEdge>,
    ) -> Self {
        let segments: Vec<_> = stream.segments().map(Arc::clone).collect();
        let segments_to = segments.last().map_or(0, |last| last.base() + last.capacity() as u64);
        let start = WindowStart {
            segments,
            timeline: stream.timeline().clone(),
            titles: titles.to_vec(),
            preambles: stream.preambles().clone(),
        };
        outbox.post(IngestToEdge::Window { mount, start: Box::new(start) });
        Self { segments_to, behind: false, missed_title: false, missed_preamble: false }
    }

    /// Tells it what the last `take` published, or remembers to.
    pub(super) fn advance(
        &mut self,
        mount: MountId,
        stream: &Stream,
        outbox: &mut Outbox<IngestToEdge>,
    ) {
        // Whoever is behind is told the rest by `catch_up` alone: by now the window may have moved
        // past what it has, and the next segment would leave a gap.
        if self.behind || !outbox.has_room() {
            self.behind = true;
            return;
        }
        self.segments(mount, stream, outbox);
        let keep_from = stream.keep_from();
        for &Edge { end, starts } in stream.edges() {
            outbox.post_softly(IngestToEdge::Advance { mount, end, starts, keep_from });
        }
    }

    /// Tells it the newest `count` preambles, or to start anew when there is room: a newcomer of
    /// its must not get an old one.
    pub(super) fn preambles(
        &mut self,
        mount: MountId,
        stream: &Stream,
        count: usize,
        outbox: &mut Outbox<IngestToEdge>,
    ) {
        if self.behind || !outbox.has_room() {
            (self.behind, self.missed_preamble) = (true, true);
            return;
        }
        for preamble in stream.preambles().last(count) {
            let preamble = preamble.clone();
            outbox.post_softly(IngestToEdge::Preamble { mount, preamble });
        }
    }

    /// Tells it a new title, or remembers to.
    pub(super) fn title(
        &mut self,
        mount: MountId,
        title: &TitleAt,
        outbox: &mut Outbox<IngestToEdge>,
    ) {
        if self.behind || !outbox.has_room() {
            (self.behind, self.missed_title) = (true, true);
            return;
        }
        outbox.post_softly(IngestToEdge::Title { mount, title: title.clone() });
    }

    /// Tells it what it missed, if its lane has room again.
    pub(super) fn catch_up(
        &mut self,
        mount: MountId,
        stream: &Stream,
        newest: Option<&TitleAt>,
        outbox: &mut Outbox<IngestToEdge>,
    ) -> CaughtUp {
        if !self.behind {
            return CaughtUp::Yes;
        }
        if !outbox.has_room() {
            return CaughtUp::NotYet;
        }
        let gap = stream.segments().next().is_some_and(|oldest| oldest.base() > self.segments_to);
        if gap || self.missed_preamble {
            return CaughtUp::Lost;
        }
        self.behind = false;
        self.segments(mount, stream, outbox);
        if let Some(title) = newest.filter(|_| std::mem::take(&mut self.missed_title)) {
            outbox.post_softly(IngestToEdge::Title { mount, title: title.clone() });
        }
        let (end, keep_from) = (stream.timeline().end(), stream.keep_from());
        // Whether a player can start where it was last told the live edge is not known any more.
        outbox.post_softly(IngestToEdge::Advance { mount, end, starts: false, keep_from });
        CaughtUp::Yes
    }

    /// Gives it the segments it has not got.
    fn segments(&mut self, mount: MountId, stream: &Stream, outbox: &mut Outbox<IngestToEdge>) {
        for segment in stream.segments() {
            if segment.base() >= self.segments_to {
                self.segments_to = segment.base() + segment.capacity() as u64;
                outbox.post_softly(IngestToEdge::Segment { mount, segment: Arc::clone(segment) });
            }
        }
    }
}

/// What [`Follower::catch_up`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaughtUp {
    /// It knows the newest.
    Yes,
    /// Its lane is still full.
    NotYet,
    /// It was away for longer than the window lasts, or missed what newcomers need: it must start
    /// to follow anew.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Moment;
    use crate::config::Burst;
    use crate::ring::{Doorbell, LaneReceiver, Window, lane};

    const MOUNT: MountId = MountId(3);
    const LAG_BYTES: usize = 64 * 1024;

    type Ends = (Outbox<IngestToEdge>, LaneReceiver<IngestToEdge>);

    fn ends(messages: usize) -> Ends {
        let (sender, receiver) = lane(messages, Doorbell::new());
        (Outbox::new(sender), receiver)
    }

    fn stream() -> Stream {
        Stream::new("application/octet-stream", LAG_BYTES, Burst::Bytes(0))
    }

    /// Takes what was told into `window`; gives the live edges.
    fn hear(receiver: &mut LaneReceiver<IngestToEdge>, window: &mut Window) -> Vec<u64> {
        let mut edges = Vec::new();
        while let Some(message) = receiver.receive() {
            match message {
                IngestToEdge::Window { start, .. } => {
                    *window = Window::new();
                    start.segments.into_iter().for_each(|segment| window.push(segment));
                }
                IngestToEdge::Segment { segment, .. } => window.push(segment),
                IngestToEdge::Advance { end, .. } => edges.push(end.offset),
                other => panic!("not told by a follower: {other:?}"),
            }
        }
        edges
    }

    #[test]
    fn segments_come_once_and_before_the_edges_in_them() {
        let ((mut outbox, mut receiver), mut stream) = (ends(64), stream());
        let mut window = Window::new();
        let mut follower = Follower::start(MOUNT, &stream, &[], &mut outbox);
        for round in 1..=20_u64 {
            stream.take(&[round as u8; 10_000], Moment(round * 200_000));
            follower.advance(MOUNT, &stream, &mut outbox);
            assert_eq!(hear(&mut receiver, &mut window), [round * 10_000]);
            assert!(!window.at(round * 10_000 - 1, round * 10_000).is_empty());
        }
    }

    #[test]
    fn a_full_lane_costs_start_points_and_nothing_else() {
        let ((mut outbox, mut receiver), mut stream) = (ends(2), stream());
        let mut window = Window::new();
        let mut follower = Follower::start(MOUNT, &stream, &[], &mut outbox);
        for round in 1..=10 {
            stream.take(&[7; 10_000], Moment(round * 200_000));
            follower.advance(MOUNT, &stream, &mut outbox);
            assert_eq!(
                follower.catch_up(MOUNT, &stream, None, &mut outbox) == CaughtUp::Yes,
                round < 3
            );
        }
        let mut edges = Vec::new();
        loop {
            edges.extend(hear(&mut receiver, &mut window));
            outbox.flush();
            let caught_up = follower.catch_up(MOUNT, &stream, None, &mut outbox);
            if caught_up == CaughtUp::Yes && outbox.has_room() {
                break;
            }
        }
        edges.extend(hear(&mut receiver, &mut window));
        assert_eq!(edges, [10_000, 20_000, 100_000]);
        assert_eq!(window.head(), 100_000);
    }

    #[test]
    fn a_lane_that_has_room_again_leaves_no_gap_for_who_is_behind() {
        let ((mut outbox, mut receiver), mut stream) = (ends(1), stream());
        let mut follower = Follower::start(MOUNT, &stream, &[], &mut outbox);
        for round in 1..=100 {
            stream.take(&[7; 10_000], Moment(round * 200_000));
            follower.advance(MOUNT, &stream, &mut outbox);
        }
        let mut window = Window::new();
        hear(&mut receiver, &mut window);
        outbox.flush();
        hear(&mut receiver, &mut window);
        outbox.flush();
        assert!(outbox.has_room());
        // More bytes come before `catch_up` has had its turn.
        stream.take(&[7; 10_000], Moment(101 * 200_000));
        follower.advance(MOUNT, &stream, &mut outbox);
        outbox.flush();
        hear(&mut receiver, &mut window);
        assert_eq!(follower.catch_up(MOUNT, &stream, None, &mut outbox), CaughtUp::Lost);
    }

    #[test]
    fn whoever_was_away_longer_than_the_window_lasts_must_start_anew() {
        let ((mut outbox, mut receiver), mut stream) = (ends(1), stream());
        let mut follower = Follower::start(MOUNT, &stream, &[], &mut outbox);
        for round in 1..=100 {
            stream.take(&[7; 10_000], Moment(round * 200_000));
            follower.advance(MOUNT, &stream, &mut outbox);
        }
        let mut window = Window::new();
        hear(&mut receiver, &mut window);
        outbox.flush();
        hear(&mut receiver, &mut window);
        outbox.flush();
        assert_eq!(follower.catch_up(MOUNT, &stream, None, &mut outbox), CaughtUp::Lost);
        Follower::start(MOUNT, &stream, &[], &mut outbox);
        hear(&mut receiver, &mut window);
        assert_eq!(window.head(), 1_000_000);
    }
}
