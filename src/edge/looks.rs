//! The pump's loop: while any mount of this core has bytes for somebody, look at them once a tick
//! and visit the rows that are due; else sleep until the inbox raises the signal. As long as it
//! looks it watches the inbox too, so that a core is not woken for every frame of every mount.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::PUMP_BATCH_ROWS;
use crate::base::{Moment, MountId};
use crate::rt::task;

use super::core::Shared;
use super::inbox::Inbox;

/// Runs until the core ends.
pub(super) async fn run(shared: Shared, inbox: Rc<RefCell<Inbox>>) {
    let bell = Arc::clone(&inbox.borrow().bell);
    let (signal, clock, tick) = {
        let core = shared.borrow();
        (core.pump_signal.clone(), core.clock, core.beat.tick())
    };
    let mut due: Vec<(MountId, usize)> = Vec::new();
    loop {
        inbox.borrow_mut().look(&mut shared.borrow_mut());
        let started = clock.now();
        let beat = plan(&shared, started, &mut due);
        if due.is_empty() && !shared.borrow().any_active() {
            bell.end_watch();
            signal.raised().await;
            bell.watch();
            continue;
        }
        let mut visits = 0;
        for (mount, mut rows) in due.drain(..) {
            while rows > 0 {
                let batch = rows.min(PUMP_BATCH_ROWS);
                rows -= batch;
                let Some(visited) = shared.borrow_mut().pump(mount, batch, clock.now(), beat)
                else {
                    break;
                };
                visits += visited;
                task::yield_if_due().await;
            }
        }
        let ended = clock.now();
        shared.borrow_mut().beat.measured(visits, ended.since(started));
        // An overlong look is not made up for: the next one starts a tick after this one ended.
        let rest = tick.saturating_sub(ended.since(started));
        task::sleep(rest.max(Duration::from_millis(1))).await;
    }
}

/// Which mounts have how many rows due, and the beat that they are due at.
fn plan(shared: &Shared, now: Moment, due: &mut Vec<(MountId, usize)>) -> Duration {
    let mut core = shared.borrow_mut();
    let beat = core.beat.length(core.listeners());
    core.plan(now, beat, due);
    beat
}
