//! Lays the lanes between the threads: who can tell whom what, and which bell rings at whose door.

use std::sync::Arc;

use crate::base::limits::{LANE_MESSAGES_MAX, SOURCE_LANE_MESSAGES_MAX};
use crate::domain::bus::{
    ControlToEdge, ControlToIngest, EdgeToControl, EdgeToIngest, IngestToControl, IngestToEdge,
    Outbox,
};
use crate::ring::{Doorbell, LaneReceiver, lane};

/// The ends of one listener core.
pub(super) struct EdgeEnds {
    pub(super) bell: Arc<Doorbell>,
    pub(super) from_ingest: LaneReceiver<IngestToEdge>,
    pub(super) to_ingest: Outbox<EdgeToIngest>,
    pub(super) from_control: LaneReceiver<ControlToEdge>,
    pub(super) to_control: Outbox<EdgeToControl>,
}

/// The ends of the source core.
pub(super) struct IngestEnds {
    pub(super) bell: Arc<Doorbell>,
    pub(super) from_edges: Vec<LaneReceiver<EdgeToIngest>>,
    pub(super) to_edges: Vec<Outbox<IngestToEdge>>,
    pub(super) from_control: LaneReceiver<ControlToIngest>,
    pub(super) to_control: Outbox<IngestToControl>,
}

/// The ends of the control thread.
pub(super) struct ControlEnds {
    pub(super) bell: Arc<Doorbell>,
    pub(super) from_edges: Vec<LaneReceiver<EdgeToControl>>,
    pub(super) to_edges: Vec<Outbox<ControlToEdge>>,
    pub(super) from_ingest: LaneReceiver<IngestToControl>,
    pub(super) to_ingest: Outbox<ControlToIngest>,
}

/// Every lane there is.
pub(super) struct Lanes {
    pub(super) edges: Vec<EdgeEnds>,
    pub(super) ingest: IngestEnds,
    pub(super) control: ControlEnds,
}

fn lay<T: Send>(bell: &Arc<Doorbell>) -> (Outbox<T>, LaneReceiver<T>) {
    lay_for(LANE_MESSAGES_MAX, bell)
}

fn lay_for<T: Send>(messages: usize, bell: &Arc<Doorbell>) -> (Outbox<T>, LaneReceiver<T>) {
    let (sender, receiver) = lane(messages, Arc::clone(bell));
    (Outbox::new(sender), receiver)
}

impl Lanes {
    /// Lanes for a server with `cores` listener cores.
    pub(super) fn lay(cores: usize) -> Self {
        let (at_ingest, at_control) = (Doorbell::new(), Doorbell::new());
        let (ingest_to_control, control_from_ingest) = lay(&at_control);
        let (control_to_ingest, ingest_from_control) = lay(&at_ingest);
        let mut ingest = IngestEnds {
            bell: Arc::clone(&at_ingest),
            from_edges: Vec::with_capacity(cores),
            to_edges: Vec::with_capacity(cores),
            from_control: ingest_from_control,
            to_control: ingest_to_control,
        };
        let mut control = ControlEnds {
            bell: Arc::clone(&at_control),
            from_edges: Vec::with_capacity(cores),
            to_edges: Vec::with_capacity(cores),
            from_ingest: control_from_ingest,
            to_ingest: control_to_ingest,
        };
        let mut edges = Vec::with_capacity(cores);
        for _ in 0..cores {
            let at_edge = Doorbell::new();
            let (to_ingest, from_edge) = lay_for(SOURCE_LANE_MESSAGES_MAX, &at_ingest);
            let (to_edge, from_ingest) = lay(&at_edge);
            let (to_control, control_from_edge) = lay(&at_control);
            let (control_to_edge, from_control) = lay(&at_edge);
            ingest.from_edges.push(from_edge);
            ingest.to_edges.push(to_edge);
            control.from_edges.push(control_from_edge);
            control.to_edges.push(control_to_edge);
            let bell = at_edge;
            edges.push(EdgeEnds { bell, from_ingest, to_ingest, from_control, to_control });
        }
        Self { edges, ingest, control }
    }
}
