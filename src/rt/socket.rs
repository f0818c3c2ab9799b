//! The asynchronous socket of a request, and its end as a bare [`Wire`]. It lives on one core.
//!
//! What a client sends and what a short answer needs is mostly there at once, so a socket is a bare
//! descriptor at first, and becomes one that the executor knows only when something has to be
//! waited for. In a storm of newcomers most never are, which saves two timers, a copy of the
//! descriptor and its close for each.
#![allow(unsafe_code)]

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

use super::wire::Wire;

/// Bytes that [`Socket::finish`] reads at once.
const FINISH_BYTES: usize = 4096;

/// A connection whose request is under way.
pub struct Socket {
    /// The descriptor's number, whoever owns it.
    number: RawFd,
    /// The descriptor, until something was waited for; or a copy kept for [`Self::into_wire`].
    bare: Option<OwnedFd>,
    /// The descriptor, once something was waited for.
    waited: Option<glommio::net::TcpStream>,
    peer: SocketAddr,
}

impl Socket {
    /// A connection that nothing was waited for on.
    pub(super) fn bare(fd: OwnedFd, peer: SocketAddr) -> Self {
        Self { number: fd.as_raw_fd(), bare: Some(fd), waited: None, peer }
    }

    /// A connection that the executor made.
    pub(super) fn waited(stream: glommio::net::TcpStream, peer: SocketAddr) -> Self {
        Self { number: stream.as_raw_fd(), bare: None, waited: Some(stream), peer }
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// A name for this connection by which a deadline can end it.
    pub fn handle(&self) -> Handle {
        Handle(self.number)
    }

    /// Bytes from the client, at least one, or 0 at the end of its stream.
    pub async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What a client sent right behind its SYN is there already: no wait, no ring entry.
        if let Some(count) = self.receive_now(buffer)? {
            return Ok(count);
        }
        let stream = self.waiter();
        poll_fn(|context| Pin::new(&mut *stream).poll_read(context, buffer)).await
    }

    /// What is there now; `None` if nothing is.
    pub fn receive_now(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: pointer and length come from one live slice that the kernel may write.
        let count = unsafe {
            libc::recv(self.number, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
        };
        unless_blocked(count)
    }

    /// Sends all of `bytes`, waiting for room as needed.
    pub async fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = match self.send_now(bytes)? {
                Some(count) => count,
                None => {
                    let stream = self.waiter();
                    poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await?
                }
            };
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    fn send_now(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: pointer and length come from one live slice; send only reads it.
        let count = unsafe { libc::send(self.number, bytes.as_ptr().cast(), bytes.len(), flags) };
        unless_blocked(count)
    }

    /// The socket as the executor knows it.
    fn waiter(&mut self) -> &mut glommio::net::TcpStream {
        let Self { number, bare, waited, .. } = self;
        waited.get_or_insert_with(|| {
            let fd = bare.take().expect("a socket that was not waited for is bare");
            *number = fd.as_raw_fd();
            // SAFETY: the descriptor is open, a socket, and given up by its owner here.
            unsafe { glommio::net::TcpStream::from_raw_fd(fd.into_raw_fd()) }
        })
    }

    /// Closes in order: no more to send, and what the client still sends is read into `scratch` and
    /// forgotten (bounded by the caller's deadline and `budget` bytes), because a close with unread
    /// bytes is a reset that can destroy the answer on its way.
    pub async fn finish(mut self, mut scratch: Vec<u8>, budget: usize) {
        if SockRef::from(&self.borrowed()).shutdown(Shutdown::Write).is_err() {
            return;
        }
        scratch.resize(FINISH_BYTES, 0);
        let mut left = budget;
        while left > 0 {
            match self.receive(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    }

    /// Makes sure that [`Self::into_wire`] will not fail for want of a descriptor, unless something
    /// has to be waited for in between.
    ///
    /// # Errors
    /// If the executor has this socket and there is no descriptor for a copy.
    pub fn prepare_wire(&mut self) -> io::Result<()> {
        if self.bare.is_none() {
            self.bare = Some(self.borrowed().try_clone_to_owned()?);
        }
        Ok(())
    }

    /// The same connection without reactor state.
    ///
    /// # Errors
    /// As [`Self::prepare_wire`].
    pub fn into_wire(mut self) -> io::Result<Wire> {
        match self.bare.take() {
            Some(fd) => Ok(Wire::from(fd)),
            None => self.borrowed().try_clone_to_owned().map(Wire::from),
        }
    }

    fn borrowed(&self) -> BorrowedFd<'_> {
        // SAFETY: `bare` or `waited` owns the number, and both live as long as this borrow.
        unsafe { BorrowedFd::borrow_raw(self.number) }
    }
}

/// What a call that does not wait came to; `None` if it would have to.
fn unless_blocked(count: isize) -> io::Result<Option<usize>> {
    match usize::try_from(count) {
        Ok(count) => Ok(Some(count)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        },
    }
}

/// A connection by descriptor number, for the table of deadlines. It must be taken out of that
/// table before the connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(RawFd);

impl Handle {
    /// Ends receiving: whoever waits for bytes sees the end of the stream, and can still send.
    pub fn end_receiving(self) {
        // SAFETY: shutdown on a number has no memory effect; the table holds only open sockets.
        unsafe { libc::shutdown(self.0, libc::SHUT_RD) };
    }

    /// Ends both directions: whoever waits on the socket sees its end. The socket stays open.
    pub fn end(self) {
        // SAFETY: shutdown on a number has no memory effect; the table holds only open sockets.
        unsafe { libc::shutdown(self.0, libc::SHUT_RDWR) };
    }

    /// A handle whose end ends nothing, for tests of tables that hold handles.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        Self(-1)
    }
}
