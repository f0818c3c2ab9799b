//! FLOOR 2 · rt: the one room that names glommio, libc, socket2 and core_affinity. Everything above
//! sees executors as [`cores`], listening sockets as [`net`], connections as [`socket`], time as
//! [`clock`] and descriptors as [`fds`], so that another io_uring runtime is a rewrite of this room
//! alone.

pub mod clock;
pub mod cores;
pub mod fds;
pub mod inherit;
pub mod memory;
pub mod net;
pub mod passed;
pub mod socket;
pub mod steer;
pub mod task;
pub mod wire;
