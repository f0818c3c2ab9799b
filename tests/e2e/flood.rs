//! More connections than anyone needs: thousands that never finish their head, and more than there
//! are descriptors. Those who listen, and those who come to listen, are served all the same.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Instant;

use crate::kit::http::{Talk, connect_from, get};
use crate::kit::server::{Server, Setup};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait;

/// Connections that have sent the beginning of a head, from many addresses.
fn half_open(server: &Server, count: usize) -> Vec<TcpStream> {
    let connect = |number: usize| {
        let own = Ipv4Addr::new(127, 0, 2 + (number / 250) as u8, 1 + (number % 250) as u8);
        let mut stream = connect_from(own, server.address());
        stream.write_all(b"GET /live HTTP/1.1\r\nX-Slow: ").expect("a fresh connection");
        stream
    };
    (0..count).map(connect).collect()
}

/// Raises the soft limit of open files, for this process holds every connection as well.
fn allow_descriptors(count: u64) {
    let limit = floe::rt::fds::raise_open_files().expect("the limit can be read");
    assert!(limit.soft >= count, "this test holds {count} sockets: raise ulimit -Hn");
}

#[test]
fn ten_thousand_half_open_connections_keep_nobody_waiting() {
    allow_descriptors(15_000);
    let server = Setup::new().limits("header_timeout = \"10s\"").start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::with_titles(&server, "/live");
    tune.hear(20);
    let began = Instant::now();
    let slow = half_open(&server, 10_000);
    assert!(began.elapsed().as_secs() < 8, "they are to be open all at once: {began:?}");
    tune.hear(40);
    let asked = Instant::now();
    let mut newcomer = Tune::to(&server, "/live");
    newcomer.hear(20);
    assert!(asked.elapsed().as_secs() < 3, "a newcomer is served at once: {asked:?}");
    assert_eq!(get(&server, "/health").status, 200);
    for stream in [&slow[0], &slow[5_000], &slow[9_999]] {
        let stream = stream.try_clone().expect("a descriptor is free");
        assert_eq!(Talk::over(stream).answer().status, 408);
    }
    drop(slow);
    tune.hear(40);
    assert!(tune.ear.checker.jumps.is_empty() && newcomer.ear.checker.jumps.is_empty());
}

#[test]
fn out_of_descriptors_accepting_pauses_and_goes_on() {
    allow_descriptors(4_000);
    let mut server =
        Setup::new().cores(&[0]).open_files(1_200).limits("header_timeout = \"5m\"").start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    let mut waiting = half_open(&server, 2_000);
    let line = server.wait_line(&["WARN", "accepting pauses", "Too many open files"]);
    assert!(line.contains("raise LimitNOFILE"), "{line}");
    tune.hear(40);
    // A newcomer waits in the backlog behind 800 others until half of all have left.
    let mut newcomer = Talk::to(&server);
    newcomer.send("GET /health HTTP/1.0\r\n\r\n");
    waiting.drain(..1_500);
    assert_eq!(newcomer.answer().status, 200);
    tune.hear(20);
    assert!(tune.ear.checker.jumps.is_empty() && server.runs());
    let pauses = server.log().iter().filter(|line| line.contains("accepting pauses")).count();
    assert!(pauses < 100, "{pauses} lines: the pause keeps the log short");
}

#[test]
fn a_thousand_connections_a_second_that_leave_at_once_leave_nothing() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    for round in 0..10 {
        let mut talks: Vec<Talk> = (0..100).map(|_| Talk::to(&server)).collect();
        for (number, talk) in talks.iter_mut().enumerate() {
            if number % 2 == round % 2 {
                talk.send("GET /live HTTP/1.0\r\n\r\n");
            }
        }
    }
    wait::until_true("only one listener is left", || {
        get(&server, "/health").json()["total_listener_count"] == 1
    });
    tune.hear(20);
    assert!(tune.ear.checker.jumps.is_empty());
}
