//! Names of things as numbers. Newtypes, so that a mount cannot be handed over as a core.

use std::fmt;

/// A listener core, counted from zero in the order of the configuration's `cores`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoreIndex(pub u16);

/// A mount for as long as it is up. Never used again within a process: a message about a mount that
/// is gone finds nothing, instead of its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountId(pub u32);

/// A connection on one listener core while it waits for an answer from another thread. Serials
/// start anew after 2^32 connections, when nobody remembers the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// The core that owns the socket.
    pub core: CoreIndex,
    /// Counted by that core from zero.
    pub serial: u32,
}

/// A source's connection: the connection it came on is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub ConnId);

/// A listener, unique in a process: the core in the upper 16 bits, a count in the lower 48.
/// It is the `ID` of Icecast's `listclients`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u64);

impl ListenerId {
    /// The `serial`-th listener of `core`.
    pub fn new(core: CoreIndex, serial: u64) -> Self {
        Self(u64::from(core.0) << 48 | (serial & ((1 << 48) - 1)))
    }
}

impl fmt::Display for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CoreIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
