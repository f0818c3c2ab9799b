//! Connections a second by address, over all cores, without a lock: one word a cell, and an
//! address's cell by a keyed hash. Two addresses may share a cell and then share its limit for that
//! second; with a million cells and 10,000 connections a second that is one in a hundred, and
//! nobody can aim for it without the key. No entry has to be freed: a new second starts it anew.

use std::hash::{BuildHasher, RandomState};

use super::sync::{AtomicU32, Ordering};

/// Bits of a cell that count; the others hold the second.
const COUNT_BITS: u32 = 16;

/// The table. Every core updates it; the cells depend on nothing else, so all orderings are
/// relaxed.
#[derive(Debug)]
pub struct Rates {
    cells: Box<[AtomicU32]>,
    key: RandomState,
}

impl Rates {
    /// A table of at least one cell.
    pub fn new(cells: usize) -> Self {
        let cells = (0..cells.max(1)).map(|_| AtomicU32::new(0)).collect();
        Self { cells, key: RandomState::new() }
    }

    /// Counts one connection of `address` in `second`; whether it is one of the first `limit` (at
    /// most 65,535).
    pub fn admits(&self, address: &[u8], second: u32, limit: u32) -> bool {
        let hash = self.key.hash_one(address) as usize;
        let cell = &self.cells[hash % self.cells.len()];
        let ceiling = (1 << COUNT_BITS) - 1;
        let stamp = second << COUNT_BITS;
        let counted = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            let count = if now >> COUNT_BITS == stamp >> COUNT_BITS { now & ceiling } else { 0 };
            (count < limit.min(ceiling)).then_some(stamp | (count + 1))
        });
        counted.is_ok()
    }
}

#[cfg(all(test, not(floe_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_limit_each_second_and_others_are_not_counted_with_it() {
        let rates = Rates::new(1 << 16);
        let admitted =
            |address: &[u8], second| (0..10).filter(|_| rates.admits(address, second, 3)).count();
        assert_eq!(admitted(b"one", 7), 3);
        assert_eq!(admitted(b"one", 8), 3);
        assert_eq!(admitted(b"two", 8), 3);
        assert_eq!(admitted(b"one", 8), 0);
    }

    #[test]
    fn cores_together_never_pass_the_limit() {
        let rates = Rates::new(1);
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let count = || (0..1_000).filter(|_| rates.admits(b"x", 1, 1_500)).count();
                    scope.spawn(count)
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it only counts")).sum()
        });
        assert_eq!(admitted, 1_500);
    }
}
