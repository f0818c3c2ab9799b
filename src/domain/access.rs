//! Wrong passwords: each costs its address a longer wait before the next check, never more than
//! [`BACKOFF_MAX`]. Only checks of passwords wait; listening needs none, so nobody behind the same
//! address loses a stream, and a right password still gets in after its wait.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::Moment;
use crate::base::limits::{
    BACKOFF_ADDRESSES_MAX, BACKOFF_FORGET_AFTER, BACKOFF_MAX, BACKOFF_WAITING_MAX,
    CHECKS_WAITING_MAX,
};

/// Wrong passwords that cost nothing: a person mistypes, an encoder is set up.
const FREE_FAILURES: u32 = 3;

/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// When a password may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Check it at this moment, which may be now.
    CheckAt(Moment),
    /// Too many checks wait for this address already; try again after this long.
    TooMany(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    waiting: u32,
    free_at: Moment,
    seen: Moment,
}

/// What is remembered of addresses with wrong passwords. Bounded: the longest quiet gives way.
#[derive(Debug, Default)]
pub struct Backoff {
    records: HashMap<IpAddr, Record>,
}

impl Backoff {
    /// An address wants a password checked. Every `CheckAt` must be followed by [`Self::right`] or
    /// [`Self::wrong`].
    pub fn attempt(&mut self, address: IpAddr, now: Moment) -> Attempt {
        let key = subject(address);
        if self
            .records
            .get(&key)
            .is_some_and(|record| now.since(record.seen) >= BACKOFF_FORGET_AFTER)
        {
            self.records.remove(&key);
        }
        if !self.records.contains_key(&key) {
            self.make_room(now);
        }
        // Remembered before the verdict: what an address asks while its first check still runs
        // counts, or a thousand guesses sent at once would all be first ones.
        let fresh = Record { failures: 0, waiting: 0, free_at: now, seen: now };
        let record = self.records.entry(key).or_insert(fresh);
        record.seen = now;
        let at = record.free_at.max(now);
        let waiting_max =
            if record.failures == 0 { CHECKS_WAITING_MAX } else { BACKOFF_WAITING_MAX };
        if record.waiting >= waiting_max {
            return Attempt::TooMany(at.since(now).max(FIRST_WAIT));
        }
        record.waiting += 1;
        // Checks of one address queue up behind each other, so guessing in parallel gains nothing.
        record.free_at = at + wait_after(record.failures);
        Attempt::CheckAt(at)
    }

    /// The password was right: the address starts afresh.
    pub fn right(&mut self, address: IpAddr) {
        let Entry::Occupied(mut place) = self.records.entry(subject(address)) else { return };
        let record = place.get_mut();
        record.waiting = record.waiting.saturating_sub(1);
        record.failures = 0;
        if record.waiting == 0 {
            place.remove();
        }
    }

    /// The password was wrong.
    pub fn wrong(&mut self, address: IpAddr, now: Moment) {
        let key = subject(address);
        if !self.records.contains_key(&key) {
            self.make_room(now);
        }
        let record = self.records.entry(key).or_insert(Record {
            failures: 0,
            waiting: 0,
            free_at: now,
            seen: now,
        });
        record.failures = record.failures.saturating_add(1);
        record.waiting = record.waiting.saturating_sub(1);
        record.free_at = record.free_at.max(now + wait_after(record.failures));
        record.seen = now;
    }

    /// Addresses remembered now.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no address is remembered.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn make_room(&mut self, now: Moment) {
        if self.records.len() < BACKOFF_ADDRESSES_MAX {
            return;
        }
        self.records.retain(|_, record| now.since(record.seen) < BACKOFF_FORGET_AFTER);
        if self.records.len() >= BACKOFF_ADDRESSES_MAX
            && let Some(quietest) =
                self.records.iter().min_by_key(|(_, record)| record.seen).map(|(key, _)| *key)
        {
            self.records.remove(&quietest);
        }
    }
}

/// Who an address stands for: an IPv6 client owns its whole /64, so it counts as one.
fn subject(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::V6(octets.into())
        }
    }
}

fn wait_after(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(FREE_FAILURES) else { return Duration::ZERO };
    FIRST_WAIT.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("a literal")
    }

    /// Fails `count` times as soon as allowed and says when the last check ran.
    fn fail(backoff: &mut Backoff, who: IpAddr, count: usize) -> Moment {
        let mut now = Moment::ZERO;
        for _ in 0..count {
            match backoff.attempt(who, now) {
                Attempt::CheckAt(at) => now = at,
                Attempt::TooMany(wait) => now = now + wait,
            }
            backoff.wrong(who, now);
        }
        now
    }

    #[test]
    fn the_first_mistakes_are_free_and_later_ones_wait_longer_and_longer() {
        let who = address("192.0.2.1");
        let at = |count| fail(&mut Backoff::default(), who, count);
        assert_eq!(at(3), Moment::ZERO);
        assert_eq!(at(4), Moment(250_000));
        assert_eq!(at(5), Moment(750_000));
        let (hundredth, hundred_first) = (at(100), at(101));
        assert_eq!(hundred_first.since(hundredth), BACKOFF_MAX);
    }

    #[test]
    fn a_right_password_gets_in_after_its_wait_and_clears_the_record() {
        let mut backoff = Backoff::default();
        let who = address("192.0.2.1");
        let last = fail(&mut backoff, who, 50);
        let Attempt::CheckAt(at) = backoff.attempt(who, last) else { panic!("it may wait") };
        assert!(at.since(last) <= BACKOFF_MAX);
        backoff.right(who);
        assert_eq!(backoff.attempt(who, at), Attempt::CheckAt(at));
    }

    #[test]
    fn guessing_in_parallel_gains_nothing() {
        let mut backoff = Backoff::default();
        let who = address("192.0.2.1");
        let now = fail(&mut backoff, who, 10);
        let waits: Vec<Attempt> = (0..20).map(|_| backoff.attempt(who, now)).collect();
        let queued = waits.iter().filter(|wait| matches!(wait, Attempt::CheckAt(_))).count();
        assert_eq!(queued, BACKOFF_WAITING_MAX as usize);
        assert!(matches!(waits[19], Attempt::TooMany(_)));
    }

    #[test]
    fn a_thousand_first_guesses_at_once_are_not_all_first_ones() {
        let mut backoff = Backoff::default();
        let who = address("192.0.2.1");
        let tries = (0..1_000).map(|_| backoff.attempt(who, Moment::ZERO));
        let let_in = tries.filter(|attempt| matches!(attempt, Attempt::CheckAt(_))).count();
        assert_eq!(let_in, CHECKS_WAITING_MAX as usize);
        (0..let_in).for_each(|_| backoff.right(who));
        assert!(backoff.is_empty());
    }

    #[test]
    fn other_addresses_wait_for_nobody_and_a_whole_slash_64_is_one() {
        let mut backoff = Backoff::default();
        let now = fail(&mut backoff, address("2001:db8::1"), 10);
        assert_eq!(backoff.attempt(address("2001:db8:0:1::1"), now), Attempt::CheckAt(now));
        assert_ne!(backoff.attempt(address("2001:db8::2"), now), Attempt::CheckAt(now));
    }

    #[test]
    fn memory_is_bounded_under_attack_from_many_addresses() {
        let mut backoff = Backoff::default();
        for number in 0..BACKOFF_ADDRESSES_MAX as u32 * 2 {
            backoff.wrong(IpAddr::V4(number.into()), Moment(u64::from(number)));
        }
        assert_eq!(backoff.len(), BACKOFF_ADDRESSES_MAX);
    }
}
