//! The system calls of a crowd that are more than one line: opening a connection, asking an epoll
//! set, receiving. They hold no state.

use crate::failure::Failure;
use crate::plan::Plan;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SocketFlags, SocketType};
use std::net::SocketAddr;
use std::time::Duration;

/// Opens a socket for listener `index` and begins to connect it.
pub(crate) fn open(plan: &Plan, index: u64) -> Result<OwnedFd, Errno> {
    let family = if plan.server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = net::socket_with(family, SocketType::STREAM, flags, None)?;
    if let Some(source) = plan.source(index) {
        net::bind(&fd, &SocketAddr::new(source, 0))?;
    }
    match net::connect(&fd, &plan.server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(errno) => Err(errno),
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

/// Takes what `fd` has for `buffer`, without waiting. Zero is nothing yet; the server closing its
/// end is a failure, since a live stream has no end.
pub(crate) fn receive(fd: &OwnedFd, buffer: &mut [u8], flags: RecvFlags) -> Result<usize, Failure> {
    match net::recv(fd, buffer, flags | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Err(Failure::Closed),
        Ok((_, taken)) => Ok(taken),
        // No signal interrupts a receive that does not wait, so the two need not be told apart.
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}
