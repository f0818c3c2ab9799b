//! Where a recording ends. A listener leaves in the middle of a unit, which no decoder may be
//! blamed for: what is cut off is exactly the unit whose end was not heard, and nothing a decoder
//! says of the rest is forgiven.

use std::borrow::Cow;
use std::collections::HashMap;

use floe::media::{Framer, Step};

/// Bytes of a packet of an MPEG transport stream, and the byte that each begins with.
const PACKET_BYTES: usize = 188;
/// See [`PACKET_BYTES`].
const SYNC: u8 = 0x47;
/// Bytes that ffmpeg reads at once of raw samples; of less it says that they are corrupt.
const SAMPLES_BYTES: usize = 4096;

/// A recording, cut where its last whole unit ends.
#[derive(Debug)]
pub struct Whole<'b> {
    /// The bytes up to there.
    pub bytes: Cow<'b, [u8]>,
    /// What its units play, in seconds; zero where they do not tell.
    pub seconds: f64,
}

impl<'b> Whole<'b> {
    /// Cuts `bytes` of a source of `content_type`.
    pub fn of(content_type: &str, bytes: &'b [u8]) -> Self {
        let (taken, seconds) = framed(content_type, bytes);
        let bytes = match content_type {
            "video/mp2t" => Cow::Owned(whole_packets(bytes)),
            "audio/wav" => Cow::Borrowed(whole_samples(bytes)),
            _ => Cow::Borrowed(&bytes[..taken]),
        };
        Self { bytes, seconds }
    }
}

/// How many of the bytes the server's own parser takes, and the seconds they play. What it does not
/// take is what it waits to see the end of.
fn framed(content_type: &str, bytes: &[u8]) -> (usize, f64) {
    let mut framer = Framer::for_content_type(content_type);
    let (mut taken, mut played_us) = (0, 0);
    loop {
        let step = framer.step(&bytes[taken..]);
        if let Step::Frame { duration_us, .. } = step {
            played_us += u64::from(duration_us);
        }
        if step == Step::More {
            return (taken, played_us as f64 / 1e6);
        }
        taken += step.taken();
    }
}

/// A transport stream without each track's last packet of the layer above (ISO/IEC 13818-1, PES),
/// whose end only the next one tells. Tracks are interleaved, so no single cut does that.
fn whole_packets(bytes: &[u8]) -> Vec<u8> {
    let is_grid = |from: &usize| {
        let firsts = bytes[*from..].iter().step_by(PACKET_BYTES).take(5);
        firsts.filter(|&&first| first == SYNC).count() == 5
    };
    let Some(from) = (0..bytes.len().min(PACKET_BYTES)).find(is_grid) else {
        return bytes.to_vec();
    };
    let track = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let packets = || bytes[from..].chunks_exact(PACKET_BYTES).enumerate();
    let mut last = HashMap::new();
    for (index, packet) in packets() {
        // A unit of payload starts here, and it is no table but one of the layer above.
        if packet[1] & 0x40 != 0 && payload(packet).starts_with(&[0, 0, 1]) {
            last.insert(track(packet), index);
        }
    }
    let is_kept =
        |index: usize, packet: &[u8]| last.get(&track(packet)).is_none_or(|&at| index < at);
    let kept = packets().filter(|(index, packet)| is_kept(*index, packet));
    kept.flat_map(|(_, packet)| packet).copied().collect()
}

/// The links of a chained Ogg stream: each begins with pages that begin a track (RFC 3533, 6).
pub fn links(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut links, mut from, mut at, mut begins) = (Vec::new(), 0, 0, true);
    while let Some(&[b'O', b'g', b'g', b'S', _, flags, ..]) = bytes.get(at..at + 27) {
        let begins_now = flags & 2 != 0;
        if begins_now && !begins {
            links.push(&bytes[from..at]);
            from = at;
        }
        begins = begins_now;
        let lengths = bytes[at + 27..].iter().take(usize::from(bytes[at + 26]));
        at += 27 + lengths.map(|&length| usize::from(length) + 1).sum::<usize>();
    }
    links.push(&bytes[from..]);
    links
}

/// What a packet carries behind its head and what fills it up.
fn payload(packet: &[u8]) -> &[u8] {
    let has_filling = packet[3] & 0x20 != 0;
    let from = if has_filling { 5 + usize::from(packet[4]) } else { 4 };
    packet.get(from..).unwrap_or_default()
}

/// Samples behind their head, as many as are read whole.
fn whole_samples(bytes: &[u8]) -> &[u8] {
    let head = bytes.windows(4).take(SAMPLES_BYTES).position(|four| four == b"data");
    let from = head.map_or(0, |at| at + 8).min(bytes.len());
    &bytes[..from + (bytes.len() - from) / SAMPLES_BYTES * SAMPLES_BYTES]
}

#[test]
fn a_recording_is_cut_where_its_last_whole_frame_ends() {
    let aac = include_bytes!("../fixtures/media/live.aac");
    let all = Whole::of("audio/aac", aac);
    for cut in [1, 2, 7, 100] {
        let less = Whole::of("audio/aac", &all.bytes[..all.bytes.len() - cut]);
        assert!(less.bytes.len() < all.bytes.len() - cut && less.seconds < all.seconds);
        assert_eq!(Whole::of("audio/aac", &less.bytes).bytes.len(), less.bytes.len());
    }
}

#[test]
fn each_track_of_a_transport_stream_ends_where_its_last_unit_begins() {
    let packet = |track: u8, starts: bool| {
        let mut packet = vec![0xff; PACKET_BYTES];
        packet[..7].copy_from_slice(&[SYNC, u8::from(starts) << 6, track, 0x10, 0, 0, 1]);
        packet
    };
    // A table's packets begin with a pointer, and are not followed by a start code.
    let table = {
        let mut table = packet(9, true);
        table[6] = 2;
        table
    };
    let stream = [
        packet(1, true),
        packet(2, true),
        packet(1, false),
        packet(1, true),
        packet(2, false),
        packet(2, true),
        packet(1, false),
        table.clone(),
    ];
    let whole = [&stream[0], &stream[1], &stream[2], &stream[4], &table].map(Clone::clone).concat();
    assert_eq!(whole_packets(&stream.concat()), whole);
    // A listener who came in the middle of a packet, and one who left in one.
    let bytes = [&[1, 2, 3][..], &stream.concat(), &[SYNC, 0, 1]].concat();
    assert_eq!(whole_packets(&bytes), whole);
}

#[test]
fn samples_are_cut_behind_their_head() {
    let bytes = [b"RIFF----WAVEdata----".as_slice(), &[0; 2 * SAMPLES_BYTES + 7]].concat();
    assert_eq!(whole_samples(&bytes).len(), bytes.len() - 7);
    assert_eq!(whole_samples(b"RIF"), b"");
}

#[test]
fn a_chain_is_cut_to_its_links() {
    let page = |flags: u8, lengths: &[u8]| {
        let mut page = vec![0; 26];
        page[..6].copy_from_slice(&[b'O', b'g', b'g', b'S', 0, flags]);
        page.push(lengths.len() as u8);
        page.extend_from_slice(lengths);
        page.extend(lengths.iter().flat_map(|&length| vec![2; usize::from(length)]));
        page
    };
    // Two tracks, then a link with one.
    let first = [page(2, &[9]), page(2, &[3]), page(0, &[255, 255, 7]), page(4, &[])].concat();
    let second = [page(2, &[9]), page(0, &[200])].concat();
    assert_eq!(links(&[first.clone(), second.clone()].concat()), [first, second]);
    assert_eq!(links(b""), [b""]);
}
