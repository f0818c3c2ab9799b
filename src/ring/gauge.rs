//! HOT PATH. Counts that every core changes: [`Gauge`] for what comes and goes under a limit,
//! [`Total`] for what only grows.
//!
//! A gauge is exact at every moment: no two cores can both take the last place. It owns numbers
//! alone and guards no other memory, so every access is Relaxed: one atomic has one order of
//! changes, and no reader concludes anything about another value from it. Each count has cache
//! lines of its own.

use super::CachePadded;
use super::sync::{AtomicU32, AtomicU64, Ordering};

/// How many are inside, never above the limit given on entry, and the most there ever were.
#[derive(Debug)]
pub struct Gauge(CachePadded<Counts>);

#[derive(Debug)]
struct Counts {
    now: AtomicU32,
    peak: AtomicU32,
}

impl Gauge {
    /// Nobody inside.
    pub fn new() -> Self {
        Self(CachePadded::new(Counts { now: AtomicU32::new(0), peak: AtomicU32::new(0) }))
    }

    /// Counts one in, unless `limit` are inside already. A limit of 0 is none. The limit is an
    /// argument, so that a reload changes it for newcomers and throws nobody out.
    pub fn try_enter(&self, limit: u32) -> bool {
        let ceiling = if limit == 0 { u32::MAX } else { limit };
        let Counts { now, peak } = &*self.0;
        let mut inside = now.load(Ordering::Relaxed);
        // Compare-and-swap, not add-and-take-back: an addition that overshoots for an instant would
        // make another core refuse a listener for whom there is room.
        loop {
            if inside >= ceiling {
                return false;
            }
            let entered =
                now.compare_exchange_weak(inside, inside + 1, Ordering::Relaxed, Ordering::Relaxed);
            let Err(actual) = entered else { break };
            inside = actual;
        }
        // A load first: at a steady audience the peak stands, and its line need not be taken.
        if inside + 1 > peak.load(Ordering::Relaxed) {
            peak.fetch_max(inside + 1, Ordering::Relaxed);
        }
        true
    }

    /// Counts one out. Every leave pairs with one successful [`try_enter`](Self::try_enter).
    ///
    /// # Panics
    /// In debug builds, if nobody is inside. In release builds such a leave has no effect: wrapping
    /// around would refuse everybody from then on.
    pub fn leave(&self) {
        let left = self
            .0
            .now
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |inside| inside.checked_sub(1));
        debug_assert!(left.is_ok(), "every leave pairs with an enter");
    }

    /// How many are inside.
    pub fn now(&self) -> u32 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// The most that were ever inside at once.
    pub fn peak(&self) -> u32 {
        self.0.peak.load(Ordering::Relaxed)
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

/// A sum over all cores. 2^64 bytes at 100 Gbit/s last 46 years.
#[derive(Debug)]
pub struct Total(CachePadded<AtomicU64>);

impl Total {
    /// Zero.
    pub fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Total {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(floe_loom)))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_gauge_lets_in_up_to_its_limit_and_again_after_a_leave() {
        let gauge = Gauge::new();
        assert!(gauge.try_enter(2) && gauge.try_enter(2));
        assert!(!gauge.try_enter(2));
        gauge.leave();
        assert_eq!((gauge.now(), gauge.peak()), (1, 2));
        assert!(gauge.try_enter(2));
    }

    #[test]
    fn a_limit_of_zero_is_none_and_a_lowered_limit_throws_nobody_out() {
        let gauge = Gauge::new();
        assert!((0..1_000).all(|_| gauge.try_enter(0)));
        assert!(!gauge.try_enter(10));
        assert_eq!((gauge.now(), gauge.peak()), (1_000, 1_000));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "pairs with an enter")]
    fn a_leave_without_an_enter_is_a_broken_promise() {
        Gauge::new().leave();
    }

    #[test]
    fn threads_at_the_limit_never_pass_it_and_leave_nothing_behind() {
        let (gauge, entered) = (Gauge::new(), Total::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        if gauge.try_enter(3) {
                            entered.add(1);
                            assert!(gauge.now() <= 3);
                            gauge.leave();
                        }
                    }
                });
            }
        });
        assert_eq!(gauge.now(), 0);
        assert!((1..=3).contains(&gauge.peak()) && entered.now() > 0);
    }
}

#[cfg(all(test, floe_loom))]
mod models {
    use super::super::sync::model;
    use super::*;
    use loom::thread::spawn;
    use std::sync::Arc;

    /// Checked by breaking it: with a load, a comparison and an addition in place of the
    /// compare-and-swap, two enter a gauge of one.
    #[test]
    fn the_limit_holds_at_every_moment() {
        model(|| {
            let (gauge, inside) = (Arc::new(Gauge::new()), Arc::new(AtomicU32::new(0)));
            let visit = |gauge: Arc<Gauge>, inside: Arc<AtomicU32>| {
                if gauge.try_enter(1) {
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    gauge.leave();
                }
            };
            let threads = [0, 1].map(|_| {
                let (gauge, inside) = (Arc::clone(&gauge), Arc::clone(&inside));
                spawn(move || visit(gauge, inside))
            });
            visit(Arc::clone(&gauge), inside);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!((gauge.now(), gauge.peak()), (0, 1));
        });
    }
}
