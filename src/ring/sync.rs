//! Where this room's atomics come from: std, or loom when the models run. It owns no state and runs
//! wherever its user runs.
//!
//! `Arc` is std's in both builds, because it stands in the room's public signatures. Loom then
//! takes reference counting for granted, which is right: the models are about our orderings, not
//! std's.

pub(super) use std::sync::atomic::Ordering;

#[cfg(not(floe_loom))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};

#[cfg(floe_loom)]
pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};

#[cfg(not(floe_loom))]
pub(super) use atomic_waker::AtomicWaker;

/// Loom's waker cell with the signatures of the crate `atomic-waker`.
#[cfg(floe_loom)]
pub(super) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(floe_loom)]
impl AtomicWaker {
    pub(super) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.0.register_by_ref(waker);
    }

    pub(super) fn wake(&self) {
        self.0.wake();
    }
}

/// Stands beside raw memory, which loom cannot see, with one watched cell per byte: loom fails a
/// model in which a read is not ordered after the write, or a write not after every read.
#[cfg(floe_loom)]
pub(super) struct Watch(Vec<loom::cell::UnsafeCell<()>>);

#[cfg(floe_loom)]
impl Watch {
    pub(super) fn new(bytes: usize) -> Self {
        Self((0..bytes).map(|_| loom::cell::UnsafeCell::new(())).collect())
    }

    pub(super) fn written(&self, range: std::ops::Range<usize>) {
        self.0[range].iter().for_each(|cell| cell.with_mut(|_| ()));
    }

    pub(super) fn read(&self, range: std::ops::Range<usize>) {
        self.0[range].iter().for_each(|cell| cell.with(|_| ()));
    }
}

/// Explores all executions of `body` with at most three preemptions: enough for every bug that was
/// put into this room to see whether its model finds it, and seconds instead of hours. Without a
/// bound some models have no end, because two threads may make each other start over again and
/// again.
#[cfg(all(test, floe_loom))]
pub(super) fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}
