//! FLOOR 1 · ring: everything that two cores touch at once, and nothing else. Stream bytes in
//! append-only segments, messages in lanes, and counts. There is no lock in this room: each file
//! says which thread writes what, and which ordering makes the others see it.
//!
//! | file | what it owns | writer → readers |
//! |---|---|---|
//! | `segment` | bytes of a stream, written once | source core → listener cores |
//! | `window` | the run of segments that one side keeps | private to each core |
//! | `lane` | messages and the wake that announces them | one thread → one thread |
//! | `census` | a small number per address | all cores ↔ all cores |
//! | `gauge` | counts with and without a limit | all cores ↔ all cores |
//! | `rates` | connections a second per address | all cores ↔ all cores |
//! | `spool` | log lines on their way to the writer | all threads → log writer |
//!
//! `segment` is the only file with unsafe code. The files with atomics carry loom models next to
//! their tests. This runs the models in place of the tests, over all interleavings with up to three
//! preemptions and all stale reads that the memory model allows:
//!
//! ```sh
//! RUSTFLAGS="--cfg floe_loom" cargo test --release --lib ring::
//! ```

pub mod census;
pub mod gauge;
pub mod lane;
pub mod rates;
pub mod segment;
pub mod spool;
mod sync;
pub mod window;

pub use census::{Census, Refused};
pub use crossbeam::utils::CachePadded;
pub use gauge::{Gauge, Total};
pub use lane::{Doorbell, LaneReceiver, LaneSender, lane};
pub use rates::Rates;
pub use segment::{Segment, SegmentWriter};
pub use spool::Spool;
pub use window::Window;
