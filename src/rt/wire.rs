//! HOT PATH
//! An established listener's socket: a bare descriptor and two ways to send. It holds no reactor
//! state; a send that the kernel will not take is tried again at the listener's next visit.
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::base::CloseReason;

/// What became of one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel took so many bytes, maybe fewer than offered.
    Bytes(usize),
    /// The socket's buffer is full; nothing was taken.
    Full,
    /// The peer is gone, or the machine refuses; the socket is of no more use.
    Gone(CloseReason),
}

/// An established socket: four bytes, closed when dropped.
#[derive(Debug)]
pub struct Wire {
    fd: OwnedFd,
}

impl From<OwnedFd> for Wire {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Wire {
    /// Sends one range.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Sent {
        // SAFETY: pointer and length come from one live slice; send only reads it.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), FLAGS) };
        judge(sent)
    }

    /// Sends several ranges in order as if they were one.
    #[inline]
    pub fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> Sent {
        // SAFETY: all-zero is a valid msghdr: no name, no control data, no pieces.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // The kernel only reads the array; the binding's pointer is mutable for recvmsg's sake.
        message.msg_iov = pieces.as_ptr().cast_mut().cast();
        message.msg_iovlen = pieces.len() as _;
        // SAFETY: IoSlice has iovec's layout (std guarantees it), and the slices live past the
        // call.
        let sent = unsafe { libc::sendmsg(self.fd.as_raw_fd(), &raw const message, FLAGS) };
        judge(sent)
    }

    /// Whether the peer has closed or reset, asked without waiting. For listeners of silent mounts,
    /// where no send would find out.
    pub fn peer_left(&self) -> bool {
        let events = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
        let mut poll =
            libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: one live pollfd, zero timeout.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
        ready > 0 && poll.revents & events != 0
    }
}

#[inline]
fn judge(sent: isize) -> Sent {
    match usize::try_from(sent) {
        Ok(bytes) => Sent::Bytes(bytes),
        Err(_) => judge_error(&io::Error::last_os_error()),
    }
}

#[cold]
fn judge_error(error: &io::Error) -> Sent {
    match error.raw_os_error() {
        // ENOBUFS and ENOMEM pass: the next visit comes when memory may be back.
        Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM) => Sent::Full,
        Some(libc::EPIPE) => Sent::Gone(CloseReason::PeerLeft),
        _ => Sent::Gone(CloseReason::PeerBroke),
    }
}
