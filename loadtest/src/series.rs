//! Figures over time: what is sampled once a second while a scenario runs, and the line that is
//! fitted through memory to tell growth from chance.

use crate::outcome::Progress;
use crate::watch::{Memory, Sample};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

/// One second of a scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Point {
    /// Seconds since the first crowd could begin.
    pub at_s: f64,
    /// The crowds in their order.
    pub crowds: Vec<Progress>,
    /// The server, if this machine's process table shows it.
    pub server: Option<ServerPoint>,
    /// Bytes in TCP buffers of this machine.
    pub tcp_memory: Option<u64>,
}

/// The server in one second.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerPoint {
    /// CPU since the point before, in cores.
    pub cores: f64,
    /// The same by thread name; threads of one name are added up.
    pub threads: BTreeMap<String, f64>,
    /// Its memory.
    pub memory: Memory,
    /// Open descriptors in all its tables; `None` if they may not be looked at.
    pub descriptors: Option<u64>,
}

impl ServerPoint {
    /// What the server used between two samples.
    pub fn between(from: &Sample, to: &Sample, descriptors: Option<u64>) -> Self {
        let cost = to.since(from);
        let mut threads = BTreeMap::new();
        for thread in cost.threads {
            *threads.entry(thread.name).or_insert(0.0) += thread.cores;
        }
        Self { cores: cost.cores, threads, memory: cost.memory, descriptors }
    }
}

/// The descriptor tables of a process. Threads normally share one; Floe's cores have one each, and
/// `/proc/PID/fd` shows the main thread's alone.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The folder of one thread for each table.
    folders: Vec<PathBuf>,
}

impl Tables {
    /// The tables of process `pid`. The kernel does not say which threads share one, so threads
    /// with the same descriptors on the same files count as sharing: right after the start that is
    /// exact, because Floe's cores differ in the sockets they listen on.
    ///
    /// # Errors
    /// If there is no such process or it may not be looked at.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut listings = Vec::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let folder = task.path().join("fd");
            let mut open = Vec::new();
            for entry in fs::read_dir(&folder)?.flatten() {
                open.push((entry.file_name(), fs::read_link(entry.path()).ok()));
            }
            open.sort();
            listings.push((folder, open));
        }
        Ok(Self { folders: distinct(listings) })
    }

    /// Open descriptors in all tables; `None` if one is gone.
    pub fn open(&self) -> Option<u64> {
        let counts = self.folders.iter().map(|folder| {
            // Since Linux 6.2 the folder's size is the number of its entries; before, it is zero.
            let size = fs::metadata(folder).ok()?.len();
            if size > 0 { Some(size) } else { Some(fs::read_dir(folder).ok()?.count() as u64) }
        });
        counts.sum()
    }
}

/// The first folder of each listing.
fn distinct<T: PartialEq>(listings: Vec<(PathBuf, T)>) -> Vec<PathBuf> {
    let (mut folders, mut seen) = (Vec::new(), Vec::new());
    for (folder, open) in listings {
        if !seen.contains(&open) {
            seen.push(open);
            folders.push(folder);
        }
    }
    folders
}

/// A slope by least squares, with what it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slope {
    /// Growth a second.
    pub per_s: f64,
    /// Half the width of its 95 % confidence interval, if errors are independent of each other.
    pub margin: f64,
}

/// The straight line through `points` (seconds, value); `None` for fewer than three, or if all have
/// the same time.
pub fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    let count = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in points {
        xx += (x - mean_x) * (x - mean_x);
        xy += (x - mean_x) * (y - mean_y);
    }
    if xx <= 0.0 {
        return None;
    }
    let per_s = xy / xx;
    let residual = |(x, y): &(f64, f64)| y - mean_y - per_s * (x - mean_x);
    let squares: f64 = points.iter().map(|point| residual(point) * residual(point)).sum();
    let freedom = count - 2.0;
    Some(Slope { per_s, margin: student_t(freedom) * (squares / freedom / xx).sqrt() })
}

/// The two-sided 95 % quantile of Student's t distribution, to 2 % from one degree of freedom on:
/// the first ones by table, then the expansion around the normal quantile (Abramowitz and Stegun,
/// 26.7.5).
fn student_t(freedom: f64) -> f64 {
    const FIRST: [f64; 4] = [12.706, 4.303, 3.182, 2.776];
    match FIRST.get(freedom as usize - 1) {
        Some(value) => *value,
        None => {
            let z: f64 = 1.959_964;
            z + (z.powi(3) + z) / (4.0 * freedom)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom * freedom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found_exactly() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 + 2.5 * f64::from(x))).collect();
        let fit = slope(&points).unwrap();
        assert!((fit.per_s - 2.5).abs() < 1e-9 && fit.margin < 1e-6, "{fit:?}");
    }

    #[test]
    fn chance_shows_in_the_margin() {
        // Worked by hand: the residuals of slope 0.2 have squares that add up to 0.8.
        let fit = slope(&[(0.0, 1.0), (1.0, 2.0), (2.0, 1.0), (3.0, 2.0), (4.0, 2.0)]).unwrap();
        assert!((fit.per_s - 0.2).abs() < 1e-9, "{fit:?}");
        let margin = 3.182 * (0.8_f64 / 3.0 / 10.0).sqrt();
        assert!((fit.margin - margin).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn too_little_has_no_slope() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn quantiles_match_the_table_of_student() {
        for (freedom, wanted) in
            [(1.0, 12.706), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042), (1_000.0, 1.962)]
        {
            let t = student_t(freedom);
            assert!((t - wanted).abs() < 0.02 * wanted, "{freedom}: {t}");
        }
    }

    #[test]
    fn threads_with_the_same_descriptors_count_once() {
        let listing = |name: &str, open: &[u8]| (PathBuf::from(name), open.to_vec());
        let threads = [listing("main", &[0, 1]), listing("log", &[0, 1]), listing("core", &[0, 7])];
        assert_eq!(distinct(threads.to_vec()), [PathBuf::from("main"), PathBuf::from("core")]);
    }

    #[test]
    fn a_quiet_processs_descriptors_are_all_counted() {
        let pipe = std::process::Stdio::piped;
        let mut cat = std::process::Command::new("cat")
            .stdin(pipe())
            .stdout(pipe())
            .stderr(pipe())
            .spawn()
            .unwrap();
        // What cat hands back shows that it runs: until then it may be a copy of this process.
        let (mut input, mut output) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        io::Write::write_all(&mut input, b"x").unwrap();
        io::Read::read_exact(&mut output, &mut [0]).unwrap();
        let open = Tables::of(cat.id()).map(|tables| tables.open());
        let listed = fs::read_dir(format!("/proc/{}/fd", cat.id())).unwrap().count() as u64;
        drop(input);
        cat.wait().unwrap();
        // Its three streams, and what cargo hands down to every process.
        assert!(listed >= 3);
        assert_eq!(open.unwrap(), Some(listed));
        assert!(Tables::of(u32::MAX).is_err());
    }
}
