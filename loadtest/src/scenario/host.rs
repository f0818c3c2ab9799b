//! The machine: what it is, for the report, and what a scenario wishes it were. Wishes are only
//! looked at. Nothing here changes a setting: that is the owner's.

use super::Host;
use crate::worker;
use serde::Serialize;
use std::fs;

/// What figures were measured on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Model of the first CPU.
    pub cpu: String,
    /// CPUs that this process may run on.
    pub cpus: usize,
    /// Kernel release.
    pub kernel: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Descriptors that one table may have (hard limit).
    pub descriptors: u64,
}

impl Machine {
    /// Looks at this machine; what it does not tell stays empty.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            cpu: after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory: kib.saturating_mul(1_024),
            descriptors: worker::descriptor_limit(),
        }
    }
}

/// One warning for each setting that is below what the scenario wants, with the command that sets
/// it.
pub fn wishes(host: &Host) -> Vec<String> {
    let unmet = host.sysctl.iter().filter_map(|(name, wanted)| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let set = fs::read_to_string(path).ok();
        let is_met = set.as_deref().is_some_and(|set| is_at_least(set, wanted));
        (!is_met).then(|| {
            let set = set.map_or_else(|| "not there".into(), |set| words(&set).join(" "));
            format!("{name} is {set}; this scenario wants: sysctl -w {name}=\"{wanted}\"")
        })
    });
    unmet.collect()
}

/// Whether each number of `set` is at least that of `wanted` in its place.
fn is_at_least(set: &str, wanted: &str) -> bool {
    let (set, wanted) = (words(set), words(wanted));
    set.len() == wanted.len()
        && set.iter().zip(&wanted).all(|(set, wanted)| {
            match (set.parse::<u64>(), wanted.parse::<u64>()) {
                (Ok(set), Ok(wanted)) => set >= wanted,
                _ => set == wanted,
            }
        })
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_compared_number_by_number() {
        assert!(is_at_least("287898\t383867\t575796\n", "287898 383867 575796"));
        assert!(!is_at_least("287898\t383867\t575796\n", "1 1 575797"));
        assert!(!is_at_least("1 2", "1 2 3"));
        assert!(is_at_least("bbr\n", "bbr") && !is_at_least("cubic", "bbr"));
    }

    #[test]
    fn an_unmet_wish_names_the_command() {
        let mut host = Host::default();
        host.sysctl.insert("kernel.pid_max".into(), "1".into());
        assert_eq!(wishes(&host), Vec::<String>::new());
        host.sysctl.insert("net.no.such".into(), "7".into());
        let told = wishes(&host);
        assert!(told.len() == 1 && told[0].contains("sysctl -w net.no.such=\"7\""), "{told:?}");
    }

    #[test]
    fn this_machine_tells_what_it_is() {
        let machine = Machine::look();
        assert!(machine.cpus > 0 && machine.memory > 0 && !machine.kernel.is_empty());
    }
}
