//! Ogg: every encoder's pages against ffprobe's packets, and what newcomers, listeners over a seam
//! and listeners over a new title decode. Needs vorbis-tools, opus-tools, flac and speex beside
//! ffmpeg.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use floe::media::{Framer, Retitled, Step, Tags};

use super::kit::{Cut, Decoded, cut, every_join_decodes, feed, ffmpeg, scratch};

/// Codec as the parser names it, sample rate as it should be told, channels, and what makes it: the
/// words behind ffmpeg's input, or a program with its own.
type Row = (&'static str, u32, u8, &'static str);

/// `RATE CHANNELS | …`: how the sound is before it is encoded.
const VORBIS: &[Row] = &[
    ("Vorbis", 44_100, 2, "ffmpeg -c:a libvorbis -q:a 3"),
    ("Vorbis", 48_000, 2, "ffmpeg -c:a libvorbis -b:a 128k"),
    ("Vorbis", 44_100, 1, "ffmpeg -c:a libvorbis -q:a 0"),
    ("Vorbis", 32_000, 2, "ffmpeg -c:a libvorbis -q:a 8 -page_duration 100000"),
    ("Vorbis", 22_050, 1, "ffmpeg -c:a libvorbis -q:a 4 -page_duration 20000"),
    ("Vorbis", 48_000, 6, "ffmpeg -c:a libvorbis -q:a 4"),
    ("Vorbis", 44_100, 2, "ffmpeg -c:a vorbis -strict -2 -b:a 128k"),
    ("Vorbis", 48_000, 2, "ffmpeg -c:a vorbis -strict -2 -page_duration 200000"),
    ("Vorbis", 44_100, 2, "oggenc -q 0"),
    ("Vorbis", 44_100, 2, "oggenc -q 10"),
    ("Vorbis", 48_000, 1, "oggenc -q 5"),
    ("Vorbis", 96_000, 2, "oggenc -q 6"),
    ("Vorbis", 8_000, 1, "oggenc -q 2"),
    ("Vorbis", 44_100, 2, "oggenc --managed -b 96"),
    ("Vorbis", 44_100, 2, "oggenc -q 3 --serial 4294967295 --title=Title --artist=Artist"),
];

const OPUS: &[Row] = &[
    ("Opus", 48_000, 2, "ffmpeg -c:a libopus -b:a 96k"),
    ("Opus", 48_000, 1, "ffmpeg -c:a libopus -b:a 32k -page_duration 20000"),
    ("Opus", 48_000, 2, "ffmpeg -c:a libopus -b:a 64k -frame_duration 60"),
    ("Opus", 48_000, 2, "ffmpeg -c:a libopus -b:a 64k -frame_duration 120"),
    ("Opus", 48_000, 2, "ffmpeg -c:a libopus -b:a 128k -frame_duration 2.5"),
    ("Opus", 48_000, 2, "ffmpeg -c:a libopus -b:a 128k -frame_duration 5 -vbr off"),
    ("Opus", 48_000, 6, "ffmpeg -c:a libopus -b:a 256k -mapping_family 1"),
    ("Opus", 48_000, 2, "ffmpeg -c:a libopus -b:a 24k -application voip"),
    ("Opus", 48_000, 2, "ffmpeg -c:a opus -strict -2 -b:a 96k"),
    ("Opus", 48_000, 2, "opusenc --bitrate 96"),
    ("Opus", 48_000, 1, "opusenc --bitrate 16"),
    ("Opus", 48_000, 2, "opusenc --bitrate 510 --framesize 60"),
    ("Opus", 48_000, 2, "opusenc --bitrate 64 --framesize 2.5"),
    ("Opus", 48_000, 2, "opusenc --bitrate 64 --framesize 10 --max-delay 100"),
    ("Opus", 48_000, 2, "opusenc --hard-cbr --bitrate 80 --max-delay 0"),
    ("Opus", 48_000, 6, "opusenc --bitrate 256 --title Title --artist Artist"),
];

const FLAC: &[Row] = &[
    ("FLAC", 44_100, 2, "ffmpeg -c:a flac"),
    ("FLAC", 48_000, 1, "ffmpeg -c:a flac -compression_level 12"),
    ("FLAC", 96_000, 2, "ffmpeg -c:a flac -sample_fmt s32 -page_duration 100000"),
    ("FLAC", 44_100, 2, "ffmpeg -c:a flac -frame_size 1152"),
    ("FLAC", 44_100, 2, "ffmpeg -c:a flac -frame_size 16 -page_duration 10000"),
    ("FLAC", 48_000, 6, "ffmpeg -c:a flac"),
    ("FLAC", 44_100, 2, "flac --ogg -8"),
    ("FLAC", 44_100, 2, "flac --ogg -0"),
    ("FLAC", 48_000, 2, "flac --ogg -5 --blocksize=512"),
    ("FLAC", 48_000, 2, "flac --ogg -5 --blocksize=16384 --lax"),
    ("FLAC", 22_050, 1, "flac --ogg -5 --no-padding --no-seektable"),
    ("FLAC", 44_100, 1, "flac --ogg -3 --serial-number=7 -T TITLE=Title -T ARTIST=Artist"),
];

const SPEEX: &[Row] = &[
    ("Speex", 8_000, 1, "speexenc --narrowband"),
    ("Speex", 16_000, 1, "speexenc --wideband --quality 8"),
    ("Speex", 32_000, 1, "speexenc --ultra-wideband"),
    ("Speex", 16_000, 2, "speexenc --wideband --vbr"),
    ("Speex", 16_000, 1, "speexenc --wideband --nframes 4"),
    ("Speex", 8_000, 1, "speexenc --narrowband --nframes 10 --title Title --author Artist"),
    ("Speex", 16_000, 1, "ffmpeg -c:a libspeex -b:a 20k"),
    ("Speex", 32_000, 1, "ffmpeg -c:a libspeex -frames_per_packet 3 -page_duration 100000"),
];

/// Pictures: ffmpeg's words behind both inputs.
const FILMS: &[&str] = &[
    "-c:v libtheora -g 12 -c:a libvorbis",
    "-c:v libtheora -g 25 -q:v 10 -c:a libopus",
    "-c:v libtheora -g 6 -c:a flac",
    "-c:v libtheora -g 10 -page_duration 40000 -c:a libvorbis",
    "-c:v libtheora -g 10 -page_duration 2000000 -c:a libvorbis",
    "-c:v libtheora -g 12 -an",
    "-c:v libtheora -r 30000/1001 -g 15 -c:a libvorbis",
];

/// Seconds of every sound.
const SECONDS: f64 = 2.0;

#[test]
fn vorbis_pages_are_those_of_ffprobe() {
    compare(VORBIS);
}

#[test]
fn opus_pages_are_those_of_ffprobe() {
    compare(OPUS);
}

#[test]
fn flac_pages_are_those_of_ffprobe() {
    compare(FLAC);
}

#[test]
fn speex_pages_are_those_of_ffprobe() {
    compare(SPEEX);
}

fn compare(rows: &[Row]) {
    let dir = scratch();
    for row in rows {
        let stream = encode(dir.path(), row);
        let (cut, framer) = heard(&stream);
        let &(codec, rate, channels, words) = row;
        let facts = framer.facts();
        assert_eq!(facts.codec, Some(codec), "{words}");
        assert_eq!((facts.sample_rate, facts.channels), (Some(rate), Some(channels)), "{words}");
        assert!((cut.played_us as f64 / 1e6 - SECONDS).abs() < 0.13, "{words}: {}", cut.played_us);
        same_as_ffprobe(dir.path(), &stream, &cut, 0, words);
    }
}

#[test]
fn pages_of_films_are_those_of_ffprobe() {
    let dir = scratch();
    for words in FILMS {
        let stream = film(dir.path(), words);
        let (cut, framer) = heard(&stream);
        assert_eq!(framer.facts().video_codec, Some("Theora"), "{words}");
        let is_silent = words.contains("-an");
        same_as_ffprobe(dir.path(), &stream, &cut, usize::from(!is_silent), words);
    }
}

/// Cuts `stream`, checks that nothing of it was lost, and that it goes out as it came.
fn heard(stream: &[u8]) -> (Cut, Framer) {
    let mut framer = Framer::for_content_type("audio/ogg; codecs=any");
    let mut cut = Cut::default();
    feed(&mut framer, stream, &mut cut);
    assert_eq!((cut.junk, cut.left, cut.heads.len()), (0, 0, 1));
    assert!(cut.out == stream, "what goes out differs");
    assert!(stream.starts_with(&cut.heads[0].1));
    assert_eq!(framer.counters().frames, cut.units.len() as u64);
    (cut, framer)
}

/// Holds the durations of the units against the times of ffprobe's packets of the stream `index`:
/// from the first packet on a page to the first on the next. Its durations of packets are guesses
/// where Vorbis changes blocks and where an encoder cut something off.
fn same_as_ffprobe(dir: &Path, stream: &[u8], cut: &Cut, index: usize, words: &str) {
    let probed = probe(dir, stream, index);
    let units: BTreeMap<usize, u32> = cut.units.iter().map(|&(at, _, us)| (at, us)).collect();
    assert!(probed.keys().all(|place| units.contains_key(place)), "{words}: {probed:?}");
    // A packet over several pages is ffprobe's where it begins, and the parser's where it ends.
    let goes_on = |place: usize| stream[place + 5] & 1 != 0;
    let mut compared = 0;
    for ((here, began), (next, ends)) in probed.iter().zip(probed.iter().skip(1)).skip(1) {
        let between: u32 = units.range(here..next).map(|(_, us)| us).sum();
        if units.range(here..=next).all(|(place, _)| !goes_on(*place)) {
            let us = ((ends - began) * 1e6).round() as u32;
            assert!(between.abs_diff(us) <= 2, "{words} at {here}: {between} and {us}");
            compared += 1;
        }
    }
    assert!(compared > 0 || probed.len() < 4, "{words}: nothing to compare");
}

/// The time of the first packet that begins on each page.
fn probe(dir: &Path, stream: &[u8], index: usize) -> BTreeMap<usize, f64> {
    let file = dir.join("probed.ogg");
    std::fs::write(&file, stream).expect("a writable directory");
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", &index.to_string(), "-of", "csv=p=0:nk=1"]);
    ffprobe.args(["-show_entries", "packet=pts_time,pos"]).arg(&file);
    let output = ffprobe.output().expect("ffprobe is installed");
    let mut pages = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut fields = line.split(',');
        let (Some(time), Some(place)) = (fields.next(), fields.next()) else { continue };
        if let (Ok(time), Ok(place)) = (time.parse::<f64>(), place.parse::<usize>()) {
            pages.entry(place).or_insert(time);
        }
    }
    assert!(!pages.is_empty(), "ffprobe sees no packets");
    pages
}

#[test]
fn every_join_to_sound_decodes() {
    let dir = scratch();
    for (row, suffix) in [
        (("", 44_100, 2, "ffmpeg -c:a libvorbis -page_duration 200000"), "ogg"),
        (("", 44_100, 2, "oggenc -q 4"), "ogg"),
        (("", 48_000, 2, "ffmpeg -c:a libopus -page_duration 100000"), "opus"),
        (("", 48_000, 2, "opusenc --max-delay 200"), "opus"),
        (("", 44_100, 2, "ffmpeg -c:a flac -page_duration 100000"), "ogg"),
        (("", 44_100, 2, "flac --ogg -5"), "ogg"),
        (("", 16_000, 1, "speexenc --wideband"), "spx"),
    ] {
        let stream = encode(dir.path(), &row);
        let cut = cut("application/ogg", &stream);
        every_join_decodes(&cut, suffix, 5);
    }
}

#[test]
fn every_join_to_a_film_begins_with_a_key_frame() {
    let dir = scratch();
    for words in FILMS {
        let cut = cut("video/ogg", &film(dir.path(), words));
        assert!(cut.starts.len() >= 2, "{words}: {:?}", cut.starts);
        for &(start, _) in &cut.starts {
            let said = watch(dir.path(), &cut.joined_at(start));
            assert_eq!(said, "", "{words} from byte {start}");
        }
    }
}

/// What ffmpeg says while it decodes picture and sound of `film`.
fn watch(dir: &Path, film: &[u8]) -> String {
    let file = dir.join("join.ogv");
    std::fs::write(&file, film).expect("a writable directory");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "warning", "-xerror", "-i"]).arg(&file);
    let output = ffmpeg.args(["-map", "0", "-f", "null", "-"]).output();
    String::from_utf8_lossy(&output.expect("ffmpeg is installed").stderr).into_owned()
}

#[test]
fn tags_of_every_encoder_are_told() {
    let dir = scratch();
    for row in [VORBIS, OPUS, FLAC, SPEEX].concat() {
        if row.3.contains("Artist") {
            let (cut, _) = heard(&encode(dir.path(), &row));
            let told = tags("Title", Some("Artist"));
            // speexenc has a key of its own for the artist.
            let speex = tags("Title", None);
            assert!(cut.told == [told] || cut.told == [speex], "{}: {:?}", row.3, cut.told);
        }
    }
}

/// One encoding of each codec with the suffix that ffmpeg knows it by.
const SEAMS: &[(Row, &str)] = &[
    (("", 44_100, 2, "oggenc -q 9 --serial 5 --title=Old --comment=GENRE=News"), "ogg"),
    (("", 48_000, 2, "ffmpeg -c:a libopus -page_duration 200000"), "opus"),
    (("", 48_000, 2, "opusenc --max-delay 100 --framesize 10"), "opus"),
    (("", 44_100, 2, "ffmpeg -c:a libvorbis -q:a 4 -page_duration 100000"), "ogg"),
    (("", 44_100, 2, "flac --ogg -5 --serial-number=5"), "ogg"),
    (("", 16_000, 1, "ffmpeg -c:a libspeex -page_duration 200000"), "spx"),
];

#[test]
fn a_chain_goes_out_as_it_came_and_decodes() {
    let dir = scratch();
    for (row, suffix) in SEAMS {
        let one = encode(dir.path(), row);
        let (mut second, mut third) = (one.clone(), one.clone());
        renumber(&mut second, 99);
        renumber(&mut third, 98);
        let chain = [one, second, third].concat();
        let cut = cut("application/ogg", &chain);
        assert_eq!((cut.junk, cut.left, cut.heads.len()), (0, 0, 3), "{}", row.3);
        assert!(cut.out == chain);
        plays(dir.path(), &cut, suffix, 3.0 * SECONDS);
    }
}

#[test]
fn a_source_that_drops_and_comes_back_is_heard_as_one_stream() {
    let dir = scratch();
    for (row, suffix) in SEAMS {
        let one = encode(dir.path(), row);
        let mut framer = Framer::for_content_type("application/ogg");
        let mut cut = Cut::default();
        // The second time under the same number, the third after a clean end.
        for end in [one.len() * 2 / 3, one.len(), one.len()] {
            feed(&mut framer, &one[..end], &mut cut);
            if framer.end_source() {
                cut.out.extend_from_slice(framer.written());
            }
            framer.next_source("audio/ogg");
        }
        assert_eq!(cut.heads.len(), 3, "{}", row.3);
        legal(&cut.out);
        plays(dir.path(), &cut, suffix, cut.played_us as f64 / 1e6);
    }
}

#[test]
fn a_new_title_is_heard_without_a_gap() {
    let dir = scratch();
    for (row, suffix) in SEAMS {
        let one = encode(dir.path(), row);
        let mut framer = Framer::for_content_type("application/ogg");
        let mut cut = Cut::default();
        let is_carried = ["vorbis", "oggenc", "opus"].iter().any(|codec| row.3.contains(codec));
        let new = tags("New", Some("Who"));
        let (mut taken, mut steps, mut titles) = (0, 0, 0);
        while taken < one.len() {
            steps += 1;
            if steps % 2 == 0 && framer.retitle(&new) == Retitled::Carried {
                titles += 1;
                let Step::Head { bytes: 0 } = framer.step(&one[taken..]) else { panic!("a head") };
                cut.heads.push((cut.out.len(), framer.preamble().to_vec()));
                cut.out.extend_from_slice(framer.written());
            }
            taken += one_step(&mut framer, &one[taken..], &mut cut);
        }
        assert_eq!(titles >= 2, is_carried, "{}: {titles} titles", row.3);
        legal(&cut.out);
        if is_carried {
            let samples = decode_to_the_sample(dir.path(), &cut.out, *suffix == "opus");
            assert_eq!(samples, (SECONDS * f64::from(row.1)) as usize, "{}", row.3);
        }
        plays(dir.path(), &cut, suffix, cut.played_us as f64 / 1e6);
    }
}

/// One step of `framer`, kept in `cut`; gives the bytes it took.
fn one_step(framer: &mut Framer, input: &[u8], cut: &mut Cut) -> usize {
    let step = framer.step(input);
    assert!(!matches!(step, Step::More | Step::Junk { .. }), "{step:?} in a clean stream");
    cut.note(framer, step, cut.out.len(), &input[..step.taken()]);
    step.taken()
}

/// Decodes all that goes out, and from the first start point of each head on.
fn plays(dir: &Path, cut: &Cut, suffix: &str, seconds: f64) {
    let decoded = listen(dir, &cut.out, suffix);
    assert_eq!(decoded.said, "");
    let links = cut.heads.len() as f64;
    let off = (decoded.seconds - seconds).abs();
    assert!(off < 0.1 * links, "{} of {seconds} s", decoded.seconds);
    for (from, _) in &cut.heads {
        let start = cut.starts.iter().find(|(start, _)| start >= from);
        if let Some((start, _)) = start {
            assert_eq!(listen(dir, &cut.joined_at(*start), suffix).said, "", "from {start}");
        }
    }
}

/// What ffmpeg says and decodes of `bytes` without looking at their end first, as from a network.
fn listen(dir: &Path, bytes: &[u8], suffix: &str) -> Decoded {
    let file = dir.join(format!("chain.{suffix}"));
    std::fs::write(&file, bytes).expect("a writable directory");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "warning", "-seekable", "0", "-i"]).arg(&file);
    let output = ffmpeg.args(["-f", "s16le", "-ac", "1", "-ar", "8000", "-"]).output();
    let output = output.expect("ffmpeg is installed");
    // FFmpeg 5.1 takes the header packets of FLAC's and Speex' later links for sound, complains of
    // each and goes on.
    let has_such = [&b"\x7FFLAC"[..], b"Speex"].iter().any(|magic| bytes[28..].starts_with(magic));
    let harmless: &[&str] = match has_such {
        true => &["invalid sync", "invalid frame header", "decode_frame()", "decoding stream"],
        false => &[],
    };
    let harmless = |line: &str| {
        // The times of links overlap by what a decoder drops at a beginning.
        let words = ["Last message", "Guessed Channel", "Estimating duration", "increasing dts"];
        words.iter().chain(harmless).any(|word| line.contains(word))
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().filter(|line| !harmless(line)).collect::<Vec<_>>().join("\n");
    Decoded { said, seconds: output.stdout.len() as f64 / 16_000.0, pictures: 0 }
}

/// How many samples the codecs' own libraries decode. They start anew with each link.
fn decode_to_the_sample(dir: &Path, bytes: &[u8], is_opus: bool) -> usize {
    let (file, sound) = (dir.join("titles.ogg"), dir.join("titles.raw"));
    std::fs::write(&file, bytes).expect("a writable directory");
    let mut command = Command::new(if is_opus { "opusdec" } else { "oggdec" });
    match is_opus {
        true => command.arg("--quiet").arg(&file).arg(&sound),
        false => command.args(["-Q", "-R", "-o"]).arg(&sound).arg(&file),
    };
    let output = command.output().expect("vorbis-tools and opus-tools are installed");
    assert!(output.status.success(), "{output:?}");
    // Two channels of 16 bits.
    std::fs::read(sound).expect("the decoder made it").len() / 4
}

/// Checks that `stream` is a chain by the letter: every logical stream begins and ends, its pages
/// are numbered one by one, its times do not run back, and a packet that goes on does.
fn legal(stream: &[u8]) {
    let mut open: BTreeMap<u32, (u32, i64, bool)> = BTreeMap::new();
    let mut at = 0;
    while at < stream.len() {
        let page = &stream[at..];
        assert_eq!(&page[..5], b"OggS\0", "at {at}");
        let number = |from: usize| u32::from_le_bytes(page[from..from + 4].try_into().expect("4"));
        let granule = i64::from_le_bytes(page[6..14].try_into().expect("8 bytes"));
        let (flags, serial, sequence) = (page[5], number(14), number(18));
        let lengths = &page[27..27 + usize::from(page[26])];
        let (expected, last, is_open) = match flags & 2 {
            0 => open[&serial],
            _ => (sequence, 0, false),
        };
        assert!(flags & 2 == 0 || !open.contains_key(&serial), "a number twice, at {at}");
        assert_eq!(sequence, expected, "at {at}");
        assert!(granule == -1 || granule >= last, "time runs back at {at}");
        assert!(flags & 1 == u8::from(is_open) || flags & 4 != 0, "torn at {at}");
        let now = (sequence + 1, granule.max(last), lengths.last() == Some(&255));
        if flags & 4 == 0 {
            open.insert(serial, now);
        } else {
            open.remove(&serial);
        }
        at += 27 + lengths.len() + lengths.iter().map(|&bytes| usize::from(bytes)).sum::<usize>();
    }
    assert!(open.is_empty(), "without an end: {open:?}");
}

fn tags(title: &str, artist: Option<&str>) -> Tags {
    Tags { title: Some(title.to_owned()), artist: artist.map(str::to_owned), url: None }
}

/// Gives every page of `stream` the number `serial`.
fn renumber(stream: &mut [u8], serial: u32) {
    let mut at = 0;
    while at < stream.len() {
        let lengths = &stream[at + 27..at + 27 + usize::from(stream[at + 26])];
        let body: usize = lengths.iter().map(|&bytes| usize::from(bytes)).sum();
        let end = at + 27 + lengths.len() + body;
        let page = &mut stream[at..end];
        page[14..18].copy_from_slice(&serial.to_le_bytes());
        page[22..26].fill(0);
        let sum = page.iter().fold(0_u32, |sum, &byte| {
            let mixed = sum ^ u32::from(byte) << 24;
            (0..8).fold(mixed, |sum, _| sum << 1 ^ if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}

/// A rising tone, and noise every other half second, as `row` says.
fn encode(dir: &Path, row: &Row) -> Vec<u8> {
    let &(_, rate, channels, words) = row;
    let tone = "0.3*sin(440*t*(1+t))+lt(mod(t\\,1)\\,0.5)*0.3*(random(0)-0.5)";
    let layout = vec![tone; usize::from(channels)].join("|");
    let source = format!("-f lavfi -i aevalsrc={layout}:d={SECONDS}:s={rate}");
    let (program, options) = words.split_once(' ').expect("a program and its words");
    let file = if program == "ffmpeg" {
        ffmpeg(dir, &format!("{source} {options} -f ogg"), "sound.ogg")
    } else {
        let wave = ffmpeg(dir, &source, "sound.wav");
        let file = dir.join("sound.ogg");
        let mut command = Command::new(program);
        command.args(options.split(' '));
        match program {
            "oggenc" => command.arg("-Q").arg("-o").arg(&file).arg(&wave),
            "flac" => command.args(["-s", "-f", "-o"]).arg(&file).arg(&wave),
            "opusenc" => command.arg("--quiet").arg(&wave).arg(&file),
            _ => command.arg(&wave).arg(&file),
        };
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status();
        let status = status.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        assert!(status.success(), "{words}");
        file
    };
    std::fs::read(file).expect("the encoder made it")
}

fn film(dir: &Path, words: &str) -> Vec<u8> {
    let source = "-f lavfi -i testsrc=d=2:s=160x120:r=25 -f lavfi -i sine=440:d=2:r=48000";
    let file = ffmpeg(dir, &format!("{source} {words} -f ogg"), "film.ogv");
    std::fs::read(file).expect("ffmpeg made it")
}
