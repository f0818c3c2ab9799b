//! MPEG audio and AAC in ADTS.

use super::kit::{cut, every_join_decodes, ffmpeg, scratch};

#[test]
fn every_join_to_aac_decodes() {
    let dir = scratch();
    let file = ffmpeg(dir.path(), "-f lavfi -i sine=440:d=6 -c:a aac -b:a 96k", "a.aac");
    let cut = cut("audio/aac", &std::fs::read(file).expect("ffmpeg made it"));
    assert_eq!((cut.junk, cut.left), (0, 0));
    every_join_decodes(&cut, "aac", 12);
}
