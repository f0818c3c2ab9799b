//! Tags that file-minded encoders leave in a stream: ID3v2 before a track, APE and ID3v1 behind it.
//! A live listener cannot use them, and some old players stumble over them (they hear cover art as
//! noise), so they are left out of the stream. This file only measures a tag, it reads none. Source
//! core.

/// Largest tag that is believed. Cover art of 10 MB exists; a tag that claims more is more likely a
/// broken size. Lower, and a large cover is hunted through as junk; higher, and a broken size
/// silences the mount for longer (16 MiB are 17 minutes at 128 kbit/s).
pub(super) const TAG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// No tag begins here.
    None,
    /// It looks like a tag so far, but more bytes are needed to measure it.
    Undecided,
    /// A tag of this many bytes, its own header and footer included. It need not be here in full.
    Tag(usize),
}

/// Looks for a tag that can be told from audio with certainty: ID3v2 or APE.
pub(super) fn sight(input: &[u8]) -> Sight {
    match input.first() {
        Some(b'I') => id3v2(input),
        Some(b'A') => ape(input),
        _ => Sight::None,
    }
}

/// As [`sight`], and ID3v1 too. Its mark is three letters and no more, so it is believed only where
/// the last frame ended. Needs three bytes to tell.
pub(super) fn sight_after_frame(input: &[u8]) -> Sight {
    if input.starts_with(ID3V1_MARK) {
        return Sight::Tag(ID3V1_BYTES);
    }
    sight(input)
}

/// ID3v2.4.0 main structure, 3.1 and 3.4: `ID3`, version, revision, flags, and the size without
/// header and footer in four bytes of seven bits.
fn id3v2(input: &[u8]) -> Sight {
    let Some(header) = input.first_chunk::<ID3V2_HEADER_BYTES>() else {
        return unfinished(input, ID3V2_MARK);
    };
    let [mark @ .., major, revision, flags, s3, s2, s1, s0] = *header;
    let size_is_sane = (s3 | s2 | s1 | s0) & 0x80 == 0;
    let known = (2..=4).contains(&major) && revision != 0xFF && flags & 0x0F == 0;
    if mark != *ID3V2_MARK || !known || !size_is_sane {
        return Sight::None;
    }
    let body = [s3, s2, s1, s0].iter().fold(0, |size, byte| size << 7 | usize::from(*byte));
    let has_footer = major == 4 && flags & 0x10 != 0;
    bounded(ID3V2_HEADER_BYTES * if has_footer { 2 } else { 1 } + body)
}

/// APEv2: `APETAGEX`, version, size of items and footer, item count, flags. Met from the front the
/// tag has a header; APEv1 has only a footer, behind items that nothing announces.
fn ape(input: &[u8]) -> Sight {
    let Some(header) = input.first_chunk::<APE_HEADER_BYTES>() else {
        return unfinished(input, APE_MARK);
    };
    let field = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if !header.starts_with(APE_MARK) || !matches!(field(8), 1000 | 2000) {
        return Sight::None;
    }
    let is_header = field(20) & APE_IS_HEADER != 0;
    let behind = if is_header { field(12) as usize } else { 0 };
    bounded(APE_HEADER_BYTES.saturating_add(behind))
}

/// The verdict on fewer bytes than a tag's header has.
fn unfinished(input: &[u8], mark: &[u8]) -> Sight {
    let seen = input.len().min(mark.len());
    if input[..seen] == mark[..seen] { Sight::Undecided } else { Sight::None }
}

fn bounded(bytes: usize) -> Sight {
    if bytes <= TAG_BYTES_MAX { Sight::Tag(bytes) } else { Sight::None }
}

const ID3V2_MARK: &[u8; 3] = b"ID3";
const ID3V2_HEADER_BYTES: usize = 10;
const ID3V1_MARK: &[u8; 3] = b"TAG";
const ID3V1_BYTES: usize = 128;
const APE_MARK: &[u8; 8] = b"APETAGEX";
/// Header and footer have one layout.
const APE_HEADER_BYTES: usize = 32;
/// Bit 29 of the flags: these 32 bytes are the header, not the footer.
const APE_IS_HEADER: u32 = 1 << 29;

#[cfg(test)]
mod tests {
    use super::*;

    fn ape_header(version: u32, size: u32, flags: u32) -> Vec<u8> {
        let mut header = APE_MARK.to_vec();
        for field in [version, size, 3, flags, 0, 0] {
            header.extend(field.to_le_bytes());
        }
        header
    }

    #[test]
    fn id3v2_is_measured_with_header_and_footer() {
        assert_eq!(sight(b"ID3\x03\0\0\0\0\x02\x01rest"), Sight::Tag(10 + 257));
        assert_eq!(sight(b"ID3\x04\0\x10\0\0\0\x05"), Sight::Tag(20 + 5));
        assert_eq!(sight(b"ID3\x02\0\0\0\0\0\0"), Sight::Tag(10));
    }

    #[test]
    fn a_broken_id3v2_header_is_no_tag() {
        let broken: [&[u8; 10]; 6] = [
            b"ID3\x05\0\0\0\0\0\x05",
            b"ID3\x03\xff\0\0\0\0\x05",
            b"ID3\x03\0\x01\0\0\0\x05",
            b"ID3\x03\0\0\0\0\x80\x05",
            b"ID4\x03\0\0\0\0\0\x05",
            b"ID3\x03\0\0\x7f\x7f\x7f\x7f",
        ];
        for header in broken {
            assert_eq!(sight(header), Sight::None, "{header:?}");
        }
    }

    #[test]
    fn ape_is_measured_from_its_header_and_a_lone_footer_is_only_itself() {
        assert_eq!(sight(&ape_header(2000, 500, 1 << 31 | 1 << 29)), Sight::Tag(532));
        assert_eq!(sight(&ape_header(1000, 500, 0)), Sight::Tag(32));
        assert_eq!(sight(&ape_header(3000, 500, 1 << 29)), Sight::None);
        assert_eq!(sight(&ape_header(2000, u32::MAX, 1 << 29)), Sight::None);
    }

    #[test]
    fn id3v1_is_believed_only_behind_a_frame() {
        assert_eq!(sight_after_frame(b"TAGtitle"), Sight::Tag(128));
        assert_eq!(sight(b"TAGtitle"), Sight::None);
        assert_eq!(sight_after_frame(b"TUG"), Sight::None);
    }

    #[test]
    fn a_header_cut_anywhere_is_undecided_and_a_wrong_letter_decides() {
        for header in [b"ID3\x03\0\0\0\0\x02\x01".to_vec(), ape_header(2000, 9, 1 << 29)] {
            for cut in 1..header.len() {
                assert_eq!(sight(&header[..cut]), Sight::Undecided, "{cut}");
            }
        }
        assert_eq!(sight(b"IX"), Sight::None);
        assert_eq!(sight(b"APETAGEY"), Sight::None);
        assert_eq!(sight(b""), Sight::None);
    }
}
