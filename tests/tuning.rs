//! `floe tune` and `tuning/steer` on a host made of files: what is set is restored to the last
//! value, and what is somebody else's is left alone. Neither touches the machine it runs on.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A host of these files below a folder of its own.
fn host(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    for (path, text) in files {
        write(folder.path(), path, text);
    }
    folder
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("it is ours");
    fs::write(path, text).expect("it is ours");
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).expect("it is there").trim().to_owned()
}

/// Every file below `root` with its text, in order.
fn snapshot(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is ours") {
            let path = entry.expect("it is ours").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("it is text");
                found.push((path.display().to_string(), text.trim().to_owned()));
            }
        }
    }
    found.sort();
    found
}

/// A small server with defaults. The folders of `/etc` are there, each with a file of its own.
const SMALL: &[(&str, &str)] = &[
    ("proc/sys/net/ipv4/tcp_mem", "287898 383867 575796"),
    ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "1"),
    ("proc/sys/net/core/somaxconn", "128"),
    ("proc/sys/fs/nr_open", "1048576"),
    ("proc/sys/kernel/osrelease", "6.1.0-18-amd64"),
    ("proc/meminfo", "MemTotal: 25165824 kB"),
    ("etc/sysctl.d/10-mine.conf", "vm.swappiness = 10"),
    ("etc/security/limits.d/10-mine.conf", "# mine"),
];

/// `floe tune` on a host, without a configuration or an environment of its own.
fn tune(host: &TempDir, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_floe"))
        .current_dir(host.path())
        .env_clear()
        .arg("tune")
        .args(words)
        .arg("--root")
        .arg(host.path())
        .output()
        .expect("the binary starts")
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).expect("it prints text")
}

/// It would set `tcp_mem` to fifty pages, and the host could not be reached any more.
#[test]
fn a_file_for_few_listeners_on_any_host_does_not_starve_it() {
    let host = host(&[]);
    let few = said(&tune(&host, &["--sysctl-file", "--listeners", "10"]));
    assert_eq!(few, said(&tune(&host, &["--sysctl-file"])));
    let many = said(&tune(&host, &["--sysctl-file", "--listeners", "200000"]));
    assert!(many.contains("net.ipv4.tcp_mem = 1000000 "), "{many}");
}

#[test]
fn apply_and_undo_leave_the_host_as_it_was() {
    let host = host(SMALL);
    let before = snapshot(host.path());
    let words = ["--listeners", "150000"];
    let low = tune(&host, &[&words[..], &["--check"]].concat());
    assert_eq!(low.status.code(), Some(1), "{}", said(&low));
    assert!(said(&low).contains("does not carry 150,000 listeners until these are set: net.ipv4."));
    assert_eq!(snapshot(host.path()), before, "looking changes nothing");

    let applied = tune(&host, &[&words[..], &["--apply"]].concat());
    assert_eq!(applied.status.code(), Some(0), "{}", said(&applied));
    assert_eq!(read(host.path(), "proc/sys/net/ipv4/tcp_mem"), "750000 1500000 2250000");
    assert_eq!(read(host.path(), "proc/sys/net/core/somaxconn"), "4096");
    let file = read(host.path(), "etc/sysctl.d/60-floe.conf");
    assert!(file.contains("# before: 128\nnet.core.somaxconn = 4096"), "{file}");
    let enough = tune(&host, &[&words[..], &["--check"]].concat());
    assert_eq!(enough.status.code(), Some(0), "{}", said(&enough));

    let undone = tune(&host, &["--undo"]);
    assert_eq!(undone.status.code(), Some(0), "{}", said(&undone));
    assert_eq!(snapshot(host.path()), before);
}

#[test]
fn a_file_that_floe_did_not_write_stops_apply_and_undo() {
    let host = host(SMALL);
    write(host.path(), "etc/sysctl.d/60-floe.conf", "net.core.somaxconn = 1024\n");
    let before = snapshot(host.path());
    for option in ["--apply", "--undo"] {
        let refused = tune(&host, &[option]);
        assert_eq!(refused.status.code(), Some(1), "{option}");
        assert!(said(&refused).contains("was not written by floe tune --apply"), "{option}");
        assert_eq!(snapshot(host.path()), before, "{option}");
    }
}

#[test]
fn the_configuration_says_how_many_listeners_and_how_long_a_queue() {
    let host = host(SMALL);
    let config = "[server]\nbacklog = 20000\n[limits]\nlisteners = 30000\n";
    write(host.path(), "floe.toml", config);
    let json = said(&tune(&host, &["--json"]));
    assert!(json.starts_with("{\"listeners\":30000,"), "{json}");
    assert!(json.contains("\"set\":\"sysctl -w net.core.somaxconn=20000\""), "{json}");
    let missing = tune(&host, &["--config", "gone.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("cannot read the configuration gone.toml"));
}

/// A card with two pairs of queues, as virtio makes them, on a machine of four CPUs.
fn machine() -> TempDir {
    let host = host(&[
        ("sys/class/net/eth0/device/vendor", "0x1af4"),
        ("sys/class/net/eth0/queues/rx-0/rps_cpus", "0"),
        ("sys/class/net/eth0/queues/rx-1/rps_cpus", "0"),
        ("sys/class/net/eth0/queues/tx-0/xps_cpus", "0"),
        ("sys/class/net/eth0/queues/tx-1/xps_cpus", "0"),
        ("sys/class/net/lo/queues/rx-0/rps_cpus", "0"),
    ]);
    for cpu in 0..4 {
        write(host.path(), &format!("sys/devices/system/cpu/cpu{cpu}/online"), "1");
    }
    let handlers = ["v-config", "v-input.0", "v-output.0", "v-input.1", "v-output.1"];
    for (irq, handler) in (37..).zip(handlers) {
        write(host.path(), &format!("sys/class/net/eth0/device/msi_irqs/{irq}"), "msix");
        write(host.path(), &format!("proc/irq/{irq}/smp_affinity_list"), "0-3");
        write(host.path(), &format!("proc/irq/{irq}/{handler}/empty"), "");
    }
    host
}

fn steer(host: &TempDir, words: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/steer");
    let mut command = Command::new(script);
    command.env("FLOE_STEER_ROOT", host.path()).args(words).output().expect("bash is there")
}

#[test]
fn steering_gives_each_queue_its_cpu_and_takes_it_back() {
    let host = machine();
    let before = snapshot(host.path());
    let shown = steer(&host, &["--dry-run", "eth0", "0-3"]);
    assert!(shown.status.success(), "{}", said(&shown));
    let wanted = "/proc/irq/37/smp_affinity_list: 0-3 -> 0\n\
                  /proc/irq/38/smp_affinity_list: 0-3 -> 0\n\
                  /proc/irq/39/smp_affinity_list: 0-3 -> 0\n\
                  /proc/irq/40/smp_affinity_list: 0-3 -> 1\n\
                  /proc/irq/41/smp_affinity_list: 0-3 -> 1\n\
                  /sys/class/net/eth0/queues/rx-0/rps_cpus: 0 -> f\n\
                  /sys/class/net/eth0/queues/rx-1/rps_cpus: 0 -> f\n\
                  /sys/class/net/eth0/queues/tx-0/xps_cpus: 0 -> 5\n\
                  /sys/class/net/eth0/queues/tx-1/xps_cpus: 0 -> a\n";
    assert_eq!(said(&shown), wanted);
    assert_eq!(snapshot(host.path()), before, "a dry run changes nothing");

    assert!(steer(&host, &["eth0", "0-3"]).status.success());
    // The second time what was first is what is restored.
    assert!(steer(&host, &["eth0", "2,3"]).status.success());
    assert_eq!(read(host.path(), "proc/irq/40/smp_affinity_list"), "3");
    assert_eq!(read(host.path(), "sys/class/net/eth0/queues/rx-0/rps_cpus"), "0");
    assert!(steer(&host, &["--undo", "eth0"]).status.success());
    assert_eq!(snapshot(host.path()), before);
    assert!(!steer(&host, &["--undo", "eth0"]).status.success(), "there is nothing left to undo");
}

#[test]
fn steering_refuses_what_it_cannot_mean() {
    let host = machine();
    let before = snapshot(host.path());
    let cases: &[(&[&str], &str)] = &[
        (&["eth1", "0"], "there is no interface eth1"),
        (&["lo", "0"], "lo has no device behind it"),
        (&["eth0", "0-9"], "there is no CPU 4"),
        (&["eth0", "3-1"], "3-1 runs backwards"),
        (&["eth0", "all"], "all is no list of CPUs"),
        (&["../eth0", "0"], "is no name of an interface"),
        (&["eth0"], "give NIC and CPUS"),
        (&["--dry", "eth0", "0"], "no option is called --dry"),
    ];
    for (words, reason) in cases {
        let refused = steer(&host, words);
        assert!(!refused.status.success(), "{words:?}");
        assert!(said(&refused).contains(reason), "{words:?}: {}", said(&refused));
    }
    assert_eq!(snapshot(host.path()), before);
}
