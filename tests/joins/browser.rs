//! Chromium: one page whose elements join at random moments, several at once, and report to the
//! site that it came from, which is this test.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::kit::clients::{Client, first_installed, program};

/// The page; `JOINS` in it stands for a list of pairs of an element's name and an address.
const PAGE: &str = include_str!("page.html");
/// Longest request of a page that is read.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take to send its request: browsers open some that they never use.
const PATIENCE: Duration = Duration::from_secs(5);

/// An element of the page.
#[derive(Clone, Debug)]
pub struct Element {
    /// The address it plays.
    pub url: String,
    /// Whether pictures are expected.
    pub has_picture: bool,
}

/// What an element reports.
#[derive(Debug)]
pub struct Report {
    /// Which of the elements.
    pub index: usize,
    /// Milliseconds until its time moved; `None` if it never did.
    pub first_ms: Option<u32>,
    /// What went wrong; empty if nothing did.
    pub said: String,
}

/// A browser with a page of elements.
pub struct Browser {
    _browser: Client,
    reports: Receiver<Report>,
}

impl Browser {
    /// Opens the page, which starts at once. `folder` is the browser's alone.
    pub fn open(folder: &Path, elements: &[Element]) -> Self {
        let site = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = site.local_addr().expect("it is bound");
        let (sender, reports) = channel();
        let page = page(elements);
        // Ends with the process: a listening socket gives no event that nobody comes any more.
        std::thread::spawn(move || serve(&site, &page, &sender));
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let mut command = program(first_installed(&names));
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
        command.args(["--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]);
        command.args(["--mute-audio", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.arg(format!("http://{address}/")).env("TMPDIR", folder);
        Self { _browser: Client::spawn(command), reports }
    }

    /// The next report; `None` if there is none within `limit`.
    pub fn report(&self, limit: Duration) -> Option<Report> {
        self.reports.recv_timeout(limit).ok()
    }
}

fn page(elements: &[Element]) -> String {
    let join = |element: &Element| {
        let kind = if element.has_picture { "video" } else { "audio" };
        format!("[\"{kind}\",\"{}\"]", element.url)
    };
    let joins: Vec<_> = elements.iter().map(join).collect();
    PAGE.replace("JOINS", &format!("[{}]", joins.join(",")))
}

/// Answers the browser's requests, each on a connection of its own.
fn serve(site: &TcpListener, page: &str, reports: &Sender<Report>) {
    for stream in site.incoming().flatten() {
        let (page, reports) = (page.to_owned(), reports.clone());
        std::thread::spawn(move || answer(stream, &page, &reports));
    }
}

/// Reads one request and answers it; a browser that has gone away meanwhile asks again.
fn answer(mut stream: TcpStream, page: &str, reports: &Sender<Report>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let _ = stream.set_read_timeout(Some(PATIENCE));
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) if request.len() < REQUEST_BYTES_MAX => {
                request.extend_from_slice(&buffer[..count]);
            }
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let body = match request.strip_prefix("GET /joined?").and_then(|rest| rest.split_once(' ')) {
        Some((query, _)) => {
            // The batch may be over, and then nobody wants to know.
            let _ = report(query).map(|report| reports.send(report));
            ""
        }
        None => page,
    };
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
    let _ =
        stream.write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
}

/// Reads a report: `index&first_ms&said`.
fn report(query: &str) -> Option<Report> {
    let mut parts = query.splitn(3, '&');
    let index = parts.next()?.parse().ok()?;
    let first_ms = parts.next()?.parse().ok();
    let said = percent_encoding::percent_decode_str(parts.next()?).decode_utf8_lossy();
    Some(Report { index, first_ms, said: said.into_owned() })
}

#[test]
fn a_report_is_read() {
    let read = report("7&310&DEMUXER%20failed").expect("a report");
    assert_eq!((read.index, read.first_ms, read.said.as_str()), (7, Some(310), "DEMUXER failed"));
    let read = report("7&-&").expect("a report");
    assert_eq!((read.first_ms, read.said.as_str()), (None, ""));
}
