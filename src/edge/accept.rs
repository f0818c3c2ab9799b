//! Accepting: one task per listening socket. Whatever the machine refuses, the loop goes on.

use std::time::Duration;

use crate::base::limits::{ACCEPT_BATCH, ACCEPT_PAUSE};
use crate::base::{CloseReason, Moment};
use crate::rt::net::{AcceptFault, Listener};
use crate::rt::socket::Socket;
use crate::rt::task::{self, Either, Queues, Signal};

use super::converse;
use super::core::{Core, Shared};

/// The accept rate is held in slices of this length; a whole second would let a burst of a second's
/// worth through at once.
const RATE_SLICE: Duration = Duration::from_millis(100);

/// Runs until `closing` is raised; the socket closes with it.
pub(super) async fn run(shared: Shared, listener: Listener, queues: Queues, closing: Signal) {
    let mut pace = Pace::new(shared.borrow().config.server.accept_per_second);
    let mut batch = Vec::with_capacity(ACCEPT_BATCH);
    loop {
        let accepted = match task::either(closing.raised(), listener.accept()).await {
            Either::First(()) => return,
            Either::Second(accepted) => accepted,
        };
        match accepted {
            Ok(socket) => {
                batch.push(socket);
                let now = shared.borrow().clock.now();
                listener.accept_waiting(pace.room(now), &mut batch);
                pace.took(batch.len());
                shared.borrow().counters.accepted.add(batch.len() as u64);
                for socket in batch.drain(..) {
                    let too_fast = !shared.borrow().admits_rate(&socket);
                    queues.patient(session(shared.clone(), socket, too_fast));
                }
            }
            Err(AcceptFault::Aborted(error)) => tracing::debug!(%error, "connection lost"),
            Err(AcceptFault::Exhausted(error)) => {
                let counters = shared.borrow().counters.clone();
                counters.accept_pauses.add(1);
                tracing::warn!(
                    %error,
                    address = %listener.address,
                    "accepting pauses: this core is out of descriptors or memory; raise \
                     LimitNOFILE or lower limits.listeners"
                );
                shared.borrow().pending.make_way();
                task::sleep(ACCEPT_PAUSE).await;
            }
        }
        let rest = pace.rest(shared.borrow().clock.now());
        if rest > Duration::ZERO {
            task::sleep(rest).await;
        } else {
            task::yield_if_due().await;
        }
    }
}

/// One connection behind the session wall.
async fn session(shared: Shared, socket: Socket, too_fast: bool) {
    let peer = socket.peer();
    if task::walled(converse::run(&shared, socket, too_fast)).await.is_err() {
        shared.borrow().counters.close(CloseReason::Fault);
        tracing::error!(%peer, "a fault of our own ended this session; the server goes on");
    }
}

/// Holds `accept_per_second`.
struct Pace {
    per_slice: u32,
    taken: u32,
    slice_began: Moment,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        let per_slice = if per_second == 0 { u32::MAX } else { per_second.div_ceil(10) };
        Self { per_slice, taken: 0, slice_began: Moment::ZERO }
    }

    /// How many more may come with the one that was just accepted. It belongs to the slice of
    /// `now`, which begins with it if the last one is over.
    fn room(&mut self, now: Moment) -> usize {
        if now.since(self.slice_began) >= RATE_SLICE {
            (self.slice_began, self.taken) = (now, 0);
        }
        let left = self.per_slice.saturating_sub(self.taken).saturating_sub(1);
        usize::try_from(left).unwrap_or(usize::MAX).min(ACCEPT_BATCH - 1)
    }

    /// So many came, with the first of them.
    fn took(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// How long to wait before the next accept.
    fn rest(&self, now: Moment) -> Duration {
        if self.taken < self.per_slice {
            return Duration::ZERO;
        }
        RATE_SLICE.saturating_sub(now.since(self.slice_began))
    }
}

impl Core {
    /// Counts a connection against its address's rate; whether it is within it.
    fn admits_rate(&self, socket: &Socket) -> bool {
        let limit = self.config.limits.new_connections_per_second_per_address;
        limit == 0 || self.counts_connection(socket.peer().ip(), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a connection's task while it waits for a head. A storm of 100,000 newcomers has
    /// thousands of them at once, and the allocator keeps what they needed.
    #[test]
    fn a_waiting_connection_costs_less_than_two_kilobytes() {
        fn bytes<T, F: FnOnce(Shared, Socket, bool) -> T>(_: F) -> usize {
            size_of::<T>()
        }
        let task_bytes = bytes(session);
        assert!(task_bytes <= 2048, "{task_bytes}");
    }

    /// Connections accepted in ten seconds in which more wait than may come, after an idle one.
    fn accepted_in_ten_seconds(per_second: u32) -> usize {
        let mut pace = Pace::new(per_second);
        let mut now = Moment::ZERO + Duration::from_secs(1);
        let end = now + Duration::from_secs(10);
        let mut accepted = 0;
        while now < end {
            let batch = 1 + pace.room(now);
            pace.took(batch);
            accepted += batch;
            now = now + pace.rest(now).max(Duration::from_millis(1));
        }
        accepted
    }

    #[test]
    fn batches_let_no_more_through_than_the_rate() {
        for per_second in [10, 50, 1_000, 5_000] {
            assert_eq!(accepted_in_ten_seconds(per_second), per_second as usize * 10);
        }
        assert_eq!(accepted_in_ten_seconds(0), 10_000 * ACCEPT_BATCH, "no rate");
    }
}
