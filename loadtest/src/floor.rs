//! The floor: a bare `send(2)` loop over plain sockets, which is what the kernel's TCP path costs
//! and what no server on this machine gets below. Once a beat every listener is sent its bytes of
//! the beat from one buffer, spread over the slots of the beat. One thread; no parsing, no rows, no
//! law.

use crate::addresses::SourceNet;
use crate::clock;
use crate::fleet::{self, Fleet};
use crate::outcome::{Outcome, Spread};
use crate::plan::{Behaviour, Plan};
use crate::watch;
use crate::worker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant};

/// What the loop does.
#[derive(Clone, Copy, Debug)]
pub struct Beats {
    /// Bytes a second for each listener.
    pub bytes_per_s: u64,
    /// Time between two sends to one listener.
    pub beat: Duration,
    /// Parts of a beat over which the listeners are spread.
    pub slots: u32,
    /// How long to measure, after one beat that is not.
    pub duration: Duration,
}

/// What the loop cost.
#[derive(Clone, Debug, Serialize)]
pub struct FloorFigures {
    /// Listeners it sent to.
    pub listeners: usize,
    /// Bytes of one send.
    pub send_bytes: usize,
    /// Sends that were measured.
    pub sends: u64,
    /// Sends that the kernel took only in part or not at all.
    pub short: u64,
    /// Sends to connections that were gone.
    pub broken: u64,
    /// CPU of the loop's thread over wall time: 1.0 is one core.
    pub cores: f64,
    /// CPU per send, in us.
    pub us_per_send: f64,
    /// How late slots began, in us.
    pub late_us: Spread,
}

/// A whole run of the loop.
#[derive(Clone, Debug, Serialize)]
pub struct FloorRun {
    /// What the loop cost.
    pub floor: FloorFigures,
    /// CPU of the workers that listen, in cores, from when all had their first bytes.
    pub generator_cores: f64,
    /// What the listeners lived through.
    pub listeners: Outcome,
}

/// A server that can do nothing but send.
#[derive(Debug)]
pub struct Floor {
    listener: TcpListener,
    listeners: Vec<TcpStream>,
}

impl Floor {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        bind(&fd, &SocketAddr::from(([127, 0, 0, 1], 0)))?;
        // The standard library's backlog is 128, with which a crowd would wait for retransmits.
        listen(&fd, 4_096)?;
        Ok(Self { listener: TcpListener::from(fd), listeners: Vec::new() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts `count` listeners and answers each with a response head.
    ///
    /// # Errors
    /// If no one connects for `patience`, or descriptors run out.
    pub fn admit(&mut self, count: usize, patience: Duration) -> io::Result<()> {
        while self.listeners.len() < count {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    stream.write_all(HEAD)?;
                    self.listeners.push(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_for_one(patience)?
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for_one(&self, patience: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(patience).map_err(|_| ErrorKind::InvalidInput)?;
        let mut waiting = [PollFd::new(&self.listener, PollFlags::IN)];
        match poll(&mut waiting, Some(&timeout))? {
            0 => Err(ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    /// The listeners of one slot: neighbours in the order they were accepted, because the kernel
    /// laid their sockets side by side then. Every fiftieth instead costs a half more a send.
    fn slot(&self, index: u32, slots: u32) -> &[TcpStream] {
        let count = self.listeners.len() as u64;
        let edge = |index: u32| (count * u64::from(index) / u64::from(slots)) as usize;
        &self.listeners[edge(index)..edge(index + 1)]
    }

    /// Sends beats, and measures all but the first, which finds cold sockets.
    pub fn send_beats(&self, beats: Beats) -> FloorFigures {
        let slots = beats.slots.max(1);
        let slot = beats.beat / slots;
        let bytes = (beats.bytes_per_s as f64 * beats.beat.as_secs_f64()) as usize;
        let buffer = vec![0x55; bytes.max(1)];
        let mut tally = Tally::default();
        let (mut cpu_from, mut wall_from) = (clock::thread_cpu(), Instant::now());
        let began = Instant::now();
        for number in 0..u32::MAX {
            let due = slot * number;
            if due >= beats.beat + beats.duration {
                break;
            }
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            if number == slots {
                tally = Tally::default();
                (cpu_from, wall_from) = (clock::thread_cpu(), Instant::now());
            }
            let late = began.elapsed().saturating_sub(due);
            tally.late_us.record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            for stream in self.slot(number % slots, slots) {
                tally.send(stream, &buffer);
            }
        }
        // The last slot's time belongs to the run, though nothing is left to do in it.
        std::thread::sleep((beats.beat + beats.duration).saturating_sub(began.elapsed()));
        let cpu = clock::thread_cpu().saturating_sub(cpu_from).as_secs_f64();
        FloorFigures {
            listeners: self.listeners.len(),
            send_bytes: buffer.len(),
            sends: tally.sends,
            short: tally.short,
            broken: tally.broken,
            cores: cpu / wall_from.elapsed().as_secs_f64().max(1e-6),
            us_per_send: cpu * 1e6 / tally.sends.max(1) as f64,
            late_us: tally.late_us,
        }
    }
}

#[derive(Default)]
struct Tally {
    sends: u64,
    short: u64,
    broken: u64,
    late_us: Spread,
}

impl Tally {
    /// One send; writing to a non-blocking `TcpStream` is `send(2)` and nothing else.
    fn send(&mut self, mut stream: &TcpStream, buffer: &[u8]) {
        self.sends += 1;
        match stream.write(buffer) {
            Ok(taken) if taken == buffer.len() => {}
            Ok(_) => self.short += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.short += 1,
            Err(_) => self.broken += 1,
        }
    }
}

/// Runs the loop in a thread of this process against `listeners` in workers, which look at what
/// arrived every `tick`.
///
/// # Errors
/// If there are more listeners than this process may have descriptors, or workers fail.
pub fn run(listeners: u64, beats: Beats, tick: Duration) -> io::Result<FloorRun> {
    worker::raise_descriptor_limit();
    let descriptors = worker::descriptor_limit();
    if listeners.saturating_add(worker::SPARE_DESCRIPTORS) > descriptors {
        let text =
            format!("one process may hold {descriptors} descriptors: ask for fewer listeners");
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    let mut floor = Floor::open()?;
    let plan = plan(floor.address()?, listeners, beats, tick);
    let mut fleet = Fleet::launch(&plan.split(fleet::workers_for(listeners, descriptors)))?;
    let count = usize::try_from(listeners).unwrap_or(usize::MAX);

    let (sender, results) = channel();
    std::thread::spawn(move || {
        let figures = floor.admit(count, ADMIT_PATIENCE).map(|()| floor.send_beats(beats));
        // The sockets travel with the figures: closed now, they would count as dropped listeners.
        let _ = sender.send((figures, floor));
    });
    let mut workers_held = None;
    let (figures, floor) = loop {
        match results.try_recv() {
            Ok(result) => break result,
            Err(TryRecvError::Empty) => fleet.listen_for(worker::PROGRESS_EVERY)?,
            Err(TryRecvError::Disconnected) => return Err(io::Error::other("the loop died")),
        }
        if workers_held.is_none() && fleet.progress().pending == 0 {
            workers_held = Some(fleet.samples()?);
        }
    };
    let generator_cores = workers_held
        .map_or(Ok(0.0), |held| fleet.samples().map(|now| watch::cores(&held, &now)))?;
    let listeners = fleet.stop()?;
    drop(floor);
    Ok(FloorRun { floor: figures?, generator_cores, listeners })
}

/// What listeners of the loop at `server` do: connect at once and discard.
pub fn plan(server: SocketAddr, listeners: u64, beats: Beats, tick: Duration) -> Plan {
    Plan {
        server,
        authority: server.to_string(),
        mounts: vec!["/".into()],
        user_agents: Vec::new(),
        indexes: 0..listeners,
        listeners,
        rate: 0.0,
        connecting_max: 1_024,
        icy: false,
        sources: vec![SourceNet::LOOPBACK],
        bytes_per_s: beats.bytes_per_s,
        behaviour: Behaviour::default(),
        checked: 0,
        copy: false,
        settle: beats.beat,
        tick,
        // The first beat ends it; the loop itself gives up sooner on listeners that do not come.
        patience: ADMIT_PATIENCE + beats.beat * 2,
    }
}

const HEAD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n";
const ADMIT_PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_listener_gets_its_bytes_of_every_beat() {
        let mut floor = Floor::open().unwrap();
        let address = floor.address().unwrap();
        let mut listeners: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        floor.admit(3, Duration::from_secs(5)).unwrap();
        let beat = Duration::from_millis(4);
        let beats = Beats { bytes_per_s: 1_000, beat, slots: 2, duration: beat * 3 };
        let figures = floor.send_beats(beats);
        drop(floor);
        assert_eq!((figures.sends, figures.send_bytes), (9, 4));
        assert_eq!((figures.short, figures.broken), (0, 0));
        for listener in &mut listeners {
            let mut all = Vec::new();
            listener.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), HEAD.len() + 4 * 4);
        }
    }

    #[test]
    fn nobody_coming_is_an_error_and_not_a_hang() {
        let error = Floor::open().unwrap().admit(1, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
