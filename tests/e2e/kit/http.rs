//! A small HTTP client that sends exactly the bytes a test wants and reads answers as they are. It
//! takes nothing for granted that a test might check.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, SockRef, Socket, Type};

use super::server::Server;
use crate::wait::PATIENCE;

/// Most bytes of a head that is read: beyond it the server does not speak HTTP.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// An answer, or its head alone.
#[derive(Debug)]
pub struct Answer {
    /// The first line.
    pub start: String,
    /// The status code.
    pub status: u16,
    /// Names and values as sent.
    pub headers: Vec<(String, String)>,
    /// The body, if it was read.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads a head without the empty line at its end.
    pub fn of(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let status = start.split(' ').nth(1).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let status = status.unwrap_or_else(|| panic!("no status line: {start:?}"));
        Self { start, status, headers, body: Vec::new() }
    }

    /// The first value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Closed,
    /// By a reset.
    Reset,
    /// Not within the time anything may take.
    Open,
}

/// One connection.
pub struct Talk {
    /// The socket.
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Talk {
    /// Connects to the server.
    pub fn to(server: &Server) -> Self {
        Self::over(TcpStream::connect(server.address()).expect("the server listens"))
    }

    /// Connects from `127.0.0.last`, since each address of the loopback network is its own client.
    pub fn from(server: &Server, last: u8) -> Self {
        Self::over(connect_from(Ipv4Addr::new(127, 0, 0, last), server.address()))
    }

    /// Takes over a connected socket.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time above zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes; the server may have closed already, which reading will tell.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        // An error here is seen as the end of the answer.
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Reads a head.
    #[track_caller]
    pub fn head(&mut self) -> Answer {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
                self.read.drain(..end + 4);
                return Answer::of(&head);
            }
            assert!(self.read.len() < HEAD_BYTES_MAX, "a head without an end");
            let more = self.more().expect("an answer's head");
            assert!(more, "the connection ended within a head: {:?}", self.lossy());
        }
    }

    /// Reads a head and the body of its `Content-Length`; without one there is none.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let bytes =
            answer.header("content-length").map_or(0, |value| value.parse().expect("digits"));
        answer.body = self.bytes(bytes);
        answer
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            let more = self.more().expect("bytes of a body");
            assert!(more, "the connection ended after {} of {count} bytes", self.read.len());
        }
        self.read.drain(..count).collect()
    }

    /// Reads all there is until the connection ends, and how it does.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => break End::Closed,
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => break End::Open,
                Err(_) => break End::Reset,
            }
        };
        (std::mem::take(&mut self.read), end)
    }

    /// Reads what comes next; none when the connection has ended.
    pub fn some(&mut self) -> Result<Vec<u8>, End> {
        if self.read.is_empty() {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return Err(End::Closed),
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(End::Open),
                Err(_) => return Err(End::Reset),
            }
        }
        Ok(std::mem::take(&mut self.read))
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let linger = Some(std::time::Duration::ZERO);
        SockRef::from(&self.stream).set_linger(linger).expect("a TCP socket");
    }

    fn more(&mut self) -> Result<bool, ErrorKind> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).map_err(|error| error.kind())?;
        self.read.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Connects with a chosen address of one's own.
pub fn connect_from(own: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
    let own = SocketAddr::new(IpAddr::V4(own), 0);
    socket.bind(&own.into()).expect("all of 127.0.0.0/8 is the loopback's");
    socket.connect(&server.into()).expect("the server listens");
    socket.into()
}

/// One request on a connection of its own: what was sent is the whole of it.
#[track_caller]
pub fn ask(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    Talk::to(server).send(request).answer()
}

/// A GET.
#[track_caller]
pub fn get(server: &Server, target: &str) -> Answer {
    ask(server, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// A GET with a name and a password.
#[track_caller]
pub fn get_as(server: &Server, target: &str, user: &str, password: &str) -> Answer {
    let line = authorization(user, password);
    ask(server, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n"))
}

/// The `Authorization` line of a name and a password.
pub fn authorization(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {pair}\r\n")
}
