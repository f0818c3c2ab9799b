//! The parent's end: starts workers, adds up what they tell, and makes sure that none outlives it.

use crate::outcome::{Outcome, Progress};
use crate::plan::Plan;
use crate::watch::Sample;
use crate::worker::{self, Message};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Running workers.
#[derive(Debug)]
pub struct Fleet {
    workers: Vec<Worker>,
    messages: Receiver<(usize, Option<Message>)>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    /// Closing it tells the worker to stop.
    input: Option<ChildStdin>,
    progress: Progress,
    outcome: Option<Outcome>,
    is_gone: bool,
}

/// How many workers hold `listeners`, if each may have `descriptors` open.
pub fn workers_for(listeners: u64, descriptors: u64) -> u64 {
    let room = descriptors.saturating_sub(worker::SPARE_DESCRIPTORS).max(1);
    listeners.div_ceil(room).max(1)
}

impl Fleet {
    /// Starts one worker per plan.
    ///
    /// # Errors
    /// If a process cannot be started; those started before are ended.
    pub fn launch(plans: &[Plan]) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let (sender, messages) = channel();
        let mut fleet = Self { workers: Vec::new(), messages };
        for number in 0..plans.len() {
            let mut child = Command::new(&program)
                .arg("worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let (input, output) = (child.stdin.take(), child.stdout.take());
            let progress = Progress::default();
            fleet.workers.push(Worker { child, input, progress, outcome: None, is_gone: false });
            if let Some(output) = output {
                let sender = sender.clone();
                std::thread::spawn(move || relay(number, BufReader::new(output), &sender));
            }
        }
        // Plans go out after every process is up, so that ramps begin together.
        for (worker, plan) in fleet.workers.iter_mut().zip(plans) {
            worker.progress.pending = plan.indexes.end - plan.indexes.start;
            if let Some(input) = &mut worker.input {
                serde_json::to_writer(&mut *input, plan)?;
                input.write_all(b"\n")?;
            }
        }
        Ok(fleet)
    }

    /// What every worker has used so far.
    ///
    /// # Errors
    /// If one is gone.
    pub fn samples(&self) -> io::Result<Vec<Sample>> {
        self.workers.iter().map(|worker| Sample::take(worker.child.id())).collect()
    }

    /// How far all listeners together have come, as last told.
    pub fn progress(&self) -> Progress {
        self.workers.iter().fold(Progress::default(), |sum, worker| Progress {
            begun: sum.begun + worker.progress.begun,
            pending: sum.pending + worker.progress.pending,
            flowing: sum.flowing + worker.progress.flowing,
            ended: sum.ended + worker.progress.ended,
            bytes: sum.bytes + worker.progress.bytes,
        })
    }

    /// Takes in what the workers tell for `span`.
    ///
    /// # Errors
    /// If a worker ended by itself.
    pub fn listen_for(&mut self, span: Duration) -> io::Result<()> {
        let until = Instant::now() + span;
        loop {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, message)) => self.take(number, message),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(worker_died()),
            }
        }
        if self.workers.iter().any(|worker| worker.is_gone) { Err(worker_died()) } else { Ok(()) }
    }

    /// Tells all workers to stop, and adds up what they found.
    ///
    /// # Errors
    /// If one ends without its outcome, or takes longer than 30 s.
    pub fn stop(mut self) -> io::Result<Outcome> {
        self.workers.iter_mut().for_each(|worker| worker.input = None);
        let until = Instant::now() + FAREWELL;
        while !self.workers.iter().all(|worker| worker.is_gone) {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, message)) => self.take(number, message),
                Err(_) => return Err(worker_died()),
            }
        }
        let mut sum = Outcome::default();
        for worker in &self.workers {
            sum.merge(worker.outcome.as_ref().ok_or_else(worker_died)?);
        }
        Ok(sum)
    }

    fn take(&mut self, number: usize, message: Option<Message>) {
        let worker = &mut self.workers[number];
        match message {
            Some(Message::Progress(progress)) => worker.progress = progress,
            Some(Message::Done(outcome)) => worker.outcome = Some(*outcome),
            None => worker.is_gone = true,
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // After a proper end both are no-ops; otherwise nothing may go on loading the server.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Hands on what a worker writes until it writes no more. A line that is no message ends it too:
/// what follows could not be trusted.
fn relay(number: usize, output: impl BufRead, sender: &Sender<(usize, Option<Message>)>) {
    for line in output.lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str(&line) else { break };
        if sender.send((number, Some(message))).is_err() {
            return;
        }
    }
    // The fleet may be gone by now, and then nobody needs to know.
    let _ = sender.send((number, None));
}

fn worker_died() -> io::Error {
    io::Error::other("a worker process ended without its results")
}

/// How long workers may take to close their sockets and add up: 20,000 closes take well below 1 s.
const FAREWELL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_workers_are_started_for_the_descriptor_limit() {
        assert_eq!(workers_for(100_000, 20_000), 6);
        assert_eq!(workers_for(19_968, 20_000), 1);
        assert_eq!(workers_for(19_969, 20_000), 2);
        assert_eq!(workers_for(0, 1_024), 1);
        assert_eq!(workers_for(3, 0), 3);
    }

    #[test]
    fn a_workers_lines_become_messages_and_its_end_is_noticed() {
        let (sender, receiver) = channel();
        let progress = Message::Progress(Progress { flowing: 3, ..Progress::default() });
        let done = Message::Done(Box::default());
        let lines = format!(
            "{}\n{}\nnonsense\n{}\n",
            serde_json::to_string(&progress).unwrap(),
            serde_json::to_string(&done).unwrap(),
            serde_json::to_string(&progress).unwrap()
        );
        relay(4, lines.as_bytes(), &sender);
        drop(sender);
        let told: Vec<_> = receiver.iter().collect();
        assert_eq!(told, [(4, Some(progress)), (4, Some(done)), (4, None)]);
    }
}
