//! What is true of a simulated mount, written down independently of the code under test: where
//! frames may be started at, which title holds where, what the core has been told. Wires judge what
//! they are given by it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use floe::base::Moment;
use floe::domain::bus::{TitleBlock, WindowStart};
use floe::domain::listener::SyncPoint;
use floe::ring::{Segment, Window};

#[derive(Default)]
pub struct Truth {
    pub now: Cell<Moment>,
    /// Every live edge ever published, in order: all of them end a frame.
    edges: RefCell<Vec<SyncPoint>>,
    /// Those of them that the core was told.
    known: RefCell<Vec<SyncPoint>>,
    titles: RefCell<Vec<(u64, Arc<TitleBlock>)>>,
    /// The core's window, kept a second time.
    window: RefCell<Window>,
    /// The live edge the core knows.
    pub end: Cell<u64>,
    /// Whether the core has ever missed more than the window lasts.
    pub lost: Cell<bool>,
    /// Whether everybody who still reads does so at once: the simulation comes to its end.
    pub hurries: Cell<bool>,
    /// Bytes that all wires took.
    pub taken: Cell<u64>,
    /// Jumps that wires have seen.
    pub jumps: Cell<u64>,
}

impl Truth {
    pub fn edge(&self, end: SyncPoint) {
        self.edges.borrow_mut().push(end);
    }

    pub fn title(&self, at: u64, block: Arc<TitleBlock>) {
        self.titles.borrow_mut().push((at, block));
    }

    pub fn window(&self, start: &WindowStart) {
        let mut window = Window::new();
        start.segments.iter().for_each(|segment| window.push(Arc::clone(segment)));
        *self.window.borrow_mut() = window;
        let mut known: Vec<SyncPoint> = start.timeline.points().collect();
        known.push(start.timeline.end());
        *self.known.borrow_mut() = known;
        self.end.set(start.timeline.end().offset);
    }

    pub fn segment(&self, segment: &Arc<Segment>) {
        self.window.borrow_mut().push(Arc::clone(segment));
    }

    pub fn delivered(&self, end: SyncPoint, keep_from: u64) {
        self.window.borrow_mut().trim(keep_from);
        self.known.borrow_mut().push(end);
        self.end.set(end.offset);
    }

    pub fn lost(&self) {
        self.lost.set(true);
    }

    pub fn tail(&self) -> u64 {
        self.window.borrow().tail()
    }

    /// Whether a frame begins at `offset` where somebody may start: at a live edge.
    pub fn is_start(&self, offset: u64) -> bool {
        let edges = self.edges.borrow();
        offset == 0 || edges.binary_search_by_key(&offset, |edge| edge.offset).is_ok()
    }

    /// The playing time of everything before the live edge at `offset`.
    pub fn media_us(&self, offset: u64) -> u64 {
        let edges = self.edges.borrow();
        let index = edges.partition_point(|edge| edge.offset <= offset);
        index.checked_sub(1).map_or(0, |index| edges[index].media_us)
    }

    /// A newcomer who gets the most there is starts here or before: at the core's oldest start
    /// point. Points closer than `apart` to the one before are not kept, and that one may just be
    /// gone.
    pub fn oldest_start_at_most(&self, apart: Duration) -> u64 {
        let (known, tail) = (self.known.borrow(), self.tail());
        let mut in_window = known.iter().filter(|edge| edge.offset >= tail);
        let oldest_us = in_window.next().map_or(0, |oldest| oldest.media_us);
        in_window
            .find(|edge| edge.media_us - oldest_us >= apart.as_micros() as u64)
            .map_or(self.end.get(), |edge| edge.offset)
    }

    /// The block that holds at `offset`.
    pub fn block_at(&self, offset: u64) -> Vec<u8> {
        let titles = self.titles.borrow();
        let index = titles.partition_point(|(at, _)| *at <= offset);
        titles[index.max(1) - 1].1.block.clone()
    }
}
