//! Scenarios by the real commands against the real server: exit codes, results, and that nothing
//! outlives the command that started it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const LOADTEST: &str = env!("CARGO_BIN_EXE_floe-loadtest");

/// The server beside the load test, built if need be: cargo builds no other package's binaries for
/// a test.
fn build_floe() {
    let profile = Path::new(LOADTEST).parent().expect("a binary lies in a folder");
    let target = profile.parent().expect("profiles lie in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", "floe", "--bin", "floe"]);
    cargo.arg("--target-dir").arg(target).current_dir(root());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(scenario: &Path, folder: &Path) -> (Output, Option<serde_json::Value>, String) {
    let (json, html) = (folder.join("out.json"), folder.join("out.html"));
    let output = Command::new(LOADTEST)
        .arg("run")
        .arg(scenario)
        .arg("--json")
        .arg(&json)
        .arg("--html")
        .arg(&html)
        .env("TMPDIR", folder)
        .output()
        .expect("the command runs");
    let json = std::fs::read(json).ok().and_then(|text| serde_json::from_slice(&text).ok());
    (output, json, std::fs::read_to_string(html).unwrap_or_default())
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("scenario.toml");
    std::fs::write(&path, text).expect("the folder is writable");
    path
}

/// Folders of servers that are still there.
fn servers_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("floe-")).count()
}

const SHORT: &str = "name = \"short\"\nduration = \"DURATION\"\nlead = \"0s\"\n\
                     [server]\nkind = \"floe\"\n[[source]]\nmount = \"/live\"\n\
                     [[crowd]]\nname = \"few\"\nlisteners = 10\n[limits]\n";

#[test]
fn smoke_keeps_its_limits_and_writes_results_and_report() {
    build_floe();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let scenario = root().join("loadtest/scenarios/smoke.toml");
    let (output, json, html) = run(&scenario, folder.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{output:?}");
    let json = json.expect("results are written");
    let crowd = &json["crowds"][0]["outcome"];
    assert_eq!((&crowd["with_audio"], &crowd["marks"]["lost"]), (&200.into(), &0.into()));
    assert!(crowd["marks"]["frames"].as_u64().is_some_and(|frames| frames > 10_000), "{text}");
    // One a second, of at least four; a machine that does other work may miss some.
    assert!(json["series"].as_array().is_some_and(|points| points.len() >= 2));
    assert!(json["server_cost"]["cost"]["cores"].as_f64().is_some_and(|cores| cores > 0.0));
    assert!(html.contains("<svg") && html.contains("smoke"));
    assert_eq!(servers_in(folder.path()), 0);
}

#[test]
fn a_broken_limit_is_named_and_makes_the_exit_code_1() {
    build_floe();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let text = SHORT.replace("DURATION", "1s") + "max_gap = \"1ms\"\n";
    let (output, json, html) = run(&written(folder.path(), &text), folder.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{output:?}");
    assert!(text.contains("BROKEN           few: max_gap = 0.001 s: "), "{text}");
    assert!(!text.contains("nothing measured"), "{text}");
    assert_eq!(json.expect("results are written")["verdicts"][0]["kept"], false);
    assert!(html.contains("✗ broken"));
}

#[test]
fn what_cannot_run_makes_the_exit_code_2_and_says_why() {
    build_floe();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let cases = [
        (
            SHORT.replace("DURATION", "1s") + "max_gab = \"1s\"\n",
            "line 12: unknown field `max_gab`",
        ),
        (
            SHORT.replace("DURATION", "1s").replace(
                "kind = \"floe\"",
                "kind = \"floe\"\nconfig = \"[server]\\nbeat_maximum = '1s'\"",
            ),
            "beat_maximum",
        ),
    ];
    for (text, part) in cases {
        let (output, ..) = run(&written(folder.path(), &text), folder.path());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(part), "{part:?} in {told}");
        assert_eq!(servers_in(folder.path()), 0);
    }
}

#[test]
fn a_command_that_is_killed_leaves_no_server_behind() {
    build_floe();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let scenario = written(folder.path(), &SHORT.replace("DURATION", "1h"));
    let mut command = Command::new(LOADTEST)
        .arg("run")
        .arg(scenario)
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let stderr = command.stderr.take().expect("stderr is piped");
    let mut lines = BufReader::new(stderr);
    let mut line = String::new();
    while !line.starts_with("holding") {
        line.clear();
        let read = lines.read_line(&mut line).expect("stderr can be read");
        assert!(read > 0, "the command ended before it held the load");
    }
    assert_eq!(servers_in(folder.path()), 1);
    command.kill().expect("it runs");
    command.wait().expect("it is our child");
    // The guard has the same standard error, so its end is the end of this stream.
    lines.read_to_string(&mut line).expect("stderr can be read");
    assert_eq!(servers_in(folder.path()), 0);
}
