//! The bare send loop at small scale: the cost of one `send(2)` on this machine, which bounds every
//! server. `floe-loadtest floor` is the same loop with worker processes and thousands of listeners.
//!
//! Guards the floor's table in `docs/performance.md`, us per send: read it as a ratio to the
//! server's own cost per send in the same run.

use floe_loadtest::floor::{self, Beats, Floor, FloorFigures};
use floe_loadtest::worker;
use std::io::{self, Write};
use std::time::Duration;

fn main() -> io::Result<()> {
    worker::raise_descriptor_limit();
    let mut out = io::stdout();
    for (beat_ms, slots) in [(250, 10), (1_000, 50)] {
        let beat = Duration::from_millis(beat_ms);
        let figures = run(Beats { bytes_per_s: 16_000, beat, slots, duration: beat * 4 })?;
        writeln!(
            out,
            "floor: {} listeners, {} bytes a send: {:.2} us per send ({} sends, {} short)",
            figures.listeners,
            figures.send_bytes,
            figures.us_per_send,
            figures.sends,
            figures.short
        )?;
    }
    Ok(())
}

/// The loop in this thread, its listeners in another of this process.
fn run(beats: Beats) -> io::Result<FloorFigures> {
    let mut floor = Floor::open()?;
    let plan = floor::plan(floor.address()?, LISTENERS, beats, Duration::from_millis(10));
    let (stop, stopper) = io::pipe()?;
    let listeners = std::thread::spawn(move || worker::hold(plan, stop, |_| Ok(())));
    floor.admit(LISTENERS as usize, Duration::from_secs(5))?;
    let figures = floor.send_beats(beats);
    drop(stopper);
    listeners.join().map_err(|_| io::Error::other("the listeners broke"))??;
    Ok(figures)
}

/// Enough that a slot has many sends in a row, few enough for a smoke run in seconds and for the
/// usual descriptor limit.
const LISTENERS: u64 = 1_000;
