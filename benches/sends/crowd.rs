//! The sockets of a run: accepted here, read by a child process. It owns both ends, and holds at
//! the end that every byte the kernel took has arrived: a way that only seems to send fails here.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::variants::{Order, Sockets};
use crate::{Load, kernel};

/// Sockets of one kind, in the order they were accepted.
pub struct Crowd {
    pub kind: Sockets,
    /// Bytes that the kernel has taken for them, to be counted by whoever sends.
    pub sent: u64,
    sockets: Vec<Socket>,
    reader: Child,
}

impl Crowd {
    /// Starts a reader on `reader_cpu` and accepts its connections.
    ///
    /// # Errors
    /// If an option is not to be had here, descriptors run out, or nobody connects for
    /// [`PATIENCE`].
    pub fn gather(load: &Load, kind: Sockets, reader_cpu: usize) -> io::Result<Self> {
        let listener = listen(kind)?;
        let Some(address) = listener.local_addr()?.as_socket() else {
            return Err(io::Error::other("a bound TCP socket has an IP address"));
        };
        let mut reader = Command::new(std::env::current_exe()?)
            .arg("reader")
            .arg(address.to_string())
            .arg(load.listeners.to_string())
            .arg(kind.tick_ms.unwrap_or(load.tick_ms).to_string())
            .arg(reader_cpu.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        match accept(&listener, load.listeners) {
            Ok(sockets) => Ok(Self { kind, sent: 0, sockets, reader }),
            Err(error) => {
                // Closing the listener ends the reader; waiting for it leaves no zombie.
                drop(listener);
                reader.wait()?;
                Err(error)
            }
        }
    }

    /// CPU that the reader has used so far.
    pub fn reader_cpu(&self) -> io::Result<Duration> {
        kernel::cpu_of(self.reader.id())
    }

    /// The descriptors in the order of visits. They stay open as long as the crowd.
    pub fn descriptors(&self, order: Order) -> Vec<RawFd> {
        let mut fds: Vec<RawFd> = self.sockets.iter().map(|socket| socket.as_raw_fd()).collect();
        match order {
            Order::Accepted => {}
            Order::Strided => {
                let stride = |from: usize| fds.iter().skip(from).step_by(STRIDE);
                fds = (0..STRIDE).flat_map(stride).copied().collect();
            }
            Order::Shuffled => shuffle(&mut fds),
        }
        fds
    }

    /// Closes the sockets and waits for the reader's count.
    ///
    /// # Errors
    /// If other bytes arrived than were sent.
    pub fn end(mut self) -> io::Result<()> {
        drop(self.sockets);
        let mut told = String::new();
        if let Some(stdout) = self.reader.stdout.as_mut() {
            stdout.read_to_string(&mut told)?;
        }
        self.reader.wait()?;
        if told.trim() != self.sent.to_string() {
            let what = format!("{} bytes were sent, {:?} arrived", self.sent, told.trim());
            return Err(io::Error::other(what));
        }
        Ok(())
    }
}

/// A listening socket of the wanted kind, on a free port of the loopback.
fn listen(kind: Sockets) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(name) = kind.congestion {
        socket.set_tcp_congestion(name.as_bytes())?;
    }
    if let Some(bytes) = kind.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = kind.unsent_low {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn accept(listener: &Socket, count: usize) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::with_capacity(count);
    while sockets.len() < count {
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Fisher and Yates with a fixed seed: each run gets the same disorder.
fn shuffle(fds: &mut [RawFd]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..fds.len()).rev() {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        fds.swap(last, (state % (last as u64 + 1)) as usize);
    }
}

/// As many as a beat has slots, so that a slot has one socket of each neighbourhood.
const STRIDE: usize = 50;

/// Longest wait for the next connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than a reader opens before the first accept; a full backlog would cost a second's
/// retransmit.
const BACKLOG: i32 = 4_096;
