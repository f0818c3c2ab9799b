//! MPEG transport streams, with picture and with sound alone.

use std::path::Path;
use std::process::Command;

use floe::media::Framer;

use super::kit::{Cut, cut, decode, every_join_decodes, feed, ffmpeg, scratch};

/// What is encoded, once, before it is multiplexed in every way.
struct Family {
    encoder: &'static str,
    codec: Option<&'static str>,
    video_codec: Option<&'static str>,
    sample_rate: Option<u32>,
}

const fn family(
    encoder: &'static str,
    video_codec: Option<&'static str>,
    codec: Option<&'static str>,
    sample_rate: Option<u32>,
) -> Family {
    Family { encoder, codec, video_codec, sample_rate }
}

const FAMILIES: &[Family] = &[
    family(
        "-c:v libx264 -preset ultrafast -g 12 -c:a aac -ar 44100",
        Some("H.264"),
        Some("AAC"),
        Some(44_100),
    ),
    family(
        "-c:v libx264 -preset veryfast -bf 2 -g 20 -c:a libmp3lame",
        Some("H.264"),
        Some("MP3"),
        Some(44_100),
    ),
    family("-c:v libx264 -g 10 -x264-params aud=1 -an", Some("H.264"), None, None),
    family(
        "-c:v libx265 -x265-params log-level=none -preset ultrafast -g 12 -c:a ac3",
        Some("H.265"),
        Some("AC-3"),
        None,
    ),
    family(
        "-c:v mpeg2video -bf 2 -g 12 -c:a mp2 -ar 48000",
        Some("MPEG-2"),
        Some("MP2"),
        Some(48_000),
    ),
    family("-c:v mpeg4 -g 12 -c:a eac3", Some("MPEG-4"), Some("E-AC-3"), None),
    family("-vn -c:a aac -ar 32000 -ac 1", None, Some("AAC"), Some(32_000)),
    family("-vn -c:a libmp3lame -b:a 96k", None, Some("MP3"), Some(44_100)),
    family("-vn -c:a libopus -b:a 48k", None, Some("Opus"), None),
];

/// How it is multiplexed.
const MUXES: &[&str] = &[
    "",
    "-mpegts_flags +resend_headers+pat_pmt_at_frames",
    "-mpegts_flags +system_b+initial_discontinuity",
    "-mpegts_flags +latm -pcr_period 60",
    "-muxrate 1500k -muxdelay 0.4",
    "-mpegts_start_pid 0x1a0 -mpegts_pmt_start_pid 0x90 -mpegts_service_id 7 -pat_period 0.3",
    "-pes_payload_size 0 -muxdelay 0 -muxpreload 0",
];

/// Moving pictures and a tone.
const INPUT: &str = "-f lavfi -i testsrc=s=96x64:r=25:d=2 -f lavfi -i sine=440:d=2";

const PACKET_BYTES: usize = 188;

/// A PES packet as ffprobe sees it: stream, place, whether it is a key frame, and what of it does
/// not depend on the place.
#[derive(Debug)]
struct Probed {
    stream: u32,
    at: Option<usize>,
    is_key: bool,
    dts: Option<u64>,
    same: String,
}

#[test]
fn packets_start_points_and_times_are_those_of_ffprobe() {
    let dir = scratch();
    for family in FAMILIES {
        let options = format!("{INPUT} {}", family.encoder);
        let encoded = ffmpeg(dir.path(), &options, "encoded.mkv");
        for mux in MUXES {
            let options = format!("-i {} -c copy -map 0 {mux}", encoded.display());
            compare(dir.path(), family, &options);
        }
    }
}

#[test]
fn every_join_to_sound_decodes() {
    let dir = scratch();
    for encoder in ["-c:a aac -b:a 96k", "-c:a mp2 -b:a 128k", "-c:a libopus -b:a 64k"] {
        let options = format!("-f lavfi -i sine=440:d=6 {encoder}");
        let file = ffmpeg(dir.path(), &options, "sound.ts");
        let cut = cut("audio/mp2t", &std::fs::read(file).expect("ffmpeg made it"));
        assert_eq!((cut.junk, cut.left), (0, 0));
        every_join_decodes(&cut, "ts", 5);
    }
}

#[test]
fn every_join_to_pictures_decodes_from_the_first_on() {
    let dir = scratch();
    for encoder in [
        "-c:v libx264 -preset ultrafast -g 12 -c:a aac",
        "-c:v libx264 -bf 2 -g 10 -sc_threshold 0 -an",
        "-c:v mpeg2video -g 12 -c:a mp2",
    ] {
        let file = ffmpeg(dir.path(), &format!("{INPUT} {encoder}"), "pictures.ts");
        let cut = cut("video/mp2t", &std::fs::read(file).expect("ffmpeg made it"));
        let gop = if encoder.contains("-g 12") { 12 } else { 10 };
        assert_eq!(cut.starts.len(), 50_usize.div_ceil(gop), "{encoder}");
        for (index, &(start, _)) in cut.starts.iter().enumerate() {
            let decoded = decode(dir.path(), &cut.joined_at(start), "ts");
            assert_eq!(decoded.said, "", "{encoder}, joined at byte {start}");
            assert_eq!(decoded.pictures, 50 - index * gop, "{encoder}");
        }
    }
}

#[test]
fn without_marks_the_pictures_themselves_tell_where_to_start() {
    let dir = scratch();
    for encoder in [
        "-c:v libx264 -preset ultrafast -g 12",
        "-c:v libx265 -x265-params log-level=none -preset ultrafast -g 12",
        "-c:v mpeg2video -g 12",
        "-c:v mpeg4 -g 12",
    ] {
        let options = format!("-f lavfi -i testsrc=s=96x64:r=25:d=2 {encoder}");
        let file = ffmpeg(dir.path(), &options, "marked.ts");
        let mut stream = std::fs::read(file).expect("ffmpeg made it");
        let marked = cut("video/mp2t", &stream);
        for packet in stream.chunks_mut(PACKET_BYTES) {
            if packet[3] & 0x20 != 0 && packet[4] > 0 {
                packet[5] &= !0x40;
            }
        }
        assert_eq!(cut("video/mp2t", &stream).starts, marked.starts, "{encoder}");
    }
}

#[test]
fn a_source_that_returns_goes_on_without_a_word() {
    let dir = scratch();
    // The second source: the same encoder anew; other times; other PIDs and another map.
    let second = [
        "-c copy",
        "-c copy -output_ts_offset 5000",
        "-c copy -output_ts_offset 95440",
        "-c copy -mpegts_start_pid 0x333 -mpegts_pmt_start_pid 0x222 -mpegts_service_id 9",
        "-c copy -muxdelay 2 -mpegts_start_pid 0x101",
        "-c:v mpeg2video -g 12 -c:a mp2",
    ];
    let encoder = "-c:v libx264 -preset ultrafast -g 12 -c:a aac -pes_payload_size 0";
    let first = ffmpeg(dir.path(), &format!("{INPUT} {encoder}"), "first.ts");
    let read = |file| std::fs::read(file).expect("ffmpeg made it");
    for options in second {
        let options = format!("-i {} -pes_payload_size 0 {options}", first.display());
        let second = ffmpeg(dir.path(), &options, "second.ts");
        let mut framer = Framer::for_content_type("video/mp2t");
        let mut cut = Cut::default();
        feed(&mut framer, &read(first.clone()), &mut cut);
        let seam = cut.out.len();
        framer.next_source("video/mp2t");
        feed(&mut framer, &read(second), &mut cut);
        assert_eq!((cut.junk, cut.left, framer.counters().gaps), (0, 0, 0));
        let out = dir.path().join("out.ts");
        std::fs::write(&out, &cut.out).expect("a writable directory");
        whole_over_a_seam(&out, &cut, &options);
        let newcomer = cut.starts.iter().find(|(start, _)| *start >= seam).expect("it begins");
        let decoded = decode(dir.path(), &cut.joined_at(newcomer.0), "ts");
        assert_eq!((decoded.said.as_str(), decoded.pictures), ("", 50), "{options}");
    }
}

/// Checks that times run on in `out`, and that what has one codec from end to end decodes.
fn whole_over_a_seam(out: &Path, cut: &Cut, options: &str) {
    let probed = probe(out);
    let streams = probed.iter().map(|it| it.stream).max().expect("packets") + 1;
    for stream in 0..streams {
        let dts: Vec<u64> =
            probed.iter().filter(|it| it.stream == stream).filter_map(|it| it.dts).collect();
        let falls = dts.windows(2).find(|two| two[1] <= two[0]);
        assert_eq!(falls, None, "{options}, stream {stream}");
    }
    if options.contains("mpeg2video") || options.contains("pid") {
        return;
    }
    let dir = scratch();
    let decoded = decode(dir.path(), &cut.out, "ts");
    assert_eq!(decoded.said, "", "{options}");
    assert_eq!(decoded.pictures, 100, "{options}");
    assert!((3.7..4.2).contains(&decoded.seconds), "{options}: {}", decoded.seconds);
}

/// Holds what is cut of the stream that ffmpeg makes with `options` against ffprobe.
fn compare(dir: &Path, family: &Family, options: &str) {
    let file = ffmpeg(dir, options, "muxed.ts");
    let stream = std::fs::read(&file).expect("ffmpeg made it");
    let mut framer = Framer::for_content_type("video/mp2t");
    let mut cut = Cut::default();
    feed(&mut framer, &stream, &mut cut);
    assert_eq!((cut.junk, cut.left), (0, 0), "{options}");

    // What the first source sends goes out as it came, once it has begun, but for stuffing and for
    // tables, which are put out anew.
    let (all, out) = (streams(&stream), streams(&cut.out[cut.starts[0].0..]));
    let late = all.len() - out.len();
    assert!(late <= 20, "{options}: {late} packets before the first start");
    assert!(all[late..] == out, "{options}");

    let (before, after) = (probe(&file), dir.join("cut.ts"));
    std::fs::write(&after, &cut.out).expect("a writable directory");
    let after = probe(&after);
    let of = |probed: &[Probed], stream: u32| -> Vec<String> {
        probed.iter().filter(|it| it.stream == stream).map(|it| it.same.clone()).collect()
    };
    assert_eq!(of(&after, 0), of(&before, 0), "{options}");
    let (sound, all_sound) = (of(&after, 1), of(&before, 1));
    assert!(all_sound.ends_with(&sound) && all_sound.len() <= sound.len() + 12, "{options}");

    let starts: Vec<usize> = cut.starts.iter().map(|(at, _)| *at).collect();
    let keys = after.iter().filter(|it| it.stream == 0 && it.is_key);
    let mut keys: Vec<usize> = keys.filter_map(|it| it.at).collect();
    keys.dedup();
    assert_eq!(starts, keys, "{options}");

    let times: Vec<u64> =
        after.iter().filter(|it| it.stream == 0).filter_map(|it| it.dts).collect();
    let lasts_us = (times[times.len() - 1] - times[0]) * 100 / 9;
    assert!(cut.played_us.abs_diff(lasts_us) < 250_000, "{options}: {} {lasts_us}", cut.played_us);
    let facts = framer.facts();
    assert_eq!((facts.video_codec, facts.codec), (family.video_codec, family.codec), "{options}");
    if !options.contains("latm") {
        assert_eq!(facts.sample_rate, family.sample_rate, "{options}");
    }
    let counters = framer.counters();
    assert_eq!((counters.gaps, counters.crc_errors, counters.resyncs), (0, 0, 0), "{options}");
}

/// The packets of `stream` that are neither stuffing nor of the two tables.
fn streams(stream: &[u8]) -> Vec<&[u8]> {
    let is_table = |packet: &[u8]| {
        let section = if packet[3] & 0x20 == 0 { 5 } else { 6 + usize::from(packet[4]) };
        packet[1] & 0x40 != 0 && matches!(packet[section..], [0 | 2, 0xB0, ..])
    };
    let is_null = |packet: &[u8]| packet[1..3] == [0x1F, 0xFF];
    stream.chunks(PACKET_BYTES).filter(|packet| !is_table(packet) && !is_null(packet)).collect()
}

/// The packets of `file` as ffprobe lists them.
fn probe(file: &Path) -> Vec<Probed> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "compact=p=0"]);
    ffprobe.args(["-show_entries", "packet=stream_index,pos,size,pts,dts,flags"]).arg(file);
    let output = ffprobe.output().expect("ffprobe is installed");
    let said = String::from_utf8(output.stdout).expect("ffprobe writes ASCII");
    said.lines().filter(|line| line.contains("pts=")).map(probed).collect()
}

fn probed(line: &str) -> Probed {
    let value = |key: &str| {
        let mut fields = line.split('|').filter_map(|field| field.split_once('='));
        fields.find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    };
    Probed {
        stream: value("stream_index").parse().expect("a stream has an index"),
        at: value("pos").parse().ok(),
        is_key: value("flags").starts_with('K'),
        dts: value("dts").parse().ok(),
        same: format!("{} {} {}", value("pts"), value("dts"), value("size")),
    }
}
