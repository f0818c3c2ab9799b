//! What the parsers of `media` say of recorded streams, and of the demo loop. How the recordings
//! were made stands in `fixtures/media/make.sh`.

use floe::media::{Counters, Facts, Framer, Step};

const TAGGED_MP3: &[u8] = include_bytes!("fixtures/media/tagged-vbr.mp3");
const LIVE_AAC: &[u8] = include_bytes!("fixtures/media/live.aac");
const HE_AAC: &[u8] = include_bytes!("fixtures/media/he.aac");
const HE_AAC_V2: &[u8] = include_bytes!("fixtures/media/he-v2.aac");
const DEMO_LOOP: &[u8] = include_bytes!("../src/ingest/demo/loop.mp3");

/// Feeds all of `stream`; gives the time it plays in microseconds and the bytes that wait for more.
fn hear(framer: &mut Framer, stream: &[u8]) -> (u64, usize) {
    let (mut taken, mut played_us) = (0, 0);
    loop {
        let step = framer.step(&stream[taken..]);
        match step {
            Step::More => return (played_us, stream.len() - taken),
            Step::Frame { duration_us, .. } => played_us += u64::from(duration_us),
            Step::Head { .. } | Step::Tag { .. } | Step::Junk { .. } => {}
        }
        taken += step.taken();
    }
}

#[test]
fn a_track_with_tags_is_heard_without_them() {
    let mut framer = Framer::for_content_type("audio/mpeg");
    let (played_us, left) = hear(&mut framer, TAGGED_MP3);
    // 24 frames of 1,152 samples for 0.6 s and the encoder's delay.
    assert_eq!((played_us, left), (24 * 1_152 * 1_000_000 / 44_100, 0));
    // 76 bytes of ID3v2 and 182 of a Xing frame in front, 128 of ID3v1 behind.
    let tag_bytes = 76 + 182 + 128;
    let expected = Counters { frames: 24, tag_bytes, ..Counters::default() };
    assert_eq!(framer.counters(), expected);
    let tags = framer.take_tags().expect("the recipe names them");
    assert_eq!((tags.title.as_deref(), tags.artist.as_deref()), (Some("Ebb"), Some("Floe")));
}

#[test]
fn the_same_track_in_a_loop_never_loses_sync() {
    let mut framer = Framer::for_content_type("audio/mpeg");
    let (_, left) = hear(&mut framer, &TAGGED_MP3.repeat(5));
    assert_eq!(left, 0);
    let counters = framer.counters();
    assert_eq!((counters.frames, counters.resyncs, counters.junk_bytes), (5 * 24, 0, 0));
}

#[test]
fn a_live_aac_stream_is_heard_from_the_middle_of_a_frame_on() {
    let mut framer = Framer::for_content_type("audio/aac");
    let (_, left) = hear(&mut framer, LIVE_AAC);
    let whole = framer.counters();
    assert_eq!((whole.junk_bytes, left), (0, 0));

    let mut late = Framer::for_content_type("audio/aac");
    let (_, left) = hear(&mut late, &LIVE_AAC[50..]);
    assert_eq!((late.counters().frames, left), (whole.frames - 1, 0));
    assert_eq!(late.counters().resyncs, 0);
    let facts = late.facts();
    assert_eq!(
        (facts.codec, facts.sample_rate, facts.channels),
        (Some("AAC"), Some(32_000), Some(2))
    );
}

#[test]
fn he_aac_is_told_by_its_blocks_and_shown_as_players_put_it_out() {
    for (stream, channels) in [(HE_AAC, Some(2)), (HE_AAC_V2, None)] {
        let mut framer = Framer::for_content_type("audio/aacp");
        hear(&mut framer, &stream[..1_000]);
        let signature = framer.signature();
        let (_, left) = hear(&mut framer, &stream[1_000..]);
        assert_eq!(left, 0);
        let facts = framer.facts();
        assert_eq!((facts.codec, facts.sample_rate), (Some("HE-AAC"), Some(44_100)));
        // Whether one channel is parametric stereo, only its decoder finds.
        assert_eq!((facts.channels, facts.frame_us), (channels, Some(46_439)));
        assert_eq!(framer.signature(), signature, "the same decoder goes on");
    }
}

#[test]
fn the_demo_loop_is_whole_frames_and_lasts_what_its_recipe_says() {
    let mut framer = Framer::for_content_type("audio/mpeg");
    let (played_us, left) = hear(&mut framer, &DEMO_LOOP.repeat(2));
    assert_eq!((played_us, left), (2 * 12_800_000, 0));
    assert_eq!(framer.counters(), Counters { frames: 2 * 490, ..Counters::default() });
    let expected = Facts {
        codec: Some("MP3"),
        bitrate_kbps: Some(128),
        sample_rate: Some(44_100),
        channels: Some(2),
        frame_us: Some(26_122),
        ..Facts::default()
    };
    assert_eq!(framer.facts(), expected);
}
