//! HOT PATH. MPEG transport streams (ISO/IEC 13818-1): finding packets of 188 bytes and keeping in
//! step with them. What the packets mean is [`stream::Stream`]'s. Source core.
//!
//! A unit is one packet: it is the smallest piece that a player can take, it never waits for
//! another, and nothing of the stream lies between two of them. Each goes out as it came, but for
//! the tables, which are put out whole, and for what a seam between two sources asks for.

mod clock;
mod packet;
mod pes;
mod pids;
mod program;
mod psi;
mod seen;
mod sound;
mod splice;
mod starts;
mod stream;
mod tables;
#[cfg(test)]
mod testing;

use super::format::{Format, Seam};
use super::sniff::Sniffed;
use super::sync::UNFRAMED_BYTES_MAX;
use super::{Counters, Facts, Objection, Parser, Signature, Step};
use packet::{PACKET_BYTES, SYNC_BYTE};
use stream::Stream;

/// The format's row in the table. `video/mpeg` means several things, so it is none of its content
/// types: the first bytes tell.
pub(super) const FORMAT: Format = Format {
    name: "MPEG-TS",
    content_types: &["video/mp2t", "audio/mp2t", "video/m2ts"],
    sniff: |input| packets_stand(input, PACKET_BYTES, SYNCS),
    seam: Seam::Frames,
    make: || Box::<MpegTs>::default(),
};

/// Sync bytes in a row that make a stream: a random place passes once in 16 million.
const SYNCS: usize = 3;

/// Packets with four bytes of arrival time in front (Blu-ray, camcorders), and with sixteen of
/// error correction behind (what a modulator sends).
const OTHER_LENGTHS: [usize; 2] = [192, 204];
/// Sync bytes in a row that make such a stream. More than [`SYNCS`]: the source is let go for it.
const OTHER_SYNCS: usize = 5;

/// The parser of one mount's transport stream.
#[derive(Debug, Default)]
struct MpegTs {
    phase: Phase,
    /// Junk since the last packet, up to [`UNFRAMED_BYTES_MAX`].
    unframed_bytes: usize,
    /// Whether the present source has sent a packet.
    was_locked: bool,
    objection: Option<Objection>,
    stream: Stream,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Looking for a packet.
    #[default]
    Hunting,
    /// Behind a packet: the next one stands right here.
    Locked,
    /// The stream is passed on unframed.
    GivenUp,
}

/// Whether `count` packets of `length` bytes begin at the start of `input`.
#[inline]
fn packets_stand(input: &[u8], length: usize, count: usize) -> Sniffed {
    for at in (0..count).map(|index| index * length) {
        match input.get(at) {
            Some(&SYNC_BYTE) => {}
            Some(_) => return Sniffed::No,
            None => return Sniffed::Maybe,
        }
    }
    Sniffed::Yes
}

impl MpegTs {
    /// Every case but a packet where one is expected.
    #[cold]
    fn step_out_of_line(&mut self, input: &[u8]) -> Step {
        match (self.phase, input.first()) {
            (_, None) => return Step::More,
            (Phase::GivenUp, _) => return Step::pass(input),
            (Phase::Locked, Some(&SYNC_BYTE)) => return Step::More,
            (Phase::Locked, _) => {
                self.stream.miss();
                self.phase = Phase::Hunting;
            }
            (Phase::Hunting, _) => {}
        }
        match self.judge(input) {
            Sniffed::Maybe => Step::More,
            Sniffed::Yes => {
                (self.phase, self.was_locked, self.unframed_bytes) = (Phase::Locked, true, 0);
                self.step(input)
            }
            Sniffed::No => {
                let allowed = input.len().min(UNFRAMED_BYTES_MAX - self.unframed_bytes);
                let found = (1..allowed).find(|&at| self.judge(&input[at..]) != Sniffed::No);
                self.skip(found.unwrap_or(allowed))
            }
        }
    }

    /// Whether packets stand at the start of `input`; notes those of another length.
    fn judge(&mut self, input: &[u8]) -> Sniffed {
        let verdict = packets_stand(input, PACKET_BYTES, SYNCS);
        if self.was_locked || verdict == Sniffed::Yes || self.objection.is_some() {
            return verdict;
        }
        let others = OTHER_LENGTHS.map(|length| packets_stand(input, length, OTHER_SYNCS));
        if others.contains(&Sniffed::Yes) {
            self.objection = Some(Objection::PacketLength);
        } else if others.contains(&Sniffed::Maybe) {
            return Sniffed::Maybe;
        }
        verdict
    }

    fn skip(&mut self, bytes: usize) -> Step {
        self.unframed_bytes += bytes;
        if self.unframed_bytes >= UNFRAMED_BYTES_MAX {
            self.phase = Phase::GivenUp;
        }
        self.stream.skip(bytes)
    }
}

impl Parser for MpegTs {
    /// In step a packet is taken as soon as its last byte is here.
    fn step(&mut self, input: &[u8]) -> Step {
        if self.phase == Phase::Locked
            && let Some(packet) = input.first_chunk()
            && packet[0] == SYNC_BYTE
        {
            let step = self.stream.take(packet);
            if self.stream.is_hopeless() {
                self.phase = Phase::GivenUp;
            }
            return step;
        }
        self.step_out_of_line(input)
    }

    fn written(&self) -> &[u8] {
        self.stream.written()
    }

    fn preamble(&self) -> &[u8] {
        self.stream.preamble()
    }

    fn facts(&self) -> Facts {
        if self.gave_up() { Facts::default() } else { self.stream.facts() }
    }

    fn counters(&self) -> Counters {
        self.stream.counters()
    }

    fn signature(&self) -> Option<Signature> {
        self.stream.signature()
    }

    fn objection(&self) -> Option<Objection> {
        self.objection
    }

    fn gave_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    fn next_source(&mut self) {
        (self.phase, self.unframed_bytes) = (Phase::Hunting, 0);
        (self.was_locked, self.objection) = (false, None);
        self.stream.next_source();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Heard, Xorshift, adts_frames, hear, hear_every_way, mp3_frames};
    use super::super::{Framer, UNIT_BYTES_MAX};
    use super::testing::Mux;
    use super::*;

    const TS: &str = "video/mp2t";

    /// Where the packets of `stream` go that stand from `from` to `to`.
    fn places(from: usize, to: usize) -> Vec<(usize, usize)> {
        (from..to).step_by(PACKET_BYTES).map(|at| (at, PACKET_BYTES)).collect()
    }

    fn is_frame(step: Step) -> bool {
        matches!(step, Step::Frame { bytes: PACKET_BYTES, .. })
    }

    #[test]
    fn every_packet_of_a_clean_stream_is_a_unit() {
        let stream = Mux::program(0, 40);
        let (heard, framer) = hear_every_way(TS, &stream);
        assert_eq!(heard.frames, places(2 * PACKET_BYTES, stream.len()));
        assert!(heard.out == stream && heard.left == 0);
        assert!(heard.heads == [(0, stream[..2 * PACKET_BYTES].to_vec())]);
        let counters =
            Counters { frames: 120, tag_bytes: PACKET_BYTES as u64, ..Counters::default() };
        assert_eq!(framer.counters(), counters);
    }

    #[test]
    fn a_first_packet_waits_for_two_more_sync_bytes_and_the_others_for_their_last_byte() {
        let stream = Mux::program(0, 4);
        let mut framer = Framer::for_content_type(TS);
        assert_eq!(framer.step(&stream[..2 * PACKET_BYTES]), Step::More);
        let step = framer.step(&stream[..2 * PACKET_BYTES + 1]);
        assert_eq!(step, Step::Tag { bytes: PACKET_BYTES });
        let head = framer.step(&stream[PACKET_BYTES..2 * PACKET_BYTES]);
        assert_eq!(head, Step::Head { bytes: PACKET_BYTES });
        let (at, end) = (2 * PACKET_BYTES, 3 * PACKET_BYTES);
        assert_eq!(framer.step(&stream[at..end - 1]), Step::More);
        assert!(is_frame(framer.step(&stream[at..end])));
    }

    #[test]
    fn junk_in_front_and_between_is_skipped_and_counted_once() {
        let stream = Mux::program(0, 40);
        let (first, second) = stream.split_at(50 * PACKET_BYTES);
        let front = b"HTTP banner, GG ".repeat(9);
        let between = &[0, SYNC_BYTE, SYNC_BYTE].repeat(111)[..332];
        let all = [&front, first, between, second].concat();
        let (heard, framer) = hear_every_way(TS, &all);
        assert!(heard.out == stream);
        let gap = front.len() + first.len();
        assert_eq!(heard.junk, [(0, front.len()), (gap, between.len())]);
        assert_eq!(framer.counters().resyncs, 1);
        assert_eq!(framer.counters().junk_bytes, (front.len() + between.len()) as u64);
    }

    #[test]
    fn a_missing_stretch_costs_only_the_packets_it_touched() {
        let stream = Mux::program(0, 40);
        for missing in [1, 100, 187, 189, 700] {
            let cut = 30 * PACKET_BYTES + 60;
            let hurt = [&stream[..cut], &stream[cut + missing..]].concat();
            let (heard, framer) = hear_every_way(TS, &hurt);
            // The packet that was cut goes out with bytes of the next one, because nothing tells
            // before its end.
            let clean = (cut + missing).next_multiple_of(PACKET_BYTES) - missing;
            let behind: Vec<_> =
                heard.frames.iter().filter(|(at, _)| *at >= clean).copied().collect();
            let hurt_too = usize::from(missing % PACKET_BYTES != 0) * PACKET_BYTES;
            assert!(places(clean, hurt.len()).ends_with(&behind), "{missing}");
            assert!(places(clean + hurt_too, hurt.len()).len() <= behind.len(), "{missing}");
            assert_eq!(framer.counters().resyncs, 1);
        }
    }

    #[test]
    fn flipped_bits_cost_no_clean_packet() {
        let stream = Mux::program(0, 400);
        for seed in 1..=20 {
            let mut random = Xorshift(seed);
            let mut hurt = stream.clone();
            let mut touched = vec![false; stream.len() / PACKET_BYTES];
            for _ in 0..stream.len() * 8 / 10_000 {
                let bit = random.below(stream.len() * 8);
                hurt[bit / 8] ^= 1 << (bit % 8);
                touched[bit / 8 / PACKET_BYTES] = true;
            }
            let mut framer = Framer::for_content_type(TS);
            let heard = hear(&mut framer, &hurt, || 1_400);
            let kept = |at: usize| heard.frames.iter().any(|(frame, _)| *frame == at);
            let began = heard.frames[0].0 / PACKET_BYTES;
            let lost = (began..touched.len()).filter(|&packet| {
                // A packet stands between two whose sync bytes it needs to be found again.
                let near = touched[packet - 1..(packet + 3).min(touched.len())].contains(&true);
                !near && !kept(packet * PACKET_BYTES)
            });
            assert_eq!(lost.count(), 0, "seed {seed}");
            assert!(heard.left < 3 * PACKET_BYTES && !framer.gave_up());
        }
    }

    #[test]
    fn noise_is_judged_alike_however_it_is_cut() {
        for seed in 1..=20 {
            let mut random = Xorshift(seed);
            let mut noise = random.bytes(20_000);
            noise.iter_mut().for_each(|byte| {
                *byte = if *byte < 60 { SYNC_BYTE } else { *byte };
            });
            let (heard, _) = hear_every_way(TS, &noise);
            assert!(heard.left < OTHER_SYNCS * 204);
        }
    }

    #[test]
    fn a_stream_without_packets_is_passed_on_after_its_allowance() {
        let (heard, framer) = hear_every_way(TS, &[0x55; 3 * UNFRAMED_BYTES_MAX]);
        assert!(framer.gave_up());
        assert_eq!(heard.junk, [(0, UNFRAMED_BYTES_MAX)]);
        assert_eq!(heard.passed, 2 * UNFRAMED_BYTES_MAX);
        assert_eq!(framer.facts(), Facts::default());
    }

    #[test]
    fn packets_of_another_length_are_objected_to() {
        let stream = Mux::program(0, 20);
        let packets = || stream.chunks(PACKET_BYTES);
        let stamped = packets().flat_map(|it| [&[1, 2, 3, 4], it].concat()).collect::<Vec<u8>>();
        let coded = packets().flat_map(|it| [it, &[7; 16]].concat()).collect::<Vec<u8>>();
        for other in [stamped, coded] {
            let (heard, framer) = hear_every_way(TS, &other);
            assert_eq!(framer.objection(), Some(Objection::PacketLength));
            assert_eq!(heard.frames, []);
        }
        let (_, framer) = hear_every_way(TS, &[&b"junk"[..], &stream].concat());
        assert_eq!(framer.objection(), None);
    }

    #[test]
    fn a_transport_stream_is_told_whatever_it_is_called_and_no_other_is_taken_for_one() {
        let stream = Mux::program(0, 20);
        for content_type in ["video/mpeg", "audio/mpeg", "audio/aac", "", "video/MP2T"] {
            let (heard, framer) = hear_every_way(content_type, &stream);
            assert_eq!(framer.format(), Some("MPEG-TS"), "{content_type}");
            assert!(heard.out == stream);
        }
        for other in [mp3_frames(9).concat(), adts_frames(9).concat()] {
            let (_, framer) = hear_every_way("video/mpeg", &other);
            assert_ne!(framer.format(), Some("MPEG-TS"));
        }
        let (Heard { passed, .. }, framer) = hear_every_way("video/mpeg", &[0x47; 100]);
        assert_eq!((framer.format(), passed), (None, 0));
    }

    #[test]
    fn no_more_than_a_few_packets_are_ever_waited_for() {
        let mut framer = Framer::for_content_type(TS);
        let hopeful = [&[SYNC_BYTE][..], &[0; 203]].concat().repeat(9);
        let bytes =
            (1..hopeful.len()).take_while(|&bytes| framer.step(&hopeful[..bytes]) == Step::More);
        assert!(bytes.count() < 5 * 204);
        const { assert!(5 * 204 < UNIT_BYTES_MAX) };
    }
}
