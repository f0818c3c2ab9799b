//! The ways to send a range of a segment to sockets that need no ring, and the door to those that
//! do. A way owns its memory; it borrows the sockets by number, and the crowd keeps them open.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::ops::Range;
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};

use crate::kernel;
use crate::ring::Ring;
use crate::variants::{Means, Setting};

/// A segment of the server at 128 kbit/s.
pub const SEGMENT_BYTES: usize = 128 << 10;

/// What has left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub sends: u64,
    /// Sends of which the kernel took only a part, or nothing.
    pub short: u64,
    pub bytes: u64,
    /// Zero-copy sends that the kernel copied after all, as it does for every one over loopback.
    pub copied: u64,
}

impl Tally {
    /// Counts one send of `offered` bytes.
    ///
    /// # Errors
    /// The send's own, if it is more than a full buffer.
    pub fn count(&mut self, sent: io::Result<usize>, offered: usize) -> io::Result<usize> {
        let taken = match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            other => other?,
        };
        self.sends += 1;
        self.short += u64::from(taken < offered);
        self.bytes += taken as u64;
        Ok(taken)
    }

    pub fn add(&mut self, other: Self) {
        self.sends += other.sends;
        self.short += other.short;
        self.bytes += other.bytes;
        self.copied += other.copied;
    }
}

/// A way to send, ready to run.
pub enum Way {
    Send { fds: Vec<RawFd>, segment: Segment },
    Rows { rows: Vec<Row>, segment: Segment, prefetch: bool },
    File { fds: Vec<RawFd>, segment: File },
    Tee { fds: Vec<RawFd>, segment: Segment, pipes: Pipes },
    Ring(Box<Ring>),
}

impl Way {
    /// Makes the way of `setting` for these sockets, in the order of visits, and sends of `bytes`.
    ///
    /// # Errors
    /// If this machine lacks something.
    pub fn open(setting: &Setting, fds: Vec<RawFd>, bytes: usize) -> io::Result<Self> {
        Ok(match setting.means {
            Means::Send => Self::Send { fds, segment: Segment::ordinary() },
            Means::SendHuge => Self::Send { fds, segment: Segment::huge()? },
            Means::SendRows { prefetch } => {
                let rows = fds.into_iter().map(Row::new).collect();
                Self::Rows { rows, segment: Segment::ordinary(), prefetch }
            }
            Means::SendFile => Self::File { fds, segment: memfd()? },
            Means::Tee => Self::Tee { fds, segment: Segment::ordinary(), pipes: Pipes::open()? },
            Means::Ring(submit) => {
                Self::Ring(Box::new(Ring::open(submit, fds, Segment::ordinary(), bytes)?))
            }
        })
    }

    /// Sends `range` of the segment once to each of the sockets at `places`.
    pub fn visit(
        &mut self,
        places: Range<usize>,
        range: Range<usize>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        match self {
            Self::Send { fds, segment } => {
                let bytes = &segment.bytes()[range];
                for &fd in &fds[places] {
                    tally.count(send(fd, bytes), bytes.len())?;
                }
            }
            Self::Rows { rows, segment, prefetch } => {
                let bytes = &segment.bytes()[range];
                for place in places {
                    if let Some(ahead) = rows.get(place + ROWS_AHEAD).filter(|_| *prefetch) {
                        fetch(ahead);
                    }
                    let row = &mut rows[place];
                    row.told[0] += tally.count(send(row.fd, bytes), bytes.len())? as u64;
                    row.told[ROW_WORDS - 1] += 1;
                }
            }
            Self::File { fds, segment } => {
                for &fd in &fds[places] {
                    tally.count(send_file(fd, segment, &range), range.len())?;
                }
            }
            Self::Tee { fds, segment, pipes } => {
                let bytes = &segment.bytes()[range];
                pipes.fill(bytes)?;
                for &fd in &fds[places] {
                    pipes.send(fd, bytes.len(), tally)?;
                }
                pipes.empty(bytes.len())?;
            }
            Self::Ring(ring) => ring.visit(places, range, tally)?,
        }
        Ok(())
    }
}

/// As `rt::wire` sends.
fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: pointer and length come from one live slice; send only reads it.
    kernel::check(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

fn send_file(fd: RawFd, file: &File, range: &Range<usize>) -> io::Result<usize> {
    let mut offset = range.start as libc::off_t;
    // SAFETY: the offset lives past the call; the sockets do not wait.
    kernel::check(unsafe { libc::sendfile(fd, file.as_raw_fd(), &raw mut offset, range.len()) })
}

/// A segment in a memfd.
fn memfd() -> io::Result<File> {
    // SAFETY: the name is a C string, and nothing is kept of it.
    let fd = unsafe { libc::memfd_create(c"segment".as_ptr(), libc::MFD_CLOEXEC) };
    let fd = kernel::check(fd as isize)?;
    // SAFETY: the descriptor is new and nobody else's.
    let mut file = unsafe { File::from_raw_fd(fd as RawFd) };
    file.write_all(&[FILLING; SEGMENT_BYTES])?;
    Ok(file)
}

/// The bytes of a stream, in memory of our own.
pub struct Segment {
    memory: Vec<u8>,
    /// Where the segment begins in it.
    from: usize,
}

impl Segment {
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.from..][..SEGMENT_BYTES]
    }

    /// Begins at a page, as the server's segments do.
    fn ordinary() -> Self {
        let memory = vec![FILLING; SEGMENT_BYTES + PAGE];
        let from = memory.as_ptr().align_offset(PAGE);
        Self { memory, from }
    }

    /// Lies in a transparent huge page.
    ///
    /// # Errors
    /// If the kernel gives none.
    fn huge() -> io::Result<Self> {
        let mut memory = vec![FILLING; 2 * HUGE_PAGE];
        let from = memory.as_ptr().align_offset(HUGE_PAGE);
        let page = &mut memory[from..][..HUGE_PAGE];
        // SAFETY: pointer and length come from one live slice; the pages move, their bytes stay.
        let done =
            unsafe { libc::madvise(page.as_mut_ptr().cast(), page.len(), libc::MADV_COLLAPSE) };
        kernel::check(done as isize)?;
        Ok(Self { memory, from })
    }
}

/// What a server remembers of a listener, at the server's size of a row.
#[repr(align(64))]
pub struct Row {
    told: [u64; ROW_WORDS],
    fd: RawFd,
}

impl Row {
    fn new(fd: RawFd) -> Self {
        Self { told: [0; ROW_WORDS], fd }
    }
}

/// Asks for a row's two cache lines.
#[cfg(target_arch = "x86_64")]
fn fetch(row: &Row) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let lines = std::ptr::from_ref(row).cast::<[i8; 64]>();
    // SAFETY: a prefetch of any address is allowed, and this is a live row's.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(lines.cast()) };
    // SAFETY: as above; the row is two lines long.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(1).cast()) };
}

/// Stable Rust has no prefetch for other machines: the variant then equals `rows`.
#[cfg(not(target_arch = "x86_64"))]
fn fetch(_row: &Row) {}

/// A pipe that holds the beat's pages, and one through which copies of their references pass.
pub struct Pipes {
    beat: (PipeReader, PipeWriter),
    copy: (PipeReader, PipeWriter),
    scratch: Vec<u8>,
}

impl Pipes {
    fn open() -> io::Result<Self> {
        Ok(Self { beat: io::pipe()?, copy: io::pipe()?, scratch: vec![0; SEGMENT_BYTES] })
    }

    /// Puts the pages of `bytes` into the first pipe.
    ///
    /// # Errors
    /// If the pipe does not hold so many: 16 pages of 4 KiB by default.
    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        let piece =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: the piece is one live slice, which is not written to while the pipe refers to it.
        let filled = unsafe {
            libc::vmsplice(self.beat.1.as_raw_fd(), &raw const piece, 1, libc::SPLICE_F_NONBLOCK)
        };
        match kernel::check(filled)? {
            filled if filled == bytes.len() => Ok(()),
            _ => Err(io::Error::other("a beat is larger than a pipe")),
        }
    }

    /// Copies the references and moves the copies to a socket.
    fn send(&mut self, fd: RawFd, bytes: usize, tally: &mut Tally) -> io::Result<()> {
        let (from, to) = (self.beat.0.as_raw_fd(), self.copy.1.as_raw_fd());
        // SAFETY: takes no pointer.
        kernel::check(unsafe { libc::tee(from, to, bytes, libc::SPLICE_F_NONBLOCK) })?;
        let (none, copy) = (std::ptr::null_mut(), self.copy.0.as_raw_fd());
        let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
        // SAFETY: no offsets are given, as a pipe and a socket have none.
        let sent = kernel::check(unsafe { libc::splice(copy, none, fd, none, bytes, flags) });
        let taken = tally.count(sent, bytes)?;
        // What a full socket left behind must not reach the next one.
        self.copy.0.read_exact(&mut self.scratch[..bytes - taken])
    }

    /// Empties the first pipe.
    fn empty(&mut self, bytes: usize) -> io::Result<()> {
        self.beat.0.read_exact(&mut self.scratch[..bytes])
    }
}

const FILLING: u8 = 0x55;
const PAGE: usize = 4_096;
const HUGE_PAGE: usize = 2 << 20;

/// With the descriptor 128 bytes, two cache lines; the first and the last word are written.
const ROW_WORDS: usize = 15;

/// One send is thousands of instructions, so that a few rows ahead are far enough.
const ROWS_AHEAD: usize = 2;
