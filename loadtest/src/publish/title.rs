//! One update of a source's title, as encoders send it beside the stream: a request of its own to
//! `/admin/metadata` (Icecast's `updinfo`) with the source's password.

use super::{Program, Published, TITLE_BIT};
use crate::failure::Failure;
use crate::head::{self, HeadStep};
use crate::icy;
use crate::listener::Phase;
use crate::sockets::Socket;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::fmt::Write as _;

/// An update under way.
pub(super) struct TitleUpdate {
    socket: Socket,
    request: String,
    is_sent: bool,
    answer: Vec<u8>,
}

impl TitleUpdate {
    /// Begins to set the title of `mount` to the one that carries `number`.
    pub(super) fn begin(
        program: &Program,
        mount: &str,
        number: u64,
        set: &OwnedFd,
        token: u64,
    ) -> Result<Self, Failure> {
        let socket = Socket::open(program.server, None)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(set, &socket, epoll::EventData::new_u64(token | TITLE_BIT), flags)?;
        let request = request(program, mount, number);
        Ok(Self { socket, request, is_sent: false, answer: Vec::new() })
    }

    /// Goes on as far as it can: `true` once the server took the title.
    pub(super) fn on_event(&mut self) -> Result<bool, Failure> {
        if !self.is_sent {
            self.socket.opened()?;
            // A request is far below a new socket's send buffer: it goes whole.
            self.socket.send(self.request.as_bytes())?;
            self.is_sent = true;
        }
        let mut buffer = [0; 1_024];
        loop {
            match self.socket.receive(&mut buffer)? {
                0 => return Ok(false),
                taken => self.answer.extend_from_slice(&buffer[..taken]),
            }
            match head::read(&self.answer) {
                HeadStep::More => {}
                HeadStep::Malformed => return Err(Failure::HeadMalformed),
                HeadStep::Done(head, _) if head.status == 200 => return Ok(true),
                HeadStep::Done(head, _) => return Err(Failure::Status(head.status)),
            }
        }
    }

    /// How far it came, for the label of a failure.
    pub(super) fn phase(&self) -> Phase {
        if self.is_sent { Phase::AwaitingHead } else { Phase::Connecting }
    }
}

/// Counts a title that the server did not take.
pub(super) fn count_failure(published: &mut Published, failure: Failure, phase: Phase) {
    Published::count(&mut published.title_failures, failure, phase);
}

/// The line that carries the sources' user name and password.
pub(super) fn authorization(program: &Program) -> String {
    let login = STANDARD.encode(format!("{}:{}", program.user, program.password));
    format!("Authorization: Basic {login}\r\n")
}

fn request(program: &Program, mount: &str, number: u64) -> String {
    format!(
        "GET /admin/metadata?mode=updinfo&mount={}&song={} HTTP/1.0\r\nHost: {}\r\n{}\
         User-Agent: floe-loadtest\r\n\r\n",
        encoded(mount),
        encoded(&icy::numbered_title(number)),
        program.authority,
        authorization(program),
    )
}

/// `text` as a value in a query (RFC 3986, 2.1): all but unreserved letters and `/` as `%XX`.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_value_is_escaped() {
        assert_eq!(encoded("/a b&c=\u{e9}"), "/a%20b%26c%3D%C3%A9");
    }
}
