//! HOT PATH. The beginning of a unit whose rest has not come, kept until it does. Knows nothing of
//! formats; allocates only where a unit is larger than those before. Source core.

use crate::base::limits::SOURCE_READ_BYTES;

/// Room that is always kept: what was left over, and one receive more.
const ROOM_BYTES: usize = 2 * SOURCE_READ_BYTES;
/// Room above which it is given back once a unit is whole. Less, and streams of large units make
/// room anew for each; more, and a mount that met one keeps up to 8 MiB for as long as it lives.
const ROOM_BYTES_MAX: usize = 16 * SOURCE_READ_BYTES;

/// Bytes that wait for more.
#[derive(Debug)]
pub(super) struct Carry {
    bytes: Vec<u8>,
}

impl Carry {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(ROOM_BYTES) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Keeps the rest of what came, where nothing waited.
    pub(super) fn hold(&mut self, rest: &[u8]) {
        self.bytes.extend_from_slice(rest);
    }

    /// Lends out what waits, with `bytes` behind it. [`Self::put_back`] ends the loan.
    pub(super) fn join(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut joined = std::mem::take(&mut self.bytes);
        joined.extend_from_slice(bytes);
        joined
    }

    /// Of what was lent out, the first `used` bytes wait no longer.
    pub(super) fn put_back(&mut self, mut joined: Vec<u8>, used: usize) {
        joined.drain(..used);
        if joined.capacity() > ROOM_BYTES_MAX && joined.len() <= ROOM_BYTES {
            // A key frame of video, or a length that was a lie, has come and gone.
            joined.shrink_to(ROOM_BYTES);
        }
        self.bytes = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_waits_in_front_of_what_comes() {
        let mut carry = Carry::new();
        carry.hold(b"ab");
        let joined = carry.join(b"cde");
        assert_eq!(joined, b"abcde");
        carry.put_back(joined, 3);
        assert_eq!(carry.join(b"f"), b"def");
    }

    #[test]
    fn room_for_a_large_unit_is_given_back_when_it_has_passed() {
        let mut carry = Carry::new();
        for _ in 0..100 {
            let joined = carry.join(&[7; SOURCE_READ_BYTES]);
            carry.put_back(joined, 0);
        }
        assert!(carry.bytes.capacity() > ROOM_BYTES_MAX);
        let joined = carry.join(b"end");
        carry.put_back(joined, 100 * SOURCE_READ_BYTES);
        assert_eq!(carry.bytes, b"end");
        assert!(carry.bytes.capacity() <= ROOM_BYTES_MAX, "{}", carry.bytes.capacity());
    }
}
