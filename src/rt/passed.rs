//! Listening sockets that the service manager bound and passed (socket activation): examined, and
//! dealt to the cores. It opens no address; `net` does. See `docs/decisions/0011`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use socket2::{SockRef, Type};

use super::net::{BindOptions, Bound, set_inherited};

/// A passed socket.
#[derive(Debug)]
pub struct Passed {
    fd: OwnedFd,
    address: SocketAddr,
    /// Whether an IPv6 socket takes IPv4 connections too.
    takes_both: bool,
}

/// A passed descriptor, by its number, that is no socket a server could accept from.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// No TCP socket.
    NotTcp(RawFd),
    /// A TCP socket that does not listen: an accepted connection, for instance.
    NotListening(RawFd),
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTcp(number) => write!(
                out,
                "passed descriptor {number} is no TCP socket; write ListenStream= with a port in \
                 the socket unit"
            ),
            Self::NotListening(number) => write!(
                out,
                "passed descriptor {number} does not listen; write Accept=no in the socket unit"
            ),
        }
    }
}

impl Passed {
    /// Finds out what was passed.
    ///
    /// # Errors
    /// If it is not a listening TCP socket.
    pub fn examine(fd: OwnedFd) -> Result<Self, Unfit> {
        let number = fd.as_raw_fd();
        let socket = SockRef::from(&fd);
        let is_stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        let Some(address) = address.filter(|_| is_stream) else {
            return Err(Unfit::NotTcp(number));
        };
        if !socket.is_listener().unwrap_or(false) {
            return Err(Unfit::NotListening(number));
        }
        let takes_both = address.is_ipv6() && !socket.only_v6().unwrap_or(true);
        Ok(Self { fd, address, takes_both })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections to `address` reach this socket already, so that it must not be bound.
    pub fn covers(&self, address: SocketAddr) -> bool {
        let Self { address: own, takes_both, .. } = self;
        own.port() == address.port()
            && (own.ip() == address.ip()
                || own.ip().is_unspecified()
                    && (own.is_ipv4() == address.is_ipv4() || *takes_both && address.is_ipv4()))
    }
}

/// Deals the sockets to the cores: by address, and for each address one socket a core.
///
/// As many sockets as cores for one address (bound with SO_REUSEPORT) give each core its own. With
/// fewer, cores share one; with more, a core gets several. So every socket is accepted from, and
/// every core accepts.
///
/// # Errors
/// What the kernel says to the options of `net::bind`, or to a further descriptor.
pub fn deal(passed: Vec<Passed>, options: BindOptions) -> io::Result<Vec<Vec<Bound>>> {
    let mut by_address: Vec<Vec<Passed>> = Vec::new();
    for socket in passed {
        match by_address.iter_mut().find(|group| group[0].address == socket.address) {
            Some(group) => group.push(socket),
            None => by_address.push(vec![socket]),
        }
    }
    by_address.into_iter().map(|group| deal_group(&group, options)).collect()
}

fn deal_group(group: &[Passed], options: BindOptions) -> io::Result<Vec<Bound>> {
    for Passed { fd, .. } in group {
        let socket = SockRef::from(fd);
        set_inherited(&socket)?;
        // Listening again changes the length of the queue and nothing else.
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        // Cores that share a socket race for its connections, and who loses must not wait in
        // accept(2). glommio sets the flag only around each call and takes it off again, under the
        // feet of the other cores.
        socket.set_nonblocking(true)?;
    }
    let seats = options.cores.max(group.len());
    let dealt = (0..seats).map(|seat| {
        let Passed { fd, address, .. } = &group[seat % group.len()];
        Ok(Bound::passed(fd.try_clone()?, *address))
    });
    dealt.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").expect("port 0 is always free")
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a literal")
    }

    fn socket(own: &str, takes_both: bool) -> Passed {
        Passed { fd: listener().into(), address: address(own), takes_both }
    }

    const OPTIONS: BindOptions = BindOptions { cores: 3, backlog: 16 };

    #[test]
    fn only_a_listening_tcp_socket_is_fit() {
        let listens = listener();
        let expected = listens.local_addr().expect("it is bound");
        let connected = TcpStream::connect(expected).expect("it listens");
        let number = connected.as_raw_fd();
        let unfit = Passed::examine(connected.into()).expect_err("it does not listen");
        assert_eq!(unfit, Unfit::NotListening(number));
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("port 0 is always free");
        let number = datagrams.as_raw_fd();
        assert_eq!(Passed::examine(datagrams.into()).err(), Some(Unfit::NotTcp(number)));
        let file = std::fs::File::open("/dev/null").expect("every Linux has it");
        let number = file.as_raw_fd();
        assert_eq!(Passed::examine(file.into()).err(), Some(Unfit::NotTcp(number)));
        let fit = Passed::examine(listens.into()).expect("it listens");
        assert_eq!(fit.address(), expected);
    }

    #[test]
    fn an_address_that_a_passed_socket_answers_for_is_covered() {
        let cases = [
            ("127.0.0.1:80", false, "127.0.0.1:80", true),
            ("127.0.0.1:80", false, "127.0.0.1:81", false),
            ("127.0.0.1:80", false, "0.0.0.0:80", false),
            ("0.0.0.0:80", false, "127.0.0.1:80", true),
            ("0.0.0.0:80", false, "[::]:80", false),
            ("[::]:80", true, "0.0.0.0:80", true),
            ("[::]:80", true, "127.0.0.1:80", true),
            ("[::]:80", false, "0.0.0.0:80", false),
            ("[::]:80", false, "[::1]:80", true),
            ("[::1]:80", false, "[::]:80", false),
        ];
        for (own, takes_both, asked, covered) in cases {
            let passed = socket(own, takes_both);
            assert_eq!(passed.covers(address(asked)), covered, "{own} {takes_both} {asked}");
        }
    }

    #[test]
    fn every_core_and_every_socket_has_a_part() {
        let dealt = |counts: &[usize]| {
            let mut passed = Vec::new();
            for (index, count) in counts.iter().enumerate() {
                passed.extend((0..*count).map(|_| socket(&format!("[::]:{}", index + 1), true)));
            }
            let dealt = deal(passed, OPTIONS).expect("the kernel takes the options");
            dealt.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(dealt(&[]), [0; 0]);
        assert_eq!(dealt(&[1]), [3], "all share it");
        assert_eq!(dealt(&[3, 1]), [3, 3]);
        assert_eq!(dealt(&[5]), [5], "none is left unanswered");
    }

    #[test]
    fn a_shared_socket_never_waits_in_accept() {
        let shared = vec![Passed::examine(listener().into()).expect("it listens")];
        let dealt = deal(shared, OPTIONS).expect("the kernel takes the options");
        for bound in dealt.iter().flatten() {
            let fd = bound.descriptor().try_clone_to_owned().expect("a descriptor is free");
            let error = TcpListener::from(fd).accept().expect_err("nobody connects");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }
}
