//! HOT PATH. One packet of a transport stream (ISO/IEC 13818-1, 2.4.3.2 to 2.4.3.5): its header,
//! adaptation field and payload, and the two fields of them that are rewritten. Knows no stream and
//! keeps nothing. Source core.

/// Length of a packet.
pub(super) const PACKET_BYTES: usize = 188;
/// First byte of every packet.
pub(super) const SYNC_BYTE: u8 = 0x47;
/// The PID of packets that only fill a constant rate.
pub(super) const NULL_PID: u16 = 0x1FFF;
/// Number of PIDs.
pub(super) const PIDS: usize = 1 << 13;
/// Times of presentation and decoding count 90,000 a second in 33 bits: they wrap every 26.5 hours.
pub(super) const STAMP_MASK: u64 = (1 << 33) - 1;
/// Ticks of the system clock, 27 MHz, in one of a time stamp.
pub(super) const TICKS_PER_STAMP: u64 = 300;

/// The bytes of a packet.
pub(super) type Bytes = [u8; PACKET_BYTES];

/// A packet, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a>(pub(super) &'a Bytes);

impl<'a> Packet<'a> {
    /// Whether its sender or a receiver on the way says that it is damaged, or it contradicts
    /// itself: it has neither adaptation field nor payload, or its adaptation field would not fit.
    #[inline]
    pub(super) fn is_broken(self) -> bool {
        let lies = self.has_adaptation() && usize::from(self.0[4]) > PACKET_BYTES - 5;
        self.0[1] & 0x80 != 0 || self.0[3] & 0x30 == 0 || lies
    }

    #[inline]
    pub(super) fn pid(self) -> u16 {
        u16::from_be_bytes([self.0[1], self.0[2]]) & 0x1FFF
    }

    /// Whether its payload begins a PES packet, or a section begins in it.
    #[inline]
    pub(super) fn starts_unit(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    #[inline]
    pub(super) fn is_scrambled(self) -> bool {
        self.0[3] & 0xC0 != 0
    }

    #[inline]
    pub(super) fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    fn has_adaptation(self) -> bool {
        self.0[3] & 0x20 != 0
    }

    /// The continuity counter, 0 to 15.
    #[inline]
    pub(super) fn continuity(self) -> u8 {
        self.0[3] & 0x0F
    }

    /// The payload; empty if there is none.
    #[inline]
    pub(super) fn payload(self) -> &'a [u8] {
        let adaptation_bytes = if self.has_adaptation() { 1 + usize::from(self.0[4]) } else { 0 };
        let payload = self.0.get(HEADER_BYTES + adaptation_bytes..).unwrap_or_default();
        if self.has_payload() { payload } else { &[] }
    }

    /// The adaptation field's flags; none set if it has none.
    fn flags(self) -> u8 {
        if self.has_adaptation() && self.0[4] > 0 { self.0[5] } else { 0 }
    }

    /// Whether its numbers and times need not go on from those before.
    #[inline]
    pub(super) fn is_discontinuous(self) -> bool {
        self.flags() & 0x80 != 0
    }

    /// Whether it says that a decoder can begin with it.
    #[inline]
    pub(super) fn is_random_access(self) -> bool {
        self.flags() & 0x40 != 0
    }

    /// The program clock reference, in ticks of 27 MHz. Its extension counts to 299; what is told
    /// beyond that is cut off.
    #[inline]
    pub(super) fn pcr(self) -> Option<u64> {
        let has_pcr = self.flags() & 0x10 != 0 && usize::from(self.0[4]) > PCR_BYTES;
        let [b0, b1, b2, b3, b4, b5] = *self.0[PCR_AT..].first_chunk::<PCR_BYTES>()?;
        let base = u64::from_be_bytes([0, 0, 0, b0, b1, b2, b3, b4]) >> 7;
        let extension = u64::from(u16::from_be_bytes([b4, b5]) & 0x1FF);
        has_pcr.then_some(base * TICKS_PER_STAMP + extension.min(TICKS_PER_STAMP - 1))
    }
}

/// The time stamp that is `by` later than `stamp`.
#[inline]
pub(super) fn moved(stamp: u64, by: u64) -> u64 {
    (stamp + by) & STAMP_MASK
}

/// Gives `packet` another continuity counter.
pub(super) fn set_continuity(packet: &mut Bytes, continuity: u8) {
    packet[3] = packet[3] & 0xF0 | continuity & 0x0F;
}

/// Moves the clock reference of `packet`, which has one, on by `shift` of a time stamp's units. Its
/// extension, the part below one of them, stays.
pub(super) fn shift_pcr(packet: &mut Bytes, shift: u64) {
    let field = &mut packet[PCR_AT..PCR_AT + PCR_BYTES];
    let base = field[..5].iter().fold(0, |base, byte| base << 8 | u64::from(*byte)) >> 7;
    let low = field[4] & 0x7F;
    let [_, _, _, bytes @ ..] = (moved(base, shift) << 7).to_be_bytes();
    field[..5].copy_from_slice(&bytes);
    field[4] |= low;
}

const HEADER_BYTES: usize = 4;
/// The clock reference is the first optional field behind the adaptation field's length and flags.
const PCR_AT: usize = 6;
const PCR_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins a unit on PID 0x100 with counter 7; adaptation field with a clock reference.
    fn packet() -> Bytes {
        let mut packet = [0xAA; PACKET_BYTES];
        // 33 bits of base, six reserved, nine of extension: 0x1_2345_6789 and 0x123.
        let pcr = [0x91, 0xA2, 0xB3, 0xC4, 0xFF, 0x23];
        packet[..6].copy_from_slice(&[SYNC_BYTE, 0x41, 0x00, 0x37, 7, 0x50]);
        packet[6..12].copy_from_slice(&pcr);
        packet
    }

    #[test]
    fn fields_are_read_from_a_known_packet() {
        let bytes = packet();
        let packet = Packet(&bytes);
        assert!(!packet.is_broken() && !packet.is_scrambled() && !packet.is_discontinuous());
        assert_eq!(packet.pid(), 0x100);
        assert!(packet.starts_unit() && packet.has_payload() && packet.is_random_access());
        assert_eq!(packet.continuity(), 7);
        assert_eq!(packet.payload().len(), 176);
        assert_eq!(packet.pcr(), Some(0x1_2345_6789 * 300 + 0x123));
    }

    #[test]
    fn a_packet_without_adaptation_field_is_all_payload() {
        let mut bytes = packet();
        bytes[3] = 0x17;
        let packet = Packet(&bytes);
        assert_eq!((packet.payload().len(), packet.pcr()), (184, None));
        assert!(!packet.is_random_access());
    }

    #[test]
    fn a_packet_of_one_adaptation_field_has_no_payload() {
        let mut bytes = packet();
        bytes[3] = 0x27;
        bytes[4] = 183;
        let packet = Packet(&bytes);
        assert!(!packet.is_broken() && !packet.has_payload());
        assert!(packet.payload().is_empty() && packet.pcr().is_some());
    }

    #[test]
    fn an_adaptation_field_too_short_for_what_it_promises_has_it_not() {
        for bytes_told in 0..7 {
            let mut bytes = packet();
            bytes[4] = bytes_told;
            assert_eq!(Packet(&bytes).pcr(), None, "{bytes_told}");
            assert_eq!(Packet(&bytes).is_random_access(), bytes_told > 0);
            assert_eq!(Packet(&bytes).payload().len(), 183 - usize::from(bytes_told));
        }
    }

    #[test]
    fn contradictions_and_told_damage_are_broken() {
        let broken = |at: usize, value: u8| {
            let mut bytes = packet();
            bytes[at] = value;
            Packet(&bytes).is_broken()
        };
        assert!(broken(1, 0xC1), "transport error");
        assert!(broken(3, 0x07), "neither field");
        assert!(broken(4, 184), "adaptation field beyond the end");
        assert!(!broken(4, 183));
    }

    #[test]
    fn a_clock_reference_is_moved_and_wraps_and_nothing_else_changes() {
        for shift in [0, 1, 90_000, STAMP_MASK] {
            let mut bytes = packet();
            shift_pcr(&mut bytes, shift);
            let base = moved(0x1_2345_6789, shift);
            assert_eq!(Packet(&bytes).pcr(), Some(base * 300 + 0x123), "{shift}");
            let mut rest = bytes;
            rest[6..12].copy_from_slice(&packet()[6..12]);
            assert_eq!(rest, packet());
            assert_eq!(bytes[10] & 0x7E, 0x7E, "reserved bits");
        }
    }

    #[test]
    fn a_counter_is_set_in_its_four_bits() {
        let mut bytes = packet();
        set_continuity(&mut bytes, 0x1C);
        assert_eq!(bytes[3], 0x3C);
    }
}
