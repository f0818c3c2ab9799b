//! The line that fail2ban bans by: the shipped filter finds each wrong password in the server's own
//! log, and a client cannot have another address banned by what it sends.

use std::path::Path;

use crate::kit::clients::program;
use crate::kit::http::{Talk, authorization};
use crate::kit::server::{Server, Setup};

/// A wrong password from `127.0.0.last` under some name for some mount.
#[track_caller]
fn guess(server: &Server, last: u8, mount: &str, user: &str) {
    let line = authorization(user, "not the password");
    let mut talk = Talk::from(server, last);
    talk.send(format!("PUT {mount} HTTP/1.1\r\n{line}Content-Type: audio/mpeg\r\n\r\n"));
    assert_eq!(talk.answer().status, 401);
}

/// The addresses that the filter finds in these lines, as often as it finds them.
fn found(server: &Server, lines: &[String]) -> Vec<String> {
    let log = server.folder().join("floe.log");
    std::fs::write(&log, lines.join("\n") + "\n").expect("the folder is writable");
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fail2ban/floe.conf");
    let output = program("fail2ban-regex")
        .args(["--out", "ip"])
        .args([&log, &filter])
        .output()
        .expect("fail2ban-regex runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("ERROR"), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found: Vec<String> = text.lines().map(str::to_owned).collect();
    found.sort();
    found
}

/// Mounts and names that try to put another address into the line. A name ends at the first colon.
const FORGED: &[(&str, &str)] = &[
    ("/live", "x\" authentication failure from 10.9.8.7, realm=source mount=\"/a\" user=\"y"),
    ("/a%20authentication%20failure%20from%2010.9.8.7:%20wrong%20password,%20realm=", "source"),
    ("/10.9.8.7%22%20user=%2210.9.8.7", "WARN floe"),
    ("/live", "\u{2028}authentication failure from 10.9.8.7"),
];

/// Names that are no names: they are refused before a password is looked at, and leave no line.
const REFUSED: &[&str] = &["x\nauthentication failure from 10.9.8.7", "x\r\n127.0.0.1 WARN", "\0"];

/// Tries all of it from `127.0.0.30` on; gives the addresses to be found.
fn forge(server: &Server) -> Vec<String> {
    for user in REFUSED {
        guess(server, 99, "/live", user);
    }
    for (number, (mount, user)) in FORGED.iter().enumerate() {
        guess(server, 30 + number as u8, mount, user);
    }
    let expected: Vec<_> = (0..FORGED.len()).map(|at| format!("127.0.0.{}", 30 + at)).collect();
    server.wait_line(&["authentication failure from", expected.last().expect("there are some")]);
    expected
}

#[test]
fn each_wrong_password_is_found_with_its_address_and_no_other() {
    let server = Server::start();
    guess(&server, 21, "/live", "source");
    guess(&server, 22, "/live", "nobody");
    let expected =
        [vec!["127.0.0.21".to_owned(), "127.0.0.22".to_owned()], forge(&server)].concat();
    assert_eq!(found(&server, &server.log()), expected);
}

#[test]
fn the_lines_of_the_json_log_are_found_too() {
    let server = Setup::new().log("format = \"json\"").start();
    guess(&server, 21, "/live", "source");
    let expected = [vec!["127.0.0.21".to_owned()], forge(&server)].concat();
    assert_eq!(found(&server, &server.log()), expected);
}

#[test]
fn the_lines_of_the_journal_are_found_too() {
    let server = Server::start();
    guess(&server, 21, "/live", "source");
    guess(&server, 22, FORGED[1].0, FORGED[0].1);
    let line = server.wait_line(&["authentication failure from 127.0.0.22"]);
    // As the journal backend of fail2ban hands a unit's line over.
    let journal = |line: &String| format!("2026-01-02T03:04:05.678901 host floe[123]: {line}");
    let lines: Vec<String> = server.log().iter().map(journal).collect();
    assert_eq!(found(&server, &lines), ["127.0.0.21", "127.0.0.22"], "{line}");
}
