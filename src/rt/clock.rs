//! The only place that asks the machine what time it is. A [`Clock`] is copied to every thread, so
//! that their [`Moment`]s count from one origin.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::{Moment, WallTime};

/// A clock that counts from its making. `Copy`, so each core has its own.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Monotonic time since the origin.
    pub fn now(self) -> Moment {
        Moment::ZERO + self.origin.elapsed()
    }

    /// The calendar's time.
    pub fn wall() -> WallTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        WallTime(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
    }
}
