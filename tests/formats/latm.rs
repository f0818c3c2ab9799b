//! AAC in LATM by ffmpeg's muxer.

use std::path::Path;
use std::process::Command;

use floe::media::Framer;

use super::kit::{Cut, cut, decode, every_join_decodes, feed, ffmpeg, scratch};

const TYPE: &str = "audio/mp4a-latm";

/// Sample rates, channels, and how many elements share one configuration: every combination.
const RATES: &[u32] = &[8_000, 22_050, 24_000, 44_100, 48_000, 96_000];
const CHANNELS: &[u8] = &[1, 2, 6];
const INTERVALS: &[u32] = &[1, 7, 20];

fn sound(dir: &Path, rate: u32, channels: u8, interval: u32) -> Vec<u8> {
    let tones = vec!["0.3*sin(440*t*(1+t))"; usize::from(channels)].join("|");
    let input = format!("-f lavfi -i aevalsrc={tones}:d=1:s={rate}");
    let options = format!("{input} -c:a aac -aac_coder fast -f latm -smc-interval {interval}");
    std::fs::read(ffmpeg(dir, &options, "sound.latm")).expect("ffmpeg made it")
}

/// Place and length of every packet that ffprobe sees.
fn probe(dir: &Path) -> Vec<(usize, usize)> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-of", "csv=p=0", "-show_entries", "packet=size,pos"]);
    let output = ffprobe.arg(dir.join("sound.latm")).output().expect("ffprobe is installed");
    let text = String::from_utf8(output.stdout).expect("numbers");
    let number = |text: &str| text.trim_end_matches(',').parse::<usize>().expect("a number");
    let packet = |line: &str| line.split_once(',').map(|(size, at)| (number(at), number(size)));
    text.lines().filter_map(packet).collect()
}

#[test]
fn elements_are_those_of_ffprobe() {
    let dir = scratch();
    for (&rate, &channels) in RATES.iter().flat_map(|rate| CHANNELS.iter().map(move |n| (rate, n)))
    {
        for &interval in INTERVALS {
            let stream = sound(dir.path(), rate, channels, interval);
            let cut = cut(TYPE, &stream);
            let what = format!("{rate} Hz, {channels} channels, every {interval}");
            let places: Vec<_> = cut.units.iter().map(|&(at, bytes, _)| (at, bytes)).collect();
            assert_eq!(places, probe(dir.path()), "{what}");
            assert_eq!((cut.junk, cut.left), (0, 0), "{what}");
            let starts = cut.units.len().div_ceil(interval as usize);
            assert_eq!(cut.starts.len(), starts, "{what}");
            let wanted_us = cut.units.len() as u64 * 1_024 * 1_000_000 / u64::from(rate);
            assert!(cut.played_us.abs_diff(wanted_us) <= 1, "{what}: {}", cut.played_us);
        }
    }
}

#[test]
fn every_join_decodes_in_ffmpeg() {
    let dir = scratch();
    for (rate, channels, interval) in [(44_100, 2, 7), (48_000, 6, 20), (22_050, 1, 1)] {
        let stream = sound(dir.path(), rate, channels, interval);
        every_join_decodes(&cut(TYPE, &stream), "latm", 4);
        // A relay may begin anywhere.
        every_join_decodes(&cut(TYPE, &stream[500..]), "latm", 2);
    }
}

#[test]
fn sources_in_a_row_decode_as_one_stream() {
    let dir = scratch();
    let stream = sound(dir.path(), 44_100, 2, 20);
    let mut framer = Framer::for_content_type(TYPE);
    let mut cut = Cut::default();
    feed(&mut framer, &stream.repeat(2), &mut cut);
    framer.next_source(TYPE);
    feed(&mut framer, &stream, &mut cut);
    let decoded = decode(dir.path(), &cut.joined_at(0), "latm");
    assert_eq!(decoded.said, "");
    let wanted = cut.played_us as f64 / 1e6;
    assert!((wanted - decoded.seconds).abs() < 0.1, "{} of {wanted} s", decoded.seconds);
}
