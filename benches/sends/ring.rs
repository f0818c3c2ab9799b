//! Sends by an io_uring of our own, a batch for each system call. The ring polls nothing and has no
//! thread: like the plain send it is told not to wait, and a full socket answers EAGAIN.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::ways::{Segment, Tally};

/// How a batch is submitted.
#[derive(Clone, Copy, Debug)]
pub struct Submit {
    pub call: Call,
    /// Sends for each system call.
    pub batch: usize,
    /// Whether the ring knows the sockets beforehand, and for zero copy the memory as well.
    pub registered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Send,
    /// IORING_OP_SEND_ZC from a registered buffer: the network gets our pages themselves.
    SendZc,
    /// IORING_RECVSEND_BUNDLE: one send of several provided buffers. It takes *all* buffers of its
    /// group, so each socket of a batch needs a group of its own.
    SendBundle,
}

impl Call {
    /// A full socket has taken nothing, which is no error; nor is it that a bundle found its group
    /// empty, which is how each one ends that has sent everything.
    fn pass_over(self, error: io::Error) -> io::Result<usize> {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(0),
            Some(libc::ENOBUFS) if self == Self::SendBundle => Ok(0),
            _ => Err(error),
        }
    }
}

/// A ring, the sockets in the order of visits, and the segment they are sent.
pub struct Ring {
    /// Dropped before the memory below, which it refers to.
    ring: IoUring,
    submit: Submit,
    fds: Vec<RawFd>,
    segment: Segment,
    /// One for each place in a batch; only bundles have any.
    groups: Vec<Group>,
}

impl Ring {
    /// Makes the ring for sends of `bytes`.
    ///
    /// # Errors
    /// If this kernel has no io_uring, forbids it, or lacks an operation.
    pub fn open(
        submit: Submit,
        fds: Vec<RawFd>,
        segment: Segment,
        bytes: usize,
    ) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            // Completions are handled when we ask for them and interrupt nothing.
            .setup_defer_taskrun()
            // A zero-copy send completes twice.
            .setup_cqsize(4 * submit.batch as u32)
            .build(submit.batch as u32)?;
        if submit.registered {
            ring.submitter().register_files(&fds)?;
        }
        if submit.registered && submit.call == Call::SendZc {
            let memory = segment.bytes();
            let piece =
                libc::iovec { iov_base: memory.as_ptr().cast_mut().cast(), iov_len: memory.len() };
            // SAFETY: the segment lives in the same struct as the ring, moves no heap memory, and
            // is dropped after it.
            unsafe { ring.submitter().register_buffers(&[piece]) }?;
        }
        let mut groups = Vec::new();
        if submit.call == Call::SendBundle {
            for id in 0..submit.batch as u16 {
                groups.push(Group::register(&ring, id, bytes.div_ceil(PIECES))?);
            }
        }
        Ok(Self { ring, submit, fds, segment, groups })
    }

    /// Sends `range` of the segment to the sockets at `places`, batch after batch.
    pub fn visit(
        &mut self,
        places: Range<usize>,
        range: Range<usize>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let mut from = places.start;
        while from < places.end {
            let to = places.end.min(from + self.submit.batch);
            for place in from..to {
                self.push(place, place - from, &range)?;
            }
            self.collect(to - from, range.len(), tally)?;
            from = to;
        }
        Ok(())
    }

    /// Queues one send; `index` is its place in the batch.
    fn push(&mut self, place: usize, index: usize, range: &Range<usize>) -> io::Result<()> {
        if let Some(group) = self.groups.get_mut(index) {
            group.fill(&self.segment.bytes()[range.clone()]);
        }
        let entry = self.entry(place, index, range).user_data(index as u64);
        // SAFETY: the segment and the groups outlive the ring, and the sockets are open until
        // every send of this batch has completed.
        unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)
    }

    fn entry(&self, place: usize, index: usize, range: &Range<usize>) -> squeue::Entry {
        let bytes = &self.segment.bytes()[range.clone()];
        let (start, len) = (bytes.as_ptr(), bytes.len() as u32);
        let (fd, fixed) = (Fd(self.fds[place]), Fixed(place as u32));
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let zc = |send: opcode::SendZc| send.flags(flags).zc_flags(ZC_REPORT_USAGE);
        let bundle = |send: opcode::SendBundle| send.flags(flags).len(len);
        match (self.submit.call, self.submit.registered) {
            (Call::Send, true) => opcode::Send::new(fixed, start, len).flags(flags).build(),
            (Call::Send, false) => opcode::Send::new(fd, start, len).flags(flags).build(),
            (Call::SendZc, true) => {
                zc(opcode::SendZc::new(fixed, start, len)).buf_index(Some(0)).build()
            }
            (Call::SendZc, false) => zc(opcode::SendZc::new(fd, start, len)).build(),
            (Call::SendBundle, true) => {
                bundle(opcode::SendBundle::new(fixed, index as u16)).build()
            }
            (Call::SendBundle, false) => bundle(opcode::SendBundle::new(fd, index as u16)).build(),
        }
    }

    /// Submits what is queued, `count` sends of `offered` bytes, and waits until all are done.
    /// Notices that zero-copy memory is free again may come with a later batch.
    fn collect(&mut self, count: usize, offered: usize, tally: &mut Tally) -> io::Result<()> {
        let mut taken = [0_usize; BATCH_MAX];
        let mut left = count;
        while left > 0 {
            self.ring.submit_and_wait(left)?;
            for done in self.ring.completion() {
                if cqueue::notif(done.flags()) {
                    tally.copied += u64::from(done.result() as u32 & ZC_COPIED != 0);
                    continue;
                }
                let index = done.user_data() as usize;
                let sent = result(done.result());
                if let (Ok(bytes), Some(group)) = (&sent, self.groups.get_mut(index)) {
                    group.consumed(*bytes);
                }
                taken[index] += sent.or_else(|error| self.submit.call.pass_over(error))?;
                // A bundle that goes on says so; a zero-copy send announces its notice alike.
                if self.submit.call != Call::SendBundle || !cqueue::more(done.flags()) {
                    tally.count(Ok(taken[index]), offered)?;
                    left -= 1;
                }
            }
        }
        Ok(())
    }
}

fn result(code: i32) -> io::Result<usize> {
    usize::try_from(code).map_err(|_| io::Error::from_raw_os_error(-code))
}

/// A group of provided buffers: a table of [`ENTRIES`] that the kernel reads while we submit.
struct Group {
    /// INVARIANT: `LAYOUT`'s worth of zeroed memory, ours until drop. Without a polling thread the
    /// kernel looks at it only within our system calls, so that plain writes between them are
    /// never seen half done.
    table: NonNull<BufRingEntry>,
    /// Bytes of one buffer.
    piece: usize,
    /// Buffers that the kernel has not taken yet.
    waiting: usize,
    /// Buffers ever provided, modulo 2^16 as the kernel counts them.
    tail: u16,
}

impl Group {
    fn register(ring: &IoUring, id: u16, piece: usize) -> io::Result<Self> {
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(LAYOUT) };
        let Some(table) = NonNull::new(memory.cast()) else { handle_alloc_error(LAYOUT) };
        let group = Self { table, piece, waiting: 0, tail: 0 };
        let address = table.as_ptr().expose_provenance() as u64;
        let submitter = ring.submitter();
        // SAFETY: the table is page-aligned and holds ENTRIES entries. It lives as long as sends
        // are under way, and beyond that the kernel keeps its page.
        unsafe { submitter.register_buf_ring_with_flags(address, ENTRIES as u16, id, 0) }?;
        Ok(group)
    }

    /// Provides `bytes` in pieces. What a short send left behind stays in front of them, so the
    /// socket gets as many bytes as ever, though not the same; a bench may do that.
    fn fill(&mut self, bytes: &[u8]) {
        let wanted = bytes.len().div_ceil(self.piece);
        for piece in bytes.chunks(self.piece).take(wanted.saturating_sub(self.waiting)) {
            // SAFETY: the index is below ENTRIES, which the table has room for.
            let entry = unsafe { self.table.add(usize::from(self.tail) % ENTRIES) };
            // SAFETY: zeroed memory is a valid entry, and by the table's invariant nobody else
            // looks at it now.
            let entry = unsafe { &mut *entry.as_ptr() };
            entry.set_addr(piece.as_ptr().expose_provenance() as u64);
            entry.set_len(piece.len() as u32);
            entry.set_bid(self.tail % ENTRIES as u16);
            self.tail = self.tail.wrapping_add(1);
            self.waiting += 1;
        }
        // SAFETY: the pointer is to the first entry of the table.
        let tail = unsafe { BufRingEntry::tail(self.table.as_ptr()) };
        // SAFETY: the tail is two aligned bytes within the table's first entry.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        // Its partner is the kernel's acquire load of the tail.
        tail.store(self.tail, Ordering::Release);
    }

    /// Notes how many buffers a send of `bytes` has used up, the last of them maybe in part.
    fn consumed(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_sub(bytes.div_ceil(self.piece));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this layout, and no send is under way any more.
        unsafe { dealloc(self.table.as_ptr().cast(), LAYOUT) };
    }
}

/// Buffers in a bundle: as if a beat lay in four runs.
const PIECES: usize = 4;

/// Entries of a group's table, a power of two as the kernel asks.
const ENTRIES: usize = 8;

/// A page for each table: the kernel pins whole pages.
const LAYOUT: Layout = match Layout::from_size_align(4_096, 4_096) {
    Ok(layout) => layout,
    Err(_) => panic!("4,096 is a power of two"),
};

/// The largest batch in the table of variants.
const BATCH_MAX: usize = 512;

/// IORING_SEND_ZC_REPORT_USAGE of linux/io_uring.h, which the crate does not name.
const ZC_REPORT_USAGE: u16 = 1 << 3;

/// IORING_NOTIF_USAGE_ZC_COPIED of linux/io_uring.h: the notice of a send that was copied.
const ZC_COPIED: u32 = 1 << 31;
