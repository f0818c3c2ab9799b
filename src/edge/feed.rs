//! What a core knows of one mount's stream: its window of segments, its start points, its titles
//! and what newcomers are sent first. Written by the inbox, read by the pump.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{START_POINTS_APART, TITLES_KEPT_MAX};
use crate::config::{Burst, Lag, MountSettings};
use crate::domain::bus::{TitleAt, TitleBlock, WindowStart};
use crate::domain::listener::{Standing, SyncPoint, Timeline, standing};
use crate::domain::preamble::{PreambleAt, Preambles};
use crate::ring::{Segment, Window};

/// The mount's rules as the pump needs them.
#[derive(Clone, Copy, Debug)]
pub struct FeedRules {
    /// How far a listener may fall behind.
    pub lag_bytes: u64,
    /// What happens to one that falls behind further.
    pub lag: Lag,
    /// What a newcomer gets at once.
    pub burst: Burst,
    /// The most it may ask for instead.
    pub burst_max: Burst,
    /// How long a listener may take nothing while bytes wait.
    pub stall_timeout: Duration,
    /// How long a listener may stay; zero = as long as it likes.
    pub max_duration: Duration,
}

impl FeedRules {
    /// From the mount's settings and the server's limits.
    pub fn new(settings: &MountSettings, lag_bytes: usize, stall_timeout: Duration) -> Self {
        Self {
            lag_bytes: lag_bytes as u64,
            lag: settings.lag,
            burst: settings.burst,
            burst_max: settings.burst_max,
            stall_timeout,
            max_duration: settings.max_listener_duration,
        }
    }
}

/// One mount's stream on one core.
#[derive(Debug)]
pub struct Feed {
    /// The rules.
    pub rules: FeedRules,
    window: Window,
    timeline: Timeline,
    titles: VecDeque<TitleAt>,
    preambles: Preambles,
    ready: bool,
}

impl Feed {
    /// A feed that waits for its window.
    pub fn new(rules: FeedRules) -> Self {
        Self {
            rules,
            window: Window::new(),
            timeline: Timeline::default(),
            titles: VecDeque::with_capacity(4),
            preambles: Preambles::default(),
            ready: false,
        }
    }

    /// Whether the window has come.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The answer to a subscription: everything a newcomer can be given.
    pub fn start(&mut self, start: WindowStart) {
        self.window = Window::new();
        for segment in start.segments {
            self.window.push(segment);
        }
        self.timeline = start.timeline;
        self.titles = start.titles.into();
        self.preambles = start.preambles;
        self.ready = true;
    }

    /// The subscription ended: forget the stream, so that its memory is free.
    pub fn stop(&mut self) {
        *self = Self::new(self.rules);
    }

    /// A new segment was opened.
    pub fn open(&mut self, segment: Arc<Segment>) {
        if self.ready {
            self.window.push(segment);
        }
    }

    /// Bytes were published up to `end`.
    pub fn advance(&mut self, end: SyncPoint, starts: bool, keep_from: u64) {
        if self.ready {
            self.timeline.advance(end, starts, START_POINTS_APART);
            self.window.trim(keep_from);
            self.trim_points();
        }
    }

    /// A new title holds from its offset on.
    pub fn title(&mut self, title: TitleAt) {
        self.titles.push_back(title);
        // The title that holds at the window's tail is kept; what ended before it is not.
        while self.titles.len() > TITLES_KEPT_MAX
            || self.titles.get(1).is_some_and(|next| next.at <= self.window.tail())
        {
            self.titles.pop_front();
        }
    }

    /// Newcomers are sent something else first, from its offset on.
    pub fn preamble(&mut self, preamble: PreambleAt) {
        self.preambles.push(preamble, self.window.tail());
        self.trim_points();
    }

    /// Forgets where nobody can start any more: where the bytes are gone, or what a decoder needs.
    fn trim_points(&mut self) {
        self.timeline.trim(self.window.tail().max(self.preambles.known_from()));
    }

    /// The live edge.
    #[inline]
    pub fn end(&self) -> u64 {
        self.timeline.end().offset
    }

    /// Published bytes from `offset` on, not past `end`, as far as they lie in one piece.
    #[inline]
    pub fn at(&self, offset: u64, end: u64) -> &[u8] {
        self.window.at(offset, end)
    }

    /// The title that holds at `offset`.
    #[inline]
    pub fn title_at(&self, offset: u64) -> Option<(u32, &Arc<TitleBlock>)> {
        let found = self.titles.iter().rev().find(|title| title.at <= offset);
        found.or(self.titles.front()).map(|title| (title.serial, &title.block))
    }

    /// Where a newcomer starts who asked for `burst`, if a player can start anywhere yet. What is
    /// asked for is given up to the mount's `burst_max`, and up to half of what a listener may fall
    /// behind: with more it would count as slow before it had a chance to read.
    pub fn start_point(&self, burst: Option<Burst>) -> Option<u64> {
        let FeedRules { lag_bytes, burst: usual, burst_max, .. } = self.rules;
        let tail = self.window.tail();
        let usual_start = self.timeline.start(usual, tail);
        let Some(asked) = burst else { return usual_start };
        let most = self.timeline.lag_max(lag_bytes, usual) / 2;
        let from = self.end().saturating_sub(most).max(tail);
        let [asked, most] = [asked, burst_max].map(|burst| self.timeline.start(burst, from));
        asked.max(most).or(usual_start)
    }

    /// See [`Preambles`].
    pub fn preambles(&self) -> &Preambles {
        &self.preambles
    }

    /// Judges a listener at `offset`.
    #[inline]
    pub fn standing(&self, offset: u64) -> Standing {
        let behind = self.end().saturating_sub(offset);
        if behind <= self.rules.lag_bytes && offset >= self.window.tail() {
            return Standing::Follows;
        }
        let FeedRules { lag_bytes, lag, burst, .. } = self.rules;
        standing(offset, self.window.tail(), &self.timeline, lag_bytes, lag, burst)
    }
}
