//! Sources that end, fail, fall silent, come back and take each other's place, with listeners on.

use std::time::Duration;

use crate::kit::crowd::{Crowd, Habit};
use crate::kit::http::{End, Talk, authorization, get};
use crate::kit::random::Random;
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Reel, Source};
use crate::kit::tune::Tune;

/// A reel that begins at `first`, so that it cannot be taken for another.
fn reel(first: u64) -> Reel {
    Reel { first, speed: 2.0, ..Reel::default() }
}

/// A server with a crowd on `/live` that keeps up with its source.
fn crowd_on(server: &Server, count: usize) -> Crowd {
    let mut crowd = Crowd::new(Random::seeded());
    crowd.join(server, "/live", count, |random| Habit::greedy(random.between(0, 1) == 1));
    crowd
}

#[test]
fn listeners_are_held_and_go_on_with_the_source_that_returns() {
    let server = Server::start();
    let source = Source::play(&server, "/live", reel(0));
    let mut crowd = crowd_on(&server, 300);
    crowd.listen_until("all hear the first", |fans| fans.iter().all(|fan| fan.frames() > 100));
    let sent = source.end();
    server.wait_line(&["kind=\"source\"", "reason=\"peer_left\""]);
    crowd.listen_for(Duration::from_millis(1_500));
    assert_eq!(crowd.present(), 300, "they are held for `linger`");
    let _source = Source::play(&server, "/live", reel(1_000_000));
    crowd.listen_until("all hear the second", |fans| fans.iter().all(|fan| fan.last() > 1_000_100));
    for fan in &crowd.fans {
        let checker = &fan.ear.as_ref().expect("it heard frames").checker;
        assert_eq!(checker.jumps, [(sent - 1, 1_000_000)], "all of the first, all of the second");
    }
}

#[test]
fn a_crowd_outlives_sources_that_break_off() {
    let server = Server::start();
    let mut source = Source::play(&server, "/live", reel(0));
    let mut crowd = crowd_on(&server, 400);
    for round in 1..=4 {
        let heard = source.next() + 60;
        crowd
            .listen_until("all hear the source", |fans| fans.iter().all(|fan| fan.last() >= heard));
        source.reset();
        source = loop {
            // The server may not have seen the end yet; an encoder tries again as well.
            match Source::try_play(&server, "/live", reel(round * 1_000_000)) {
                Ok(source) => break source,
                Err(answer) => assert_eq!(answer.status, 403, "{answer:?}"),
            }
            crowd.listen_for(Duration::from_millis(50));
        };
    }
    crowd.listen_until("all hear the last", |fans| fans.iter().all(|fan| fan.last() > 4_000_100));
    assert_eq!(crowd.present(), 400);
    for fan in &crowd.fans {
        let checker = &fan.ear.as_ref().expect("it heard frames").checker;
        assert_eq!(checker.jumps.len(), 4, "{:?}", checker.jumps);
    }
}

#[test]
fn listeners_leave_when_linger_is_over() {
    let server = Setup::new().mount("/live", "linger = \"1s\"").start();
    let source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    source.end();
    assert_eq!(tune.hear_out(), End::Closed);
    server.wait_line(&["kind=\"listener\"", "reason=\"source_gone\"", "culprit=Upstream"]);
    assert_eq!(get(&server, "/live").status, 404);
}

#[test]
fn a_listener_may_come_while_the_mount_waits_for_its_source() {
    let server = Server::start();
    let source = Source::play(&server, "/live", reel(0));
    Tune::to(&server, "/live").hear(20);
    source.end();
    server.wait_line(&["kind=\"source\"", "reason=\"peer_left\""]);
    let mut tune = Tune::to(&server, "/live");
    let _source = Source::play(&server, "/live", reel(1_000_000));
    tune.hear_number(1_000_050);
}

#[test]
fn a_second_source_is_refused_in_icecasts_words() {
    let server = Server::start();
    let source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    let refused = Source::try_play(&server, "/live", reel(1_000_000)).err().expect("refused");
    assert_eq!((refused.status, refused.text().as_str()), (403, "Mountpoint in use"));
    tune.hear_number(source.next() + 20);
    assert!(tune.ear.checker.jumps.is_empty());
}

#[test]
fn a_second_source_takes_over_where_the_mount_allows_it() {
    let server = Setup::new().mount("/live", "takeover = true").start();
    let first = Source::play(&server, "/live", reel(0));
    let mut crowd = crowd_on(&server, 100);
    crowd.listen_until("all hear the first", |fans| fans.iter().all(|fan| fan.frames() > 50));
    let _second = Source::play(&server, "/live", reel(1_000_000));
    first.wait_dropped();
    server.wait_line(&["kind=\"source\"", "reason=\"taken_over\"", "culprit=Operator"]);
    crowd.listen_until("all hear the second", |fans| fans.iter().all(|fan| fan.last() > 1_000_050));
    assert_eq!(crowd.present(), 100);
    for fan in &crowd.fans {
        let jumps = &fan.ear.as_ref().expect("it heard frames").checker.jumps;
        assert!(jumps.len() == 1 && jumps[0].1 == 1_000_000, "{jumps:?}");
    }
}

#[test]
fn a_silent_source_loses_the_mount() {
    let server = Setup::new().limits("source_timeout = \"1s\"").start();
    let ghost = Source::play(&server, "/live", reel(0));
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    ghost.fall_silent();
    ghost.wait_dropped();
    server.wait_line(&["kind=\"source\"", "reason=\"source_silent\"", "culprit=Peer"]);
    let _source = Source::play(&server, "/live", reel(1_000_000));
    tune.hear_number(1_000_050);
}

#[test]
fn a_source_that_connects_and_sends_nothing_loses_the_mount_too() {
    let server = Setup::new().limits("source_timeout = \"1s\"").start();
    let silent = Source::play(&server, "/live", Reel { speed: 0.0, ..Reel::default() });
    silent.wait_dropped();
    server.wait_line(&["kind=\"source\"", "reason=\"source_silent\"", "bytes=0"]);
}

#[test]
fn another_format_releases_those_who_cannot_decode_it() {
    let server = Server::start();
    let source = Source::play(&server, "/live", reel(0));
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    source.end();
    server.wait_line(&["kind=\"source\"", "reason=\"peer_left\""]);
    let line = authorization("source", &server.source_password);
    let mut other = Talk::to(&server);
    let kind = "Content-Type: application/octet-stream\r\n";
    other.send(format!("PUT /live HTTP/1.1\r\n{line}{kind}\r\n"));
    assert_eq!(other.head().status, 200);
    other.send("bytes of no known kind");
    assert_eq!(tune.hear_out(), End::Closed);
    server.wait_line(&["kind=\"listener\"", "reason=\"format_changed\"", "culprit=Upstream"]);
    other.send(", and more of them");
    let mut newcomer = Talk::to(&server);
    newcomer.send("GET /live HTTP/1.0\r\n\r\n");
    assert_eq!(newcomer.head().header("content-type"), Some("application/octet-stream"));
    assert_eq!(newcomer.bytes(5), b"bytes");
}

#[test]
fn the_same_bytes_under_another_content_type_keep_everyone() {
    let server = Server::start();
    let source = Source::play(&server, "/live", reel(0));
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    source.end();
    server.wait_line(&["kind=\"source\"", "reason=\"peer_left\""]);
    let other = Reel { content_type: "application/octet-stream", ..reel(1_000_000) };
    let _source = Source::play(&server, "/live", other);
    tune.hear_number(1_000_040);
    server.wait_line(&["another format", "found=\"MPEG audio\""]);
    assert_eq!(Tune::to(&server, "/live").head.header("content-type"), Some("audio/mpeg"));
}
