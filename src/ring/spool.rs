//! Lines from any thread to the log writer: bounded, and dropping what does not fit, because a full
//! disk must not make a core wait.

use super::sync::{AtomicU64, Ordering};
use crossbeam::queue::ArrayQueue;

/// A bounded queue of text.
#[derive(Debug)]
pub struct Spool {
    lines: ArrayQueue<String>,
    dropped: AtomicU64,
}

impl Spool {
    /// A queue for at most `capacity` lines; at least one.
    pub fn new(capacity: usize) -> Self {
        Self { lines: ArrayQueue::new(capacity.max(1)), dropped: AtomicU64::new(0) }
    }

    /// Queues a line; says whether there was room. What there was no room for is counted.
    pub fn push(&self, line: String) -> bool {
        let pushed = self.lines.push(line).is_ok();
        if !pushed {
            // A count for people: nothing is read by its order.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        pushed
    }

    /// The oldest line.
    pub fn pop(&self) -> Option<String> {
        self.lines.pop()
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(floe_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_what_fits_keeps_its_order() {
        let spool = Spool::new(2);
        assert!(spool.push("one".to_owned()) && spool.push("two".to_owned()));
        assert!(!spool.push("three".to_owned()));
        assert_eq!(spool.dropped(), 1);
        assert_eq!(spool.pop().as_deref(), Some("one"));
        assert!(spool.push("four".to_owned()));
        assert_eq!(spool.pop().as_deref(), Some("two"));
        assert_eq!(spool.pop().as_deref(), Some("four"));
        assert_eq!(spool.pop(), None);
    }
}
