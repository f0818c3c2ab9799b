//! Free format of MPEG audio (11172-3, 2.4.2.3: bitrate index 0), whose frames have one length that
//! no header tells. It is not served, since few players know it; this file only recognises it for
//! certain, so that its source can be told the cure. Source core.

use super::sniff::Sniffed;

/// Distances between two headers that are tried. The greatest bitrate that an encoder offers is
/// LAME's 640 kbit/s: 2,880 bytes at 32 kHz.
const FRAME_BYTES_MIN: usize = 24;
const FRAME_BYTES_MAX: usize = 4096;
/// Sync word, version, layer, bitrate and sample rate: what three headers have in common.
const KIN_MASK: u32 = 0xFFFE_FC00;

/// Whether `input` begins with three headers of free format at one distance, give or take the
/// padding that each announces.
pub(super) fn sniff(input: &[u8]) -> Sniffed {
    let Some(first) = header_at(input, 0).filter(|&first| is_free(first)) else {
        return Sniffed::No;
    };
    let tried = &input[..input.len().min(FRAME_BYTES_MAX + 1)];
    let behind_first = tried.get(FRAME_BYTES_MIN..).unwrap_or_default();
    for place in memchr::memchr_iter(0xFF, behind_first) {
        let bytes = FRAME_BYTES_MIN + place;
        let Some(second) = header_at(input, bytes) else { return Sniffed::Maybe };
        if (first ^ second) & KIN_MASK != 0 {
            continue;
        }
        let Some(behind) = (bytes + padding(second)).checked_sub(padding(first)) else { continue };
        let Some(third) = header_at(input, bytes + behind) else { return Sniffed::Maybe };
        if (first ^ third) & KIN_MASK == 0 {
            return Sniffed::Yes;
        }
    }
    if input.len() > FRAME_BYTES_MAX { Sniffed::No } else { Sniffed::Maybe }
}

fn header_at(input: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*input.get(at..)?.first_chunk()?))
}

/// Whether every field is possible and the bitrate is left open.
fn is_free(header: u32) -> bool {
    header >> 21 == 0x7FF
        && header >> 19 & 0b11 != 1
        && header >> 17 & 0b11 != 0
        && header >> 12 & 0b1111 == 0
        && header >> 10 & 0b11 != 3
}

/// Bytes of the slot by which a frame is longer: four in layer I.
fn padding(header: u32) -> usize {
    let slot_bytes = if header >> 17 & 0b11 == 3 { 4 } else { 1 };
    if header >> 9 & 1 == 1 { slot_bytes } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three frames that begin with `header` and are as long as `bytes` and their padding say.
    fn stream(headers: [u32; 3], bytes: usize) -> Vec<u8> {
        let frame = |header: u32| {
            let mut frame = header.to_be_bytes().to_vec();
            frame.resize(bytes + padding(header), 0x11);
            frame
        };
        headers.into_iter().flat_map(frame).collect()
    }

    #[test]
    fn three_headers_at_one_distance_are_free_format_with_any_padding() {
        for headers in [[0xFFFB_0064; 3], [0xFFFB_0064, 0xFFFB_0264, 0xFFFB_0064]] {
            for bytes in [100, 1_045, 4_000] {
                let stream = stream(headers, bytes);
                let third = 2 * bytes + padding(headers[0]) + padding(headers[1]);
                for cut in 4..third + 4 {
                    assert_eq!(sniff(&stream[..cut]), Sniffed::Maybe, "{cut}");
                }
                assert_eq!(sniff(&stream[..third + 4]), Sniffed::Yes, "{bytes}");
            }
        }
        assert_eq!(sniff(&stream([0xFFFF_0264, 0xFFFF_0064, 0xFFFF_0064], 96)), Sniffed::Yes);
    }

    #[test]
    fn one_header_or_another_stream_is_none() {
        let alone = [&0xFFFB_0064_u32.to_be_bytes()[..], &[0; 5_000]].concat();
        assert_eq!(sniff(&alone), Sniffed::No);
        let pair = [&stream([0xFFFB_0064; 3], 500)[..1_000], &[0; 5_000]].concat();
        assert_eq!(sniff(&pair), Sniffed::No);
        // A bitrate that is named, a reserved version, layer and rate.
        for header in [0xFFFB_9064, 0xFFEB_0064, 0xFFF9_0064, 0xFFFB_0C64] {
            assert_eq!(sniff(&stream([header; 3], 500)), Sniffed::No);
        }
    }
}
