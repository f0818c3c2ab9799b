//! What other threads tell a listener core. One task, in the urgent queue, woken once per batch;
//! while the pump ticks it looks here first, and the bytes of live streams wake nobody.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::limits::INBOX_TURN_MESSAGES;
use crate::base::{CloseReason, ConnId, Moment};
use crate::domain::bus::{ControlToEdge, IngestToEdge};
use crate::ring::{Doorbell, LaneReceiver};
use crate::rt::task::{self, Signal};

use super::core::{Core, Drain, Shared};

/// The receiving ends of the lanes to this core.
pub(super) struct Inbox {
    pub(super) bell: Arc<Doorbell>,
    pub(super) from_ingest: LaneReceiver<IngestToEdge>,
    pub(super) from_control: LaneReceiver<ControlToEdge>,
}

impl Inbox {
    /// Takes what came, if anything did; the bell's waiter is told of the rest.
    pub(super) fn look(&mut self, core: &mut Core) {
        if self.bell.answer() && turn(core, self) {
            self.bell.ring();
        }
    }
}

/// Runs as long as the core.
pub(super) async fn run(shared: Shared, inbox: Rc<RefCell<Inbox>>) {
    let bell = Arc::clone(&inbox.borrow().bell);
    loop {
        bell.rung().await;
        while turn(&mut shared.borrow_mut(), &mut inbox.borrow_mut()) {
            task::yield_now().await;
        }
    }
}

/// Handles up to [`INBOX_TURN_MESSAGES`] messages of each lane; says whether there may be more.
fn turn(core: &mut Core, inbox: &mut Inbox) -> bool {
    let now = core.clock.now();
    let mut taken = 0;
    while taken < INBOX_TURN_MESSAGES
        && let Some(message) = inbox.from_ingest.receive()
    {
        core.told_by_ingest(message, now);
        taken += 1;
    }
    while let Some(message) = inbox.from_control.receive() {
        core.told_by_control(message, now);
    }
    core.to_ingest.flush();
    core.to_control.flush();
    taken == INBOX_TURN_MESSAGES
}

impl Core {
    fn told_by_ingest(&mut self, message: IngestToEdge, now: Moment) {
        match message {
            IngestToEdge::Answer { asker, answer } => self.answered(asker, answer),
            IngestToEdge::Stop { source, reason } => {
                if let Some(sign) = self.sources.get(&source.0) {
                    sign.stop(reason);
                }
            }
            IngestToEdge::MountUp(info) => self.mount_up(info, now),
            IngestToEdge::MountDown { mount, reason } => self.mount_down(mount, reason, now),
            IngestToEdge::Release { mount, reason } => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.table.close_all(reason, now);
                    self.pump_signal.raise();
                }
            }
            IngestToEdge::Window { mount, start } => {
                if let Some(mount) = self.mounts.get_mut(&mount)
                    && mount.follows
                {
                    mount.table.feed.start(*start);
                    mount.table.feed_started(now);
                    self.pump_signal.raise();
                }
            }
            IngestToEdge::Segment { mount, segment } => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.table.feed.open(segment);
                }
            }
            IngestToEdge::Advance { mount, end, starts, keep_from } => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.table.feed.advance(end, starts, keep_from);
                    self.pump_signal.raise();
                }
            }
            IngestToEdge::Preamble { mount, preamble } => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.table.feed.preamble(preamble);
                }
            }
            IngestToEdge::Title { mount, title } => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.table.feed.title(title);
                }
            }
        }
    }

    fn told_by_control(&mut self, message: ControlToEdge, now: Moment) {
        match message {
            ControlToEdge::Verdict { asker, verdict } => self.answered(asker, verdict),
            ControlToEdge::Pages(pages) => self.pages = pages,
            ControlToEdge::Drain(grace) => {
                // A second request to stop shortens the wait, never lengthens it.
                let until = now + grace;
                self.drain = match self.drain {
                    Drain::Until(earlier) if earlier < until => Drain::Until(earlier),
                    _ => Drain::Until(until),
                };
                self.doors.iter().for_each(Signal::raise);
                self.pending.end_waiting();
            }
        }
    }

    fn answered(&mut self, asker: ConnId, answer: Result<(), CloseReason>) {
        if let Some(reply) = self.open.remove(&asker) {
            reply.fill(answer);
        }
    }
}
