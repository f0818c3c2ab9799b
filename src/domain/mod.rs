//! FLOOR 2 · domain: what is decided, and the messages between the threads. Machines take an input
//! and the time and give outputs; no socket, no clock, no task. They never meet `rt`, so every
//! decision is tested with a virtual clock (`tests/sim`).

pub mod access;
pub mod beat;
pub mod bus;
pub mod capacity;
pub mod intro;
pub mod kernel_memory;
pub mod listener;
pub mod mount;
pub mod preamble;
pub mod progress;
pub mod seam;
pub mod stats;
pub mod tuning;
