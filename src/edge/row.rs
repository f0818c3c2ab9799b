//! A listener as its core keeps it: one row of a mount's table, at most 128 bytes and no
//! allocation.

use std::sync::Arc;

use crate::base::{CloseReason, ListenerId, Moment};
use crate::domain::bus::TitleBlock;
use crate::rt::wire::{Sent, Wire};

use super::labels::LabelId;

/// How a row's bytes leave: a socket, or in simulations a pretended one.
pub trait Transmit {
    /// Sends one range.
    fn send(&mut self, bytes: &[u8]) -> Sent;
    /// Sends several ranges in order.
    fn send_pieces(&mut self, pieces: &[std::io::IoSlice<'_>]) -> Sent;
    /// Whether the peer has closed, asked without waiting.
    fn peer_left(&mut self) -> bool;
}

impl Transmit for Wire {
    #[inline]
    fn send(&mut self, bytes: &[u8]) -> Sent {
        Wire::send(self, bytes)
    }

    #[inline]
    fn send_pieces(&mut self, pieces: &[std::io::IoSlice<'_>]) -> Sent {
        Wire::send_pieces(self, pieces)
    }

    fn peer_left(&mut self) -> bool {
        Wire::peer_left(self)
    }
}

/// One listener.
#[derive(Debug)]
pub struct Row<W> {
    /// Its socket.
    pub wire: W,
    /// Next stream byte it gets, as an offset in its mount's stream.
    pub offset: u64,
    /// Bytes sent after the head, metadata blocks included.
    pub bytes_sent: u64,
    /// A metadata block that the kernel took only a part of.
    pub block: Option<Arc<TitleBlock>>,
    /// Bytes of `block` that are sent.
    pub block_sent: u16,
    /// Why it must leave at its next visit, if it must.
    pub closing: Option<CloseReason>,
    /// The request came by HTTP/1.0 or 1.1 (for the log).
    pub http_minor: u8,
    /// Stream bytes between two metadata blocks; 0 = it did not ask for any.
    pub icy_interval: u32,
    /// Stream bytes until its next metadata block.
    pub icy_left: u32,
    /// Serial number of the title it was told last; 0 = none.
    pub title_seen: u32,
    /// Second of its coming, from the start of the process.
    pub joined_s: u32,
    /// Second at which it last took bytes or had none to take.
    pub took_s: u32,
    /// Its number in `listclients` and logs.
    pub id: ListenerId,
    /// Its address, packed.
    pub address: [u8; 16],
    /// Its port.
    pub port: u16,
    /// Its request target as sent.
    pub target: LabelId,
    /// Its user agent.
    pub agent: LabelId,
    /// Its referrer.
    pub referrer: LabelId,
}

// The design's law on density; a row past two cache lines would also cost the pump a third miss.
const _: () = assert!(size_of::<Row<Wire>>() <= 128);

impl<W> Row<W> {
    /// Marks it to leave at its next visit; the first reason stays.
    pub fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    /// Whole seconds it has been on.
    pub fn seconds_on(&self, now: Moment) -> u32 {
        now.seconds().saturating_sub(self.joined_s)
    }
}
