//! The guard of the house: walks the tree and holds what no compiler checks. It owns the rules of
//! `STYLE` that can be decided by reading: who may name whom, how long things may grow, which words
//! are banned where. It never changes a file and needs nothing but the standard library.
//!
//! A rule is a function from the tree to its faults. Every rule sits in a module with cases beside
//! it that show a wrong text is caught and a right one is not, because a guard that cannot fail
//! guards nothing. What a rule lets through is listed in a table next to it, with the reason; a row
//! that nothing needs any more is a fault too.

#[path = "tidy/bans.rs"]
mod bans;
#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/hot.rs"]
mod hot;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/parsers.rs"]
mod parsers;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/tree.rs"]
mod tree;

use std::path::Path;

use tree::{Fault, Tree};

/// A rule's name, as printed before its faults, and the function that decides it.
type Rule = (&'static str, fn(&Tree) -> Vec<Fault>);

const RULES: &[Rule] = &[
    ("a room names only rooms on lower floors", floors::rooms_look_down),
    ("a room has a floor and one sentence in lib.rs", floors::rooms_are_on_the_map),
    ("a crate is named only in its home room", crates::crates_stay_home),
    ("a dependency has a home, a home its dependency", crates::dependencies_have_homes),
    ("a hot file says so, and has a bench", hot::hot_files_are_marked_and_measured),
    ("a file fits its cap", sizes::files_fit),
    ("a function fits a screen", sizes::functions_fit),
    ("a line fits 100 columns", sizes::lines_fit),
    ("banned words stay out", bans::words_stay_out),
    ("exemptions from bans are needed", bans::exemptions_are_needed),
    ("a parser has a fuzz target with seeds", parsers::parsers_are_fuzzed),
    ("a Rust file opens with its purpose", papers::files_open_with_their_purpose),
    ("decisions are numbered, titled and have a status", papers::decisions_are_in_order),
    ("links inside the repository resolve", papers::links_resolve),
    ("files are small, clean and name no one's machine", papers::files_are_clean),
];

#[test]
fn the_tree_keeps_every_rule() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(tree.file("Cargo.toml").is_some(), "the walk starts at the package's root");
    let mut report = String::new();
    for (name, check) in RULES {
        for fault in check(&tree) {
            report.push_str(&format!("\n{fault}\n    rule: {name}"));
        }
    }
    assert!(report.is_empty(), "the tree breaks its own rules:{report}");
}
