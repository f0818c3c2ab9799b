//! Hot files: the ones every byte of every listener passes. They carry a mark that other rules key
//! on, and each has a bench, because a claim about speed without one is a wish.

use crate::rust;
use crate::tree::{Fault, File, Tree};

/// First words of a hot file.
const MARK: &str = "//! HOT PATH";

/// Files that are hot by their place in the house; when they exist they must say so.
const HOT: &[&str] = &[
    "src/ring/segment.rs",
    "src/ring/window.rs",
    "src/ring/lane.rs",
    "src/ingest/publish.rs",
    "src/edge/pump.rs",
    "src/rt/wire.rs",
];

pub fn is_hot(file: &File) -> bool {
    file.is_rust() && file.text.starts_with(MARK)
}

/// Listed files carry the mark, and some bench names the room of each marked file.
pub fn hot_files_are_marked_and_measured(tree: &Tree) -> Vec<Fault> {
    let listed = |file: &&File| HOT.contains(&file.path.as_str()) && !is_hot(file);
    let mut faults: Vec<Fault> = tree
        .files()
        .filter(listed)
        .map(|file| Fault::new(file, 1, format!("a hot file opens with `{MARK}`")))
        .collect();
    let benches: Vec<&File> = tree.rust().filter(|file| file.path.contains("benches/")).collect();
    for file in tree.rust().filter(|file| is_hot(file)) {
        let room = format!("floe::{}", file.room().unwrap_or_default());
        if !benches.iter().any(|bench| rust::find(&bench.code, &room).next().is_some()) {
            faults.push(Fault::new(file, 1, format!("no bench names `{room}`")));
        }
    }
    faults
}

#[test]
fn a_hot_file_without_mark_or_bench_is_caught() {
    let faults = |files: &[(&str, &str)]| hot_files_are_marked_and_measured(&Tree::of(files)).len();
    let bench = ("benches/ring.rs", "use floe::ring::segment;");
    assert_eq!(faults(&[("src/ring/segment.rs", "//! HOT PATH: segments."), bench]), 0);
    assert_eq!(faults(&[("src/ring/segment.rs", "//! Segments."), bench]), 1);
    assert_eq!(faults(&[("src/edge/pump.rs", "//! HOT PATH: the pump."), bench]), 1);
    assert_eq!(faults(&[("src/edge/heads.rs", "//! Heads.")]), 0);
}
