//! Scenarios: a file that says which server, sources and listeners meet, and what must hold. This
//! room reads and checks it, and turns it into plans; it starts and measures nothing.
//!
//! | file | what it owns |
//! |---|---|
//! | `format` | the file, key by key |
//! | `check` | what is wrong between keys, by line |
//! | `program` | plans for workers, programs for sources |
//! | `verdict` | limits against figures |
//! | `host` | the machine: what it is, and what a scenario wants of it |

mod check;
mod format;
mod host;
mod program;
mod verdict;

pub use check::{ScenarioError, parse};
pub use format::{Crowd, CrowdLimits, Host, Kind, Limits, Scenario, Server, Source};
pub use host::{Machine, wishes};
pub use program::{LoadedCrowd, Place, load, source_mounts};
pub use verdict::{Measured, Verdict, judge};
