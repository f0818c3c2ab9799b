//! Under a service manager: what it is told, the watchdog, and sockets that it passes. The manager
//! is the test itself, by a datagram socket and a bound socket of its own.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::kit::http::{End, Talk, get};
use crate::kit::server::{FLOE, PASS_STDIN, Setup};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait::{self, PATIENCE};

/// What a server tells its service manager.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("it is writable");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        Self { socket, folder }
    }

    fn setup(&self) -> Setup {
        let path = self.folder.path().join("notify").display().to_string();
        Setup::new().variable("NOTIFY_SOCKET", path)
    }

    /// The next message.
    #[track_caller]
    fn hear(&self) -> String {
        let mut buffer = [0; 1024];
        let count = self.socket.recv(&mut buffer).expect("the server tells something");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// The next message with this line in it; what comes before is dropped.
    #[track_caller]
    fn hear_line(&self, line: &str) -> String {
        let began = Instant::now();
        loop {
            let message = self.hear();
            if message.lines().any(|told| told == line) {
                return message;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {line}; last: {message}");
        }
    }
}

#[test]
fn ready_is_told_when_the_port_answers_and_counts_when_they_change() {
    let manager = Manager::new();
    let server = manager.setup().start();
    manager.hear_line("READY=1");
    let mut talk = Talk::to(&server);
    assert_eq!(talk.send("GET /health HTTP/1.1\r\n\r\n").answer().json()["status"], "ok");
    let _source = Source::start(&server, "/live");
    manager.hear_line("STATUS=0 listeners (peak 0), 1 source");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    manager.hear_line("STATUS=1 listener (peak 1), 1 source");
}

#[test]
fn a_drain_is_told_with_the_time_it_takes() {
    let manager = Manager::new();
    let mut server = manager.setup().server("drain_grace = \"1m\"").start();
    manager.hear_line("READY=1");
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    server.signal("TERM");
    let message = manager.hear_line("STOPPING=1");
    assert!(message.contains("STATUS=Draining: 1 listener"), "{message}");
    assert!(message.contains("EXTEND_TIMEOUT_USEC="), "{message}");
    // A grace that outlasts the manager's patience asks for more of it.
    manager.hear_line("EXTEND_TIMEOUT_USEC=15000000");
    tune.hear(10);
    server.signal("TERM");
    assert_eq!(tune.hear_out(), End::Closed);
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_in_time_again_and_again() {
    let manager = Manager::new();
    // A ping comes at half of it, so four seconds are left for a machine that does other work.
    let _server = manager.setup().variable("WATCHDOG_USEC", "8000000").start();
    manager.hear_line("READY=1");
    for _ in 0..2 {
        let began = Instant::now();
        manager.hear_line("WATCHDOG=1");
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(8), "the server would have been killed: {waited:?}");
    }
}

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
