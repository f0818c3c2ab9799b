//! The two tables that a player needs before anything else, and the program they lead to. They are
//! taken out of the stream and put back whole, with counters and versions of our own: a damaged one
//! never goes out, and one that changes always shows. Source core, some twenty times a second.

use super::super::Signature;
use super::packet::Packet;
use super::pids::Pids;
use super::program::{Entry, Program};
use super::psi::{Gathered, SECTION_HEAD_BYTES, Table};

/// The PID of the program association table.
const ASSOCIATION_PID: u16 = 0;
const ASSOCIATION_TABLE: u8 = 0x00;
const MAP_TABLE: u8 = 0x02;
/// PIDs below are the standard's own.
const OWN_PID_MIN: u16 = 0x10;

/// The tables of a stream, over all its sources.
#[derive(Debug, Default)]
pub(super) struct Tables {
    association: Table,
    map: Table,
    /// The program that the present source's association names first.
    entry: Option<Entry>,
    /// The present source's program.
    program: Option<Program>,
    /// Whether a table differs from what listeners have.
    changed: bool,
    preamble: Vec<u8>,
}

impl Tables {
    /// Whether packets of `pid` are the tables'.
    #[inline]
    pub(super) fn take(&self, pid: u16) -> bool {
        pid == ASSOCIATION_PID || self.entry.is_some_and(|entry| entry.map_pid == pid)
    }

    /// Takes such a packet; `follows` tells whether none is missing before it. If a table is whole
    /// with it, `written` gets what goes out: that table, or both if either has changed.
    pub(super) fn push(
        &mut self,
        packet: Packet<'_>,
        follows: bool,
        pids: &mut Pids,
        written: &mut Vec<u8>,
    ) -> Gathered {
        let is_map = packet.pid() != ASSOCIATION_PID;
        let gathered = match self.entry {
            Some(entry) if is_map => self.push_map(packet, follows, entry),
            _ => self.push_association(packet, follows),
        };
        if gathered < Gathered::Again {
            return gathered;
        }
        let (Some(entry), Some(_)) = (self.entry, self.program) else { return Gathered::Nothing };
        written.clear();
        let changed = std::mem::take(&mut self.changed);
        if changed || !is_map {
            self.association.write(ASSOCIATION_PID, || pids.next(ASSOCIATION_PID), written);
        }
        if changed || is_map {
            self.map.write(entry.map_pid, || pids.next(entry.map_pid), written);
        }
        if !changed {
            return Gathered::Again;
        }
        self.preamble.clear();
        self.association.write(ASSOCIATION_PID, counter(), &mut self.preamble);
        self.map.write(entry.map_pid, counter(), &mut self.preamble);
        Gathered::Changed
    }

    /// An association that names no program, or one at a PID that cannot be, is no news.
    fn push_association(&mut self, packet: Packet<'_>, follows: bool) -> Gathered {
        let usable = |section: &[u8]| {
            section[0] == ASSOCIATION_TABLE
                && Entry::first(section).is_some_and(|entry| {
                    (OWN_PID_MIN..super::packet::NULL_PID).contains(&entry.map_pid)
                })
        };
        let gathered = self.association.push(packet, follows, usable);
        if gathered >= Gathered::Again {
            self.changed |= gathered == Gathered::Changed;
            let entry = Entry::first(self.association.section());
            if entry != self.entry {
                self.entry = entry;
                self.program = None;
                self.map.interrupt();
            }
        }
        gathered
    }

    fn push_map(&mut self, packet: Packet<'_>, follows: bool, entry: Entry) -> Gathered {
        let usable = |section: &[u8]| {
            section[0] == MAP_TABLE
                && section[3..5] == entry.number.to_be_bytes()
                && Program::read(section).is_some()
        };
        let gathered = self.map.push(packet, follows, usable);
        if gathered == Gathered::Changed || gathered == Gathered::Again && self.program.is_none() {
            self.changed |= gathered == Gathered::Changed;
            self.program = Program::read(self.map.section());
        }
        gathered
    }

    /// The present source's program, once both tables have come.
    #[inline]
    pub(super) fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// Both tables as packets, as of the last time that they changed.
    pub(super) fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    /// Of all that the map says of the program's streams.
    pub(super) fn signature(&self) -> Option<Signature> {
        let map = self.map.section().get(SECTION_HEAD_BYTES..)?;
        self.program.is_some().then(|| Signature::of(&[map]))
    }

    /// Another source goes on: its tables are waited for, and held against what listeners have.
    pub(super) fn next_source(&mut self) {
        (self.entry, self.program) = (None, None);
        self.association.interrupt();
        self.map.interrupt();
    }
}

/// Counters from zero on.
fn counter() -> impl FnMut() -> u8 {
    let mut next = 0_u8;
    move || {
        next = next.wrapping_add(1);
        next.wrapping_sub(1) & 0x0F
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Bytes, PACKET_BYTES};
    use super::super::testing::{association, map, packets, section};
    use super::*;

    /// Pushes the packets of `stream`: gives what came of the last, and what goes out for it.
    fn push(tables: &mut Tables, pids: &mut Pids, stream: &[u8]) -> (Gathered, Vec<u8>) {
        let (mut said, mut written) = (Gathered::Nothing, Vec::new());
        for bytes in stream.as_chunks::<PACKET_BYTES>().0 {
            said = tables.push(Packet(bytes), true, pids, &mut written);
        }
        (said, written)
    }

    #[test]
    fn both_tables_make_a_head_and_each_is_then_put_out_alone() {
        let (mut tables, mut pids) = Default::default();
        let association = packets(0, &association(0x200, 0));
        let map = packets(0x200, &map(&[(0x0F, 0x201)], 0));
        assert_eq!(push(&mut tables, &mut pids, &association).0, Gathered::Nothing);
        assert!(tables.take(0x200) && !tables.take(0x201) && tables.program().is_none());
        let both = [&association[..], &map].concat();
        assert_eq!(push(&mut tables, &mut pids, &map), (Gathered::Changed, both.clone()));
        assert!(tables.preamble() == both && tables.signature().is_some());
        let (said, again) = push(&mut tables, &mut pids, &map);
        assert_eq!(said, Gathered::Again);
        assert_eq!((again.len(), again[3]), (PACKET_BYTES, 0x11));
    }

    #[test]
    fn a_map_elsewhere_is_waited_for_and_one_of_another_program_is_not_taken() {
        let (mut tables, mut pids) = Default::default();
        let first = [packets(0, &association(0x200, 0)), packets(0x200, &map(&[(0x0F, 0x201)], 0))];
        assert_eq!(push(&mut tables, &mut pids, &first.concat()).0, Gathered::Changed);
        let moved = packets(0, &association(0x300, 1));
        assert_eq!(push(&mut tables, &mut pids, &moved).0, Gathered::Nothing);
        assert!(tables.program().is_none());
        let mut other = map(&[(0x0F, 0x201)], 0)[8..].to_vec();
        other.truncate(other.len() - 4);
        let other = packets(0x300, &section(2, 9, 0, &other));
        assert_eq!(push(&mut tables, &mut pids, &other).0, Gathered::Nothing);
        let map = packets(0x300, &map(&[(0x0F, 0x201)], 0));
        assert_eq!(push(&mut tables, &mut pids, &map).0, Gathered::Changed);
    }

    #[test]
    fn an_association_of_nothing_or_of_a_reserved_pid_is_no_news() {
        for section in [section(0, 1, 0, &[]), association(0, 0), association(0x1FFF, 0)] {
            let (mut tables, mut pids) = Default::default();
            let (said, written) = push(&mut tables, &mut pids, &packets(0, &section));
            assert_eq!((said, written.len()), (Gathered::Nothing, 0));
            assert!(!tables.take(0x1FFF));
        }
    }

    #[test]
    fn the_same_tables_of_another_source_are_no_news() {
        let (mut tables, mut pids): (Tables, Pids) = Default::default();
        let both = [packets(0, &association(0x200, 0)), packets(0x200, &map(&[(0x0F, 0x201)], 0))]
            .concat();
        assert_eq!(push(&mut tables, &mut pids, &both).0, Gathered::Changed);
        let signature = tables.signature();
        tables.next_source();
        assert_eq!(tables.signature(), None);
        let (said, written) = push(&mut tables, &mut pids, &both);
        assert_eq!((said, written.len()), (Gathered::Again, PACKET_BYTES));
        let packet: &Bytes = written.first_chunk().unwrap();
        assert_eq!((Packet(packet).pid(), Packet(packet).continuity()), (0x200, 1));
        assert_eq!(tables.signature(), signature);
    }
}
