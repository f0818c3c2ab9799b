//! What a source or the administrator asks for while on air: titles, in all their forms, and the
//! end of a source; and when listeners learn of it.

use crate::kit::audio;
use crate::kit::frames::frames;
use crate::kit::http::{Talk, ask, authorization, get, get_as};
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Source, wait_known};
use crate::kit::tune::Tune;
use crate::wait;

/// A server whose listeners get their blocks close together.
fn server() -> Server {
    Setup::new().mount("/live", "burst = \"0s\"\nmetadata_interval = 1000").start()
}

/// Asks for a title with the source's credentials; gives the status.
fn set(server: &Server, query: &str) -> u16 {
    let target = format!("/admin/metadata?{query}");
    get_as(server, &target, "source", &server.source_password).status
}

#[test]
fn a_listener_on_air_gets_each_title_once() {
    let server = server();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::with_titles(&server, "/live");
    assert_eq!(tune.head.header("icy-metaint"), Some("1000"));
    let mut expected = Vec::new();
    for (query, title) in [
        ("song=One+Song", "One Song"),
        ("artist=A&title=B", "A - B"),
        ("title=Alone", "Alone"),
        ("song=%C3%84rger&url=http%3A%2F%2Fradio.example%2Fx", "Ärger"),
        ("song=%C4rger&charset=latin1", "Ärger"),
        ("song=It%27s%3B+%27so%27%3B", "It's; 'so' ;"),
        ("song=Last", "Last"),
    ] {
        assert_eq!(set(&server, &format!("mode=updinfo&mount=/live&{query}")), 200, "{query}");
        expected.push(title.to_owned());
        tune.hear_until(title, |ear| ear.titles.last().is_some_and(|last| last == title));
    }
    tune.hear(40);
    let mut heard = tune.ear.titles.clone();
    heard.retain(|title| !title.is_empty());
    heard.dedup();
    expected.dedup();
    assert_eq!(heard, expected);
    assert!(tune.ear.blocks > 2 * tune.ear.titles.len() as u64, "most blocks say: no change");
}

#[test]
fn a_newcomer_is_told_what_is_playing() {
    let server = server();
    let _source = Source::start(&server, "/live");
    let mut first = Tune::with_titles(&server, "/live");
    first.hear(20);
    assert_eq!(set(&server, "mode=updinfo&mount=/live&song=On+Air"), 200);
    first.hear_until("the title", |ear| ear.titles.last().is_some_and(|title| title == "On Air"));
    first.hear(20);
    let mut tune = Tune::with_titles(&server, "/live");
    tune.hear(10);
    assert_eq!(tune.ear.titles, ["On Air"]);
    wait::until_true("the status says so too", || {
        get(&server, "/status-json.xsl").json()["icestats"]["source"]["title"] == "On Air"
    });
}

#[test]
fn artist_and_title_stay_apart_in_the_status_and_a_cover_comes_along() {
    let server = Setup::new().mount("/live", "public = true\nmetadata_interval = 1000").start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::with_titles(&server, "/live");
    let status = || get(&server, "/status-json.xsl").json()["icestats"]["source"].clone();
    // Names in windows-1251, as an encoder says so.
    let parts = "artist=%CE%F2&title=%C4%EE&charset=windows-1251";
    let artwork = "artwork=http%3A%2F%2Fradio.example%2Fc.jpg";
    assert_eq!(set(&server, &format!("mode=updinfo&mount=/live&{parts}&{artwork}")), 200);
    tune.hear_until("both", |ear| ear.titles.last().is_some_and(|title| title == "От - До"));
    wait::until_true("the status says so too", || status()["title"] == "До");
    let source = status();
    assert_eq!(source["artist"], "От");
    assert_eq!(source["yp_currently_playing"], "От - До");
    assert_eq!(source["artwork"], "http://radio.example/c.jpg");
    assert_eq!(set(&server, "mode=updinfo&mount=/live&song=A+-+B&url=http%3A%2F%2Fa%2F"), 200);
    wait::until_true("one word for both is the title", || status()["title"] == "A - B");
    let source = status();
    assert_eq!((source.get("artist"), source.get("artwork")), (None, None));
    assert_eq!(
        (&source["metadata_url"], &source["yp_currently_playing"]),
        (&"http://a/".into(), &"A - B".into())
    );
}

#[test]
fn listeners_without_metadata_get_none() {
    let server = Setup::new().mount("/plain", "metadata_interval = 0").start();
    let _source = Source::start(&server, "/plain");
    let mut tune = Tune::with_titles(&server, "/plain");
    assert_eq!(tune.head.header("icy-metaint"), None);
    tune.hear(60);
    assert_eq!((tune.ear.blocks, tune.ear.checker.jumps.len()), (0, 0));
}

#[test]
fn a_title_is_set_by_its_source_or_the_administrator_only() {
    let server = Setup::new().mount("/own", "user = \"dj\"\npassword = \"of the dj\"").start();
    let _source = Source::start(&server, "/live");
    let target = "/admin/metadata?mode=updinfo&mount=/live&song=x";
    assert_eq!(get(&server, target).status, 401);
    let (source, admin) = (&server.source_password, &server.admin_password);
    assert_eq!(get_as(&server, target, "admin", admin).status, 200);
    assert_eq!(get_as(&server, target, "source", source).status, 200);
    let own = "/admin/metadata?mode=updinfo&mount=/own&song=x";
    assert_eq!(get_as(&server, own, "source", source).status, 401, "the mount has its own");
    assert_eq!(get_as(&server, own, "dj", "of the dj").status, 400, "but no source");
}

#[test]
fn requests_that_make_no_sense_are_told_so() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    for (query, status) in [
        ("mode=updinfo&mount=/live&song=", 200),
        ("mount=/live&song=x", 200),
        ("mode=updinfo&mount=/live", 400),
        ("mode=nonsense&mount=/live&song=x", 400),
        ("mode=updinfo&mount=/none&song=x", 400),
        ("mode=updinfo&mount=/live&song=%zz%", 200),
    ] {
        assert_eq!(set(&server, query), status, "{query}");
    }
    let admin = |target| get_as(&server, target, "admin", &server.admin_password).status;
    assert_eq!(admin("/admin/metadata?mode=updinfo&song=x"), 400, "no mount");
    assert_eq!(admin("/admin/unheard-of"), 400);
}

#[test]
fn killsource_ends_the_source() {
    let server = Setup::new().mount("/*", "linger = \"0s\"").start();
    let source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    let answer = get_as(&server, "/admin/killsource?mount=/live", "admin", &server.admin_password);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("<message>Source Removed</message>"), "{answer:?}");
    source.wait_dropped();
    tune.hear_out();
    server.wait_line(&["kind=\"source\"", "mount=\"/live\"", "reason=\"killed\""]);
    let gone = get_as(&server, "/admin/killsource?mount=/live", "admin", &server.admin_password);
    assert_eq!(gone.status, 400);
}

#[test]
fn a_source_ends_itself_by_delete() {
    let server = Server::start();
    let source = Source::start(&server, "/live");
    let delete = |password: &str, path: &str| {
        let line = authorization("source", password);
        ask(&server, format!("DELETE {path} HTTP/1.1\r\n{line}\r\n")).status
    };
    assert_eq!(delete("wrong", "/live"), 401);
    assert_eq!(delete(&server.source_password, "/none"), 404);
    assert_eq!(delete(&server.source_password, "/live"), 204);
    source.wait_dropped();
    server.wait_line(&["kind=\"source\"", "mount=\"/live\"", "reason=\"killed\""]);
}

#[test]
fn a_head_request_under_admin_needs_credentials_too() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    let target = "/admin/metadata?mode=updinfo&mount=/live&song=x";
    let mut talk = Talk::to(&server);
    let answer = talk.send(format!("HEAD {target} HTTP/1.1\r\n\r\n")).head();
    assert_eq!(answer.status, 401);
    let line = authorization("source", "wrong");
    assert_eq!(ask(&server, format!("GET {target} HTTP/1.1\r\n{line}\r\n")).status, 401);
}

#[test]
fn titles_between_a_sources_own_bytes_are_taken_out_and_told() {
    let server = server();
    let line = authorization("source", &server.source_password);
    let mut talk = Talk::to(&server);
    talk.send(format!(
        "SOURCE /live HTTP/1.0\r\n{line}content-type: audio/mpeg\r\nIcy-MetaInt: 1000\r\n\r\n"
    ));
    assert_eq!(talk.head().status, 200);
    wait_known(&server, "/live");
    let mut tune = Tune::with_titles(&server, "/live");
    assert_eq!(tune.head.header("icy-metaint"), Some("1000"), "the listener's own");
    let mut sent = 0;
    for (block, title) in [
        (&b"StreamTitle='First';"[..], "First"),
        (b"StreamTitle='Bj\xf6rk - J\xf3ga';StreamUrl='http://a/';", "Björk - Jóga"),
        (b"", "Björk - Jóga"),
        ("StreamTitle='It's; 'so'; Дом';".as_bytes(), "It's; 'so' ; Дом"),
    ] {
        // 375 frames are 144 stretches of 1,000 bytes; the block stands behind the first.
        for (at, stretch) in frames(sent, 375).chunks(1_000).enumerate() {
            let text = if at == 0 { block } else { b"" };
            let mut meta = text.to_vec();
            meta.resize(text.len().next_multiple_of(16), 0);
            let units = u8::try_from(meta.len() / 16).expect("a short title");
            talk.send(stretch).send([units]).send(meta);
        }
        sent += 375;
        tune.hear_number(sent - 2);
        assert_eq!(tune.ear.titles.last().map(String::as_str), Some(title));
    }
    assert_eq!((tune.ear.checker.jumps.len(), tune.ear.checker.tears), (0, 0));
    wait::until_true("the status says so too", || {
        get(&server, "/status-json.xsl").json()["icestats"]["source"]["title"] == "It's; 'so'; Дом"
    });
}

/// Puts the start of an Ogg stream on air and sets a title; gives the answer's text, and whether a
/// listener finds the title in the stream.
fn title_into_ogg(settings: &str) -> (String, bool) {
    let server = Setup::new().mount("/live", settings).start();
    let file = std::fs::read(audio::ogg()).expect("it was made");
    let line = authorization("source", &server.source_password);
    let mut talk = Talk::to(&server);
    talk.send(format!("PUT /live HTTP/1.1\r\n{line}Content-Type: audio/ogg\r\n\r\n"));
    assert_eq!(talk.head().status, 200);
    talk.send(&file[..100_000]);
    wait_known(&server, "/live");
    let mut ear = Talk::to(&server);
    ear.send("GET /live HTTP/1.1\r\nIcy-MetaData: 1\r\n\r\n");
    assert_eq!(ear.head().header("icy-metaint"), None);
    let target = "/admin/metadata?mode=updinfo&mount=/live&artist=Floe&title=Out+of+band";
    let answer = get_as(&server, target, "source", &server.source_password);
    assert_eq!(answer.status, 200, "no error to an encoder that sets titles blindly");
    talk.send(&file[100_000..200_000]);
    drop(talk);
    let mut heard = Vec::new();
    // What came after the title is longer than this.
    while heard.len() < 90_000 {
        heard.extend(ear.some().expect("the mount lingers"));
    }
    let found = heard.windows(11).any(|part| part.eq_ignore_ascii_case(b"Out of band"));
    (answer.text(), found)
}

#[test]
fn a_title_becomes_a_link_of_an_ogg_stream_unless_the_mount_forbids_it() {
    let (text, found) = title_into_ogg("burst = \"1s\"");
    assert!(text.contains("<message>Metadata update successful</message>"), "{text}");
    assert!(found, "the title is in the stream");
    let (text, found) = title_into_ogg("stream_titles = false");
    assert!(text.contains("<message>Mountpoint will not accept URL updates</message>"), "{text}");
    assert!(!found, "the stream is as its source sends it");
}
