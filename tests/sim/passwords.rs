//! The back-off under guessers and honest clients, each address with many checks under way.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use floe::base::Moment;
use floe::base::limits::{BACKOFF_ADDRESSES_MAX, BACKOFF_MAX, BACKOFF_WAITING_MAX};
use floe::domain::access::{Attempt, Backoff};

use crate::random::Random;

/// Addresses that guess; they share their networks with honest clients.
const GUESSERS: u64 = 6;

/// The longest that a check may be put off.
const WAIT_MAX: Duration = BACKOFF_MAX.saturating_mul(BACKOFF_WAITING_MAX);

fn address(number: u64) -> IpAddr {
    if number.is_multiple_of(2) {
        IpAddr::V4(Ipv4Addr::from(0xC000_0200 + number as u32))
    } else {
        let network = (0x2001_0DB8_u128 << 96) | u128::from(number) << 64;
        IpAddr::V6(Ipv6Addr::from(network | u128::from(number * 77)))
    }
}

/// A check that waits for its moment.
#[derive(Clone, Copy)]
struct Check {
    who: u64,
    right: bool,
}

pub fn simulate(random: &mut Random, steps: usize) {
    let mut backoff = Backoff::default();
    let mut now = Moment(1);
    let mut checks: BTreeMap<(Moment, u64), Check> = BTreeMap::new();
    let mut guesses: HashMap<u64, u64> = HashMap::new();
    let mut serial = 0;
    for _ in 0..steps {
        now = now + Duration::from_micros(random.between(0, 200_000));
        settle(&mut backoff, &mut checks, &mut guesses, now);
        let who = if random.chance(5, 6) {
            random.between(0, GUESSERS - 1)
        } else {
            random.between(0, 100_000)
        };
        let right = who >= GUESSERS && random.chance(1, 2);
        match backoff.attempt(address(who), now) {
            Attempt::CheckAt(at) => {
                assert!(at >= now && at.since(now) <= WAIT_MAX, "put off to {:?}", at.since(now));
                serial += 1;
                checks.insert((at, serial), Check { who, right });
            }
            Attempt::TooMany(wait) => {
                assert!(who < GUESSERS, "somebody who never guessed must not wait");
                // As long as the check would wait that comes after all those that wait.
                assert!(wait <= WAIT_MAX + BACKOFF_MAX);
            }
        }
        assert!(backoff.len() <= BACKOFF_ADDRESSES_MAX);
    }
    for (who, count) in guesses {
        // Three are free, the waits double to the longest from a quarter of a second on, and before
        // the first verdict as many as come at once are let through.
        let doubling = 3 + 6 + u64::from(BACKOFF_WAITING_MAX);
        let steady = now.since(Moment(0)).as_secs() / BACKOFF_MAX.as_secs();
        assert!(count <= doubling + steady + 1, "{who} guessed {count} times by {now:?}");
    }
    // The guessing stops, and whoever knows the password gets in from the same address.
    now = now + WAIT_MAX + BACKOFF_MAX;
    settle(&mut backoff, &mut checks, &mut HashMap::new(), now);
    for who in 0..GUESSERS {
        let Attempt::CheckAt(at) = backoff.attempt(address(who), now) else {
            panic!("{who} is locked out");
        };
        assert!(at.since(now) <= BACKOFF_MAX);
        backoff.right(address(who));
        assert_eq!(backoff.attempt(address(who), at), Attempt::CheckAt(at));
    }
}

/// Gives the verdicts that are due.
fn settle(
    backoff: &mut Backoff,
    checks: &mut BTreeMap<(Moment, u64), Check>,
    guesses: &mut HashMap<u64, u64>,
    now: Moment,
) {
    while let Some(entry) = checks.first_entry()
        && entry.key().0 <= now
    {
        let ((at, _), Check { who, right }) = entry.remove_entry();
        if right {
            backoff.right(address(who));
        } else {
            backoff.wrong(address(who), at);
            *guesses.entry(who).or_default() += 1;
        }
    }
}
