//! HOT PATH. Finds spectral band replication in AAC without decoding it, by which HE-AAC is told
//! from AAC: in ADTS no header says so (ISO/IEC 14496-3, 4.4.1.1 and 4.5.2.8). Source core.
//!
//! A raw data block is a row of elements whose lengths only a decoder knows, but its end is known:
//! three set bits and zeros up to a whole byte. In front of them, where SBR is used, stands a fill
//! element that announces its own length and begins with the mark of SBR data. One block in thirty
//! looks like that by chance, and four of five of HE-AAC do, since fill bits of a constant rate may
//! stand behind: so blocks vote.

/// Blocks with SBR above those without, up to [`VOTES_ENOUGH`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SbrVote {
    votes: u8,
    /// Blocks that are passed over before the next is looked at.
    rest: u8,
}

/// Votes that decide. A second or two of HE-AAC reach them; plain AAC would in one of 10^20
/// streams.
const VOTES_ENOUGH: u8 = 16;

/// Blocks passed over after one that showed nothing while nothing had been seen: plain AAC is
/// looked at in every fourth block, which costs a quarter.
const REST: u8 = 3;

impl SbrVote {
    /// Whether the stream has SBR as far as its raw data blocks say, of which `block` is the next.
    /// The verdict stays: encoders change it with a new stream only, and in silence some of them
    /// fill the ends of their blocks.
    pub(super) fn count(&mut self, block: &[u8]) -> bool {
        if self.votes < VOTES_ENOUGH {
            match self.rest.checked_sub(1) {
                Some(rest) => self.rest = rest,
                None if ends_with_sbr(block) => self.votes += 1,
                None if self.votes == 0 => self.rest = REST,
                None => self.votes -= 1,
            }
        }
        self.votes == VOTES_ENOUGH
    }
}

/// Element ids (table 4.85): fill, and the end of the block. Three bits.
const ID_FIL: u32 = 6;
const ID_END: u32 = 7;
/// Extension types (table 4.105): SBR data, without and with CRC. Four bits.
const EXT_SBR: [u32; 2] = [13, 14];
/// Payload bytes of the longest fill element: 14 and what eight bits add.
const FILL_BYTES_MAX: usize = 14 + 255;

/// Whether the last element of `block` is a fill element with SBR data.
fn ends_with_sbr(block: &[u8]) -> bool {
    let Some(&last) = block.last().filter(|&&last| last != 0) else { return false };
    let bits = block.len() * 8 - last.trailing_zeros() as usize;
    let Some(end) = bits.checked_sub(3).filter(|&end| bits_at(block, end, 3) == ID_END) else {
        return false;
    };
    (1..=FILL_BYTES_MAX).any(|bytes| {
        // Three bits of id and four of length, and eight more where fifteen is not the length.
        let (head, length) = if bytes < 15 { (7, bytes) } else { (15, 0xF00 | (bytes - 14)) };
        let Some(begin) = end.checked_sub(8 * bytes + head) else { return false };
        bits_at(block, begin, 3) == ID_FIL
            && bits_at(block, begin + 3, head - 3) as usize == length
            && EXT_SBR.contains(&bits_at(block, begin + head, 4))
    })
}

/// The `count` bits, 12 at most, from bit `at` on; beyond the end they are zero.
fn bits_at(bytes: &[u8], at: usize, count: usize) -> u32 {
    let byte = |place: usize| u32::from(bytes.get(at / 8 + place).copied().unwrap_or(0));
    let three = byte(0) << 16 | byte(1) << 8 | byte(2);
    three >> (24 - at % 8 - count) & ((1 << count) - 1)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Xorshift;
    use super::*;

    /// A block of the bits in `parts`, filled with zeros to a whole byte.
    fn block(parts: &[&str]) -> Vec<u8> {
        let bits = parts.concat();
        let byte = |bits: &[u8]| {
            let value = bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
            value << (8 - bits.len())
        };
        bits.as_bytes().chunks(8).map(byte).collect()
    }

    /// Bits of a fill element of `bytes` that begins with the extension `kind`.
    fn fill(kind: u32, bytes: usize) -> String {
        let length =
            if bytes < 15 { format!("{bytes:04b}") } else { format!("1111{:08b}", bytes - 14) };
        format!("110{length}{kind:04b}{}", "0".repeat(8 * bytes - 4))
    }

    #[test]
    fn sbr_of_every_length_is_found_at_every_place_of_a_byte() {
        for bytes in 1..=FILL_BYTES_MAX {
            for shift in 0..8 {
                let audio = "01".repeat(40) + &"1".repeat(shift);
                for (kind, expected) in
                    [(13, true), (14, true), (0, false), (1, false), (11, false)]
                {
                    let block = block(&[&audio, &fill(kind, bytes), "111"]);
                    assert_eq!(ends_with_sbr(&block), expected, "{bytes}, {shift}, {kind}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_end_as_a_block_has_none() {
        let sbr = fill(13, 20);
        assert!(ends_with_sbr(&block(&[&sbr, "111"])));
        for end in ["", "110", "11100000001", "0000000000000000"] {
            assert!(!ends_with_sbr(&block(&[&sbr, end])), "{end}");
        }
        for short in [&[][..], &[0], &[7], &[0xFF], &[0xDE, 0xFF]] {
            assert!(!ends_with_sbr(short), "{short:?}");
        }
    }

    #[test]
    fn chance_finds_it_in_few_blocks() {
        let mut random = Xorshift(17);
        let found = (0..10_000).filter(|_| ends_with_sbr(&random.bytes(200))).count();
        assert!(found < 200, "{found}");
    }

    #[test]
    fn a_clear_majority_decides_once() {
        let (with, without) = (block(&[&fill(13, 9), "111"]), vec![0x55; 30]);
        let mut vote = SbrVote::default();
        assert!(
            (0..1_000_u32).all(|block| {
                !vote.count(if block.is_multiple_of(3) { &with } else { &without })
            })
        );
        assert!((0..14).all(|_| !vote.count(&with)));
        assert!((0..4).any(|_| vote.count(&with)));
        assert!((0..100).all(|_| vote.count(&without)));
    }
}
