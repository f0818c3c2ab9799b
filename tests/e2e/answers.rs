//! What players and browsers ask besides the stream itself: preflights, HEAD, ranges, old
//! protocols, several requests on one connection.

use crate::kit::frames::frame;
use crate::kit::http::{End, Talk, ask, get};
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Source, wait_known};
use crate::kit::tune::Tune;

/// A server with a source on `/live` that has sent something.
fn on_air() -> (Server, Source) {
    let server = Server::start();
    let source = Source::start(&server, "/live");
    Tune::to(&server, "/live").hear(10);
    (server, source)
}

/// The head of an answer whose body may have no end.
fn head(server: &Server, request: &str) -> crate::kit::http::Answer {
    Talk::to(server).send(request).head()
}

#[test]
fn a_browsers_preflight_lets_a_web_player_ask_for_titles() {
    let (server, _source) = on_air();
    let answer = ask(
        &server,
        "OPTIONS /live HTTP/1.1\r\nHost: localhost\r\nOrigin: https://radio.example\r\n\
         Access-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: icy-metadata, range\r\n\r\n",
    );
    assert_eq!(answer.status, 204);
    let value = |name| answer.header(name).unwrap_or_default().to_ascii_lowercase();
    assert_eq!(value("access-control-allow-origin"), "https://radio.example");
    assert!(value("access-control-allow-methods").contains("get"));
    for wanted in ["icy-metadata", "range", "authorization"] {
        assert!(value("access-control-allow-headers").contains(wanted), "{answer:?}");
    }
}

#[test]
fn a_web_player_may_read_the_stream_and_its_icy_headers() {
    let (server, _source) = on_air();
    let lines = "Origin: https://radio.example\r\nIcy-MetaData: 1\r\n";
    let answer = head(&server, &format!("GET /live HTTP/1.1\r\n{lines}\r\n"));
    let value = |name| answer.header(name).unwrap_or_default().to_ascii_lowercase();
    assert_eq!(value("access-control-allow-origin"), "https://radio.example");
    for exposed in ["icy-metaint", "icy-name", "icy-br", "icy-genre", "icy-url"] {
        assert!(value("access-control-expose-headers").contains(exposed), "{answer:?}");
    }
    assert_eq!(value("vary"), "origin");
    assert_eq!(value("icy-metaint"), "16000");
    let same_site = head(&server, "GET /live HTTP/1.1\r\n\r\n");
    assert_eq!(same_site.header("access-control-allow-origin"), None);
}

#[test]
fn only_listed_origins_may_read() {
    let server = Setup::new().mount("/live", "cors_origins = [\"https://radio.example\"]").start();
    let _source = Source::start(&server, "/live");
    let granted = |origin: &str| {
        let request = format!("GET /live HTTP/1.1\r\nOrigin: {origin}\r\n\r\n");
        let answer = head(&server, &request);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(granted("https://radio.example").as_deref(), Some("https://radio.example"));
    assert_eq!(granted("https://other.example"), None);
    assert_eq!(granted("null"), None);
}

#[test]
fn options_says_what_may_be_done_where() {
    let (server, _source) = on_air();
    let allow = |target: &str| {
        let answer = ask(&server, format!("OPTIONS {target} HTTP/1.1\r\n\r\n"));
        assert_eq!(answer.status, 204, "{target}");
        answer.header("allow").map(str::to_owned).unwrap_or_default()
    };
    // libshout chooses PUT when it sees it here.
    assert!(allow("*").contains("PUT") && allow("/free").contains("SOURCE"));
    assert!(allow("/live").contains("DELETE") && !allow("/free").contains("DELETE"));
    assert!(!allow("/admin/").contains("PUT"));
}

#[test]
fn head_gives_the_head_of_get_and_no_body() {
    let (server, _source) = on_air();
    let mut talk = Talk::to(&server);
    let answer = talk.send("HEAD /live HTTP/1.1\r\nIcy-MetaData: 1\r\n\r\n").head();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!(talk.rest(), (Vec::new(), End::Closed));
    for path in ["/", "/health", "/status-json.xsl", "/live.m3u", "/none"] {
        let mut talk = Talk::to(&server);
        let head = talk.send(format!("HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n")).head();
        assert_eq!(talk.rest(), (Vec::new(), End::Closed), "{path}");
        let whole = get(&server, path);
        assert_eq!(head.status, whole.status, "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
        assert!(head.header("content-length").is_some(), "{path}");
    }
}

#[test]
fn a_range_probe_gets_its_two_bytes_as_safari_wants_them() {
    let (server, _source) = on_air();
    let mut talk = Talk::to(&server);
    let answer = talk.send("GET /live HTTP/1.1\r\nRange: bytes=0-1\r\n\r\n").head();
    assert_eq!((answer.status, answer.header("content-length")), (206, Some("2")));
    let range = answer.header("content-range").unwrap_or_default();
    assert!(range.starts_with("bytes 0-1/"), "{answer:?}");
    assert_eq!(talk.rest(), (frame(0)[..2].to_vec(), End::Closed));
}

#[test]
fn an_open_range_gets_the_stream() {
    let (server, _source) = on_air();
    for range in ["bytes=0-", "bytes=100-", "bytes=-5", "bytes=0-1,5-6", "bytes=x", "lines=0-1"] {
        let mut tune = Tune::over(Talk::to(&server), "/live", &format!("Range: {range}\r\n"));
        assert_eq!(tune.head.header("content-range"), None, "{range}");
        tune.hear(5);
    }
}

#[test]
fn each_protocol_is_answered_in_its_own_version() {
    let (server, _source) = on_air();
    for (protocol, answered) in [("HTTP/1.0", "1.0"), ("HTTP/1.1", "1.1"), ("ICE/1.0", "1.0")] {
        let answer = head(&server, &format!("GET /live {protocol}\r\n\r\n"));
        assert_eq!(answer.start, format!("HTTP/{answered} 200 OK"), "{protocol}");
        assert_eq!(answer.header("connection"), Some("Close"), "{protocol}");
        let server_line = answer.header("server").unwrap_or_default();
        assert!(server_line.starts_with("Icecast 2.4.4 (Floe "), "{server_line}");
    }
}

#[test]
fn a_streams_head_carries_what_source_and_mount_say() {
    let server =
        Setup::new().mount("/live", "genre = \"Jazz\"\nheaders = { X-Mount = \"yes\" }").start();
    let line = crate::kit::http::authorization("source", &server.source_password);
    let mut source = Talk::to(&server);
    source.send(format!(
        "SOURCE /live HTTP/1.0\r\n{line}Content-Type: audio/mpeg\r\nice-name: Näme\r\n\
         ice-genre: Pop\r\nice-url: http://radio.example\r\nice-public: 1\r\n\
         ice-audio-info: bitrate=128;channels=2\r\nice-password: secret\r\n\r\n"
    ));
    assert_eq!(source.head().status, 200);
    wait_known(&server, "/live");
    let answer = head(&server, "GET /live HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n");
    for (name, value) in [
        ("icy-name", "Näme"),
        ("icy-genre", "Jazz"),
        ("icy-url", "http://radio.example"),
        ("icy-pub", "1"),
        ("icy-br", "128"),
        ("ice-audio-info", "bitrate=128;channels=2"),
        ("X-Mount", "yes"),
        ("icy-metaint", "16000"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    assert!(!format!("{answer:?}").contains("secret"));
}

#[test]
fn short_answers_share_a_connection() {
    let (server, _source) = on_air();
    let mut talk = Talk::to(&server);
    for path in ["/health", "/", "/none", "/live.m3u", "/status-json.xsl", "/admin/stats"] {
        let answer = talk.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).answer();
        assert_eq!(answer.header("connection"), Some("Keep-Alive"), "{path}: {answer:?}");
    }
    // Several requests may be sent at once; the answers come in order.
    talk.send("GET /none HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    let statuses: Vec<u16> = (0..3).map(|_| talk.answer().status).collect();
    assert_eq!(statuses, [404, 200, 200]);
    let mut tune = Tune::over(talk, "/live", "");
    assert_eq!(tune.head.header("connection"), Some("Close"));
    tune.hear(5);
}

#[test]
fn a_connection_ends_where_the_client_says_so() {
    let (server, _source) = on_air();
    for request in [
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /health ICE/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /health HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut talk = Talk::to(&server);
        let answer = talk.send(request).answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("Close")));
        assert_eq!(talk.rest(), (Vec::new(), End::Closed), "{request:?}");
    }
    let mut kept = Talk::to(&server);
    kept.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(kept.answer().header("connection"), Some("Keep-Alive"));
}
