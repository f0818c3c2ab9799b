//! Dependencies: each crate has a home, so that leaving it means rewriting one room.

use crate::rust;
use crate::tree::{Fault, File, Tree, lines_of};

/// A pseudo room: code that is compiled for tests alone, `tests/` and `benches/`.
const TESTS: &str = "tests";
/// Where a log line may be written: floors 2 to 4. Hot files are kept out by `bans`.
const LOGGING: &[&str] = &["domain", "rt", "ingest", "edge", "control", "studio", "boot"];

/// Every dependency of `Cargo.toml` and the rooms that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("toml", &["config"]),
    // The checked model carries networks; admission compares addresses with them.
    ("ipnet", &["config", "domain"]),
    ("httparse", &["proto"]),
    ("base64", &["proto"]),
    ("percent-encoding", &["proto"]),
    ("encoding_rs", &["proto"]),
    ("serde_json", &["proto"]),
    ("crc", &["media"]),
    ("memchr", &["media"]),
    ("crossbeam", &["ring"]),
    ("atomic-waker", &["ring"]),
    ("loom", &["ring"]),
    ("glommio", &["rt"]),
    ("futures-io", &["rt"]),
    ("socket2", &["rt"]),
    ("libc", &["rt"]),
    ("core_affinity", &["rt"]),
    // The pump's beats on one side, a source's delays on the other.
    ("tokio", &["control"]),
    ("argon2", &["control"]),
    ("subtle", &["control"]),
    ("getrandom", &["control"]),
    ("clap", &["boot"]),
    ("clap_complete", &["boot"]),
    ("clap_mangen", &["boot"]),
    ("tracing", LOGGING),
    ("tracing-subscriber", &["boot"]),
    ("divan", &[TESTS]),
    ("io-uring", &[TESTS]),
    ("proptest", &[TESTS]),
    ("tempfile", &[TESTS]),
];

/// Crates are named only in their home rooms. Code of tests may name any.
pub fn crates_stay_home(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        let Some(room) = file.room() else { continue };
        for (name, homes) in HOMES.iter().filter(|(_, homes)| !homes.contains(&room)) {
            for line in named_at(file, &name.replace('-', "_")) {
                if !file.is_test_line(line) {
                    let what = format!("`{name}` lives in {}", homes.join(", "));
                    faults.push(Fault::new(file, line, what));
                }
            }
        }
    }
    faults
}

/// Lines where `name` opens a path (`name::…`) or is imported whole (`use name;`).
fn named_at(file: &File, name: &str) -> Vec<usize> {
    let code = file.code.as_str();
    let opens_path = |&at: &usize| {
        let before = code[..at].trim_end_matches(char::is_whitespace);
        let after = &code[at + name.len()..];
        let below_another =
            before.strip_suffix("::").is_some_and(|path| path.ends_with(char::is_alphanumeric));
        !below_another
            && (after.starts_with("::") || (before.ends_with("use") && !after.starts_with('(')))
    };
    rust::find(code, name).filter(opens_path).map(|at| rust::line_of(code, at)).collect()
}

/// Every dependency has a row in [`HOMES`] and default features off; every row a dependency.
pub fn dependencies_have_homes(tree: &Tree) -> Vec<Fault> {
    let Some(manifest) = tree.file("Cargo.toml") else { return Vec::new() };
    let dependencies = dependencies(&manifest.text);
    let mut faults = Vec::new();
    for (line, name, value) in &dependencies {
        if !HOMES.iter().any(|(home, _)| home == name) {
            let what = format!("`{name}` has no home: add a row to tests/tidy/crates.rs");
            faults.push(Fault::new(manifest, *line, what));
        }
        if !value.contains("default-features = false") && !value.contains("path =") {
            faults.push(Fault::new(manifest, *line, format!("`{name}`: default features off")));
        }
    }
    for (home, _) in HOMES {
        if !dependencies.iter().any(|(_, name, _)| name == home) {
            faults.push(Fault::new(manifest, 0, format!("`{home}` has a home and is not used")));
        }
    }
    faults
}

/// Line, name and value of each entry in a section of dependencies.
fn dependencies(manifest: &str) -> Vec<(usize, &str, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end().ends_with("dependencies]");
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside)
            && !line.starts_with('#')
        {
            found.push((index + 1, name.trim(), value.trim()));
        }
    }
    found
}

#[test]
fn a_crate_outside_its_home_is_caught() {
    let cases = [
        ("src/edge/pump.rs", "use glommio::timer::Timer;"),
        ("src/domain/stats.rs", "fn f() { ::libc::getpid(); }"),
        ("src/edge/pump.rs", "use {std::io, serde_json::json};"),
        ("src/proto/http.rs", "use tracing;"),
        ("src/boot/run.rs", "use tempfile::tempdir;"),
    ];
    for (path, text) in cases {
        assert_eq!(lines_of(crates_stay_home, path, text), [1], "{path}: {text}");
    }
}

#[test]
fn a_crate_at_home_or_in_a_test_is_not() {
    let cases = [
        ("src/rt/net.rs", "use glommio::net;"),
        ("src/edge/pump.rs", "use crate::rt::glommio::now;"),
        ("src/edge/pump.rs", "fn f(toml: u8, serde: u8) -> u8 { toml + serde }"),
        ("src/edge/pump.rs", "#[cfg(test)]\nmod tests { use proptest::prelude::any; }"),
        ("tests/wire.rs", "use serde_json::Value;"),
        ("src/boot/log.rs", "use tracing_subscriber::fmt;"),
    ];
    for (path, text) in cases {
        assert_eq!(lines_of(crates_stay_home, path, text), [], "{path}: {text}");
    }
}

#[test]
fn dependencies_are_read_from_every_section() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# rt\na = \"1\"\n\
                    [target.'cfg(loom)'.dependencies]\nb = { version = \"2\" }\n\
                    [lints.rust]\nc = 1\n";
    let names: Vec<_> =
        dependencies(manifest).iter().map(|(line, name, _)| (*line, *name)).collect();
    assert_eq!(names, [(5, "a"), (7, "b")]);
}

#[test]
fn a_dependency_without_home_or_with_default_features_is_caught() {
    let all: String = HOMES
        .iter()
        .map(|(name, _)| format!("{name} = {{ version = \"1\", default-features = false }}\n"))
        .collect();
    let faults = |more: &str| {
        lines_of(dependencies_have_homes, "Cargo.toml", &format!("[dependencies]\n{all}{more}"))
    };
    let last = HOMES.len() + 2;
    assert_eq!(faults(""), []);
    assert_eq!(faults("left-pad = { default-features = false }"), [last]);
    assert_eq!(faults("left-pad = { version = \"1\" }"), [last, last]);
    let unused = lines_of(dependencies_have_homes, "Cargo.toml", "");
    assert_eq!(unused.len(), HOMES.len());
}
