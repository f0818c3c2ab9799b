//! HOT PATH. A packet of a program's streams with what several judges ask about it. Source core.

use super::packet::Packet;
use super::pes::Head;
use super::program::{Codec, Program, Track};

/// A packet with what is asked about it more than once.
pub(super) struct Seen<'a> {
    pub(super) packet: Packet<'a>,
    /// What its unit begins with, if one does.
    pub(super) head: Head<'a>,
    /// Whether it is of the stream whose start points count.
    pub(super) leads: bool,
    /// Its codec, if it is of the program's audio.
    pub(super) audio: Option<Codec>,
}

impl<'a> Seen<'a> {
    #[inline]
    pub(super) fn of(packet: Packet<'a>, program: &Program) -> Self {
        let is_this = |track: &Track| track.pid == packet.pid();
        Self {
            packet,
            head: if packet.starts_unit() { Head::of(packet) } else { Head::Other },
            leads: program.leading().is_none_or(|leading| is_this(&leading)),
            audio: program.audio.filter(is_this).map(|audio| audio.codec),
        }
    }

    /// When its unit is decoded, if it says so.
    pub(super) fn decoded(&self) -> Option<u64> {
        if let Head::Pes(pes) = self.head { pes.decoded() } else { None }
    }

    /// What it says of the program's clock.
    pub(super) fn clock(&self, program: &Program) -> Option<u64> {
        self.packet.pcr().filter(|_| self.packet.pid() == program.clock_pid)
    }
}
