//! FLOOR 3 · ingest: the source core. It owns every mount: who may publish, the bytes as they are
//! cut at frames and appended to segments, titles, and what each listener core is told. It never
//! waits for a listener core: what a lane has no room for is told later.

mod carry;
mod demo;
mod follower;
pub mod found;
mod mount;
mod stage;
mod tape;

pub mod publish;

use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{
    LANE_RETRY, LANE_TURN_MESSAGES, MOUNT_TICK, TURN_REST, TURN_REST_PER_MOUNT,
};
use crate::config::Config;
use crate::domain::bus::{ControlToIngest, EdgeToIngest, IngestToControl, IngestToEdge, Outbox};
use crate::domain::intro::Shelf;
use crate::domain::progress::Progress;
use crate::domain::stats::ServerCounters;
use crate::ring::{Doorbell, LaneReceiver};
use crate::rt::clock::Clock;
use crate::rt::net::BoundNumber;
use crate::rt::task;

use demo::Demo;
use stage::Stage;

/// What the source core is given.
pub struct Parts {
    /// The clock all threads share.
    pub clock: Clock,
    /// The configuration.
    pub config: Arc<Config>,
    /// The configuration's intros and outros.
    pub shelf: Arc<Shelf>,
    /// The server's counters.
    pub counters: Arc<ServerCounters>,
    /// Rung when any lane to this core has something.
    pub bell: Arc<Doorbell>,
    /// From each listener core.
    pub from_edges: Vec<LaneReceiver<EdgeToIngest>>,
    /// To each listener core.
    pub to_edges: Vec<Outbox<IngestToEdge>>,
    /// From the control thread.
    pub from_control: LaneReceiver<ControlToIngest>,
    /// To the control thread.
    pub to_control: Outbox<IngestToControl>,
    /// Every listening socket, whose copies in this core's table it closes.
    pub sockets: Vec<BoundNumber>,
    /// Where its turns are counted.
    pub progress: Progress,
}

/// Runs the source core until the control thread ends it.
pub async fn run(parts: Parts) {
    parts.sockets.iter().for_each(|socket| socket.close());
    let Parts {
        clock,
        config,
        shelf,
        counters,
        bell,
        mut from_edges,
        to_edges,
        mut from_control,
        to_control,
        progress,
        ..
    } = parts;
    let mut demo = config.server.demo.then(Demo::new);
    let mut stage = Stage::new(config, shelf, counters, to_edges, to_control);
    if let Some(demo) = &mut demo {
        demo.start(&mut stage, clock.now(), Clock::wall());
    }
    let mut ticked = clock.now();
    loop {
        let mut more = false;
        for (core, lane) in from_edges.iter_mut().enumerate() {
            let mut taken = 0;
            while taken < LANE_TURN_MESSAGES
                && let Some(message) = lane.receive()
            {
                stage.handle(core, message, clock.now(), Clock::wall());
                taken += 1;
            }
            more |= taken == LANE_TURN_MESSAGES;
        }
        if let Some(ControlToIngest::Drain) = from_control.receive() {
            return;
        }
        let now = clock.now();
        if now.since(ticked) >= MOUNT_TICK {
            ticked = now;
            progress.count();
            stage.tick(now);
            if let Some(demo) = &mut demo {
                demo.play(&mut stage, now);
            }
        }
        let waiting = stage.flush();
        if more {
            task::yield_now().await;
            continue;
        }
        if let Some(rest) = rest(stage.mounts()) {
            task::sleep(rest).await;
        }
        let nap = if waiting { LANE_RETRY } else { MOUNT_TICK };
        task::either(bell.rung(), task::sleep(nap)).await;
    }
}

/// How long to let the messages of `mounts` gather before the next turn. What rings meanwhile costs
/// its sender no wake.
fn rest(mounts: usize) -> Option<Duration> {
    let mounts = u32::try_from(mounts).unwrap_or(u32::MAX);
    let rest = TURN_REST_PER_MOUNT.saturating_mul(mounts).min(*TURN_REST.end());
    (rest >= *TURN_REST.start()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_mounts_are_handled_as_bytes_come_and_many_are_gathered() {
        for (mounts, wanted) in [(0, None), (1, None), (19, None), (20, Some(1)), (60, Some(3))] {
            assert_eq!(rest(mounts), wanted.map(Duration::from_millis), "{mounts} mounts");
        }
        assert_eq!(rest(usize::MAX), Some(Duration::from_millis(5)));
    }
}
