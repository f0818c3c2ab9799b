//! Parsers: everything that reads bytes from outside has a fuzz target with seeds, and a file of
//! the grammar rooms cannot be added without saying which kind it is.

use crate::tree::{Fault, Tree};

/// The rooms whose files read or write wire formats, and are all listed here.
const GRAMMAR_ROOMS: &[&str] = &["media", "proto"];

/// Files that parse bytes from outside, each with the fuzz target that reaches it.
const PARSERS: &[(&str, &str)] = &[
    ("src/config/mod.rs", "config"),
    ("src/media/adts.rs", "adts"),
    ("src/media/asc.rs", "latm"),
    ("src/media/comments.rs", "ogg"),
    ("src/media/flac/frame.rs", "flac"),
    ("src/media/flac/head.rs", "flac"),
    ("src/media/flac/mod.rs", "flac"),
    ("src/media/framer.rs", "mpeg"),
    ("src/media/free.rs", "mpeg"),
    ("src/media/header.rs", "mpeg"),
    ("src/media/id3.rs", "mpeg"),
    ("src/media/latm.rs", "latm"),
    ("src/media/matroska/block.rs", "matroska"),
    ("src/media/matroska/ebml.rs", "matroska"),
    ("src/media/matroska/head.rs", "matroska"),
    ("src/media/matroska/level.rs", "matroska"),
    ("src/media/matroska/mod.rs", "matroska"),
    ("src/media/matroska/resync.rs", "matroska"),
    ("src/media/matroska/tags.rs", "matroska"),
    ("src/media/matroska/timeline.rs", "matroska"),
    ("src/media/matroska/tracks.rs", "matroska"),
    ("src/media/mpeg.rs", "mpeg"),
    ("src/media/mpegts/mod.rs", "mpegts"),
    ("src/media/mpegts/packet.rs", "mpegts"),
    ("src/media/mpegts/pes.rs", "mpegts"),
    ("src/media/mpegts/program.rs", "mpegts"),
    ("src/media/mpegts/psi.rs", "mpegts"),
    ("src/media/mpegts/seen.rs", "mpegts"),
    ("src/media/mpegts/sound.rs", "mpegts"),
    ("src/media/mpegts/starts.rs", "mpegts"),
    ("src/media/mpegts/stream.rs", "mpegts"),
    ("src/media/mpegts/tables.rs", "mpegts"),
    ("src/media/ogg/codec.rs", "ogg"),
    ("src/media/ogg/head.rs", "ogg"),
    ("src/media/ogg/link.rs", "ogg"),
    ("src/media/ogg/meter.rs", "ogg"),
    ("src/media/ogg/mod.rs", "ogg"),
    ("src/media/ogg/page.rs", "ogg"),
    ("src/media/ogg/retitle.rs", "ogg"),
    ("src/media/ogg/stream.rs", "ogg"),
    ("src/media/ogg/tail.rs", "ogg"),
    ("src/media/sbr.rs", "adts"),
    ("src/media/sniff.rs", "mpeg"),
    ("src/media/sync/hunt.rs", "mpeg"),
    ("src/media/sync/mod.rs", "mpeg"),
    ("src/media/tag.rs", "mpeg"),
    ("src/media/wav.rs", "wav"),
    ("src/proto/burst.rs", "burst"),
    ("src/proto/chunked.rs", "chunked"),
    ("src/proto/credentials.rs", "credentials"),
    ("src/proto/http.rs", "http_head"),
    ("src/proto/icy.rs", "title_icy"),
    ("src/proto/query.rs", "query"),
    ("src/proto/target.rs", "http_head"),
    ("src/proto/text.rs", "title_icy"),
    ("src/proto/title.rs", "title_icy"),
];

/// Files and folders of the grammar rooms that read nothing from outside, or only what a parser
/// above has taken apart.
const WRITERS: &[&str] = &[
    "src/media/flac/writing.rs",
    "src/media/format.rs",
    "src/media/matroska/clusters.rs",
    "src/media/mean.rs",
    "src/media/mod.rs",
    "src/media/mpegts/clock.rs",
    "src/media/mpegts/pids.rs",
    "src/media/mpegts/splice.rs",
    "src/media/opaque.rs",
    "src/media/pace.rs",
    "src/media/tags.rs",
    "src/proto/answer.rs",
    "src/proto/cors.rs",
    "src/proto/icecast/",
    "src/proto/json.rs",
    "src/proto/mod.rs",
    "src/proto/playlist.rs",
    "src/proto/status.rs",
];

/// The target that proves fuzzing finds things.
const CANARY: &str = "canary";

pub fn parsers_are_fuzzed(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        let grammar = file.room().is_some_and(|room| GRAMMAR_ROOMS.contains(&room));
        let path = file.path.as_str();
        let writer = WRITERS.iter().any(|writer| path.starts_with(writer));
        let known = writer || PARSERS.iter().any(|(parser, _)| *parser == path);
        if grammar && !known && !file.is_test_line(1) {
            faults.push(Fault::new(file, 0, "neither parser nor writer: tests/tidy/parsers.rs"));
        }
    }
    let present = PARSERS.iter().filter(|(parser, _)| tree.file(parser).is_some());
    let targets = present.map(|(_, target)| *target).chain([CANARY]);
    let manifest = tree.file("fuzz/Cargo.toml").map_or("", |file| file.text.as_str());
    for target in targets {
        let path = format!("fuzz/fuzz_targets/{target}.rs");
        if tree.file(&path).is_none()
            || !manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\""))
        {
            faults.push(Fault::at(&path, "a fuzz target that fuzz/Cargo.toml knows"));
        }
        if target != CANARY && !tree.has_folder(&format!("fuzz/corpus/{target}")) {
            faults.push(Fault::at(&path, format!("no seeds in fuzz/corpus/{target}")));
        }
    }
    faults
}

#[cfg(test)]
const CANARY_FILES: [(&str, &str); 2] = [
    ("fuzz/Cargo.toml", "path = \"fuzz_targets/canary.rs\"\npath = \"fuzz_targets/mpeg.rs\""),
    ("fuzz/fuzz_targets/canary.rs", ""),
];

#[test]
fn a_parser_without_target_or_seeds_is_caught() {
    let faults = |more: &[(&str, &str)]| {
        parsers_are_fuzzed(&Tree::of(&[&CANARY_FILES, more].concat())).len()
    };
    let parser = ("src/media/mpeg.rs", "");
    let target = ("fuzz/fuzz_targets/mpeg.rs", "");
    assert_eq!(faults(&[parser, target, ("fuzz/corpus/mpeg/one", "x")]), 0);
    assert_eq!(faults(&[parser, target]), 1, "no seeds");
    assert_eq!(faults(&[parser, ("fuzz/corpus/mpeg/one", "x")]), 1, "no target");
    assert_eq!(faults(&[("src/media/unlisted.rs", "")]), 1, "not listed");
    assert_eq!(faults(&[("src/media/tta.rs", "")]), 1, "not listed");
    assert_eq!(parsers_are_fuzzed(&Tree::of(&[])).len(), 1, "no canary");
}
