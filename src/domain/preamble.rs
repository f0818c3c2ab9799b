//! What newcomers are sent before a stream's bytes, over its whole window: one preamble for each
//! link of a chain. The source core keeps them with the stream, each listener core with its feed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::limits::PREAMBLES_KEPT_MAX;

/// What a newcomer is sent before the stream, and from where in the stream on it is what a decoder
/// needs; empty where the stream's units stand alone.
#[derive(Clone, Debug)]
pub struct PreambleAt {
    /// Offset in the mount's stream, behind the head that carries the same for those who are on:
    /// whoever has come so far has it.
    pub at: u64,
    /// The bytes.
    pub bytes: Arc<Vec<u8>>,
}

/// The preambles still needed, oldest first; at most [`PREAMBLES_KEPT_MAX`].
#[derive(Clone, Debug, Default)]
pub struct Preambles {
    kept: VecDeque<PreambleAt>,
}

impl Preambles {
    /// Takes in the next one and forgets those that no byte from `tail` on needs.
    pub fn push(&mut self, preamble: PreambleAt, tail: u64) {
        self.kept.push_back(preamble);
        while self.kept.len() > PREAMBLES_KEPT_MAX
            || self.kept.get(1).is_some_and(|next| next.at <= tail)
        {
            self.kept.pop_front();
        }
    }

    /// From `at` on newcomers need `bytes`. What says the same as the newest does not replace it: a
    /// decoder that has it must not get it again. Says whether it is news.
    pub fn renew(&mut self, bytes: &[u8], at: u64, tail: u64) -> bool {
        let is_news = self.kept.back().map_or(&[][..], |newest| &newest.bytes) != bytes;
        if is_news {
            self.push(PreambleAt { at, bytes: Arc::new(bytes.to_vec()) }, tail);
        }
        is_news
    }

    /// Where the oldest one holds from, if older ones may have had to give way: before this place
    /// nobody can start, because what a decoder would need there is forgotten.
    pub fn known_from(&self) -> u64 {
        let oldest = self.kept.front().filter(|_| self.kept.len() == PREAMBLES_KEPT_MAX);
        oldest.map_or(0, |oldest| oldest.at)
    }

    /// The newest `count`, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &PreambleAt> {
        self.kept.iter().skip(self.kept.len().saturating_sub(count))
    }

    /// What a decoder needs before it can start at `offset`, if anything.
    pub fn at(&self, offset: u64) -> Option<&Arc<Vec<u8>>> {
        let found = self.kept.iter().rev().find(|preamble| preamble.at <= offset);
        found.map(|preamble| &preamble.bytes).filter(|bytes| !bytes.is_empty())
    }

    /// What a decoder that has come to `from` needs before it can go on at `to`, if anything.
    pub fn between(&self, from: u64, to: u64) -> Option<&Arc<Vec<u8>>> {
        let needed = self.at(to)?;
        let has = self.at(from).is_some_and(|has| Arc::ptr_eq(has, needed));
        (!has).then_some(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preambles(tail: u64) -> Preambles {
        let mut preambles = Preambles::default();
        for (at, text) in [(10, "one"), (50, "two"), (90, "")] {
            let bytes = Arc::new(text.as_bytes().to_vec());
            preambles.push(PreambleAt { at, bytes }, tail);
        }
        preambles
    }

    #[test]
    fn each_place_needs_the_preamble_before_it() {
        let preambles = preambles(0);
        let needed = |at| preambles.at(at).map(|bytes| bytes.as_slice());
        assert_eq!(needed(9), None);
        assert_eq!(needed(10), Some(&b"one"[..]));
        assert_eq!(needed(89), Some(&b"two"[..]));
        assert_eq!(needed(90), None);
    }

    #[test]
    fn who_goes_on_within_a_link_needs_nothing() {
        let preambles = preambles(0);
        assert_eq!(preambles.between(20, 40), None);
        assert_eq!(preambles.between(20, 95), None);
        assert_eq!(preambles.between(20, 60).map(|bytes| bytes.as_slice()), Some(&b"two"[..]));
        assert_eq!(preambles.between(5, 20).map(|bytes| bytes.as_slice()), Some(&b"one"[..]));
    }

    #[test]
    fn what_says_the_same_is_not_news() {
        let mut preambles = Preambles::default();
        let told = [(&b""[..], false), (b"one", true), (b"one", false), (b"", true), (b"", false)];
        for (at, (bytes, is_news)) in (1..).zip(told) {
            assert_eq!(preambles.renew(bytes, at, 0), is_news);
        }
        assert_eq!(preambles.last(9).count(), 2);
    }

    #[test]
    fn what_no_byte_needs_is_forgotten() {
        assert_eq!(preambles(49).last(9).count(), 3);
        assert_eq!(preambles(50).last(9).count(), 2);
        assert_eq!(preambles(50).last(1).map(|last| last.at).collect::<Vec<_>>(), [90]);
        let mut many = Preambles::default();
        for at in 0..100 {
            many.push(PreambleAt { at, bytes: Arc::default() }, 0);
        }
        assert_eq!(many.last(100).count(), PREAMBLES_KEPT_MAX);
        // What was forgotten although bytes need it is said; what none needs is not worth a word.
        assert_eq!(many.known_from(), 100 - PREAMBLES_KEPT_MAX as u64);
        assert_eq!(preambles(50).known_from(), 0);
    }
}
