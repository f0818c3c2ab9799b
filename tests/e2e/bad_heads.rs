//! Heads that are malformed, too large, too slow or never end: each gets its status and a closed
//! socket, and the server goes on.

use std::time::{Duration, Instant};

use crate::kit::http::{Answer, End, Talk, get};
use crate::kit::server::{Server, Setup};
use crate::wait;

/// Sends a head; gives the answer, and checks that the connection then ends.
#[track_caller]
fn refused(server: &Server, head: &[u8]) -> Answer {
    let mut talk = Talk::to(server);
    let answer = talk.send(head).answer();
    assert_eq!(talk.rest(), (Vec::new(), End::Closed), "{answer:?}");
    answer
}

#[test]
fn malformed_heads_get_their_status_and_a_closed_socket() {
    let mut server = Server::start();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9_000));
    let lines = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "p".repeat(8_200));
    let cases: &[(&[u8], u16)] = &[
        (b"\x00\x00\x00\x00\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX\x00: a\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / FTP/1.0\r\n\r\n", 400),
        (b"GET live HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX : y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: y\r\n folded\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"BREW /pot HTTP/1.1\r\nConnection: close\r\n\r\n", 405),
        (b"get / HTTP/1.1\r\nConnection: close\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"DELETE /live HTTP/1.1\r\nConnection: close\r\n\r\n", 401),
        (b"STATS / HTTP/1.0\r\n\r\n", 405),
        (long.as_bytes(), 431),
        (lines.as_bytes(), 431),
        (path.as_bytes(), 431),
    ];
    for (head, status) in cases {
        let answer = refused(&server, head);
        let shown = String::from_utf8_lossy(&head[..head.len().min(60)]);
        assert_eq!(answer.status, *status, "{shown:?}: {answer:?}");
        if *status == 405 {
            assert!(
                answer.header("allow").is_some_and(|allow| allow.contains("GET")),
                "{answer:?}"
            );
        }
    }
    assert!(server.runs());
    assert_eq!(get(&server, "/health").status, 200);
}

#[test]
fn a_head_without_an_end_is_cut_at_the_limit() {
    let server = Server::start();
    for start in ["GET / HTTP/1.1\r\nX: ", "", "GET /", "PUT /live HTTP/1.1\r\n"] {
        let mut talk = Talk::to(&server);
        talk.send(start);
        // It sends on although it is refused: more than the server would ever keep.
        for _ in 0..64 {
            talk.send([b'x'; 1024]);
        }
        let answer = talk.answer();
        assert_eq!(answer.status, 431, "{start:?}");
        assert_eq!(talk.rest(), (Vec::new(), End::Closed), "{start:?}");
    }
}

#[test]
fn the_limit_of_heads_is_the_configured_one() {
    let server = Setup::new().limits("header_bytes = \"2KiB\"").start();
    let head = |bytes: usize| {
        let rest = "GET / HTTP/1.1\r\nConnection: close\r\nX: \r\n\r\n".len();
        let filler = "x".repeat(bytes - rest);
        format!("GET / HTTP/1.1\r\nConnection: close\r\nX: {filler}\r\n\r\n")
    };
    assert_eq!(refused(&server, head(2_048).as_bytes()).status, 200);
    assert_eq!(refused(&server, head(2_049).as_bytes()).status, 431);
}

#[test]
fn bad_credentials_are_no_credentials() {
    let server = Server::start();
    let long = format!("Basic {}", "QUFB".repeat(1_500));
    for value in [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic c291cmNl",
        "Basic c291cmNlOgA=",
        "Bearer c291cmNlOng=",
        "Digest username=\"source\"",
        "Basic /////w==",
        "c291cmNlOng=",
        &long,
    ] {
        for start in ["PUT /live HTTP/1.1", "SOURCE /live HTTP/1.0", "GET /admin/stats HTTP/1.0"] {
            let head =
                format!("{start}\r\nContent-Type: audio/mpeg\r\nAuthorization: {value}\r\n\r\n");
            let answer = refused(&server, head.as_bytes());
            // Credentials that can be read are checked, and such a check may have to wait its turn.
            assert!([401, 429].contains(&answer.status), "{start} {value}: {answer:?}");
        }
    }
}

#[test]
fn bodies_that_cannot_be_framed_are_refused() {
    let server = Server::start();
    for (lines, status) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 99999999999999999999999\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 501),
        ("Transfer-Encoding: chunked, gzip\r\n", 501),
    ] {
        let head = format!("PUT /live HTTP/1.1\r\nContent-Type: audio/mpeg\r\n{lines}\r\n");
        assert_eq!(refused(&server, head.as_bytes()).status, status, "{lines:?}");
    }
}

#[test]
fn paths_that_are_no_mounts_are_refused() {
    let server = Server::start();
    let line = crate::kit::http::authorization("source", &server.source_password);
    let long = format!("/{}", "x".repeat(300));
    for path in ["/", "/admin", "/admin/x", "/health", "/status-json.xsl", "/x/../admin/y", &long] {
        let head = format!("PUT {path} HTTP/1.1\r\n{line}Content-Type: audio/mpeg\r\n\r\n");
        assert_eq!(refused(&server, head.as_bytes()).status, 403, "{path}");
    }
    let untyped = format!("PUT /live HTTP/1.1\r\n{line}\r\n");
    let answer = refused(&server, untyped.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (403, "No Content-type given"));
    assert_eq!(get(&server, "/../../etc/passwd").status, 404);
    assert_eq!(get(&server, "/%2e%2e/%2e%2e/etc/passwd").status, 404);
}

#[test]
fn heads_of_odd_but_known_clients_are_read() {
    let server = Server::start();
    for head in [
        "GET /health HTTP/1.0\n\n",
        "GET /health HTTP/1.0\r\r\n\r\r\n",
        "GET /health HTTP/1.9\r\nConnection: close\r\n\r\n",
        "GET /health ICE/1.0\r\n\r\n",
        "GET http://localhost/health HTTP/1.0\r\n\r\n",
    ] {
        assert_eq!(refused(&server, head.as_bytes()).status, 200, "{head:?}");
    }
    // A byte at a time is no reason to be refused either.
    let mut talk = Talk::to(&server);
    for byte in b"GET /health HTTP/1.0\r\n\r\n" {
        talk.send([*byte]);
    }
    assert_eq!(talk.answer().status, 200);
}

#[test]
fn slow_heads_are_answered_408_when_their_time_is_over() {
    let server = Setup::new().limits("header_timeout = \"1s\"").start();
    let began = Instant::now();
    let mut stopped = Talk::to(&server);
    stopped.send("GET / HTTP/1.1\r\nX: ");
    let mut silent = Talk::to(&server);
    let mut dripping = Talk::to(&server);
    dripping.stream.set_nonblocking(true).expect("a TCP socket");
    // A byte now and then does not buy more time.
    let ended = wait::until("the dripping head is refused", || {
        dripping.send("x");
        wait::pause(Duration::from_millis(50));
        let mut first = [0; 1];
        dripping.stream.peek(&mut first).ok()
    });
    assert_eq!(ended, 1, "an answer comes before the end");
    dripping.stream.set_nonblocking(false).expect("a TCP socket");
    assert_eq!(dripping.answer().status, 408);
    assert_eq!(stopped.answer().status, 408);
    assert_eq!(stopped.rest(), (Vec::new(), End::Closed));
    assert_eq!(silent.rest(), (Vec::new(), End::Closed), "who said nothing is told nothing");
    let took = began.elapsed();
    assert!((1..10).contains(&took.as_secs()), "{took:?}");
}
