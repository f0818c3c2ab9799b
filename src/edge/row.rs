//! A listener as its core keeps it: one row of a mount's table, at most 128 bytes and no
//! allocation.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{CloseReason, ListenerId, Moment};
use crate::config::Burst;
use crate::domain::bus::TitleBlock;
use crate::rt::wire::{Sent, Wire};

use super::feed::Feed;
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
    /// Next stream byte it gets, as an offset in its mount's stream; [`JOINING`] until it has its
    /// place there.
    pub offset: u64,
    /// Bytes sent after the head, metadata blocks included.
    pub bytes_sent: u64,
    /// What it is sent before it goes on at `offset`: an intro or a preamble.
    pub lead: Option<Arc<Vec<u8>>>,
    /// Bytes of `lead` that are sent.
    pub lead_sent: u32,
    /// What it asked to get at once; `None` = what the mount gives.
    pub burst: AskedBurst,
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

/// The offset of a listener that has no place in the stream yet.
pub const JOINING: u64 = u64::MAX;

// The design's law on density; a row past two cache lines would also cost the pump a third miss.
const _: () = assert!(size_of::<Row<Wire>>() <= 128);

/// What a listener is when it comes.
#[derive(Debug, Default)]
pub struct Newcomer {
    /// See [`Row::id`].
    pub id: ListenerId,
    /// See [`Row::http_minor`].
    pub http_minor: u8,
    /// See [`Row::icy_interval`].
    pub icy_interval: u32,
    /// See [`Row::burst`].
    pub burst: AskedBurst,
    /// See [`Row::lead`].
    pub intro: Option<Arc<Vec<u8>>>,
    /// Bytes of the intro that are behind it already.
    pub intro_from: u32,
    /// See [`Row::address`].
    pub address: [u8; 16],
    /// See [`Row::port`].
    pub port: u16,
    /// See [`Row::target`].
    pub target: LabelId,
    /// See [`Row::agent`].
    pub agent: LabelId,
    /// See [`Row::referrer`].
    pub referrer: LabelId,
}

impl<W> Row<W> {
    /// A listener that comes at `now` and has no place in the stream yet.
    pub fn new(wire: W, newcomer: Newcomer, now: Moment) -> Self {
        Self {
            wire,
            offset: JOINING,
            bytes_sent: 0,
            lead: newcomer.intro,
            lead_sent: newcomer.intro_from,
            burst: newcomer.burst,
            block: None,
            block_sent: 0,
            closing: None,
            http_minor: newcomer.http_minor,
            icy_interval: newcomer.icy_interval,
            icy_left: newcomer.icy_interval,
            title_seen: 0,
            joined_s: now.seconds(),
            took_s: now.seconds(),
            id: newcomer.id,
            address: newcomer.address,
            port: newcomer.port,
            target: newcomer.target,
            agent: newcomer.agent,
            referrer: newcomer.referrer,
        }
    }

    /// Whether it is sent something else before the stream, or waits for its place there.
    #[inline]
    pub fn is_leading(&self) -> bool {
        self.lead.is_some() || self.offset == JOINING
    }

    /// Takes its place in the stream, if a player can start anywhere yet.
    pub fn enter(&mut self, feed: &Feed) {
        if let Some(start) = feed.start_point(self.burst.get()) {
            self.offset = start;
            self.lead = feed.preambles().at(start).cloned();
            self.lead_sent = 0;
        }
    }

    /// Goes on at `offset`, with what its decoder needs there.
    pub fn move_to(&mut self, offset: u64, feed: &Feed) {
        self.lead = feed.preambles().between(self.offset, offset).cloned();
        self.lead_sent = 0;
        self.offset = offset;
    }

    /// Marks it to leave at its next visit; the first reason stays.
    pub fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    /// Whole seconds it has been on.
    pub fn seconds_on(&self, now: Moment) -> u32 {
        now.seconds().saturating_sub(self.joined_s)
    }
}

/// A burst in four bytes: a listener's row has no room for a [`Burst`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedBurst(u32);

impl AskedBurst {
    /// Set for bytes, clear for milliseconds.
    const BYTES: u32 = 1 << 31;
    /// Both are told one higher, so that zero is free to mean nothing.
    const MOST: u32 = Self::BYTES - 2;

    /// What was asked for; past 24 days or 2 GB it counts as that.
    pub fn new(burst: Option<Burst>) -> Self {
        let capped = |count: u128| u32::try_from(count).unwrap_or(Self::MOST).min(Self::MOST) + 1;
        Self(match burst {
            None => 0,
            Some(Burst::Time(span)) => capped(span.as_millis()),
            Some(Burst::Bytes(bytes)) => Self::BYTES | capped(bytes as u128),
        })
    }

    /// What was asked for.
    pub fn get(self) -> Option<Burst> {
        let count = (self.0 & !Self::BYTES).checked_sub(1)?;
        Some(match self.0 & Self::BYTES {
            0 => Burst::Time(Duration::from_millis(count.into())),
            _ => Burst::Bytes(count as usize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asked_burst_keeps_its_unit_and_is_capped() {
        let kept = |burst| AskedBurst::new(burst).get();
        assert_eq!(kept(None), None);
        for burst in [
            Burst::Time(Duration::ZERO),
            Burst::Time(Duration::from_millis(2_500)),
            Burst::Bytes(0),
            Burst::Bytes(65_536),
        ] {
            assert_eq!(kept(Some(burst)), Some(burst));
        }
        assert_eq!(kept(Some(Burst::Bytes(usize::MAX))), Some(Burst::Bytes((1 << 31) - 2)));
        let most = Burst::Time(Duration::from_millis((1 << 31) - 2));
        assert_eq!(kept(Some(Burst::Time(Duration::MAX))), Some(most));
    }
}
