//! FLOOR 0 · base: units, ids, limits, bursts, time arithmetic and close reasons. Values only: it
//! reads no clock, touches no file and knows no other room.

mod burst;
pub mod close;
pub mod ids;
pub mod limits;
pub mod quantity;
pub mod time;

pub use burst::Burst;
pub use close::{CloseReason, Culprit};
pub use ids::{ConnId, CoreIndex, ListenerId, MountId, SourceId};
pub use time::{Moment, WallTime};
