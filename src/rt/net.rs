//! Listening sockets of a core: bound once per core before the cores exist, opened on their own,
//! and accepted from in batches.
#![allow(unsafe_code)]

use crate::base::limits::{SHARED_ACCEPT_RETRY, UNSENT_BYTES_MAX, USER_TIMEOUT};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use glommio::GlommioError;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};

use super::fds;
use super::socket::Socket;
use super::task;

/// What an address is bound with.
#[derive(Clone, Copy, Debug)]
pub struct BindOptions {
    /// Listening sockets to make: one per core.
    pub cores: usize,
    /// Connections the kernel may hold for accepting, per core.
    pub backlog: u32,
}

/// A bound, listening socket that has not yet got its core.
#[derive(Debug)]
pub struct Bound {
    fd: OwnedFd,
    /// Where it listens; the port is the real one if port 0 was asked for.
    pub address: SocketAddr,
    /// Whether the service manager bound it.
    pub is_passed: bool,
}

/// Binds `address` once per core with SO_REUSEPORT. Fails with AddrInUse if any other process
/// listens there, even one that would share the port.
pub fn bind(address: SocketAddr, options: BindOptions) -> io::Result<Vec<Bound>> {
    if address.port() != 0 {
        // With SO_REUSEPORT a second server of the same user would silently share the port; a bind
        // without it finds that out.
        let probe = stream_socket(address)?;
        probe.set_reuse_address(true)?;
        probe.bind(&address.into())?;
    }
    let mut bound = Vec::with_capacity(options.cores);
    let mut address = address;
    for _ in 0..options.cores {
        let socket = stream_socket(address)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        set_inherited(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        let real = socket.local_addr()?.as_socket().unwrap_or(address);
        address.set_port(real.port());
        bound.push(Bound { fd: socket.into(), address: real, is_passed: false });
    }
    Ok(bound)
}

/// Sets the options that accepted sockets inherit, which saves four calls a listener.
pub(super) fn set_inherited(socket: &RawSocket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// Whether the machine does not know the address family at all, as with IPv6 switched off.
pub fn is_unknown_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn stream_socket(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // "[::]:8000" and "0.0.0.0:8000" are two sockets, so that each can be named alone.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

impl Bound {
    /// One that the service manager bound.
    pub(super) fn passed(fd: OwnedFd, address: SocketAddr) -> Self {
        Self { fd, address, is_passed: true }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.fd.as_fd()
    }

    /// Gives up the socket's number without closing it: after [`fds::own_table`] every core holds a
    /// copy of every listening socket and closes those that are not its own.
    pub fn into_number(self) -> BoundNumber {
        BoundNumber { fd: self.fd.into_raw_fd(), address: self.address }
    }
}

/// A listening socket by number, the same in every core's table. Each table closes or opens it
/// once.
#[derive(Clone, Copy, Debug)]
pub struct BoundNumber {
    fd: RawFd,
    /// Where it listens.
    pub address: SocketAddr,
}

impl BoundNumber {
    /// Closes this table's copy.
    pub fn close(self) {
        fds::close_copy(self.fd);
    }

    /// Starts accepting on it, on the executor of the calling thread.
    pub fn open(self) -> Listener {
        // SAFETY: the number is open in this thread's own table and opened once.
        let listener = unsafe { glommio::net::TcpListener::from_raw_fd(self.fd) };
        Listener { listener, fd: self.fd, address: self.address }
    }
}

/// A listening socket of the calling core.
pub struct Listener {
    listener: glommio::net::TcpListener,
    fd: RawFd,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Why a connection could not be accepted.
#[derive(Debug)]
pub enum AcceptFault {
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM, or anything not known to pass by itself: accepting must
    /// pause, so that a lasting fault does not keep the core busy.
    Exhausted(io::Error),
    /// The connection died before it was accepted; the next one may be fine.
    Aborted(io::Error),
}

impl Listener {
    /// The next connection.
    pub async fn accept(&self) -> Result<Socket, AcceptFault> {
        let stream = loop {
            match self.listener.accept().await.map_err(into_io) {
                // Only a socket that cores share is non-blocking (`passed::deal`). io_uring waits
                // for it nevertheless; older kernels, which took the flag by its word, end here.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    task::sleep(SHARED_ACCEPT_RETRY).await;
                }
                accepted => break accepted.map_err(sort_accept)?,
            }
        };
        let peer = stream.peer_addr().map_err(|error| sort_accept(into_io(error)))?;
        Ok(Socket::waited(stream, plain(peer)))
    }

    /// Up to `most` connections that wait already, into `sockets`: one system call each, where
    /// [`accept`](Self::accept) needs eight. A fault of theirs comes again at the next `accept`.
    pub fn accept_waiting(&self, most: usize, sockets: &mut Vec<Socket>) {
        // SAFETY: the listener keeps the number open as long as it is borrowed.
        let borrowed = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let listener = SockRef::from(&borrowed);
        // A socket of this core alone is a blocking one, as the executor likes it, and does not
        // block for this batch alone. One that cores share never blocks (`passed::deal`).
        let Ok(never_blocks) = listener.nonblocking() else { return };
        if !never_blocks && listener.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..most {
            let Ok((socket, peer)) = listener.accept() else { break };
            let Some(peer) = peer.as_socket() else { continue };
            sockets.push(Socket::bare(socket.into(), plain(peer)));
        }
        if !never_blocks {
            // It cannot fail where setting it did not; if it did, the next accept would say so.
            let _ = listener.set_nonblocking(false);
        }
    }
}

fn sort_accept(error: io::Error) -> AcceptFault {
    match error.raw_os_error() {
        // What accept(2) lists as a fault of the one connection; EINVAL and ENOTCONN are what
        // asking for the address of a connection that is gone already gives.
        Some(
            libc::ECONNABORTED
            | libc::ECONNRESET
            | libc::EINTR
            | libc::EINVAL
            | libc::ENOTCONN
            | libc::EPERM
            | libc::EPROTO
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ENONET
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::ETIMEDOUT,
        ) => AcceptFault::Aborted(error),
        _ => AcceptFault::Exhausted(error),
    }
}

fn into_io(error: GlommioError<()>) -> io::Error {
    match error {
        GlommioError::IoError(error) => error,
        GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn plain(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// `address` in the 16 bytes a row keeps: IPv4 as IPv4-mapped IPv6.
pub fn pack(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address that [`pack`] packed.
pub fn unpack(octets: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener as StdListener;

    #[test]
    fn a_port_that_another_server_shares_is_still_in_use() {
        let first =
            bind("127.0.0.1:0".parse().expect("a literal"), BindOptions { cores: 2, backlog: 16 })
                .expect("port 0 is always free");
        assert_eq!(first[0].address, first[1].address);
        let again = bind(first[0].address, BindOptions { cores: 1, backlog: 16 });
        assert_eq!(again.expect_err("it is in use").kind(), io::ErrorKind::AddrInUse);
        let std_server = StdListener::bind("127.0.0.1:0").expect("port 0 is always free");
        let address = std_server.local_addr().expect("it is bound");
        let taken = bind(address, BindOptions { cores: 1, backlog: 16 });
        assert_eq!(taken.expect_err("it is in use").kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn addresses_come_back_as_they_went_in() {
        for text in ["127.0.0.1", "::1", "2001:db8::7", "255.255.255.255"] {
            let address: IpAddr = text.parse().expect("a literal");
            assert_eq!(unpack(pack(address)), address);
        }
    }
}
