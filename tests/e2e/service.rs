//! Under a service manager: sockets that it passes. The manager is the test itself, by a bound
//! socket of its own.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::kit::http::{Talk, get};
use crate::kit::server::{FLOE, PASS_STDIN, Setup};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait::{self, PATIENCE};

#[test]
fn a_passed_socket_serves_pages_sources_and_listeners_on_every_core() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let server = Setup::new().passed(&socket).start();
    server.wait_line(&["listening on a passed socket"]);
    assert_eq!(server.address(), socket.local_addr().expect("it is bound"));
    let _source = Source::start(&server, "/live");
    let mut tunes: Vec<Tune> = (0..32).map(|_| Tune::to(&server, "/live")).collect();
    tunes.iter_mut().for_each(|tune| tune.hear(40));
    assert!(tunes.iter().all(|tune| tune.ear.checker.jumps.is_empty()));
    assert_eq!(get(&server, "/health").json()["total_listener_count"], 32);
}

/// Who connects while no server runs waits in the socket, which the manager keeps open.
#[test]
fn a_passed_socket_outlives_its_server_and_loses_nobody() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let mut first = Setup::new().passed(&socket).start();
    assert_eq!(get(&first, "/health").status, 200);
    first.signal("TERM");
    assert_eq!(first.wait_exit().code(), Some(0));
    let mut waiting = Talk::over(TcpStream::connect(first.address()).expect("it still listens"));
    waiting.send("GET /health HTTP/1.1\r\n\r\n");
    let second = Setup::new().passed(&socket).start();
    assert_eq!(waiting.answer().status, 200);
    assert_eq!(get(&second, "/health").status, 200);
}

#[test]
fn a_passed_descriptor_that_is_no_socket_is_one_sentence_with_the_cure() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::write(folder.path().join("floe.toml"), "").expect("the folder is writable");
    let no_socket = File::open("/dev/null").expect("every Linux has it");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("{PASS_STDIN}exec '{FLOE}' serve --listen 127.0.0.1:0"))
        .current_dir(folder.path())
        .stdin(no_socket)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let ended = wait::within(PATIENCE, || child.try_wait().expect("it is our child"));
    if ended.is_none() {
        // It runs although it should have ended; nothing else is left to do with it.
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("it ended");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    assert!(told.contains("passed descriptor 3") && told.contains("ListenStream="), "{told}");
}
