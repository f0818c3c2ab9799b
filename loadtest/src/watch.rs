//! What a process costs: CPU by thread and memory, read from `/proc`. Used for the server under
//! load, for the generator's own workers, and by the `watch` command.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// A process at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    at: Instant,
    /// User and system time of all its threads, ended ones included.
    cpu: Duration,
    threads: BTreeMap<u32, (String, Duration)>,
    /// Its memory then.
    pub memory: Memory,
}

/// Memory of a process in bytes; zero where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident set.
    pub rss: u64,
    /// Resident set with shared pages divided among their users.
    pub pss: u64,
    /// Pages that are this process's alone and were written: what it would free by ending.
    pub private_dirty: u64,
}

/// What a process used between two samples.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// CPU time over wall time: 1.0 is one core, all the time.
    pub cores: f64,
    /// The same by thread, the busiest first; those below a thousandth are left out.
    pub threads: Vec<ThreadCost>,
    /// Memory at the second sample.
    pub memory: Memory,
}

/// CPU of one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreadCost {
    /// Thread id.
    pub tid: u32,
    /// Thread name.
    pub name: String,
    /// CPU time over wall time.
    pub cores: f64,
}

impl Sample {
    /// Looks at process `pid`.
    ///
    /// # Errors
    /// If there is no such process. Threads that end meanwhile are left out.
    pub fn take(pid: u32) -> io::Result<Self> {
        let (_, cpu) = read_stat(&format!("/proc/{pid}/stat"))?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Ok(thread) = read_stat(&format!("/proc/{pid}/task/{tid}/stat")) {
                threads.insert(tid, thread);
            }
        }
        // Another user's process shows no smaps; its CPU is still worth having.
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        Ok(Self { at: Instant::now(), cpu, threads, memory: memory_of(&rollup) })
    }

    /// What the process used from `earlier` to this sample.
    pub fn since(&self, earlier: &Self) -> Cost {
        let wall = self.at.saturating_duration_since(earlier.at).as_secs_f64().max(1e-3);
        let share =
            |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / wall;
        let mut threads: Vec<_> = self
            .threads
            .iter()
            .map(|(&tid, (name, cpu))| {
                let before = earlier.threads.get(&tid).map_or(Duration::ZERO, |(_, cpu)| *cpu);
                ThreadCost { tid, name: name.clone(), cores: share(*cpu, before) }
            })
            .filter(|thread| thread.cores >= 0.001)
            .collect();
        threads.sort_by(|a, b| b.cores.total_cmp(&a.cores));
        Cost { cores: share(self.cpu, earlier.cpu), threads, memory: self.memory }
    }
}

/// CPU of several processes together between two samples of each, in cores.
pub fn cores(from: &[Sample], to: &[Sample]) -> f64 {
    to.iter().zip(from).map(|(to, from)| to.since(from).cores).sum()
}

/// Bytes that the machine's TCP sockets hold in buffers, all processes together; `None` if the
/// kernel does not tell.
pub fn tcp_memory() -> Option<u64> {
    let pages = tcp_pages(&fs::read_to_string("/proc/net/sockstat").ok()?)?;
    Some(pages * rustix::param::page_size() as u64)
}

fn tcp_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|&word| word != "mem");
    words.nth(1)?.parse().ok()
}

fn read_stat(path: &str) -> io::Result<(String, Duration)> {
    let text = fs::read_to_string(path)?;
    let ticks_per_s = rustix::param::clock_ticks_per_second().max(1);
    parse_stat(&text, ticks_per_s).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Name and CPU time of a `stat` line (proc(5)). The name may hold spaces and parentheses, so
/// fields count from the last parenthesis: `utime` and `stime` are the 12th and 13th behind it.
fn parse_stat(text: &str, ticks_per_s: u64) -> Option<(String, Duration)> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let name = text.get(open + 1..close)?.to_owned();
    let mut fields = text.get(close + 1..)?.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = user.saturating_add(system);
    Some((name, Duration::from_secs_f64(ticks as f64 / ticks_per_s as f64)))
}

fn memory_of(rollup: &str) -> Memory {
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0).saturating_mul(1024)
    };
    Memory { rss: field("Rss:"), pss: field("Pss:"), private_dirty: field("Private_Dirty:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 9 0 0";

    #[test]
    fn a_stat_line_gives_name_and_time_even_with_parentheses_in_the_name() {
        let (name, cpu) = parse_stat(STAT, 100).unwrap();
        assert_eq!((name.as_str(), cpu), ("a (b) c", Duration::from_secs(2)));
        for cut in 0..STAT.find("150 50").unwrap() {
            assert_eq!(parse_stat(&STAT[..cut], 100), None, "cut at {cut}");
        }
    }

    #[test]
    fn memory_and_tcp_pages_are_read_or_left_out() {
        let memory = memory_of(
            "00-ff ---p [rollup]\nRss:  2 kB\nPss:  1 kB\nPss_Dirty: 7 kB\nPrivate_Dirty: 3 kB\n",
        );
        assert_eq!(memory, Memory { rss: 2048, pss: 1024, private_dirty: 3072 });
        assert_eq!(memory_of(""), Memory::default());
        assert_eq!(
            tcp_pages("sockets: used 9\nTCP: inuse 4 orphan 0 tw 0 alloc 6 mem 17\n"),
            Some(17)
        );
        assert_eq!(tcp_pages("TCP: inuse 4 mem"), None);
    }

    #[test]
    fn this_process_can_be_watched() {
        let before = Sample::take(std::process::id()).unwrap();
        let cost = Sample::take(std::process::id()).unwrap().since(&before);
        assert!(cost.cores >= 0.0 && before.memory.rss > 0);
        assert!(Sample::take(u32::MAX).is_err());
    }
}
