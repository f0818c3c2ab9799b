//! Counters that several threads share: each is one atomic word on a cache line of its own, added
//! to once per look or session, never per send. Readers take them without asking anybody.

use crate::base::CloseReason;
use crate::ring::{Gauge, Total};

/// What a mount counts, over all cores.
#[derive(Debug, Default)]
pub struct MountCounters {
    /// Listeners on now, and their peak. It is also the reservation that `max_listeners` is held
    /// by.
    pub listeners: Gauge,
    /// Listeners ever admitted.
    pub connections: Total,
    /// Bytes received from sources.
    pub bytes_read: Total,
    /// Bytes sent to listeners, metadata blocks included and heads left out.
    pub bytes_sent: Total,
    /// Times a listener fell too far behind and was moved or dropped (Icecast's `slow_listeners`).
    pub slow: Total,
    /// Bytes from the source that were not audio and were left out.
    pub junk_bytes: Total,
}

/// What the server counts, over all cores.
#[derive(Debug)]
pub struct ServerCounters {
    /// Listeners on now: the reservation that `limits.listeners` is held by.
    pub listeners: Gauge,
    /// Sources on now: the reservation that `limits.sources` is held by.
    pub sources: Gauge,
    /// Connections accepted.
    pub accepted: Total,
    /// Times accepting paused for want of descriptors or memory.
    pub accept_pauses: Total,
    /// Log lines dropped because their queue was full.
    pub log_dropped: Total,
    closed: Vec<Total>,
}

impl Default for ServerCounters {
    fn default() -> Self {
        Self {
            listeners: Gauge::default(),
            sources: Gauge::default(),
            accepted: Total::default(),
            accept_pauses: Total::default(),
            log_dropped: Total::default(),
            closed: CloseReason::ALL.iter().map(|_| Total::default()).collect(),
        }
    }
}

impl ServerCounters {
    /// Counts a session that ended.
    pub fn close(&self, reason: CloseReason) {
        self.closed[reason as usize].add(1);
    }

    /// Sessions that ended for `reason`.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize].now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let counters = ServerCounters::default();
        for (times, &reason) in CloseReason::ALL.iter().enumerate() {
            (0..times).for_each(|_| counters.close(reason));
        }
        let counts: Vec<u64> =
            CloseReason::ALL.iter().map(|&reason| counters.closed(reason)).collect();
        assert_eq!(counts, (0..CloseReason::ALL.len() as u64).collect::<Vec<_>>());
    }
}
