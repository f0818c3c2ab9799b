//! Waiting: the one place of the suite that lets time pass. A test waits for what it names, with a
//! deadline; what has a rate in the real world, such as an encoder, is paced here too.

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once. Two busy CPUs and a player that starts
/// cold have needed 8 s; a test that fails waits this long once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks: short beside what is waited for, long beside what a look costs.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is a value, and fails the test with `what` when [`PATIENCE`] is over.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let found = within(PATIENCE, look);
    found.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain until {what}"))
}

/// Looks until it is so, and fails the test with `what` when [`PATIENCE`] is over.
#[track_caller]
pub fn until_true(what: &str, mut look: impl FnMut() -> bool) {
    until(what, || look().then_some(()));
}

/// Looks until there is a value or `limit` is over.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        // The time is taken first: a look that began in time counts, however long it took.
        let late = Instant::now() >= deadline;
        match look() {
            Some(value) => return Some(value),
            None if late => return None,
            None => pause(LOOK_EVERY),
        }
    }
}

/// Lets `span` pass: between two looks, or two pieces of a stream that is sent at a rate.
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}
