//! Streams that are not what they should be: framing that lies, garbage where frames belong,
//! sources much too fast, connections that break in the middle.

use std::time::Duration;

use crate::kit::crowd::{Crowd, Habit};
use crate::kit::frames::{FRAME_BYTES, frames};
use crate::kit::http::{End, Talk, authorization, get};
use crate::kit::random::Random;
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Reel, Source, wait_known};
use crate::kit::tune::Tune;
use crate::wait;

/// A connection that is let in as the source of a mount.
#[track_caller]
fn publish(server: &Server, path: &str, lines: &str) -> Talk {
    let line = authorization("source", &server.source_password);
    let mut talk = Talk::to(server);
    talk.send(format!("PUT {path} HTTP/1.1\r\n{line}Content-Type: audio/mpeg\r\n{lines}\r\n"));
    assert_eq!(talk.head().status, 200);
    wait_known(server, path);
    talk
}

#[test]
fn chunk_lengths_that_lie_end_the_source_and_nothing_else() {
    let server = Setup::new().mount("/*", "linger = \"0s\"").start();
    let _other = Source::start(&server, "/other");
    let mut tune = Tune::to(&server, "/other");
    let long = format!("{}\r\n", "0".repeat(5_000));
    for (number, lie) in [
        "xyz\r\n".as_bytes(),
        b"-5\r\nhello\r\n",
        b"ffffffffffffffffff\r\n",
        b"5\r\nhelloworld\r\n",
        b"\x00\r\n",
        b"5;x\x00=y\r\nhello\r\n",
        long.as_bytes(),
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/lie{number}");
        let mut talk = publish(&server, &path, "Transfer-Encoding: chunked\r\n");
        let start = frames(0, 20);
        talk.send(format!("{:x}\r\n", start.len())).send(start).send("\r\n").send(lie);
        assert_ne!(talk.rest().1, End::Open, "{path}");
        let mount = format!("mount=\"{path}\"");
        server.wait_line(&["kind=\"source\"", &mount, "reason=\"bad_body\"", "culprit=Peer"]);
    }
    tune.hear(20);
}

#[test]
fn chunks_of_every_size_carry_the_stream() {
    let server = Server::start();
    let mut talk = publish(&server, "/live", "Transfer-Encoding: chunked\r\n");
    let mut random = Random::seeded();
    let stream = frames(0, 400);
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(random.between(1, 700).min(rest.len() as u64) as usize);
        talk.send(format!("{:X};name=\"va;lue\"\r\n", chunk.len())).send(chunk).send("\r\n");
        rest = left;
    }
    let mut tune = Tune::to(&server, "/live");
    tune.hear_number(390);
    talk.send("0\r\nTrailer: x\r\n\r\n");
    server.wait_line(&["kind=\"source\"", "reason=\"peer_left\"", "bytes=153600"]);
    assert!(tune.ear.checker.jumps.is_empty());
}

#[test]
fn garbage_between_frames_is_left_out_counted_and_logged_once() {
    let server = Server::start();
    let mut talk = publish(&server, "/live", "");
    talk.send(frames(0, 50));
    let mut tune = Tune::to(&server, "/live");
    tune.hear(20);
    let mut random = Random::seeded();
    for round in 1..=20 {
        let garbage: Vec<u8> = (0..random.between(1, 3_000)).map(|_| random.next() as u8).collect();
        talk.send(garbage).send(frames(round * 50, 50));
        tune.hear_number(round * 50 + 40);
    }
    // Every frame after the garbage is heard again; random bytes that look like a header may take
    // one frame of each piece along.
    assert!(tune.ear.checker.missing() <= 40, "{:?}", tune.ear.checker);
    let told = |line: &&String| line.contains("not frames of its content type");
    server.wait_line(&["not frames of its content type", "mount=/live"]);
    assert_eq!(server.log().iter().filter(told).count(), 1);
}

#[test]
fn a_source_of_nothing_but_garbage_harms_nobody() {
    let mut server = Server::start();
    let _other = Source::start(&server, "/other");
    let mut tune = Tune::to(&server, "/other");
    let mut talk = publish(&server, "/noise", "");
    let mut listener = Talk::to(&server);
    listener.send("GET /noise HTTP/1.0\r\n\r\n").head();
    let mut random = Random::seeded();
    for _ in 0..500 {
        let noise: Vec<u8> = (0..1_024).flat_map(|_| random.next().to_le_bytes()).collect();
        talk.send(noise);
    }
    tune.hear(30);
    assert!(tune.ear.checker.jumps.is_empty() && server.runs());
    drop(talk);
    server.wait_line(&["kind=\"source\"", "mount=\"/noise\"", "reason=\"peer_left\""]);
}

#[test]
fn a_source_faster_than_real_time_is_passed_on_and_harms_nobody() {
    let server = Server::start();
    let _other = Source::start(&server, "/other");
    let mut tune = Tune::with_titles(&server, "/other");
    tune.hear(10);
    // 300 times real time: 38 Mbit/s.
    let flood = Source::play(&server, "/live", Reel { speed: 300.0, ..Reel::default() });
    let mut crowd = Crowd::new(Random::seeded());
    crowd.join(&server, "/live", 20, |_| Habit::greedy(false));
    crowd.listen_until("the flood is heard", |fans| fans.iter().all(|fan| fan.last() > 20_000));
    tune.hear(40);
    assert!(tune.ear.checker.jumps.is_empty(), "the other mount's listeners notice nothing");
    assert_eq!(crowd.present(), 20);
    drop(flood);
}

#[test]
fn a_source_slower_than_real_time_is_heard_as_it_comes() {
    let server = Server::start();
    let slow = Source::play(&server, "/live", Reel { speed: 0.3, ..Reel::default() });
    let mut tune = Tune::to(&server, "/live");
    tune.hear_number(30);
    assert_eq!(tune.ear.checker.jumps, []);
    assert!(tune.ear.checker.range.is_some_and(|(_, last)| last < slow.next()));
}

#[test]
fn a_listener_that_closes_its_sending_half_is_still_served() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    let mut talk = Talk::to(&server);
    let head = talk.send("GET /live HTTP/1.0\r\n\r\n").head();
    assert_eq!(head.status, 200);
    talk.half_close();
    // `nc` and some relays do so. Thirty frames are more than the burst of a fresh source.
    let bytes = talk.bytes(30 * FRAME_BYTES);
    let number = bytes.windows(4).filter(|four| *four == b"\xff\xfb\x94\x04").count();
    assert!(number >= 29, "{number} frames");
}

#[test]
fn a_request_is_answered_though_its_sender_closed_its_half() {
    let server = Server::start();
    let mut talk = Talk::to(&server);
    talk.send("GET /health HTTP/1.0\r\n\r\n");
    talk.half_close();
    assert_eq!(talk.answer().status, 200);
}

#[test]
fn resets_leave_nothing_behind() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    let listeners = || get(&server, "/health").json()["total_listener_count"].as_u64();
    wait::until_true("one listener is counted", || listeners() == Some(1));
    for round in 0..200 {
        let mut talk = Talk::to(&server);
        match round % 4 {
            0 => talk.send("GET /li"),
            1 => talk.send("GET /live HTTP/1.0\r\n\r\n"),
            2 => talk.send("PUT /other HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"),
            _ => &mut talk,
        };
        if round % 8 == 1 {
            talk.head();
        }
        talk.reset();
    }
    tune.hear(30);
    wait::until_true("the others are counted no more", || listeners() == Some(1));
}

#[test]
fn a_listener_gone_from_a_silent_mount_is_found() {
    let server = Setup::new().mount("/live", "linger = \"5m\"").start();
    let source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    source.end();
    server.wait_line(&["kind=\"source\"", "reason=\"peer_left\""]);
    drop(tune);
    // The sweep of a silent mount takes half a minute for all of its listeners.
    let found = wait::within(Duration::from_secs(45), || {
        let log = server.log();
        log.into_iter().find(|line| line.contains("kind=\"listener\""))
    });
    let line = found.expect("the listener that left is found");
    assert!(line.contains("reason=\"peer_"), "{line}");
}
