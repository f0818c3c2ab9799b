//! WAV by ffmpeg, to a file as RIFF and RF64, and to a pipe.

use std::path::Path;
use std::process::Command;

use floe::media::Framer;

use super::kit::{Cut, cut, decode, feed, ffmpeg, scratch};

const TYPE: &str = "audio/wav";

/// Rates, channels and sample formats of which every combination is tried.
const RATES: &[u32] = &[8_000, 44_100, 96_000];
const CHANNELS: &[u8] = &[1, 2, 6];
const FORMATS: &[&str] = &["u8", "s16le", "s24le", "s32le", "f32le", "alaw"];

/// A second of sound, whose last unit is not a whole one.
fn sound(dir: &Path, rate: u32, channels: u8, format: &str, more: &str) -> Vec<u8> {
    let tones = vec!["0.3*sin(440*t*(1+t))"; usize::from(channels)].join("|");
    let options = format!("-f lavfi -i aevalsrc={tones}:d=1.005:s={rate} -c:a pcm_{format} {more}");
    std::fs::read(ffmpeg(dir, &options, "sound.wav")).expect("ffmpeg made it")
}

/// Where the samples of `dir`'s last sound begin and how many bytes they have, by ffprobe.
fn samples(dir: &Path) -> (usize, usize) {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "csv=p=0", "-show_entries", "packet=size,pos"]);
    let output = ffprobe.arg(dir.join("sound.wav")).output().expect("ffprobe is installed");
    let text = String::from_utf8(output.stdout).expect("numbers");
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let fields = |line: &str| line.split_once(',').map(|(size, at)| (number(size), number(at)));
    let packets: Vec<_> = text.lines().filter_map(fields).collect();
    (packets[0].1, packets.iter().map(|&(size, _)| size).sum())
}

/// `stream` as a file of its own length, so that ffmpeg has no reason to complain of its end.
fn ended(mut stream: Vec<u8>) -> Vec<u8> {
    let data = stream.windows(4).position(|name| name == b"data").expect("a head") + 8;
    let sizes = [stream.len() - 8, stream.len() - data].map(|size| (size as u32).to_le_bytes());
    stream[4..8].copy_from_slice(&sizes[0]);
    stream[data - 4..data].copy_from_slice(&sizes[1]);
    stream
}

#[test]
fn samples_are_those_of_ffprobe() {
    let dir = scratch();
    for (&rate, &channels) in RATES.iter().flat_map(|rate| CHANNELS.iter().map(move |n| (rate, n)))
    {
        for &format in FORMATS {
            let stream = sound(dir.path(), rate, channels, format, "");
            let (begin, bytes) = samples(dir.path());
            let what = format!("{rate} Hz, {channels} channels, {format}");
            let cut = cut(TYPE, &stream);
            assert!(cut.out == stream[begin..begin + bytes], "{what}");
            assert_eq!((cut.units[0].0, cut.junk), (begin, 0), "{what}");
            // A byte of padding waits to be told from the start of another file.
            assert!(cut.left <= 1, "{what}");
            assert!(cut.played_us.abs_diff(1_005_000) < 70, "{what}: {}", cut.played_us);
            assert_eq!(cut.units.len(), 51, "{what}");
        }
    }
}

#[test]
fn a_join_anywhere_decodes() {
    let dir = scratch();
    for (rate, channels, format) in [(44_100, 2, "s16le"), (48_000, 6, "s24le"), (8_000, 1, "alaw")]
    {
        let cut = cut(TYPE, &sound(dir.path(), rate, channels, format, "-rf64 always"));
        for &(start, before_us) in cut.starts.iter().step_by(7) {
            let decoded = decode(dir.path(), &ended(cut.joined_at(start)), "wav");
            let said = decoded.said.lines().find(|line| !line.contains("Guessed Channel Layout"));
            assert_eq!(said, None, "{format} from byte {start}");
            let wanted = (cut.played_us - before_us) as f64 / 1e6;
            assert!((wanted - decoded.seconds).abs() < 0.01, "{} of {wanted}", decoded.seconds);
        }
    }
}

#[test]
fn ffmpeg_plays_all_of_a_stream_whose_head_names_no_end() {
    let dir = scratch();
    let cut = cut(TYPE, &sound(dir.path(), 44_100, 2, "s16le", ""));
    let file = dir.path().join("live.wav");
    std::fs::write(&file, cut.joined_at(0)).expect("a writable directory");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(file).args(["-f", "s16le", "-"]);
    assert!(ffmpeg.output().expect("ffmpeg is installed").stdout == cut.out);
}

#[test]
fn a_pipe_a_file_and_another_source_make_one_stream() {
    let dir = scratch();
    let file = sound(dir.path(), 44_100, 2, "s16le", "");
    // Sizes as ffmpeg writes them where it cannot go back.
    let data = file.windows(4).position(|name| name == b"data").expect("a head") + 4;
    let mut piped = file.clone();
    piped[4..8].fill(0xFF);
    piped[data..data + 4].fill(0xFF);
    let mut framer = Framer::for_content_type(TYPE);
    let mut cut = Cut::default();
    feed(&mut framer, &file.repeat(2), &mut cut);
    framer.next_source(TYPE);
    feed(&mut framer, &piped, &mut cut);
    assert_eq!((cut.heads.len(), cut.junk), (1, 0));
    let decoded = decode(dir.path(), &ended(cut.joined_at(0)), "wav");
    assert!((decoded.seconds - cut.played_us as f64 / 1e6).abs() < 0.001, "{decoded:?}");
    assert!(decoded.seconds > 3.0, "{decoded:?}");
}
