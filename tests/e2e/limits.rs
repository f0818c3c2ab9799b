//! Ceilings that the configuration sets, each with the answer that one too many gets.

use crate::kit::http::{Answer, Talk, get};
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Reel, Source};
use crate::kit::tune::Tune;
use crate::wait;

/// A listener from `127.0.0.last`, or the refusal it got.
fn listen(server: &Server, path: &str, last: u8) -> Result<Talk, Answer> {
    let mut talk = Talk::from(server, last);
    let answer = talk.send(format!("GET {path} HTTP/1.0\r\n\r\n")).head();
    if answer.status == 200 {
        return Ok(talk);
    }
    let body = talk.rest().0;
    Err(Answer { body, ..answer })
}

/// The status and text of a refusal.
#[track_caller]
fn refusal(server: &Server, path: &str, last: u8) -> (u16, String) {
    let answer = listen(server, path, last).err().expect("one too many");
    (answer.status, answer.text())
}

#[test]
fn listeners_per_address_are_counted_over_all_cores() {
    let server = Setup::new().limits("listeners_per_address = 8").start();
    let _source = Source::start(&server, "/live");
    let mut on: Vec<Talk> = (0..8).map(|_| listen(&server, "/live", 9).expect("within")).collect();
    assert_eq!(refusal(&server, "/live", 9).0, 403);
    assert!(listen(&server, "/live", 10).is_ok(), "another address has places of its own");
    assert_eq!(get(&server, "/health").status, 200, "pages are no listeners");
    on.pop();
    let again = wait::until("a place is free again", || listen(&server, "/live", 9).ok());
    on.push(again);
    assert_eq!(refusal(&server, "/live", 9).0, 403);
}

#[test]
fn an_address_may_open_so_many_connections_in_a_second() {
    let server = Setup::new().limits("new_connections_per_second_per_address = 5").start();
    let statuses = |last: u8, count: usize| -> Vec<u16> {
        let mut talks: Vec<Talk> = (0..count).map(|_| Talk::from(&server, last)).collect();
        let ask = |talk: &mut Talk| talk.send("GET /health HTTP/1.1\r\n\r\n").answer().status;
        talks.iter_mut().map(ask).collect()
    };
    let first = statuses(9, 40);
    let refused = first.iter().filter(|status| **status == 429).count();
    // The second may turn once or twice while they connect on a busy machine.
    assert!(refused >= 10 && first.contains(&200), "{first:?}");
    assert_eq!(statuses(10, 5), [200; 5], "another address is not counted in");
    wait::until_true("the next second is a new one", || statuses(9, 1) == [200]);
}

#[test]
fn a_mount_has_room_for_so_many() {
    let server = Setup::new().mount("/small", "max_listeners = 2").start();
    let _small = Source::start(&server, "/small");
    let _other = Source::start(&server, "/other");
    let on = [listen(&server, "/small", 1), listen(&server, "/small", 2)];
    assert!(on.iter().all(Result::is_ok));
    assert_eq!(refusal(&server, "/small", 3), (403, "max listeners reached".to_owned()));
    assert!(listen(&server, "/other", 3).is_ok());
    let mut probe = Talk::to(&server);
    probe.send("HEAD /small HTTP/1.0\r\n\r\n");
    assert_eq!(probe.head().status, 403, "HEAD is told the same");
    drop(on);
    wait::until_true("there is room again", || listen(&server, "/small", 3).is_ok());
}

#[test]
fn the_server_has_room_for_so_many() {
    let server = Setup::new().limits("listeners = 3").start();
    let _source = Source::start(&server, "/live");
    let on: Vec<_> = (1..=3).map(|last| listen(&server, "/live", last).expect("within")).collect();
    let words = "Icecast connection limit reached".to_owned();
    assert_eq!(refusal(&server, "/live", 4), (403, words));
    assert_eq!(get(&server, "/health").json()["status"], "ok");
    drop(on);
    wait::until_true("there is room again", || listen(&server, "/live", 4).is_ok());
}

#[test]
fn networks_are_let_in_or_kept_out() {
    let server = Setup::new()
        .mount("/some", "allow = [\"127.0.0.0/28\", \"::1\"]\ndeny = [\"127.0.0.7\"]")
        .mount("/most", "deny = [\"127.0.0.64/26\"]")
        .start();
    let _some = Source::start(&server, "/some");
    let _most = Source::start(&server, "/most");
    for (path, last, admitted) in [
        ("/some", 1, true),
        ("/some", 15, true),
        ("/some", 7, false),
        ("/some", 16, false),
        ("/most", 1, true),
        ("/most", 63, true),
        ("/most", 64, false),
        ("/most", 127, false),
        ("/most", 128, true),
    ] {
        let status = listen(&server, path, last).map_or_else(|answer| answer.status, |_| 200);
        assert_eq!(status, if admitted { 200 } else { 403 }, "{path} from 127.0.0.{last}");
    }
}

#[test]
fn a_listener_may_stay_for_so_long() {
    let server = Setup::new().mount("/live", "max_listener_duration = \"1s\"").start();
    let _source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear_out();
    assert!(tune.ear.checker.frames > 20, "{:?}", tune.ear);
    server.wait_line(&["kind=\"listener\"", "reason=\"duration_over\"", "culprit=Operator"]);
}

#[test]
fn there_may_be_so_many_sources() {
    let server = Setup::new().limits("sources = 2").mount("/*", "linger = \"0s\"").start();
    let first = Source::start(&server, "/one");
    let _second = Source::start(&server, "/two");
    let refused = Source::try_play(&server, "/three", Reel::default()).err().expect("one too many");
    assert_eq!((refused.status, refused.text().as_str()), (403, "too many sources connected"));
    first.end();
    wait::until("there is room again", || {
        Source::try_play(&server, "/three", Reel::default()).ok()
    });
}
