//! A listener that records what a server sends it, and when.

use std::time::{Duration, Instant};

use floe::proto::icy::{IcyStep, Reader};

use crate::formats::Format;
use crate::kit::http::{Answer, End, Talk};
use crate::station::Station;
use crate::wait::PATIENCE;

/// The burst and what comes with it: a player that got this has to have something to play.
pub const FIRST: Duration = Duration::from_millis(300);

/// What a listener was sent.
#[derive(Debug, Default)]
pub struct Recording {
    /// The stream, titles between its bytes taken out.
    pub bytes: Vec<u8>,
    /// How many of the bytes were there [`FIRST`] after the first of them.
    pub first_bytes: usize,
    /// Whether titles were asked for.
    pub with_titles: bool,
    /// What else went wrong than the bytes themselves: no answer, an end that is none of ours.
    pub trouble: Option<String>,
}

/// Listens to a mount for `span` from the first byte on.
pub fn record(station: &Station, format: &Format, mount: &str, hears: Hears) -> Recording {
    let with_titles = hears.with_titles && format.has_icy;
    let mut recording = Recording { with_titles, ..Recording::default() };
    if let Err(trouble) = listen(station, mount, hears.span, &mut recording) {
        recording.trouble = Some(trouble);
    }
    recording
}

/// How a listener listens.
#[derive(Clone, Copy, Debug)]
pub struct Hears {
    /// For how long from the first byte on.
    pub span: Duration,
    /// Whether it asks for titles, where the format has them.
    pub with_titles: bool,
}

fn listen(
    station: &Station,
    mount: &str,
    span: Duration,
    to: &mut Recording,
) -> Result<(), String> {
    let mut talk = station.connect().map_err(|error| format!("no connection: {error}"))?;
    let titles = if to.with_titles { "Icy-MetaData: 1\r\n" } else { "" };
    talk.send(format!("GET /{mount} HTTP/1.1\r\nHost: localhost\r\n{titles}\r\n"));
    let asked = Instant::now();
    let (head, mut bytes) = head(&mut talk)?;
    if head.status != 200 {
        return Err(format!("answered with {}", head.status));
    }
    let interval = head.header("icy-metaint").map_or(0, |value| value.parse().expect("digits"));
    let mut reader = Reader::new(interval);
    let mut began = None;
    loop {
        if !bytes.is_empty() {
            let since = began.get_or_insert_with(Instant::now).elapsed();
            take(&mut reader, &bytes, &mut to.bytes);
            if since <= FIRST {
                to.first_bytes = to.bytes.len();
            }
        }
        let left = match began {
            None => PATIENCE.saturating_sub(asked.elapsed()),
            Some(began) => span.saturating_sub(began.elapsed()),
        };
        let Some(more) = hear(&mut talk, left)? else { break };
        bytes = more;
    }
    if to.bytes.is_empty() { Err("sent nothing".into()) } else { Ok(()) }
}

/// Reads the head of the answer, and what of the body came with it.
fn head(talk: &mut Talk) -> Result<(Answer, Vec<u8>), String> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            return Ok((Answer::of(&String::from_utf8_lossy(&read[..end])), body));
        }
        read.extend(hear(talk, PATIENCE)?.ok_or("no answer")?);
    }
}

/// What comes within `left`; `None` if nothing does.
fn hear(talk: &mut Talk, left: Duration) -> Result<Option<Vec<u8>>, String> {
    if left.is_zero() {
        return Ok(None);
    }
    // A socket's shortest time is what the kernel can tell apart from none.
    let left = left.max(Duration::from_millis(1));
    talk.stream.set_read_timeout(Some(left)).expect("a time above zero");
    match talk.some() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(End::Open) => Ok(None),
        Err(end) => Err(format!("the server ended the stream ({end:?})")),
    }
}

/// Takes titles out of what was sent.
fn take(reader: &mut Reader, mut bytes: &[u8], to: &mut Vec<u8>) {
    loop {
        match reader.step(bytes) {
            IcyStep::Audio(range) => {
                to.extend_from_slice(&bytes[range.clone()]);
                bytes = &bytes[range.end..];
            }
            IcyStep::Block { used } => bytes = &bytes[used..],
            IcyStep::More => return,
        }
    }
}
