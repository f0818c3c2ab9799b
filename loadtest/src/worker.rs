//! A worker process: reads its plan as one line from standard input, holds its listeners until that
//! input closes, and writes messages, one JSON a line, to standard output. One thread.

use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::outcome::{Outcome, Progress};
use crate::plan::Plan;
use floe::base::Moment;
use rustix::fd::AsFd;
use rustix::process::{Resource, getrlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::time::Duration;

/// What a worker tells its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Once a [`PROGRESS_EVERY`], and when the last listener has come as far as it means to.
    Progress(Progress),
    /// Last of all.
    Done(Box<Outcome>),
}

/// How often a worker tells how far it is. Often enough for a live display.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Descriptors that a worker needs beside its listeners: standard streams, epoll sets, some spare.
pub const SPARE_DESCRIPTORS: u64 = 32;

/// How much later than others the scheduler serves a worker, as `nice(2)` counts. Listeners of real
/// life bring their own CPUs; these take the server's, and in a storm they outnumber its threads.
/// At 5 a worker gets a third of what a thread of the server gets while both want to run.
const POLITENESS: i32 = 5;

/// Runs a worker process to its end. A parent that dies closes the pipe, which ends it too.
///
/// # Errors
/// If the plan cannot be read, epoll fails or the parent is gone.
pub fn run() -> io::Result<()> {
    raise_descriptor_limit();
    // A worker that may not give way is as good as one that need not.
    let _ = nice(POLITENESS);
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    hold(serde_json::from_str(&line)?, io::stdin(), send)
}

/// Holds the listeners of `plan` until `stop` is readable or closed, and tells how it goes.
///
/// # Errors
/// If epoll fails or `tell` does.
pub fn hold(
    plan: Plan,
    stop: impl AsFd,
    mut tell: impl FnMut(&Message) -> io::Result<()>,
) -> io::Result<()> {
    let tick = plan.tick;
    let clock = Clock::start();
    let mut crowd = Crowd::new(plan, clock)?;
    crowd.stop_on(&stop)?;

    let (mut next_look, mut next_report) = (Moment::ZERO, Moment::ZERO);
    let mut was_settled = false;
    while !crowd.is_told_to_stop() {
        let now = clock.now();
        crowd.begin_due(now);
        if now >= next_look {
            crowd.look()?;
            crowd.expire(now);
            // From the planned time, not from now, so that ticks stay even; but never in arrears.
            next_look = (next_look + tick).max(now);
        }
        // The end of a ramp is told at once: it is measured by this message's arrival.
        let is_settled = crowd.progress().pending == 0;
        if now >= next_report || (is_settled && !was_settled) {
            tell(&Message::Progress(crowd.progress()))?;
            next_report = now + PROGRESS_EVERY;
            was_settled = is_settled;
        }
        let now = clock.now();
        let look_in = if tick.is_zero() { PROGRESS_EVERY } else { next_look.since(now) };
        let begin_in = crowd.until_next_begin(now).unwrap_or(PROGRESS_EVERY);
        crowd.wait(look_in.min(begin_in).min(next_report.since(now)))?;
    }
    crowd.look()?;
    tell(&Message::Progress(crowd.progress()))?;
    tell(&Message::Done(Box::new(crowd.finish())))
}

/// How many descriptors this process may have open, once the limit is raised.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the number of descriptors this process may have open to the most it is allowed.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising up to the hard limit cannot be refused; were it, connects would fail and be counted.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn send(message: &Message) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, message)?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    #[test]
    fn a_pipe_that_the_worker_owns_still_ends_it() {
        let (stop, stopper) = io::pipe().unwrap();
        drop(stopper);
        let mut told = Vec::new();
        let held = hold(plan(0), stop, |message| {
            told.push(message.clone());
            // A pipe that was closed on this side would never speak: end the test, not hang.
            if told.len() > 3 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
        });
        held.unwrap();
        assert!(matches!(told.last(), Some(Message::Done(outcome)) if outcome.listeners == 0));
    }
}
