//! Sections of a transport stream's tables (ISO/IEC 13818-1, 2.4.4): gathering them from packets,
//! whole and with the right checksum, and writing them into packets of our own. What a table says
//! is [`super::program`]'s. Source core, some twenty times a second.

use crc::{CRC_32_MPEG_2, Crc};

use super::packet::{PACKET_BYTES, Packet, SYNC_BYTE};

/// Longest section of the two tables; other tables' may be longer.
const SECTION_BYTES_MAX: usize = 1024;
/// Table id and length.
const PREFIX_BYTES: usize = 3;
/// Prefix, the number that tells tables of one kind apart, version, number of this section and of
/// the last one.
pub(super) const SECTION_HEAD_BYTES: usize = 8;
/// The checksum behind every section.
const CRC_BYTES: usize = 4;
/// Fills a packet behind its last section.
const STUFFING: u8 = 0xFF;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_MPEG_2);

/// One table of a stream, as its source last sent it and as it goes to listeners.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The section under way.
    gathered: Vec<u8>,
    /// The last section that was taken, as it is written: its version may be another one.
    section: Vec<u8>,
}

/// What came of a packet of a table.
///
/// Where a packet ends several sections the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gathered {
    /// No section that counts is whole.
    Nothing,
    /// A section's checksum is wrong.
    Damaged,
    /// The table came again as it was.
    Again,
    /// The table is another one than before.
    Changed,
}

impl Table {
    /// Takes the packet `packet` of the table's PID. `follows` tells whether none is missing before
    /// it, `wanted` whether a section, which is whole, is the one that counts on this PID.
    pub(super) fn push(
        &mut self,
        packet: Packet<'_>,
        follows: bool,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Gathered {
        if !follows {
            self.gathered.clear();
        }
        let mut rest = packet.payload();
        let mut gathered = Gathered::Nothing;
        if packet.starts_unit() {
            let Some((&before, sections)) = rest.split_first() else { return gathered };
            let Some((end, sections)) = sections.split_at_checked(usize::from(before)) else {
                self.gathered.clear();
                return gathered;
            };
            if !self.gathered.is_empty() && self.fill(end).is_some() {
                gathered = self.judge(&wanted);
            }
            self.gathered.clear();
            rest = sections;
        } else if self.gathered.is_empty() {
            return gathered;
        }
        while let Some(after) = self.fill(rest) {
            gathered = gathered.max(self.judge(&wanted));
            self.gathered.clear();
            // Only a packet that says so has another section behind the first.
            rest = if packet.starts_unit() { after } else { &[] };
        }
        gathered
    }

    /// Adds to the section under way what `bytes` has of it: gives what stands behind it once it is
    /// whole.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if self.gathered.is_empty() && matches!(bytes.first(), None | Some(&STUFFING)) {
            return None;
        }
        let prefix = PREFIX_BYTES.saturating_sub(self.gathered.len()).min(bytes.len());
        let (prefix, rest) = bytes.split_at(prefix);
        self.gathered.extend_from_slice(prefix);
        let &[_, high, low] = self.gathered.first_chunk::<PREFIX_BYTES>()?;
        let whole = PREFIX_BYTES + usize::from(u16::from_be_bytes([high, low]) & 0xFFF);
        if !(SECTION_HEAD_BYTES + CRC_BYTES..=SECTION_BYTES_MAX).contains(&whole) {
            self.gathered.clear();
            return None;
        }
        let missing = whole.saturating_sub(self.gathered.len());
        let (body, after) = rest.split_at(missing.min(rest.len()));
        self.gathered.extend_from_slice(body);
        (self.gathered.len() == whole).then_some(after)
    }

    /// Takes the section that was gathered, if it counts and differs from the last one.
    fn judge(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Gathered {
        let section = &self.gathered;
        // The checksum of bytes with their checksum behind them is zero.
        if CRC.checksum(section) != 0 {
            return Gathered::Damaged;
        }
        let is_current = section[1] & 0x80 != 0 && section[5] & CURRENT != 0 && section[6] == 0;
        if !is_current || !wanted(section) {
            return Gathered::Nothing;
        }
        if self.is_as_before() {
            return Gathered::Again;
        }
        self.take();
        Gathered::Changed
    }

    /// Whether the gathered section says what the last one said: a new version alone is no news.
    fn is_as_before(&self) -> bool {
        let (now, before) = (&self.gathered, &self.section);
        let body = PREFIX_BYTES + 3..now.len() - CRC_BYTES;
        now.len() == before.len() && now[..5] == before[..5] && now[body.clone()] == before[body]
    }

    /// Keeps the gathered section as the last one. Players look at a table again only when its
    /// version differs, so another one with the old number gets the next.
    fn take(&mut self) {
        let before = self.section.get(5).map(|byte| byte & VERSION);
        std::mem::swap(&mut self.section, &mut self.gathered);
        let byte = self.section[5];
        if before == Some(byte & VERSION) {
            self.section[5] = byte & !VERSION | byte.wrapping_add(VERSION_STEP) & VERSION;
            let body = self.section.len() - CRC_BYTES;
            let checksum = CRC.checksum(&self.section[..body]).to_be_bytes();
            self.section[body..].copy_from_slice(&checksum);
        }
    }

    /// The last section that was taken; empty if there was none.
    pub(super) fn section(&self) -> &[u8] {
        &self.section
    }

    /// Another source, or another PID: a section under way will not end, and the one that was taken
    /// stays what listeners have.
    pub(super) fn interrupt(&mut self) {
        self.gathered.clear();
    }

    /// Appends the table to `out` as packets of `pid`, whose counters `continuity` gives.
    pub(super) fn write(&self, pid: u16, mut continuity: impl FnMut() -> u8, out: &mut Vec<u8>) {
        let mut rest = &self.section[..];
        let mut begins = true;
        while !rest.is_empty() {
            let [high, low] = pid.to_be_bytes();
            let start = out.len();
            let flag = if begins { 0x40 } else { 0 };
            out.extend([SYNC_BYTE, high | flag, low, 0x10 | continuity()]);
            if begins {
                // The section begins right behind this pointer.
                out.push(0);
            }
            let room = start + PACKET_BYTES - out.len();
            let (here, after) = rest.split_at(room.min(rest.len()));
            out.extend_from_slice(here);
            out.resize(start + PACKET_BYTES, STUFFING);
            (rest, begins) = (after, false);
        }
    }
}

/// The bit of byte 5 that says that a section holds now, not next.
const CURRENT: u8 = 0x01;
/// The bits of byte 5 that hold its version.
const VERSION: u8 = 0x3E;
const VERSION_STEP: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::super::testing::{packets, section};
    use super::*;

    /// Pushes `packets` of one PID and gives what came of each.
    fn push(table: &mut Table, packets: &[u8]) -> Vec<Gathered> {
        packets
            .as_chunks()
            .0
            .iter()
            .map(|bytes| table.push(Packet(bytes), true, |_| true))
            .collect()
    }

    fn written(table: &Table, pid: u16) -> Vec<u8> {
        let mut out = Vec::new();
        let mut continuity = 0;
        table.write(
            pid,
            || {
                continuity += 1;
                continuity - 1
            },
            &mut out,
        );
        out
    }

    #[test]
    fn a_table_is_told_once_and_then_again() {
        let packets = packets(0, &section(0, 1, 3, &[7; 20]));
        let mut table = Table::default();
        let said = push(&mut table, &packets.repeat(3));
        assert_eq!(said, [Gathered::Changed, Gathered::Again, Gathered::Again]);
        assert_eq!(written(&table, 0), packets);
    }

    #[test]
    fn a_table_over_several_packets_is_whole_with_the_last() {
        for bytes in [171, 172, 500, 1_012] {
            let section = section(2, 1, 0, &vec![9; bytes]);
            let packets = packets(0x100, &section);
            let mut table = Table::default();
            let said = push(&mut table, &packets);
            let (last, others) = said.split_last().unwrap();
            assert_eq!(*last, Gathered::Changed, "{bytes}");
            assert!(others.iter().all(|said| *said == Gathered::Nothing));
            assert_eq!((table.section(), written(&table, 0x100)), (&section[..], packets));
        }
    }

    #[test]
    fn a_missing_packet_costs_the_table_it_belongs_to() {
        let packets = packets(0x100, &section(2, 1, 0, &[9; 500]));
        let (mut table, mut index) = (Table::default(), 0);
        let said: Vec<Gathered> = packets
            .repeat(2)
            .as_chunks()
            .0
            .iter()
            .map(|bytes| {
                index += 1;
                table.push(Packet(bytes), index != 2, |_| true)
            })
            .collect();
        assert_eq!(said[..5], [Gathered::Nothing; 5]);
        assert_eq!(said[5], Gathered::Changed);
    }

    #[test]
    fn a_wrong_checksum_and_a_lying_length_are_no_table() {
        let good = section(2, 1, 0, &[9; 40]);
        for at in 3..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let mut table = Table::default();
            assert_eq!(push(&mut table, &packets(0x100, &bad)), [Gathered::Damaged], "{at}");
            assert!(table.section().is_empty());
        }
        for length in [0, 8, 1_022, 4_095] {
            let mut lying = good.clone();
            lying[1] = 0xB0 | (length >> 8) as u8;
            lying[2] = length as u8;
            let mut table = Table::default();
            assert_eq!(push(&mut table, &packets(0x100, &lying)), [Gathered::Nothing], "{length}");
            assert!(table.gathered.len() <= SECTION_BYTES_MAX);
        }
    }

    #[test]
    fn what_does_not_hold_yet_or_does_not_count_is_passed_over() {
        let mut next = section(2, 1, 0, &[9; 40]);
        next[5] &= !CURRENT;
        let body = next.len() - 4;
        let checksum = CRC.checksum(&next[..body]).to_be_bytes();
        next[body..].copy_from_slice(&checksum);
        let mut table = Table::default();
        assert_eq!(push(&mut table, &packets(0x100, &next)), [Gathered::Nothing]);
        let counts = packets(0x100, &section(2, 1, 0, &[9; 40]));
        let bytes = counts.first_chunk().unwrap();
        assert_eq!(table.push(Packet(bytes), true, |_| false), Gathered::Nothing);
    }

    #[test]
    fn of_several_sections_in_a_packet_the_wanted_one_is_found() {
        let both = [section(2, 1, 0, &[1; 20]), section(2, 2, 0, &[2; 20])].concat();
        for number in [1, 2] {
            let mut table = Table::default();
            let packet = packets(0x100, &both);
            let wanted = |section: &[u8]| section[4] == number;
            let said = table.push(Packet(packet.first_chunk().unwrap()), true, wanted);
            assert_eq!(said, Gathered::Changed);
            assert_eq!(table.section()[8], number);
        }
    }

    #[test]
    fn a_changed_table_gets_a_version_that_shows_it() {
        let mut table = Table::default();
        for (version, body, said, written) in [
            (5, 1, Gathered::Changed, 5),
            (6, 1, Gathered::Again, 5),
            (5, 2, Gathered::Changed, 6),
            (9, 3, Gathered::Changed, 9),
            (31, 4, Gathered::Changed, 31),
            (31, 5, Gathered::Changed, 0),
        ] {
            let packets = packets(0, &section(0, 1, version, &[body; 8]));
            assert_eq!(push(&mut table, &packets), [said], "{version} {body}");
            assert_eq!(table.section()[5] & VERSION, written << 1);
            assert_eq!(CRC.checksum(table.section()), 0);
        }
    }
}
