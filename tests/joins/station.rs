//! A server as its clients see it: where it is and what lets a source in.

use std::net::{SocketAddr, TcpStream};

use crate::icecast::Icecast;
use crate::kit::http::{Answer, Talk, authorization};
use crate::kit::server::Server;

/// A server under test.
#[derive(Clone, Debug)]
pub struct Station {
    /// Which of the two it is.
    pub who: Who,
    address: SocketAddr,
    password: String,
}

/// The two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Ours.
    Floe,
    /// The one most radio comes from.
    Icecast,
}

impl Station {
    /// Ours.
    pub fn floe(server: &Server) -> Self {
        let password = server.source_password.clone();
        Self { who: Who::Floe, address: server.address(), password }
    }

    /// Icecast's.
    pub fn icecast(server: &Icecast) -> Self {
        let password = server.source_password.clone();
        Self { who: Who::Icecast, address: server.address(), password }
    }

    /// Where a player finds a mount.
    pub fn url(&self, mount: &str) -> String {
        format!("http://{}/{mount}", self.address)
    }

    /// Where a browser finds it. Browsers open six connections to one name at most, and know every
    /// name below `localhost` as this machine.
    pub fn url_for_browser(&self, name: usize, mount: &str) -> String {
        format!("http://join-{name}.localhost:{}/{mount}", self.address.port())
    }

    /// A connection of one's own.
    pub fn connect(&self) -> std::io::Result<Talk> {
        TcpStream::connect(self.address).map(Talk::over)
    }

    /// Takes a mount as a source; an error is the server's refusal.
    pub fn publish(&self, mount: &str, content_type: &str) -> Result<Talk, Answer> {
        let mut talk = self.connect().expect("the server listens");
        let line = authorization("source", &self.password);
        let head = format!("PUT /{mount} HTTP/1.1\r\n{line}Content-Type: {content_type}\r\n\r\n");
        let answer = talk.send(head).head();
        if answer.status == 200 { Ok(talk) } else { Err(answer) }
    }
}
