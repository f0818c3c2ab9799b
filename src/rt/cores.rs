//! Starts the cores: one pinned glommio executor a thread, each with its own descriptor table.
//!
//! Order matters and is kept here: first every executor exists (its eventfds have the same number
//! in every table), then each thread takes a table of its own, then the cores run.

use std::future::Future;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use super::fds;
use super::task::{Queues, Vital};

/// Memory each executor keeps for file I/O buffers. A core does none, so the least that works.
const IO_MEMORY_BYTES: usize = 64 * 1024;

/// Entries of each ring. A storm of accepts queues more than that only for another submission.
const RING_DEPTH: usize = 1024;

/// What one core runs on.
#[derive(Clone, Debug)]
pub struct CorePlan {
    /// The thread's name, as `top -H` shows it (15 characters at most).
    pub name: String,
    /// The CPU it is pinned to; none leaves it to the scheduler.
    pub cpu: Option<usize>,
}

/// CPUs this process may run on.
pub fn cpus() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Pins the calling thread, for threads that are not executors. Threads it starts later inherit it.
pub fn pin_current(cpu: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
}

/// Executors that exist but do not run yet.
pub struct Prepared {
    threads: Vec<ExecutorJoinHandle<()>>,
    ready: Receiver<Result<(), String>>,
    tables: Receiver<io::Result<()>>,
    go: Arc<Barrier>,
}

/// Running cores.
pub struct Cores {
    threads: Vec<ExecutorJoinHandle<()>>,
}

/// Makes one executor per plan. `body` becomes that core's whole life once [`Prepared::run`] is
/// called; it gets the core's task queues.
pub fn prepare<B, F>(bodies: Vec<(CorePlan, B)>) -> io::Result<Prepared>
where
    B: FnOnce(Queues) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    prepare_with(bodies, fds::own_table)
}

fn prepare_with<B, F>(
    bodies: Vec<(CorePlan, B)>,
    own_table: fn() -> io::Result<()>,
) -> io::Result<Prepared>
where
    B: FnOnce(Queues) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let (report, ready) = channel();
    let (report_table, tables) = channel();
    let go = Arc::new(Barrier::new(bodies.len() + 1));
    let mut threads = Vec::with_capacity(bodies.len());
    for (plan, body) in bodies {
        let gate = Gate { report: report.clone(), name: plan.name.clone(), reported: false };
        let (go, report_table) = (Arc::clone(&go), report_table.clone());
        let placement = plan.cpu.map_or(Placement::Unbound, Placement::Fixed);
        let thread = LocalExecutorBuilder::new(placement)
            .name(&plan.name)
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .spawn(move || {
                gate.pass();
                go.wait();
                // If nobody listens any more the start has failed already.
                let _ = report_table.send(own_table());
                // Nobody opens or closes a descriptor until every core has its table.
                go.wait();
                Vital { future: async move { body(Queues::create()).await } }
            })
            .map_err(|error| io::Error::other(error.to_string()))?;
        threads.push(thread);
    }
    Ok(Prepared { threads, ready, tables, go })
}

impl Prepared {
    /// Waits until every executor exists, gives each its table, and lets them run. On a fault says
    /// which core could not start and why; the process is then of no use.
    pub fn run(self) -> io::Result<Cores> {
        for _ in &self.threads {
            match self.ready.recv() {
                Ok(Ok(())) => {}
                Ok(Err(name)) => {
                    let text = format!(
                        "core {name} could not start its io_uring; is io_uring disabled \
                         (sysctl kernel.io_uring_disabled) or RLIMIT_MEMLOCK below 512 KiB?"
                    );
                    return Err(io::Error::other(text));
                }
                Err(_) => return Err(io::Error::other("a core ended before it was ready")),
            }
        }
        self.go.wait();
        // With one table for all, a core that closes its copies of the others' sockets would close
        // the sockets themselves. The cores wait for the barrier below, and so close nothing.
        for table in self.tables.iter().take(self.threads.len()) {
            table.map_err(|error| {
                io::Error::other(format!(
                    "a core could not take a descriptor table of its own: {error}; a container \
                     must allow the system call unshare"
                ))
            })?;
        }
        self.go.wait();
        Ok(Cores { threads: self.threads })
    }
}

impl Cores {
    /// Waits for every core to end, for `at_most` in all; says whether they have. Those that have
    /// not end with the process.
    pub fn join(self, at_most: Duration) -> bool {
        let (report, ended) = channel();
        let count = self.threads.len();
        for thread in self.threads {
            let report = report.clone();
            let wait = move || {
                // A core that panicked has aborted the process already.
                let _ = thread.join();
                let _ = report.send(());
            };
            if spawn_thread("floe-end", wait).is_err() {
                return false;
            }
        }
        let until = Instant::now() + at_most;
        let left = || until.saturating_duration_since(Instant::now());
        (0..count).all(|_| ended.recv_timeout(left()).is_ok())
    }
}

/// Starts a plain thread, for work that blocks.
pub fn spawn_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Reports once that an executor exists, or, dropped unused, that it could not be made.
struct Gate {
    report: Sender<Result<(), String>>,
    name: String,
    reported: bool,
}

impl Gate {
    fn pass(mut self) {
        self.reported = true;
        let _ = self.report.send(Ok(()));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !self.reported {
            let _ = self.report.send(Err(std::mem::take(&mut self.name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::task;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    /// Set in the process that is to end.
    const DOOMED: &str = "FLOE_TEST_DOOMED";

    fn plan() -> CorePlan {
        CorePlan { name: "floe-test".to_owned(), cpu: None }
    }

    #[test]
    fn a_core_that_does_not_end_is_not_waited_for() {
        let body = |_: Queues| std::future::pending();
        let cores = prepare(vec![(plan(), body)]).and_then(Prepared::run).expect("a core starts");
        assert!(!cores.join(Duration::from_millis(1)));
    }

    #[test]
    fn a_core_without_a_table_of_its_own_fails_the_start_and_runs_nothing() {
        let body = |_: Queues| async { panic!("its core must not run") };
        let refused = || Err(io::Error::from_raw_os_error(libc::EPERM));
        let prepared = prepare_with(vec![(plan(), body)], refused).expect("an executor");
        let error = prepared.run().err().expect("the start fails").to_string();
        assert!(error.contains("descriptor table") && error.contains("unshare"), "{error}");
    }

    /// The executor alone would end the one thread, and the process would live on without it.
    #[test]
    fn a_panic_in_a_task_of_a_core_ends_the_process() {
        if std::env::var_os(DOOMED).is_some() {
            let body = |queues: Queues| async move {
                queues.patient(async { panic!("meant to happen") });
                task::sleep(Duration::from_secs(20)).await;
            };
            prepare(vec![(plan(), body)])
                .and_then(Prepared::run)
                .expect("a core starts")
                .join(Duration::from_secs(30));
            return;
        }
        let own = std::env::current_exe().expect("a test is a program");
        let ended = Command::new(own)
            .args(["--exact", "rt::cores::tests::a_panic_in_a_task_of_a_core_ends_the_process"])
            .env(DOOMED, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("it starts");
        assert_eq!(ended.signal(), Some(libc::SIGABRT), "{ended}");
    }
}
