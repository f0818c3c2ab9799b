//! HOT PATH. Continuity counters: what is missing on each PID of the source, and numbers that go on
//! for listeners when another source takes over. Source core.

use super::packet::{PIDS, Packet};

/// The counters of all PIDs, in 32 KiB: a table by PID needs no bound on how many a source uses.
#[derive(Debug)]
pub(super) struct Pids(Box<[Pid]>);

/// The counters of one PID.
#[derive(Clone, Copy, Debug)]
struct Pid {
    /// The last one of the present source, or [`NONE`].
    heard: u8,
    /// The last one that listeners saw, or [`NONE`].
    written: u8,
    /// What has to be added to the source's, or [`NONE`] before the first that is written.
    shift: u8,
    /// Whether a unit of the present source has begun, so that its packets mean something.
    begun: bool,
}

/// No counter: they have four bits.
const NONE: u8 = 0xFF;

impl Default for Pids {
    fn default() -> Self {
        let none = Pid { heard: NONE, written: NONE, shift: NONE, begun: false };
        Self(std::iter::repeat_n(none, PIDS).collect())
    }
}

impl Pids {
    /// Takes note of a packet of the source: gives how many are missing before it, up to 15. A
    /// packet may come twice, and one without payload does not count (2.4.3.3).
    #[inline]
    pub(super) fn hear(&mut self, packet: Packet<'_>) -> u8 {
        let pid = self.at(packet.pid());
        let (before, now) = (pid.heard, packet.continuity());
        pid.heard = now;
        if before == NONE || before == now || packet.is_discontinuous() {
            return 0;
        }
        now.wrapping_sub(before + u8::from(packet.has_payload())) & 0x0F
    }

    /// The counter with which a packet of the source goes out.
    #[inline]
    pub(super) fn write(&mut self, packet: Packet<'_>) -> u8 {
        let pid = self.at(packet.pid());
        let now = packet.continuity();
        if pid.shift == NONE {
            let next = pid.written.wrapping_add(u8::from(packet.has_payload()));
            pid.shift = if pid.written == NONE { 0 } else { next.wrapping_sub(now) & 0x0F };
        }
        pid.written = (now + pid.shift) & 0x0F;
        pid.written
    }

    /// The next counter for a packet of our own.
    pub(super) fn next(&mut self, pid: u16) -> u8 {
        let pid = self.at(pid);
        pid.written = pid.written.wrapping_add(1) & 0x0F;
        pid.written
    }

    /// Whether a unit of the present source has begun on `pid`.
    #[inline]
    pub(super) fn has_begun(&mut self, pid: u16) -> bool {
        self.at(pid).begun
    }

    /// A unit of the present source begins on `pid`.
    pub(super) fn begin(&mut self, pid: u16) {
        self.at(pid).begun = true;
    }

    /// What comes on `pid` is left out until its next unit begins, and then goes on without a gap.
    pub(super) fn pause(&mut self, pid: u16) {
        let pid = self.at(pid);
        (pid.begun, pid.shift) = (false, NONE);
    }

    /// Another source goes on: what was heard is forgotten, what was written is not.
    pub(super) fn next_source(&mut self) {
        for pid in &mut self.0 {
            (pid.heard, pid.shift, pid.begun) = (NONE, NONE, false);
        }
    }

    #[inline]
    fn at(&mut self, pid: u16) -> &mut Pid {
        &mut self.0[usize::from(pid) % PIDS]
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Bytes, PACKET_BYTES, SYNC_BYTE};
    use super::*;

    fn packet(continuity: u8) -> Bytes {
        let mut packet = [0; PACKET_BYTES];
        packet[..4].copy_from_slice(&[SYNC_BYTE, 0x01, 0x00, 0x10 | continuity]);
        packet
    }

    fn hear(pids: &mut Pids, counters: &[u8]) -> Vec<u8> {
        counters.iter().map(|counter| pids.hear(Packet(&packet(*counter)))).collect()
    }

    #[test]
    fn missing_packets_are_counted_and_a_repeated_one_is_none() {
        let mut pids = Pids::default();
        assert_eq!(hear(&mut pids, &[14, 15, 0, 1, 1, 2, 4, 3]), [0, 0, 0, 0, 0, 0, 1, 14]);
    }

    #[test]
    fn a_packet_without_payload_does_not_count() {
        let mut pids = Pids::default();
        assert_eq!(hear(&mut pids, &[5]), [0]);
        let mut empty = packet(5);
        (empty[3], empty[4]) = (0x25, 183);
        assert_eq!(pids.hear(Packet(&empty)), 0);
        assert_eq!(hear(&mut pids, &[6]), [0]);
    }

    #[test]
    fn a_told_discontinuity_is_no_gap() {
        let mut pids = Pids::default();
        assert_eq!(hear(&mut pids, &[5]), [0]);
        let mut told = packet(11);
        (told[3], told[4], told[5]) = (0x3B, 1, 0x80);
        assert_eq!(pids.hear(Packet(&told)), 0);
        assert_eq!(hear(&mut pids, &[12]), [0]);
    }

    #[test]
    fn numbers_go_on_over_a_seam_and_keep_the_gaps_within_a_source() {
        let mut pids = Pids::default();
        let mut write = |counters: &[u8]| {
            let written: Vec<u8> =
                counters.iter().map(|counter| pids.write(Packet(&packet(*counter)))).collect();
            pids.next_source();
            written
        };
        assert_eq!(write(&[3, 4, 5]), [3, 4, 5]);
        assert_eq!(write(&[0, 1, 3]), [6, 7, 9]);
        assert_eq!(write(&[10, 11]), [10, 11]);
    }

    #[test]
    fn after_a_pause_numbers_go_on_without_a_gap() {
        let mut pids = Pids::default();
        assert_eq!(pids.write(Packet(&packet(3))), 3);
        pids.begin(0x100);
        pids.pause(0x100);
        assert!(!pids.has_begun(0x100));
        assert_eq!(pids.write(Packet(&packet(9))), 4);
    }
}
