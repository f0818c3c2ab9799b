//! HOT PATH. What becomes of each packet of a transport stream: it is left out, goes out as it
//! came, or goes out with numbers and times that follow those of the source before. Source core;
//! allocates nothing once the tables have come.

use super::super::{Counters, Facts, Signature, Step, UNIT_BYTES_MAX};
use super::clock::Clock;
use super::packet::{self, Bytes, NULL_PID, PACKET_BYTES, Packet, TICKS_PER_STAMP};
use super::pes::{self, Head};
use super::pids::Pids;
use super::program::Program;
use super::psi::Gathered;
use super::seen::Seen;
use super::sound::Sound;
use super::splice::{Begin, Splice};
use super::starts::Starts;
use super::tables::Tables;

/// The packets of one mount, over all its sources.
#[derive(Debug, Default)]
pub(super) struct Stream {
    tables: Tables,
    pids: Pids,
    clock: Clock,
    splice: Splice,
    /// Whether the present source's first start point has come. What is before it means nothing to
    /// a player, and behind the seam between two sources it would only look broken.
    has_begun: bool,
    starts: Starts,
    /// Playing time that the next packet tells.
    due_us: u32,
    /// Bytes without a program, up to [`PROGRAMLESS_BYTES_MAX`].
    programless_bytes: usize,
    sound: Option<Sound>,
    written: Vec<u8>,
    counters: Counters,
}

/// Bytes without a whole pair of tables after which a stream is passed on as it is. They come ten
/// times a second, and at least 2.5 times (ATSC A/78): so many bytes are more than that at 80
/// Mbit/s. Fewer, and a fast stream that begins in its middle is given up too soon; more, and
/// listeners of a stream without tables wait longer for it.
const PROGRAMLESS_BYTES_MAX: usize = UNIT_BYTES_MAX;

impl Stream {
    /// Takes one packet.
    #[inline]
    pub(super) fn take(&mut self, bytes: &Bytes) -> Step {
        let packet = Packet(bytes);
        if packet.is_broken() {
            self.counters.crc_errors += 1;
            return self.skip(PACKET_BYTES);
        }
        if packet.pid() == NULL_PID {
            return self.leave_out();
        }
        let missing = self.pids.hear(packet);
        self.counters.gaps += u64::from(missing);
        if self.tables.take(packet.pid()) {
            return self.take_table(packet, missing == 0);
        }
        let Some(&program) = self.tables.program() else {
            self.programless_bytes += PACKET_BYTES;
            return self.leave_out();
        };
        self.take_stream(&Seen::of(packet, &program), &program)
    }

    #[cold]
    fn take_table(&mut self, packet: Packet<'_>, follows: bool) -> Step {
        let gathered = self.tables.push(packet, follows, &mut self.pids, &mut self.written);
        if self.tables.program().is_some() {
            self.programless_bytes = 0;
        }
        match gathered {
            Gathered::Nothing => self.leave_out(),
            Gathered::Damaged => {
                self.counters.crc_errors += 1;
                self.leave_out()
            }
            Gathered::Again => self.deliver(false, true),
            Gathered::Changed => {
                (self.starts, self.sound) = (Starts::default(), None);
                Step::Head { bytes: PACKET_BYTES }
            }
        }
    }

    /// Takes a packet of a stream, of the program or beside it.
    #[inline]
    fn take_stream(&mut self, seen: &Seen<'_>, program: &Program) -> Step {
        let (packet, pid) = (seen.packet, seen.packet.pid());
        self.tell_time(seen, program);
        let starts = packet.starts_unit() && self.starts.judge(seen, program);
        if !self.has_begun {
            if !starts {
                return self.leave_out();
            }
            self.begin(seen);
        }
        if packet.has_payload() && !self.pids.has_begun(pid) {
            let is_behind = seen.decoded().is_some_and(|stamp| self.splice.is_behind(stamp));
            if !packet.starts_unit() || is_behind {
                return self.leave_out();
            }
            self.pids.begin(pid);
        }
        if seen.head == Head::Cut && self.splice.shift() != 0 {
            // Its times stand in two packets, and would stay behind.
            self.pids.pause(pid);
            return self.leave_out();
        }
        if let (Head::Pes(pes), Some(codec)) = (seen.head, seen.audio) {
            self.sound = Sound::of(codec, pes.body).or(self.sound);
        }
        let rewritten = self.rewrite(seen, program);
        self.deliver(starts, rewritten)
    }

    /// Reads the time that passes from packets that tell it.
    #[inline]
    fn tell_time(&mut self, seen: &Seen<'_>, program: &Program) {
        let told_us = match (seen.clock(program), seen.decoded()) {
            (Some(ticks), _) => self.clock.read(ticks),
            (None, Some(stamp)) if seen.leads => self.clock.stamp(stamp),
            _ => return,
        };
        self.due_us = self.due_us.saturating_add(told_us);
        self.starts.wait(told_us);
    }

    /// The present source's part of the stream begins with this packet. A scrambled one hides its
    /// times, so nothing of its source is moved.
    #[cold]
    fn begin(&mut self, seen: &Seen<'_>) {
        let times = Begin { stamp: seen.decoded(), clock: self.clock.latest() };
        let is_scrambled = seen.packet.is_scrambled();
        self.splice.begin(if is_scrambled { Begin::default() } else { times });
        (self.has_begun, self.due_us) = (true, 0);
    }

    /// Takes note of the number and the times with which a packet goes out, and says whether they
    /// are other ones than its own; then [`Self::written`] has it.
    #[inline]
    fn rewrite(&mut self, seen: &Seen<'_>, program: &Program) -> bool {
        let continuity = self.pids.write(seen.packet);
        if let Some(ticks) = seen.clock(program) {
            self.splice.note_clock(ticks / TICKS_PER_STAMP);
        }
        if let Some(stamp) = seen.decoded().filter(|_| seen.leads || seen.audio.is_some()) {
            self.splice.note(stamp, seen.leads);
        }
        let shift = self.splice.shift();
        let has_pcr = seen.packet.pcr().is_some();
        let has_times = shift != 0 && (has_pcr || seen.decoded().is_some());
        if continuity == seen.packet.continuity() && !has_times {
            return false;
        }
        let mut copy = *seen.packet.0;
        packet::set_continuity(&mut copy, continuity);
        if shift != 0 {
            if has_pcr {
                packet::shift_pcr(&mut copy, shift);
            }
            if seen.packet.starts_unit() {
                pes::shift_stamps(&mut copy, shift);
            }
        }
        self.written.clear();
        self.written.extend_from_slice(&copy);
        true
    }

    fn deliver(&mut self, starts: bool, rewritten: bool) -> Step {
        self.counters.frames += 1;
        self.clock.add(PACKET_BYTES);
        let duration_us = std::mem::take(&mut self.due_us);
        Step::Frame { bytes: PACKET_BYTES, duration_us, starts, rewritten }
    }

    fn leave_out(&mut self) -> Step {
        self.counters.tag_bytes += PACKET_BYTES as u64;
        Step::Tag { bytes: PACKET_BYTES }
    }

    /// Bytes that are no packet, or a damaged one.
    pub(super) fn skip(&mut self, bytes: usize) -> Step {
        self.counters.junk_bytes += bytes as u64;
        Step::Junk { bytes }
    }

    /// No packet stands where the last one ended.
    pub(super) fn miss(&mut self) {
        self.counters.resyncs += 1;
    }

    /// Whether so much came without tables that none will.
    pub(super) fn is_hopeless(&self) -> bool {
        self.programless_bytes >= PROGRAMLESS_BYTES_MAX
    }

    pub(super) fn written(&self) -> &[u8] {
        &self.written
    }

    pub(super) fn preamble(&self) -> &[u8] {
        self.tables.preamble()
    }

    pub(super) fn facts(&self) -> Facts {
        let Some(program) = self.tables.program() else { return Facts::default() };
        let sound = self.sound;
        let label = program.audio.and_then(|audio| audio.codec.label());
        Facts {
            codec: sound.and_then(|sound| sound.codec).or(label),
            video_codec: program.video.and_then(|video| video.codec.label()),
            bitrate_kbps: self.clock.kbps(),
            sample_rate: sound.map(|sound| sound.rate),
            channels: sound.and_then(|sound| sound.channels),
            frame_us: self.clock.between_us(),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn signature(&self) -> Option<Signature> {
        self.tables.signature()
    }

    /// Another source goes on: what was read is forgotten, what was written is not.
    pub(super) fn next_source(&mut self) {
        self.tables.next_source();
        self.pids.next_source();
        self.clock = Clock::default();
        (self.starts, self.sound) = (Starts::default(), None);
        (self.has_begun, self.due_us, self.programless_bytes) = (false, 0, 0);
        self.counters = Counters::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Heard, hear, hear_every_way};
    use super::super::super::{Framer, Step};
    use super::super::testing::{
        AUDIO_PID, FRAME, KEY, MAP_PID, Mux, SLICE, VIDEO_PID, association, map,
    };
    use super::*;

    const TS: &str = "video/mp2t";

    /// Counter and times of a packet: the clock, and when its unit is decoded.
    type Times = (u8, Option<u64>, Option<u64>);

    /// What the packets of `pid` in `out` say.
    fn times(out: &[u8], pid: u16) -> Vec<Times> {
        let packets = out.as_chunks().0.iter().map(Packet);
        let time = |packet: Packet<'_>| {
            let stamp = match Head::of(packet) {
                Head::Pes(pes) if packet.starts_unit() => pes.decoded(),
                _ => None,
            };
            (packet.continuity(), packet.pcr().map(|ticks| ticks / TICKS_PER_STAMP), stamp)
        };
        packets.filter(|packet| packet.pid() == pid).map(time).collect()
    }

    /// What becomes of `parts`, each from a source of its own.
    fn hear_sources(parts: &[Vec<u8>]) -> (Heard, Framer) {
        let mut framer = Framer::for_content_type(TS);
        let mut all = Heard::default();
        for part in parts {
            framer.next_source(TS);
            let heard = hear(&mut framer, part, || 1_316);
            let (before, out) = (all.out.len(), heard.out);
            all.starts.extend(heard.starts.iter().map(|start| before + start));
            all.heads.extend(heard.heads.into_iter().map(|(at, head)| (before + at, head)));
            all.out.extend(out);
        }
        (all, framer)
    }

    fn packets(count: usize) -> usize {
        count * PACKET_BYTES
    }

    #[test]
    fn a_stream_begins_with_its_tables_and_its_first_start() {
        let mut mux = Mux::default();
        mux.frame(0, true);
        mux.section(0, &association(MAP_PID, 0));
        mux.section(MAP_PID, &map(&[(0x1B, VIDEO_PID), (0x0F, AUDIO_PID)], 0));
        mux.frame(FRAME, false);
        let before = mux.out.len();
        mux.frame(2 * FRAME, true);
        let (heard, _) = hear_every_way(TS, &mux.out);
        assert_eq!(heard.tags, [(0, packets(4)), (packets(5), before - packets(5))]);
        assert_eq!(heard.starts, [packets(2)]);
        assert!(heard.out[packets(2)..] == mux.out[before..]);
        assert!(heard.heads == [(0, heard.out[..packets(2)].to_vec())]);
    }

    #[test]
    fn key_frames_are_starts_and_clocks_tell_the_time() {
        let (heard, framer) = hear_every_way(TS, &Mux::program(0, 50));
        let starts: Vec<usize> = (0..5).map(|key| packets(2 + key * 30)).collect();
        assert_eq!(heard.starts, starts);
        assert_eq!(heard.durations_us.iter().sum::<u32>(), 49 * 40_000);
        assert_eq!(heard.durations_us[3], 40_000);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.video_codec), (Some("AAC"), Some("H.264")));
        assert_eq!((facts.sample_rate, facts.channels), (Some(48_000), Some(2)));
        // Three packets of 188 bytes every 40 ms.
        assert!(facts.bitrate_kbps.is_some_and(|kbps| (112..=114).contains(&kbps)));
        assert_eq!(facts.frame_us, Some(40_000));
    }

    #[test]
    fn time_goes_on_where_stamps_wrap() {
        let (heard, _) = hear_every_way(TS, &Mux::program((1 << 33) - 20 * FRAME, 50));
        assert_eq!(heard.durations_us.iter().sum::<u32>(), 49 * 40_000);
    }

    #[test]
    fn unmarked_key_frames_are_found_by_what_they_bring() {
        let mut stream = Mux::program(0, 50);
        let marked = hear_every_way(TS, &stream).0.starts;
        for packet in stream.as_chunks_mut::<PACKET_BYTES>().0 {
            if packet[3] & 0x20 != 0 && packet[4] > 0 {
                packet[5] &= !0x40;
            }
        }
        assert_eq!(hear_every_way(TS, &stream).0.starts, marked);
    }

    #[test]
    fn sound_alone_starts_at_each_of_its_units() {
        let mut mux = Mux::default();
        mux.section(0, &association(MAP_PID, 0));
        mux.section(MAP_PID, &map(&[(0x0F, AUDIO_PID)], 0));
        (0..10).for_each(|unit| mux.pes(AUDIO_PID, unit * FRAME, &[9; 300], false, None));
        let (heard, framer) = hear_every_way("audio/mp2t", &mux.out);
        assert_eq!(heard.starts, (0..10).map(|unit| packets(2 + 2 * unit)).collect::<Vec<_>>());
        assert_eq!(heard.durations_us.iter().sum::<u32>(), 9 * 40_000, "no clock, but stamps");
        assert_eq!(framer.facts().codec, Some("AAC"));
    }

    #[test]
    fn stuffing_is_left_out_and_damage_is_counted() {
        let mut mux = Mux::begun(0, 4);
        let clean = mux.out.len();
        mux.stuffing();
        let damaged = mux.out.len();
        mux.pes(VIDEO_PID, 4 * FRAME, SLICE, false, None);
        mux.out[damaged + 1] |= 0x80;
        mux.pes(VIDEO_PID, 5 * FRAME, SLICE, false, None);
        let (heard, framer) = hear_every_way(TS, &mux.out);
        assert_eq!(heard.tags, [(0, packets(1)), (clean, packets(1))]);
        assert_eq!(heard.junk, [(clean + packets(1), packets(1))]);
        let counters = framer.counters();
        assert_eq!((counters.crc_errors, counters.gaps, counters.resyncs), (1, 1, 0));
    }

    #[test]
    fn another_source_goes_on_in_numbers_and_times_and_needs_no_new_head() {
        for second in [0, 700 * 90_000, (1 << 33) - 5 * FRAME] {
            let parts = [Mux::program(90_000, 25), Mux::program(second, 25)];
            let (heard, framer) = hear_sources(&parts);
            assert_eq!((heard.heads.len(), framer.counters().gaps), (1, 0));
            for pid in [VIDEO_PID, AUDIO_PID] {
                let times = times(&heard.out, pid);
                let counters = times.iter().map(|(counter, ..)| *counter);
                assert!(counters.enumerate().all(|(n, counter)| n % 16 == usize::from(counter)));
                let clocks: Vec<u64> = times.iter().filter_map(|(_, clock, _)| *clock).collect();
                assert!(clocks.windows(2).all(|two| two[1] == two[0] + FRAME), "{second}");
                let stamps: Vec<u64> = times.iter().filter_map(|(.., stamp)| *stamp).collect();
                assert_eq!(stamps, (0..50).map(|n| 90_000 + n * FRAME).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_source_that_goes_on_by_itself_goes_out_as_it_came() {
        // 32 packets of video and 64 of sound: the counters begin at zero again.
        let (first, second) = (Mux::program(0, 32), Mux::program(32 * FRAME, 32));
        let mut framer = Framer::for_content_type(TS);
        let _ = hear(&mut framer, &first, || 1_316);
        framer.next_source(TS);
        let mut input = &second[..];
        while !input.is_empty() {
            match framer.step(input) {
                Step::Frame { rewritten: false, .. } | Step::Tag { .. } => {}
                // The map: tables are always put out anew.
                step => assert_eq!(input.len(), second.len() - packets(1), "{step:?}"),
            }
            input = &input[packets(1)..];
        }
    }

    #[test]
    fn another_program_brings_a_head_whose_version_shows_it() {
        let mut mux = Mux::default();
        mux.section(0, &association(0x200, 0));
        mux.section(0x200, &map(&[(0x02, 0x300), (0x04, 0x301)], 0));
        mux.pes(0x300, 0, &[0, 0, 1, 0xB3, 1, 2], true, Some(0));
        mux.pes(0x301, 0, &[0xFF, 0xFD, 0x84, 0, 7], false, None);
        let (heard, framer) = hear_sources(&[Mux::program(0, 25), mux.out]);
        let (seam, head) = &heard.heads[1];
        // The same sections, with counters that go on.
        assert!(heard.out[seam + 4..][..PACKET_BYTES - 4] == head[4..PACKET_BYTES]);
        let versions = |head: &[u8]| [head[10] >> 1 & 31, head[PACKET_BYTES + 10] >> 1 & 31];
        assert_eq!(versions(&heard.heads[0].1), [0, 0]);
        assert_eq!(versions(head), [1, 1]);
        let stamp = times(&heard.out, 0x300)[0].2;
        assert_eq!(stamp, Some(25 * FRAME), "time goes on on other PIDs");
        assert_eq!(
            (framer.facts().codec, framer.facts().video_codec),
            (Some("MP2"), Some("MPEG-2"))
        );
        let table = times(&heard.out, 0);
        assert_eq!(table.iter().map(|it| it.0).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn what_a_source_was_amid_when_it_began_is_left_out() {
        let whole = Mux::program(0, 30);
        // From the middle of the first sound on: its tail, frames without a key, then a key.
        let tables = &whole[..packets(2)];
        let second = [tables, &whole[packets(4)..]].concat();
        let (heard, _) = hear_sources(&[Mux::program(0, 10), second]);
        let seam = packets(2 + 30);
        assert!(heard.starts.contains(&(seam + packets(1))), "the map, then the key frame");
        let stamps: Vec<u64> =
            times(&heard.out, VIDEO_PID).iter().filter_map(|(.., stamp)| *stamp).collect();
        assert_eq!(stamps, (0..30).map(|n| n * FRAME).collect::<Vec<_>>());
    }

    #[test]
    fn sound_that_would_run_backwards_at_a_seam_is_left_out() {
        let mut mux = Mux::begun(90_000, 0);
        mux.pes(VIDEO_PID, 90_000, KEY, true, None);
        mux.pes(AUDIO_PID, 90_000 - 2 * FRAME, &[1; 50], false, None);
        mux.pes(AUDIO_PID, 90_000, &[2; 50], false, None);
        let (heard, _) = hear_sources(&[Mux::program(0, 10), mux.out]);
        let stamps: Vec<u64> =
            times(&heard.out, AUDIO_PID).iter().filter_map(|(.., stamp)| *stamp).collect();
        assert_eq!(stamps, (0..=10).map(|n| n * FRAME).collect::<Vec<_>>());
    }

    #[test]
    fn a_head_cut_in_two_passes_unless_its_times_would_have_to_move() {
        let mut mux = Mux::begun(0, 1);
        // An adaptation field that leaves the head twelve bytes.
        let stuffing = [&[0][..], &[0xFF; 170]].concat();
        let head = [0, 0, 1, 0xC0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1, 7, 7];
        mux.unit(AUDIO_PID, &stuffing, &head);
        let cut = 1 + 1 + 2;
        let (alone, _) = hear_every_way(TS, &mux.out);
        assert_eq!(times(&alone.out, AUDIO_PID).len(), cut);
        let (second, _) = hear_sources(&[Mux::program(0, 10), mux.out]);
        assert_eq!(times(&second.out, AUDIO_PID).len(), 20 + 2);
    }

    #[test]
    fn scrambled_units_pass_and_are_not_moved() {
        let scramble = |mut stream: Vec<u8>| {
            for packet in stream.as_chunks_mut::<PACKET_BYTES>().0.iter_mut().skip(2) {
                packet[3] |= 0x80;
            }
            stream
        };
        let second = scramble(Mux::program(0, 10));
        let (heard, _) = hear_sources(&[Mux::program(50 * FRAME, 10), second.clone()]);
        let clocks = |out: &[u8]| -> Vec<Option<u64>> {
            times(out, VIDEO_PID).iter().map(|(_, clock, _)| *clock).collect()
        };
        assert_eq!(clocks(&heard.out)[10..], clocks(&second));
    }

    #[test]
    fn a_map_that_changes_on_the_way_is_told_at_once() {
        let mut mux = Mux::begun(0, 12);
        let before = mux.out.len();
        mux.section(MAP_PID, &map(&[(0x24, VIDEO_PID), (0x0F, AUDIO_PID)], 0));
        mux.frame(12 * FRAME, true);
        let (heard, framer) = hear_every_way(TS, &mux.out);
        assert_eq!(heard.heads.len(), 2);
        assert_eq!(heard.heads[1].0, before);
        assert_eq!(framer.facts().video_codec, Some("H.265"));
    }

    #[test]
    fn a_stream_without_tables_is_passed_on_after_its_allowance() {
        let mut mux = Mux::default();
        while mux.out.len() < PROGRAMLESS_BYTES_MAX + packets(100) {
            mux.pes(VIDEO_PID, 0, &[KEY, &[0; 2_000]].concat(), true, None);
        }
        let mut framer = Framer::for_content_type(TS);
        let heard = hear(&mut framer, &mux.out, || 100_000);
        assert!(framer.gave_up());
        assert!(heard.tags[0].1.abs_diff(PROGRAMLESS_BYTES_MAX) < packets(1));
        assert_eq!(heard.passed, mux.out.len() - heard.tags[0].1);
    }

    #[test]
    fn video_that_never_starts_does_not_keep_the_sound_back_for_ever() {
        let mut mux = Mux::begun(0, 0);
        for frame in 0..900 {
            let body = [SLICE, &[1; 20]].concat();
            mux.pes(VIDEO_PID, frame * FRAME, &body, false, Some(frame * FRAME));
            mux.pes(AUDIO_PID, frame * FRAME, &[1; 20], false, None);
        }
        let (heard, _) = hear_every_way(TS, &mux.out);
        // After 30 s of 36, and once more never.
        assert_eq!(heard.starts.len(), 1);
        assert!(heard.frames[0].0 > packets(2 * 750) && heard.frames[0].0 < packets(2 * 753));
    }
}
