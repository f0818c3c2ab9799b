//! MPEG audio and AAC in ADTS.

use floe::media::Framer;

use super::kit::{Cut, cut, every_join_decodes, feed, ffmpeg, scratch};

#[test]
fn every_join_to_aac_decodes() {
    let dir = scratch();
    let file = ffmpeg(dir.path(), "-f lavfi -i sine=440:d=6 -c:a aac -b:a 96k", "a.aac");
    let cut = cut("audio/aac", &std::fs::read(file).expect("ffmpeg made it"));
    assert_eq!((cut.junk, cut.left), (0, 0));
    every_join_decodes(&cut, "aac", 12);
}

#[test]
fn plain_aac_of_every_kind_is_never_taken_for_he_aac() {
    let dir = scratch();
    let sounds = ["sine=440:d=12", "anoisesrc=a=0.3:d=12", "anullsrc=d=12"];
    for rate in [24_000, 22_050, 16_000, 8_000] {
        for sound in sounds {
            for more in ["-b:a 24k", "-b:a 64k -ac 2"] {
                let options = format!("-f lavfi -i {sound} -ar {rate} -c:a aac {more}");
                let file = ffmpeg(dir.path(), &options, "lc.aac");
                let mut framer = Framer::for_content_type("audio/aac");
                let stream = std::fs::read(file).expect("ffmpeg made it");
                feed(&mut framer, &stream, &mut Cut::default());
                let facts = framer.facts();
                assert_eq!(
                    (facts.codec, facts.sample_rate),
                    (Some("AAC"), Some(rate)),
                    "{options}"
                );
            }
        }
    }
}
