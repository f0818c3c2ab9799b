//! FLOOR 3 · edge: the listener cores. Each accepts on its own sockets, reads request heads,
//! carries sources' bytes to the source core, and pumps every mount's stream to its own listeners.

mod accept;
mod admin;
mod converse;
mod core;
mod inbox;
mod journal;
mod looks;
mod page;
mod pending;
mod play;
mod request;
mod source;
#[cfg(test)]
mod testing;
mod weave;

pub mod feed;
pub mod labels;
pub mod pump;
pub mod row;
pub mod table;

pub use self::core::{Parts, run};
