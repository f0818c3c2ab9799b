//! The listeners' end: connects, discards what arrives, and tells at the end how much it was. It
//! runs as a process of its own, so that its CPU is not the sender's.
#![allow(unsafe_code)]

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use crate::kernel;

/// Reads until all `count` connections have ended. With a `tick` it sleeps so long after each look,
/// and bytes wait in the sockets meanwhile as they do on a way through a network; without, it wakes
/// for each arrival.
///
/// # Errors
/// If it cannot connect.
pub fn run(server: SocketAddr, count: usize, tick: Duration, cpu: usize) -> io::Result<()> {
    kernel::pin(cpu)?;
    let set = Set::new()?;
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect(server)?;
        stream.set_nonblocking(true)?;
        set.watch(stream.as_raw_fd())?;
        streams.push(stream);
    }
    let (mut bytes, mut ended) = (0, 0);
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut scratch = vec![0; SCRATCH_BYTES];
    while ended < count {
        let happened = set.wait(&mut events)?;
        for event in &events[..happened] {
            let fd = event.u64 as RawFd;
            let is_last = event.events & !(libc::EPOLLIN as u32) != 0;
            bytes += discard(fd, is_last, &mut scratch);
            if is_last {
                ended += 1;
                set.leave(fd)?;
            }
        }
        // A full answer means that more wait already.
        if happened < EVENTS && !tick.is_zero() {
            kernel::sleep(tick);
        }
    }
    match writeln!(io::stdout(), "{bytes}") {
        // A bench that has given up a run does not ask any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told,
    }
}

/// Discards what `fd` has, all of it up to the end if this is the `last` time, and returns how much
/// it was. An error is an end.
fn discard(fd: RawFd, last: bool, scratch: &mut [u8]) -> u64 {
    let mut bytes = 0;
    loop {
        // MSG_TRUNC makes TCP discard the bytes without copying them, so that the reader leaves
        // the machine to the sender.
        let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
        // SAFETY: pointer and length come from one live slice.
        let taken = unsafe { libc::recv(fd, scratch.as_mut_ptr().cast(), scratch.len(), flags) };
        let Ok(taken @ 1..) = usize::try_from(taken) else { return bytes };
        bytes += taken as u64;
        if taken < scratch.len() && !last {
            return bytes;
        }
    }
}

/// A set of sockets that tells what has happened, once for each arrival.
struct Set(OwnedFd);

impl Set {
    fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = kernel::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } as isize)?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    fn watch(&self, fd: RawFd) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: fd as u64 };
        // SAFETY: the event lives past the call.
        let done =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        kernel::check(done as isize).map(drop)
    }

    /// Forgets a connection that has ended, so that it is not counted twice.
    fn leave(&self, fd: RawFd) -> io::Result<()> {
        let none = std::ptr::null_mut();
        // SAFETY: removing reads no event.
        let done = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, none) };
        kernel::check(done as isize).map(drop)
    }

    fn wait(&self, events: &mut [libc::epoll_event]) -> io::Result<usize> {
        let room = events.len() as libc::c_int;
        let into = events.as_mut_ptr();
        // SAFETY: pointer and length come from one live slice.
        let happened = unsafe { libc::epoll_wait(self.0.as_raw_fd(), into, room, -1) };
        kernel::check(happened as isize)
    }
}

/// Events of one look.
const EVENTS: usize = 512;

/// More than a socket's receive buffer holds of these streams, so that one call takes all.
const SCRATCH_BYTES: usize = 1 << 20;
