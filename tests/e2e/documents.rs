//! The documents that monitors, players and people fetch: status, health, playlists, landing page.

use serde_json::Value;

use crate::kit::frames::frames;
use crate::kit::http::{authorization, get, get_as};
use crate::kit::server::{Server, Setup};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait;

/// The status document, waited for until so many mounts are in it.
#[track_caller]
fn status_of(server: &Server, mounts: usize) -> Value {
    wait::until(&format!("the status document has {mounts} mounts"), || {
        let answer = get(server, "/status-json.xsl");
        assert_eq!(answer.status, 200);
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{kind}");
        let stats = answer.json()["icestats"].clone();
        let found = match stats.get("source") {
            None => 0,
            Some(Value::Array(all)) => all.len(),
            Some(_) => 1,
        };
        (found == mounts).then_some(stats)
    })
}

/// Fields and whether each is text; else it is a number.
const SOURCE_FIELDS: &[(&str, bool)] = &[
    ("bitrate", false),
    ("channels", false),
    ("genre", true),
    ("listener_peak", false),
    ("listeners", false),
    ("listenurl", true),
    ("samplerate", false),
    ("server_description", true),
    ("server_name", true),
    ("server_type", true),
    ("stream_start", true),
    ("stream_start_iso8601", true),
    ("title", true),
];

#[test]
fn the_status_document_has_the_shape_that_consumers_were_written_for() {
    let server = Setup::new().server("hostname = \"radio.example\"").start();
    let none = status_of(&server, 0);
    for field in ["admin", "host", "location", "server_id", "server_start", "server_start_iso8601"]
    {
        assert!(none[field].is_string(), "{field}: {none}");
    }
    assert_eq!(none["host"], "radio.example");
    assert!(none["server_id"].as_str().is_some_and(|id| id.starts_with("Icecast ")));
    let _one = Source::start(&server, "/one");
    let one = status_of(&server, 1);
    assert!(one["source"].is_object(), "one source is an object: {one}");
    let _two = Source::start(&server, "/two");
    let two = status_of(&server, 2);
    let urls: Vec<_> = two["source"].as_array().expect("two are an array").iter().collect();
    let url = |at: usize| urls[at]["listenurl"].as_str().unwrap_or_default();
    assert!(url(0).starts_with("http://radio.example") && url(0).ends_with("/one"), "{two}");
    assert!(url(1).ends_with("/two"));
    let filtered = get(&server, "/status-json.xsl?mount=/two").json();
    assert!(filtered["icestats"]["source"]["listenurl"].as_str().unwrap_or("").ends_with("/two"));
    let absent = get(&server, "/status-json.xsl?mount=/none").json();
    assert_eq!(absent["icestats"].get("source"), None);
}

#[test]
fn the_fields_of_a_source_have_the_types_that_exporters_decode() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    let _tune = Tune::to(&server, "/live");
    // A title that is a number, and one that breaks JSON in Icecast, are text all the same.
    for title in ["42", "-", "\"q\" \\ </script>"] {
        let song: String = title.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let target = format!("/admin/metadata?mode=updinfo&mount=/live&song={song}");
        assert_eq!(get_as(&server, &target, "source", &server.source_password).status, 200);
        wait::until_true("the title is told", || status_of(&server, 1)["source"]["title"] == title);
    }
    let source = wait::until("the listener is counted", || {
        let source = status_of(&server, 1)["source"].clone();
        (source["listeners"] == 1 && source["bitrate"] == 128).then_some(source)
    });
    for (field, text) in SOURCE_FIELDS {
        let value = &source[*field];
        assert!(if *text { value.is_string() } else { value.is_u64() }, "{field}: {source}");
    }
    assert_eq!((&source["samplerate"], &source["channels"]), (&48_000.into(), &2.into()));
    assert_eq!(source["listener_peak"], 1);
}

#[test]
fn what_the_streams_bytes_say_stands_beside_what_the_source_says() {
    let server = Server::start();
    let line = authorization("source", &server.source_password);
    let mut talk = crate::kit::http::Talk::to(&server);
    talk.send(format!(
        "PUT /live HTTP/1.1\r\n{line}Content-Type: audio/aac\r\n\
         ice-audio-info: ice-bitrate=320;ice-samplerate=44100;ice-channels=2\r\n\r\n"
    ));
    assert_eq!(talk.head().status, 200);
    // 50 frames of MP3, half a frame that the next one cuts off, and 50 more.
    talk.send(frames(0, 50)).send(&frames(50, 1)[..200]).send(frames(51, 50));
    let source = wait::until("the parser has seen all", || {
        let source = status_of(&server, 1)["source"].clone();
        (source["parser"]["frames"] == 100).then_some(source)
    });
    assert_eq!(source["format_mismatch"], true, "{source}");
    assert_eq!((&source["subtype"], &source["bitrate"]), (&"MP3".into(), &128.into()));
    assert_eq!(
        source["audio_info"], "ice-bitrate=128;ice-samplerate=48000;ice-channels=2",
        "what was measured wins"
    );
    let parser = &source["parser"];
    assert_eq!((&parser["format"], &parser["frame_us"]), (&"MPEG audio".into(), &24_000.into()));
    assert_eq!((&parser["junk_bytes"], &parser["resyncs"]), (&200.into(), &1.into()));
    assert_eq!((&parser["crc_errors"], &parser["gaps"]), (&0.into(), &0.into()));
}

#[test]
fn hidden_mounts_are_not_told_of_but_can_be_heard() {
    let server = Setup::new().mount("/secret", "hidden = true").start();
    let _open = Source::start(&server, "/open");
    let _hidden = Source::start(&server, "/secret");
    Tune::to(&server, "/secret").hear(10);
    wait::until_true("the open one is told of", || get(&server, "/").text().contains("/open"));
    for page in ["/", "/status-json.xsl"] {
        assert!(!get(&server, page).text().contains("secret"), "{page}");
    }
}

#[test]
fn health_counts() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    let _tunes: Vec<_> = (0..3).map(|_| Tune::to(&server, "/live")).collect();
    let health = wait::until("three listeners are counted", || {
        let health = get(&server, "/health").json();
        (health["total_listener_count"] == 3).then_some(health)
    });
    assert_eq!(health["status"], "ok");
    assert_eq!(health["total_source_count"], 1);
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptime_seconds"].is_u64());
}

#[test]
fn playlists_lead_to_the_mount_by_the_name_the_client_came_by() {
    let server = Setup::new().mount("/live.mp3", "name = \"A & <B>\"").start();
    let _source = Source::start(&server, "/live.mp3");
    let url = format!("http://{}/live.mp3", server.address());
    let list = |ending: &str| {
        let host = server.address();
        let request = format!("GET /live.mp3{ending} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        crate::kit::http::ask(&server, request)
    };
    let m3u = list(".m3u");
    assert_eq!(m3u.header("content-type"), Some("audio/x-mpegurl"));
    assert_eq!(m3u.text().trim_end(), url);
    let pls = list(".pls");
    assert_eq!(pls.header("content-type"), Some("audio/x-scpls"));
    assert!(pls.text().contains(&format!("File1={url}")), "{}", pls.text());
    assert!(pls.text().starts_with("[playlist]"));
    let xspf = list(".xspf");
    assert_eq!(xspf.header("content-type"), Some("application/xspf+xml"));
    assert!(xspf.text().contains(&format!("<location>{url}</location>")), "{}", xspf.text());
    assert!(xspf.text().contains("A &amp; &lt;B&gt;"), "{}", xspf.text());
    for path in ["/none.m3u", "/live.mp3.txt", "/.m3u"] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
}

#[test]
fn what_a_source_says_cannot_break_a_page() {
    let server = Server::start();
    let line = authorization("source", &server.source_password);
    let mut talk = crate::kit::http::Talk::to(&server);
    let name = "<script>alert(1)</script>\" onload=\"x";
    talk.send(format!(
        "SOURCE /x HTTP/1.0\r\n{line}Content-Type: audio/mpeg\r\nice-name: {name}\r\n\
         ice-description: {name}\r\nice-url: javascript:alert(1)\r\n\r\n"
    ));
    assert_eq!(talk.head().status, 200);
    let page = wait::until("the mount is on the page", || {
        let page = get(&server, "/");
        page.text().contains("alert(1)").then_some(page)
    });
    assert!(!page.text().contains("<script"), "{}", page.text());
    assert!(!page.text().contains("\" onload"), "{}", page.text());
    assert!(!page.text().contains("href=\"javascript:"), "{}", page.text());
    assert_eq!(status_of(&server, 1)["source"]["server_name"], name);
}
