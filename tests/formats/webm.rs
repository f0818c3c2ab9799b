//! Matroska and WebM: every codec that browsers and encoders put in it.

use std::path::Path;
use std::process::Command;

use floe::media::Framer;

use super::kit::{Cut, cut, decode, every_join_decodes, feed, ffmpeg, scratch};

const WEBM: &str = "video/webm";

/// A tone of two seconds.
const TONE: &str = "-f lavfi -i sine=440:r=48000:d=2";
/// A moving picture of two seconds.
const PICTURE: &str = "-f lavfi -i testsrc=s=96x64:r=25:d=2";

/// Encoders of sound, and what the parser calls their codec.
const AUDIO: &[(&str, &str)] = &[
    ("-c:a libopus -b:a 24k -ac 1", "Opus"),
    ("-c:a libopus -b:a 96k -ac 2 -frame_duration 60", "Opus"),
    ("-c:a libopus -b:a 64k -frame_duration 2.5", "Opus"),
    ("-c:a libvorbis -q:a 1", "Vorbis"),
    ("-c:a libvorbis -q:a 5 -ac 2 -ar 44100", "Vorbis"),
    ("-c:a flac -ar 44100", "FLAC"),
    ("-c:a flac -ac 6", "FLAC"),
    ("-c:a aac -b:a 64k", "AAC"),
    ("-c:a aac -b:a 128k -ac 2 -ar 44100", "AAC"),
    ("-c:a libmp3lame -b:a 64k", "MP3"),
    ("-c:a ac3 -b:a 96k", "AC-3"),
    ("-c:a pcm_s16le -ac 2", "PCM"),
];

/// Encoders of pictures, and what the parser calls their codec.
const VIDEO: &[(&str, &str)] = &[
    ("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 80k -g 12", "VP8"),
    ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 80k -g 20", "VP9"),
    ("-c:v libx264 -preset ultrafast -tune zerolatency -g 15", "H.264"),
    ("-c:v libx264 -preset veryfast -bf 3 -g 25", "H.264"),
    ("-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 80k -g 20", "AV1"),
    ("-c:v mjpeg -pix_fmt yuvj420p", ""),
];

/// Ways to wrap them: known sizes with an index, unknown ones as live encoders write them, and
/// clusters of odd lengths.
const WRAPS: &[&str] =
    &["-f matroska", "-f matroska -live 1", "-f matroska -cluster_time_limit 300 -write_crc32 1"];

/// A block as ffprobe sees it: place, track, time in milliseconds, size and key.
type Packet = (usize, u32, i64, usize, bool);

/// The packets of `bytes`, in the order of the file.
fn packets(dir: &Path, bytes: &[u8]) -> Vec<Packet> {
    let file = dir.join("probed.mkv");
    std::fs::write(&file, bytes).expect("a writable directory");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_packets", "-of", "compact=p=0:nk=1"]);
    // The demuxer's own parsers would cut blocks in smaller packets.
    command.args(["-fflags", "+noparse+nofillin", "-show_entries"]);
    command.arg("packet=stream_index,pts,size,pos,flags").arg(&file);
    let output = command.output().expect("ffprobe is installed");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).expect("ffprobe writes ASCII");
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let number = |at: usize| fields[at].parse::<i64>().expect("a number");
        let key = fields[4].starts_with('K');
        (number(3) as usize, number(0) as u32, number(1), number(2) as usize, key)
    };
    text.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

/// Holds what was cut from `stream` against what ffprobe sees in it, and what goes out against what
/// came in. Gives the cut.
fn compare(dir: &Path, stream: &[u8], name: &str) -> Cut {
    let cut = cut(WEBM, stream);
    assert_eq!((cut.junk, cut.left, cut.heads.len()), (0, 0, 1), "{name}");
    let before = packets(dir, stream);
    let after = packets(dir, &cut.joined_at(0));
    assert!(before.len() > 10, "{name}: {} packets", before.len());
    assert_eq!(cut.units.len(), before.len(), "{name}");
    for (unit, packet) in cut.units.iter().zip(&before) {
        // ffprobe names the block's element or, in a group, its head.
        let (at, bytes, _) = *unit;
        assert!((at..at + 16).contains(&packet.0), "{name}: {unit:?} {packet:?}");
        assert!(bytes > packet.3 && bytes < packet.3 + 64, "{name}: {unit:?} {packet:?}");
    }
    let seen = |packets: &[Packet]| -> Vec<(u32, i64, usize, bool)> {
        packets.iter().map(|&(_, track, at, bytes, key)| (track, at, bytes, key)).collect()
    };
    assert_eq!(seen(&before), seen(&after), "{name}");
    cut
}

#[test]
fn blocks_of_every_codec_and_wrap_are_those_of_ffprobe() {
    let dir = scratch();
    let mut tried = 0;
    for wrap in WRAPS {
        for (encoder, codec) in AUDIO {
            let name = format!("{TONE} {encoder} {wrap}");
            let file = ffmpeg(dir.path(), &name, "tried.mkv");
            let stream = std::fs::read(file).expect("ffmpeg made it");
            compare(dir.path(), &stream, &name);
            let mut framer = Framer::for_content_type(WEBM);
            feed(&mut framer, &stream, &mut Cut::default());
            assert_eq!(framer.facts().codec, Some(*codec), "{name}");
            tried += 1;
        }
        for (encoder, codec) in VIDEO {
            if encoder.contains("aom") && wrap.contains("live") {
                // It tells its parameters too late for a head that is written at once.
                continue;
            }
            let name = format!("{PICTURE} {TONE} {encoder} -c:a libopus -b:a 32k {wrap}");
            let file = ffmpeg(dir.path(), &name, "tried.mkv");
            let stream = std::fs::read(file).expect("ffmpeg made it");
            compare(dir.path(), &stream, &name);
            let mut framer = Framer::for_content_type(WEBM);
            feed(&mut framer, &stream, &mut Cut::default());
            let called = Some(*codec).filter(|codec| !codec.is_empty());
            assert_eq!(framer.facts().video_codec, called, "{name}");
            tried += 1;
        }
    }
    assert!(tried >= 50);
}

/// A file of `seconds` with these encoders.
fn made(dir: &Path, video: &str, audio: &str, seconds: u32, wrap: &str) -> Vec<u8> {
    let picture = match video {
        "" => String::new(),
        _ => format!("-f lavfi -i testsrc=s=96x64:r=25:d={seconds}"),
    };
    let tone = format!("-f lavfi -i sine=440:r=48000:d={seconds}");
    let options = format!("{picture} {tone} {video} {audio} {wrap}");
    std::fs::read(ffmpeg(dir, &options, "made.mkv")).expect("ffmpeg made it")
}

const VP8: &str = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 80k -g 25";

#[test]
fn every_join_to_sound_decodes() {
    let dir = scratch();
    for audio in
        ["-c:a libopus -b:a 48k", "-c:a libvorbis -q:a 3", "-c:a flac", "-c:a aac -b:a 96k"]
    {
        let stream = made(dir.path(), "", audio, 4, "-f matroska -live 1");
        let cut = cut(WEBM, &stream);
        assert!(cut.starts.len() >= 7, "{audio}: {} starts", cut.starts.len());
        every_join_decodes(&cut, "webm", 4);
    }
}

#[test]
fn every_join_to_pictures_with_sound_decodes() {
    let dir = scratch();
    for video in [
        VP8,
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 80k -g 25",
        "-c:v libx264 -preset veryfast -bf 2 -g 25",
        "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 80k -g 25",
    ] {
        let stream = made(dir.path(), video, "-c:a libopus -b:a 32k", 4, "-f matroska");
        let cut = cut(WEBM, &stream);
        assert!(cut.starts.len() >= 3, "{video}: {} starts", cut.starts.len());
        every_join_decodes(&cut, "mkv", 3);
    }
}

#[test]
fn a_source_that_returns_and_a_file_that_begins_anew_decode_over_their_seams() {
    let dir = scratch();
    for (video, audio) in [
        ("", "-c:a libopus -b:a 48k"),
        ("", "-c:a libvorbis -q:a 3"),
        ("", "-c:a flac"),
        (VP8, "-c:a libopus -b:a 48k"),
        ("-c:v libx264 -preset veryfast -bf 2 -g 25", "-c:a aac -b:a 64k"),
    ] {
        for wrap in ["-f matroska", "-f matroska -live 1"] {
            let stream = made(dir.path(), video, audio, 2, wrap);
            let mut framer = Framer::for_content_type(WEBM);
            let mut cut = Cut::default();
            feed(&mut framer, &stream, &mut cut);
            // Another file in the same connection, then a source that comes back.
            let signature = framer.signature();
            feed(&mut framer, &stream, &mut cut);
            framer.end_source();
            framer.next_source(WEBM);
            feed(&mut framer, &stream, &mut cut);
            assert_eq!(framer.signature(), signature);
            let decoded = decode(dir.path(), &cut.joined_at(0), "mkv");
            assert_eq!(decoded.said, "", "{video} {audio} {wrap}");
            let short = 6.0 - decoded.seconds;
            assert!(short.abs() < 0.3, "{} s of {video} {audio} {wrap}", decoded.seconds);
            let times = packets(dir.path(), &cut.joined_at(0));
            never_backwards(&times);
            let last = times.iter().map(|packet| packet.2).max().unwrap_or_default();
            assert!((5_700..6_300).contains(&last), "{last} ms of {video} {audio} {wrap}");
            every_join_decodes(&cut, "mkv", 2);
        }
    }
}

/// No block stands more than a few frames of decoding order before an earlier one of its track.
fn never_backwards(packets: &[Packet]) {
    let mut latest = [-1_000; 4];
    for &(_, track, at, _, _) in packets {
        let latest = &mut latest[track as usize];
        assert!(at > *latest - 200, "track {track}: {at} after {latest}");
        *latest = (*latest).max(at);
    }
}

#[test]
fn a_stream_that_has_run_for_days_is_joined_like_a_young_one() {
    let dir = scratch();
    let days = "-output_ts_offset 864000 -f matroska -live 1";
    let stream = made(dir.path(), "", "-c:a libopus -b:a 48k", 3, days);
    let cut = cut(WEBM, &stream);
    let seen = packets(dir.path(), &cut.joined_at(0));
    assert!(seen.iter().all(|packet| packet.2 > 863_999_000));
    every_join_decodes(&cut, "webm", 3);
}
