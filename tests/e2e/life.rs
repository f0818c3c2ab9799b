//! The life of the process: first start, configuration, signals, and an end in order.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::clients::decodes;
use crate::kit::http::{End, Talk, get, get_as};
use crate::kit::server::{FLOE, Server, Setup, mode, run_to_end};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait;

#[test]
fn sigterm_lets_listeners_hear_on_for_the_grace_and_takes_no_new_ones() {
    let mut server = Setup::new().server("drain_grace = \"2s\"").start();
    let _source = Source::start(&server, "/live");
    // So many that there are some on each core: the source is on one of them.
    let mut tunes: Vec<Tune> = (0..12).map(|_| Tune::to(&server, "/live")).collect();
    tunes.iter_mut().for_each(|tune| tune.hear(20));
    let mut kept = Talk::to(&server);
    assert_eq!(kept.send("GET /health HTTP/1.1\r\n\r\n").answer().status, 200);
    let told = Instant::now();
    server.signal("TERM");
    server.wait_line(&["shutting down", "grace=2s"]);
    wait::until_true("nobody new is taken", || TcpStream::connect(server.address()).is_err());
    tunes.iter_mut().for_each(|tune| tune.hear(20));
    assert!(tunes.iter_mut().all(|tune| tune.hear_out() == End::Closed));
    let heard = told.elapsed();
    assert!(heard >= Duration::from_millis(1_900), "they had their grace: {heard:?}");
    assert_eq!(server.wait_exit().code(), Some(0));
    server.wait_line(&["kind=\"listener\"", "reason=\"draining\"", "culprit=Operator"]);
    server.wait_line(&["kind=\"source\"", "reason=\"draining\""]);
    server.wait_line(&["stopped"]);
}

#[test]
fn sigterm_ends_an_idle_server_at_once() {
    let mut server = Setup::new().server("drain_grace = \"5m\"").start();
    let _idle = Talk::to(&server);
    server.signal("TERM");
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_grace() {
    let mut server = Setup::new().server("drain_grace = \"5m\"").start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    server.signal("INT");
    server.wait_line(&["shutting down"]);
    server.signal("TERM");
    assert_eq!(tune.hear_out(), End::Closed);
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn sighup_is_reserved_and_kills_nobody() {
    let mut server = Server::start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    server.signal("HUP");
    server.wait_line(&["SIGHUP"]);
    tune.hear(20);
    assert!(server.runs() && tune.ear.checker.jumps.is_empty());
}

/// `floe serve` in a folder, as one would type it.
fn serve(folder: &Path, listen: &str) -> Command {
    let mut command = Command::new(FLOE);
    command.current_dir(folder).args(["serve", "--listen", listen]);
    command
}

#[test]
fn the_first_start_makes_a_configuration_and_says_its_passwords_once() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let path = folder.path().join("floe.toml");
    let keep = tempfile::tempdir().expect("a writable temporary folder");
    let mut first =
        Server::launch(serve(folder.path(), "127.0.0.1:0"), keep, String::new(), String::new());
    first.wait_line(&["This is shown once"]);
    assert_eq!(mode(&path), 0o600);
    let text = std::fs::read_to_string(&path).expect("it was written");
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).expect("the key is set");
        line.split('"').nth(1).expect("a quoted value").to_owned()
    };
    let (source, admin) = (value("source_password"), value("admin_password"));
    assert!(source.len() >= 16 && admin.len() >= 16 && source != admin, "{text}");
    let log = first.log().join("\n");
    assert!(log.contains(&source) && log.contains(&admin), "{log}");
    let port = first.address().port();
    assert!(log.contains(&format!("http://localhost:{port}/demo")), "{log}");
    decodes(&first, "/demo", 3);
    assert_eq!(get_as(&first, "/admin/x", "admin", &admin).status, 400, "it is the password");
    first.signal("TERM");
    assert_eq!(first.wait_exit().code(), Some(0));
    let keep = tempfile::tempdir().expect("a writable temporary folder");
    let second =
        Server::launch(serve(folder.path(), "127.0.0.1:0"), keep, String::new(), String::new());
    decodes(&second, "/demo", 1);
    let log = second.log().join("\n");
    assert!(!log.contains(&source) && !log.contains(&admin), "{log}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
}

#[test]
fn a_port_in_use_is_one_sentence_with_the_cure() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::write(folder.path().join("floe.toml"), "").expect("the folder is writable");
    let (code, text) = run_to_end(&mut serve(folder.path(), &address));
    assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.starts_with(&format!("floe: cannot listen on {address}")), "{text}");
    assert!(text.contains("another program listens there"), "{text}");
}

#[test]
fn a_port_of_another_floe_is_in_use_too() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::write(folder.path().join("floe.toml"), "").expect("the folder is writable");
    let address = server.address().to_string();
    let (code, text) = run_to_end(&mut serve(folder.path(), &address));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("another program listens there"), "{text}");
    assert_eq!(get(&server, "/health").status, 200);
}

#[test]
fn a_configuration_that_cannot_be_read_is_one_sentence_with_the_cure() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("the folder is writable");
    };
    write("latin.toml", b"# \xe4\n");
    for (name, part) in [
        ("missing.toml", "name another with --config"),
        ("latin.toml", "must be UTF-8"),
        (".", "check the path"),
    ] {
        let mut command = Command::new(FLOE);
        command.current_dir(folder.path()).args(["serve", "--config", name]);
        let (code, text) = run_to_end(&mut command);
        assert_eq!((code, text.lines().count()), (Some(1), 1), "{name}: {text}");
        assert!(text.starts_with("floe: cannot read the configuration"), "{name}: {text}");
        assert!(text.contains(part), "{name}: {text}");
    }
}

#[test]
fn a_configuration_with_faults_stops_the_start_and_names_each() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let text = "[server]\nlissen = [\"127.0.0.1:0\"]\n[limits]\nheader_timeout = \"1 parsec\"\n";
    std::fs::write(folder.path().join("floe.toml"), text).expect("the folder is writable");
    for command in ["serve", "check"] {
        let mut floe = Command::new(FLOE);
        floe.current_dir(folder.path()).arg(command);
        let (code, text) = run_to_end(&mut floe);
        assert_eq!(code, Some(1), "{command}: {text}");
        for part in ["lissen", "listen", "header_timeout", ":2", ":4"] {
            assert!(text.contains(part), "{command}: {part} in {text}");
        }
    }
}

#[test]
fn check_is_content_with_the_configuration_of_a_first_start() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::write(folder.path().join("floe.toml"), "[server]\ndemo = true\n").expect("writable");
    let mut floe = Command::new(FLOE);
    let (code, text) = run_to_end(floe.current_dir(folder.path()).arg("check"));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run_to_end(Command::new(FLOE).arg("--version"));
    assert_eq!((code, text.trim()), (Some(0), concat!("floe ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_environment_wins_over_the_file() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let text = "[server]\nlisten = [\"127.0.0.1:1\"]\nhostname = \"file.example\"\n\
                [auth]\nsource_password = \"from the file\"\nadmin_password = \"from the file\"\n\
                [log]\nlevel = \"error\"\n";
    std::fs::write(folder.path().join("floe.toml"), text).expect("the folder is writable");
    let mut command = Command::new(FLOE);
    command.current_dir(folder.path());
    for (name, value) in [
        ("FLOE_LISTEN", "127.0.0.1:0"),
        ("FLOE_HOSTNAME", "environment.example"),
        ("FLOE_SOURCE_PASSWORD", "source from the environment"),
        ("FLOE_ADMIN_PASSWORD", "admin from the environment"),
        ("FLOE_LOG", "info"),
    ] {
        command.env(name, value);
    }
    let source = "source from the environment".to_owned();
    let admin = "admin from the environment".to_owned();
    let server = Server::launch(command, folder, source, admin);
    let _source = Source::start(&server, "/live");
    assert_eq!(get_as(&server, "/admin/x", "admin", &server.admin_password).status, 400);
    assert_eq!(get_as(&server, "/admin/x", "admin", "from the file").status, 401);
    let host = get(&server, "/status-json.xsl").json()["icestats"]["host"].clone();
    assert_eq!(host, "environment.example");
}

#[test]
fn the_access_log_has_icecasts_lines() {
    let server = Setup::new().log("access = \"./access.log\"").start();
    let _source = Source::start(&server, "/live");
    let mut talk = Talk::to(&server);
    talk.send(
        "GET /live?x=1 HTTP/1.1\r\nUser-Agent: a \"b\"\r\nReferer: http://r.example/\r\n\r\n",
    );
    talk.head();
    talk.bytes(2_000);
    drop(talk);
    let path = server.folder().join("access.log");
    let line = wait::until("the listener's line is written", || {
        let text = std::fs::read_to_string(&path).ok()?;
        text.lines().find(|line| line.contains("GET /live?x=1")).map(str::to_owned)
    });
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let (_, rest) = line.split_once("] ").expect("a date in brackets");
    assert!(rest.starts_with("\"GET /live?x=1 HTTP/1.1\" 200 "), "{line}");
    assert!(rest.contains(" \"http://r.example/\" \"a \\\"b\\\"\" "), "{line}");
    let seconds = line.rsplit(' ').next().and_then(|last| last.parse::<u64>().ok());
    assert!(seconds.is_some(), "{line}");
}
