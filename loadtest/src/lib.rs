//! `floe-loadtest`: a load test for Icecast-compatible servers that anyone can repeat. The map.
//!
//! One parent process plans, watches and reports. Worker processes (this binary again) hold the
//! listeners, because a process may open only so many descriptors. Each worker is one thread with
//! two epoll sets; everything it learns is a handful of histograms, which the parent adds up.
//!
//! | file | what it owns |
//! |---|---|
//! | `args`, `cli`, `cli_scenario` | the command line as written, and what each command runs |
//! | `target`, `addresses` | where load may go, and which source addresses it comes from |
//! | `plan`, `players` | what one worker has to do, as a value; names of real players |
//! | `worker`, `fleet` | the two ends of the pipes between a worker and its parent |
//! | `crowd`, `sockets` | the listeners and the system calls they need |
//! | `listener`, `failure` | one listener's row and figures; what ends one |
//! | `head`, `icy` | what a listener reads: response head, metadata |
//! | `frames`, `mp3`, `adts` | valid, silent frames and the room in them |
//! | `marks` | what travels in that room, and the checker of every byte |
//! | `publish`, `floor` | generated sources; the bare send loop that bounds every server |
//! | `listen`, `outcome`, `report`, `watch` | running a load, its figures, limits and cost |
//! | `scenario` | what a scenario's file says, and its limits |
//! | `run`, `compare` | running a scenario once, or in turn against two servers |
//! | `server`, `guard` | servers started for a test, and their certain end |
//! | `series`, `results`, `progress` | figures over time, all figures, the live display |
//! | `html` | the report as one page |
//! | `clock` | the one place that asks the time |
//!
//! Of the server's crate it uses floors 0 and 1 alone: it must measure any server alike.

pub mod addresses;
pub mod adts;
pub mod args;
pub mod cli;
mod cli_scenario;
pub mod clock;
pub mod compare;
pub mod crowd;
pub mod failure;
pub mod fleet;
pub mod floor;
pub mod frames;
pub mod guard;
pub mod head;
pub mod html;
pub mod icy;
pub mod listen;
pub mod listener;
pub mod marks;
pub mod mp3;
pub mod outcome;
pub mod plan;
pub mod players;
pub mod progress;
pub mod publish;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod series;
pub mod server;
mod sockets;
pub mod target;
pub mod watch;
pub mod worker;
