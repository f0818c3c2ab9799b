//! HOT PATH. The head of a PES packet (ISO/IEC 13818-1, 2.4.3.6): its time stamps, and where what
//! it carries begins. Source core; keeps nothing.

use super::packet::{Bytes, PACKET_BYTES, Packet, moved};

/// What the payload of a packet that starts a unit begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    /// A PES packet.
    Pes(Pes<'a>),
    /// A PES packet whose head goes on in the next packet. Muxers do not do that; it is allowed.
    Cut,
    /// A section, or bytes that are scrambled.
    Other,
}

/// The head of a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pes<'a> {
    /// When to present it, in units of 1/90,000 s.
    pub(super) presented: Option<u64>,
    /// When to decode it, if that is another time.
    decoded: Option<u64>,
    /// What it carries, as far as it stands in this packet.
    pub(super) body: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads the head at the start of the payload of `packet`.
    pub(super) fn of(packet: Packet<'a>) -> Self {
        let payload = packet.payload();
        let seen = payload.len().min(START_CODE.len());
        if packet.is_scrambled() || payload[..seen] != START_CODE[..seen] {
            return Self::Other;
        }
        let Some(&[.., id, _, _, marker, flags, more_bytes]) = payload.first_chunk::<9>() else {
            return Self::Cut;
        };
        if PLAIN_IDS.contains(&id) || marker >> 6 != 0b10 {
            return Self::Other;
        }
        let stamps = usize::from(flags >> 7) + usize::from(flags >> 6 == 0b11);
        let body_at = FIXED_BYTES + usize::from(more_bytes);
        if usize::from(more_bytes) < stamps * STAMP_BYTES {
            return Self::Other;
        }
        let Some(body) = payload.get(body_at..) else { return Self::Cut };
        let stamp = |index: usize| {
            let at = FIXED_BYTES + index * STAMP_BYTES;
            (index < stamps).then(|| payload[at..].first_chunk().map(read)).flatten()
        };
        Self::Pes(Pes { presented: stamp(0), decoded: stamp(1), body })
    }
}

impl Pes<'_> {
    /// The time at which the PES packet is decoded; these come in order.
    pub(super) fn decoded(&self) -> Option<u64> {
        self.decoded.or(self.presented)
    }
}

/// Moves the time stamps of the PES packet that starts in `packet` on by `shift`.
pub(super) fn shift_stamps(packet: &mut Bytes, shift: u64) {
    let view = Packet(packet);
    let Head::Pes(pes) = Head::of(view) else { return };
    let first = PACKET_BYTES - view.payload().len() + FIXED_BYTES;
    let stamps = usize::from(pes.presented.is_some()) + usize::from(pes.decoded.is_some());
    for field in packet[first..][..stamps * STAMP_BYTES].chunks_exact_mut(STAMP_BYTES) {
        if let Some(field) = field.first_chunk_mut() {
            write(field, moved(read(field), shift));
        }
    }
}

/// 33 bits in three groups, each with a marker bit behind it (2.4.3.7).
fn read(field: &[u8; STAMP_BYTES]) -> u64 {
    let [b0, b1, b2, b3, b4] = field.map(u64::from);
    (b0 >> 1 & 0b111) << 30 | b1 << 22 | b2 >> 1 << 15 | b3 << 7 | b4 >> 1
}

/// The inverse of [`read`]; the four bits in front and the markers stay.
fn write(field: &mut [u8; STAMP_BYTES], stamp: u64) {
    field[0] = field[0] & 0xF1 | (stamp >> 29) as u8 & 0x0E;
    field[1] = (stamp >> 22) as u8;
    field[2] = field[2] & 0x01 | (stamp >> 14) as u8 & 0xFE;
    field[3] = (stamp >> 7) as u8;
    field[4] = field[4] & 0x01 | (stamp << 1) as u8;
}

const START_CODE: [u8; 3] = [0, 0, 1];
/// Start code, stream id, length, two bytes of flags and the length of what follows them.
const FIXED_BYTES: usize = 9;
const STAMP_BYTES: usize = 5;
/// Stream ids without the fields of a head: program stream map, padding, private stream 2, ECM,
/// EMM, DSM-CC, H.222.1 type E and the program stream directory (table 2-21).
const PLAIN_IDS: [u8; 8] = [0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF];

#[cfg(test)]
mod tests {
    use super::super::packet::{STAMP_MASK, SYNC_BYTE};
    use super::*;

    /// A packet whose payload is `payload`, behind stuffing.
    fn packet(payload: &[u8]) -> Bytes {
        let stuffing = PACKET_BYTES - 5 - payload.len();
        let header = [SYNC_BYTE, 0x41, 0x00, 0x30, stuffing as u8, 0];
        let mut packet = [0xFF; PACKET_BYTES];
        packet[..6].copy_from_slice(&header);
        packet[5 + stuffing..].copy_from_slice(payload);
        packet
    }

    /// Presented at 0x1_2345_6789, decoded at 0x0_ABCD_EF01, and three bytes of a frame.
    const BOTH: [u8; 22] = [
        0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 10, // the fixed part
        0x39, 0x8D, 0x15, 0xCF, 0x13, // 0x123456789
        0x15, 0xAF, 0x37, 0xDF, 0x03, // 0x0ABCDEF81
        1, 2, 3,
    ];

    #[test]
    fn stamps_and_body_are_read_from_a_known_head() {
        let bytes = packet(&BOTH);
        let Head::Pes(pes) = Head::of(Packet(&bytes)) else { panic!("it is one") };
        assert_eq!(pes.presented, Some(0x1_2345_6789));
        assert_eq!(pes.decoded(), Some(0x0_ABCD_EF81));
        assert_eq!(pes.body, [1, 2, 3]);
    }

    #[test]
    fn without_a_time_of_decoding_that_of_presentation_counts() {
        let mut head = BOTH;
        head[7] = 0x80;
        let bytes = packet(&head);
        let Head::Pes(pes) = Head::of(Packet(&bytes)) else { panic!("it is one") };
        assert_eq!((pes.presented, pes.decoded()), (Some(0x1_2345_6789), Some(0x1_2345_6789)));
        head[7] = 0;
        let bytes = packet(&head);
        let Head::Pes(pes) = Head::of(Packet(&bytes)) else { panic!("it is one") };
        assert_eq!((pes.decoded(), pes.body), (None, &[1, 2, 3][..]));
    }

    #[test]
    fn a_head_that_ends_before_its_stamps_is_cut() {
        for bytes in 0..19 {
            let bytes = packet(&BOTH[..bytes]);
            assert_eq!(Head::of(Packet(&bytes)), Head::Cut);
        }
        let bytes = packet(&BOTH[..19]);
        assert!(matches!(Head::of(Packet(&bytes)), Head::Pes(pes) if pes.body.is_empty()));
    }

    #[test]
    fn what_is_no_pes_head_is_none() {
        let with = |at: usize, value: u8| {
            let mut head = BOTH;
            head[at] = value;
            let bytes = packet(&head);
            Head::of(Packet(&bytes)) == Head::Other
        };
        assert!(!with(3, 0xC0));
        assert!(with(2, 2), "no start code");
        assert!(with(3, 0xBE), "padding");
        assert!(with(6, 0x00), "MPEG-1's system stream");
        assert!(with(8, 9), "no room for the stamps promised");
        let mut bytes = packet(&BOTH);
        bytes[3] |= 0x80;
        assert_eq!(Head::of(Packet(&bytes)), Head::Other, "scrambled");
    }

    #[test]
    fn stamps_are_moved_and_wrap_and_nothing_else_changes() {
        for shift in [0, 1, 90_000, 1 << 32, STAMP_MASK] {
            let mut bytes = packet(&BOTH);
            shift_stamps(&mut bytes, shift);
            let Head::Pes(pes) = Head::of(Packet(&bytes)) else { panic!("it still is one") };
            assert_eq!(pes.presented, Some(moved(0x1_2345_6789, shift)));
            assert_eq!(pes.decoded(), Some(moved(0x0_ABCD_EF81, shift)));
            shift_stamps(&mut bytes, STAMP_MASK + 1 - shift);
            assert_eq!(bytes, packet(&BOTH));
        }
    }
}
