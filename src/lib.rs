//! Floe: a live-streaming server for Linux. The map of the house; `docs/architecture.md` follows
//! one byte through it.
//!
//! Rooms sit on floors. A room names only rooms on lower floors, never a neighbour on its own
//! floor: neighbours meet through the values and messages of `domain::bus`. `tests/tidy.rs` holds
//! this.
//!
//! | floor | room | what it owns |
//! |---|---|---|
//! | 4 | `boot` (and `main.rs`) | command line, wiring, start and drain order |
//! | 3 | `ingest` | the source core: claims, parsing, segments, publishing |
//! | 3 | `edge` | the listener cores: accept, heads, sources' sockets, listeners, the pump |
//! | 3 | `control` | the control thread: passwords, pages, signals, logs |
//! | 2 | `domain` | decisions as machines, `handle(input, now) -> outputs`, and the bus |
//! | 2 | `rt` | glommio, sockets, clock, threads, descriptor tables |
//! | 1 | `ring` | segments, lanes and the counters that cores share |
//! | 1 | `media` | frame and container parsers |
//! | 1 | `proto` | wire grammars |
//! | 1 | `config` | TOML as written to a checked model |
//! | 0 | `base` | units, ids, ceilings, time, close reasons |

pub mod base;
pub mod boot;
pub mod config;
pub mod control;
pub mod domain;
pub mod edge;
pub mod ingest;
pub mod media;
pub mod proto;
pub mod ring;
pub mod rt;
