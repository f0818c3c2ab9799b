//! The host as files: `/proc` and `/sys` below a root, which is another folder in tests. What is
//! not there, as in a container, is left out and no fault.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::tuning::{Facts, Nic, SYSCTLS};

/// A host below some root.
#[derive(Debug)]
pub(super) struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose files are below `root`.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// An absolute path of the host, below its root.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether this process may change the host: a host in a folder is whoever's the folder is.
    pub(super) fn may_change(&self) -> bool {
        // The owner of /proc/self is the effective user.
        self.root != Path::new("/")
            || fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
    }

    /// Everything that is judged.
    pub(super) fn facts(&self) -> Facts {
        let sysctl = |key: &'static str| Some((key.to_owned(), self.sysctl(key)?));
        let sysctls: BTreeMap<_, _> = SYSCTLS.iter().filter_map(|row| sysctl(row.key)).collect();
        Facts {
            sysctls,
            kernel: self.read("/proc/sys/kernel/osrelease"),
            open_files: self.limit("Max open files"),
            locked_bytes: self.limit("Max locked memory"),
            governors: self.governors(),
            huge_pages: self.huge_pages(),
            nics: self.nics(),
        }
    }

    /// A kernel variable, its white space made single blanks.
    pub(super) fn sysctl(&self, key: &str) -> Option<String> {
        let text = fs::read_to_string(self.sysctl_path(key)).ok()?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Sets a kernel variable that is there.
    pub(super) fn set_sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        // The kernel takes a value from one write, and reports its fault there.
        let mut file = OpenOptions::new().write(true).truncate(true).open(self.sysctl_path(key))?;
        file.write_all(value.as_bytes())
    }

    fn sysctl_path(&self, key: &str) -> PathBuf {
        self.path("/proc/sys").join(key.replace('.', "/"))
    }

    /// Memory in bytes; 0 = unknown.
    pub(super) fn memory_bytes(&self) -> u64 {
        let text = self.read("/proc/meminfo").unwrap_or_default();
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// A hard limit of this process by its name in `/proc/self/limits` (proc_pid_limits(5)).
    fn limit(&self, name: &str) -> Option<u64> {
        let text = self.read("/proc/self/limits")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        match line.split_whitespace().nth(1)? {
            "unlimited" => Some(u64::MAX),
            hard => hard.parse().ok(),
        }
    }

    fn governors(&self) -> Vec<String> {
        let cpus = self.names("/sys/devices/system/cpu");
        let governor = |cpu: &String| {
            self.read(&format!("/sys/devices/system/cpu/{cpu}/cpufreq/scaling_governor"))
        };
        cpus.iter().filter(|name| name.starts_with("cpu")).filter_map(governor).collect()
    }

    /// The mode in brackets: `always [madvise] never`.
    fn huge_pages(&self) -> Option<String> {
        let text = self.read("/sys/kernel/mm/transparent_hugepage/enabled")?;
        let (_, rest) = text.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    }

    /// Interfaces with a device behind them; loopback, bridges and tunnels have none.
    fn nics(&self) -> Vec<Nic> {
        let names = self.names("/sys/class/net");
        let real = |name: &String| self.path(&format!("/sys/class/net/{name}/device")).exists();
        names.into_iter().filter(real).map(|name| self.nic(name)).collect()
    }

    fn nic(&self, name: String) -> Nic {
        let folder = format!("/sys/class/net/{name}/queues");
        let queues: Vec<_> =
            self.names(&folder).into_iter().filter(|queue| queue.starts_with("rx-")).collect();
        let spread = queues.iter().any(|queue| {
            let mask = self.read(&format!("{folder}/{queue}/rps_cpus")).unwrap_or_default();
            mask.contains(|digit: char| digit.is_ascii_hexdigit() && digit != '0')
        });
        Nic { name, receive_queues: queues.len() as u64, spread }
    }

    /// A file's text without white space around it.
    fn read(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.path(path)).ok()?.trim().to_owned())
    }

    /// What lies in a folder, in order.
    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = Host::at(folder.path());
        (folder, host)
    }

    #[test]
    fn a_host_is_read_as_its_files_say() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 20000                files\n\
                      Max locked memory         8388608              unlimited            bytes\n";
        let (_folder, host) = host(&[
            ("proc/sys/net/ipv4/tcp_mem", "1\t2\t3\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            ("proc/self/limits", limits),
            ("proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/class/net/eth0/device/vendor", "0x1\n"),
            ("sys/class/net/eth0/queues/rx-0/rps_cpus", "00000000,00000003\n"),
            ("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n"),
            ("sys/class/net/eth0/queues/tx-0/xps_cpus", "1\n"),
            ("sys/class/net/lo/queues/rx-0/rps_cpus", "0\n"),
        ]);
        let facts = host.facts();
        let sysctls = [("net.ipv4.tcp_mem".to_owned(), "1 2 3".to_owned())];
        assert_eq!(facts.sysctls, sysctls.into());
        assert_eq!(facts.kernel.as_deref(), Some("6.1.0-18-amd64"));
        assert_eq!((facts.open_files, facts.locked_bytes), (Some(20_000), Some(u64::MAX)));
        assert_eq!(host.memory_bytes(), 1 << 20);
        assert_eq!(facts.governors, ["powersave"]);
        assert_eq!(facts.huge_pages.as_deref(), Some("madvise"));
        let nic = Nic { name: "eth0".into(), receive_queues: 2, spread: true };
        assert_eq!(facts.nics, [nic]);
    }

    #[test]
    fn an_empty_host_has_nothing_and_is_no_fault() {
        let (_folder, host) = host(&[]);
        assert_eq!(host.facts(), Facts::default());
        assert_eq!(host.memory_bytes(), 0);
        assert!(host.set_sysctl("net.ipv4.tcp_mem", "1 2 3").is_err(), "none is made");
        assert!(host.may_change(), "a folder is no host that needs root");
    }

    #[test]
    fn a_shorter_value_leaves_nothing_of_a_longer_one() {
        let (_folder, host) = host(&[("proc/sys/net/core/somaxconn", "65536\n")]);
        host.set_sysctl("net.core.somaxconn", "128").unwrap();
        assert_eq!(host.sysctl("net.core.somaxconn").as_deref(), Some("128"));
    }
}
