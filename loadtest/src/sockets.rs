//! The connections of the generator: the one place where bytes are sent and received. Crowds,
//! sources and their title updates all use [`Socket`], so a transport other than plain TCP, such as
//! TLS, would be a change of this file alone. Nothing here waits, and nothing looks at the bytes.

use crate::failure::Failure;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One connection to a server, from the start of its connecting. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// Begins to connect to `server`, from `source` if that is given. It is connected once it is
    /// writable and [`Self::opened`] says so.
    pub(crate) fn open(server: SocketAddr, source: Option<IpAddr>) -> Result<Self, Errno> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(family, SocketType::STREAM, flags, None)?;
        if let Some(source) = source {
            net::bind(&fd, &SocketAddr::new(source, 0))?;
        }
        match net::connect(&fd, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self(fd)),
            Err(errno) => Err(errno),
        }
    }

    /// Whether connecting went well, once the socket is writable.
    pub(crate) fn opened(&self) -> Result<(), Failure> {
        Ok(net::sockopt::socket_error(&self.0)??)
    }

    /// Sends what is given at once instead of gathering it (`TCP_NODELAY`).
    pub(crate) fn send_promptly(&self) -> Result<(), Errno> {
        net::sockopt::set_tcp_nodelay(&self.0, true)
    }

    /// Hands over as many of `bytes` as the connection takes now; zero is none yet.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        match net::send(&self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(taken) => Ok(taken),
            // No signal interrupts a call that does not wait, so the two need not be told apart.
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what has come, up to the length of `buffer`. Zero is nothing yet; the server closing
    /// its end is a failure, which callers that expect it can tell by [`Failure::Closed`].
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.take(buffer, RecvFlags::empty())
    }

    /// Like [`Self::receive`], but drops the bytes in the kernel: `buffer` gives the most that may
    /// be dropped, and is not touched.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.take(buffer, RecvFlags::TRUNC)
    }

    fn take(&mut self, buffer: &mut [u8], flags: RecvFlags) -> Result<usize, Failure> {
        match net::recv(&self.0, buffer, flags | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Err(Failure::Closed),
            Ok((_, taken)) => Ok(taken),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Fills `events` with what `set` has within `timeout`; being interrupted is having nothing.
pub(crate) fn poll(
    set: &OwnedFd,
    events: &mut Vec<epoll::Event>,
    timeout: Duration,
) -> Result<(), Errno> {
    let timeout =
        Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    match epoll::wait(set, spare_capacity(events), Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn await_readable(socket: &Socket) {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        epoll::add(&set, socket, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
        let mut events = Vec::with_capacity(1);
        poll(&set, &mut events, Duration::from_secs(10)).unwrap();
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn bytes_go_both_ways_and_nothing_waits() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = IpAddr::from([127, 0, 0, 9]);
        let mut socket = Socket::open(server.local_addr().unwrap(), Some(source)).unwrap();
        let (mut peer, from) = server.accept().unwrap();
        assert_eq!(from.ip(), source);
        socket.opened().unwrap();
        let mut buffer = [0; 8];
        assert_eq!(socket.receive(&mut buffer), Ok(0));

        assert_eq!(socket.send(b"abc"), Ok(3));
        peer.read_exact(&mut buffer[..3]).unwrap();
        assert_eq!(&buffer[..3], b"abc");
        peer.write_all(b"defgh").unwrap();
        await_readable(&socket);
        assert_eq!(socket.discard(&mut buffer[..2]), Ok(2));
        assert_eq!(socket.receive(&mut buffer), Ok(3));
        assert_eq!(&buffer[..3], b"fgh");
        drop(peer);
        await_readable(&socket);
        assert_eq!(socket.receive(&mut buffer), Err(Failure::Closed));
    }
}
