//! Passwords: who is let in, how guessing is slowed down, and that nobody who only listens notices.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::http::{Answer, Talk, authorization, get, get_as};
use crate::kit::server::{FLOE, Server, Setup};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait;

/// Asks to publish from `127.0.0.last`.
fn attempt(server: &Server, last: u8, password: &str) -> Talk {
    let line = authorization("source", password);
    let mut talk = Talk::from(server, last);
    talk.send(format!("PUT /live HTTP/1.1\r\n{line}Content-Type: audio/mpeg\r\n\r\n"));
    talk
}

/// A wrong password from `127.0.0.last`, with the time its answer took.
#[track_caller]
fn wrong(server: &Server, last: u8) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = attempt(server, last, "not the password").answer();
    (answer, began.elapsed())
}

#[test]
fn a_wrong_password_is_401_with_a_challenge() {
    let server = Server::start();
    let (answer, _) = wrong(&server, 1);
    assert_eq!((answer.status, answer.text().as_str()), (401, "You need to authenticate\r\n"));
    assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Icecast2 Server\""));
    assert_eq!(attempt(&server, 1, &server.source_password).head().status, 200);
}

#[test]
fn guessing_gets_slower_and_slower() {
    let server = Server::start();
    let took: Vec<Duration> = (0..6).map(|_| wrong(&server, 9).1).collect();
    // Three are free; then 250 ms, 500 ms, and so on. A busy machine only adds to that.
    assert!(took[3] >= Duration::from_millis(240), "{took:?}");
    assert!(took[4] >= Duration::from_millis(490), "{took:?}");
    assert!(took[5] >= Duration::from_millis(990), "{took:?}");
    let began = Instant::now();
    let right = attempt(&server, 9, &server.source_password).head();
    assert_eq!(right.status, 200, "the right password is let in after its wait");
    assert!(began.elapsed() >= Duration::from_millis(1_900), "and does wait its turn");
    drop(right);
}

#[test]
fn nobody_else_waits_for_one_who_guesses() {
    let server = Server::start();
    let _source = Source::start(&server, "/on");
    for _ in 0..5 {
        wrong(&server, 9);
    }
    let waits = attempt(&server, 9, "not the password");
    let mut tune = Tune::over(Talk::from(&server, 9), "/on", "");
    tune.hear(10);
    let elsewhere = attempt(&server, 10, &server.source_password).head();
    assert_eq!(elsewhere.status, 200, "another address is not held up");
    waits.stream.set_nonblocking(true).expect("a TCP socket");
    let early = waits.stream.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "meanwhile the guess was still waiting");
}

#[test]
fn guesses_in_parallel_are_turned_away() {
    let server = Server::start();
    for _ in 0..4 {
        wrong(&server, 9);
    }
    let mut talks: Vec<Talk> = (0..30).map(|_| attempt(&server, 9, "not the password")).collect();
    for talk in &talks {
        talk.stream.set_nonblocking(true).expect("a TCP socket");
    }
    wait::until("some were told to come later", || {
        let answered = |talk: &&mut Talk| talk.stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        let talk = talks.iter_mut().rev().find(answered)?;
        talk.stream.set_nonblocking(false).expect("a TCP socket");
        let answer = talk.answer();
        (answer.status == 429 && answer.header("retry-after").is_some()).then_some(())
    });
}

#[test]
fn passwords_that_wait_to_be_checked_hold_up_no_shutdown() {
    let mut server = Setup::new().server("drain_grace = \"1s\"").start();
    for _ in 0..6 {
        wrong(&server, 9);
    }
    let _waiting: Vec<Talk> = (0..20).map(|_| attempt(&server, 9, "not the password")).collect();
    server.signal("TERM");
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn everything_under_admin_asks_for_the_administrator() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    for path in ["/admin", "/admin/", "/admin/stats", "/admin/listmounts", "/admin/../admin/x"] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").is_some(), "{path}");
        let source = get_as(&server, path, "source", &server.source_password);
        assert_eq!(source.status, 401, "{path}: a source's password opens no admin page");
    }
}

#[test]
fn a_mount_may_have_a_hash_for_a_password() {
    let mut hasher = Command::new(FLOE)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = hasher.stdin.take().expect("stdin is piped");
    std::io::Write::write_all(&mut input, b"correct horse\n").expect("the hasher reads");
    drop(input);
    let output = hasher.wait_with_output().expect("it ends");
    let hash = String::from_utf8(output.stdout).expect("a PHC string is ASCII");
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    let lines = format!("user = \"dj\"\npassword = \"{}\"", hash.trim());
    let server = Setup::new().mount("/live", &lines).start();
    let publish = |user: &str, password: &str| {
        let line = authorization(user, password);
        let mut talk = Talk::to(&server);
        talk.send(format!("PUT /live HTTP/1.1\r\n{line}Content-Type: audio/mpeg\r\n\r\n"));
        talk.head().status
    };
    assert_eq!(publish("dj", "correct hors"), 401);
    assert_eq!(publish("source", &server.source_password), 401);
    assert_eq!(publish("dj", "correct horse"), 200);
}
