//! Floors: which room may name which, and that the map in `lib.rs` shows the house as it is.

use crate::rust;
use crate::tree::{Fault, File, Tree, lines_of};

/// Every room with its floor. A room names only rooms with a smaller number.
pub const ROOMS: &[(&str, u8)] = &[
    ("base", 0),
    ("ring", 1),
    ("media", 1),
    ("proto", 1),
    ("config", 1),
    ("domain", 2),
    ("rt", 2),
    ("ingest", 3),
    ("edge", 3),
    ("control", 3),
    ("studio", 3),
    ("boot", 4),
];

/// The highest floor that the load test may use: it speaks the server's grammars and must not share
/// its decisions, or it would repeat the server's mistakes instead of finding them.
const LOADTEST_FLOOR_MAX: u8 = 1;

pub fn floor_of(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// A room names (by `crate::`, `floe::` or a chain of `super::`) only rooms on lower floors.
pub fn rooms_look_down(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        let from = match file.room() {
            Some(room) => room,
            None if file.path.starts_with("loadtest/") => "loadtest",
            None => continue,
        };
        for (line, to) in named_rooms(file) {
            if let Some(what) = objection(from, to) {
                faults.push(Fault::new(file, line, what));
            }
        }
    }
    faults
}

fn objection(from: &str, to: &str) -> Option<String> {
    let Some(floor) = floor_of(to) else {
        return Some(format!("`{to}` is no room: name things by the room that owns them"));
    };
    let below = match from {
        _ if from == to => return None,
        "lib" => return None,
        "main" if to == "boot" => return None,
        "main" => return Some(format!("main.rs names only `boot`, not `{to}`")),
        "loadtest" => LOADTEST_FLOOR_MAX + 1,
        _ => floor_of(from)?,
    };
    (floor >= below).then(|| {
        format!("`{from}` must not name `{to}` (floor {floor}): only floors below {below}")
    })
}

/// Every room that the file names, with the line.
fn named_rooms(file: &File) -> Vec<(usize, &str)> {
    let code = file.code.as_str();
    let mut starts: Vec<usize> = rust::find(code, "floe::").map(|at| at + "floe::".len()).collect();
    if file.room().is_some() {
        starts.extend(rust::find(code, "crate::").map(|at| at + "crate::".len()));
        starts.extend(climbs_to_the_root(file));
    }
    let named = |at: usize| first_words(&code[at..]).into_iter().map(move |word| (at, word));
    starts.into_iter().flat_map(named).map(|(at, word)| (rust::line_of(code, at), word)).collect()
}

/// Offsets after each chain of `super::` that is long enough to leave its room.
fn climbs_to_the_root(file: &File) -> Vec<usize> {
    const UP: &str = "super::";
    let code = file.code.as_str();
    let inside = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let named_by_folder = ["mod.rs", "lib.rs", "main.rs"].iter().any(|end| inside.ends_with(end));
    let depth = inside.split('/').count() - usize::from(named_by_folder);
    let modules = rust::inline_modules(code);
    let mut ends = Vec::new();
    for at in rust::find(code, UP).filter(|&at| !code[..at].ends_with(UP)) {
        let climbs = code[at..].split(UP).take_while(|step| step.is_empty()).count();
        let nested = modules.iter().filter(|body| body.contains(&at)).count();
        if climbs >= depth + nested {
            ends.push(at + climbs * UP.len());
        }
    }
    ends
}

/// The first words of the paths that go on at `rest`: one, or those of a `{…}` group.
fn first_words(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![rust::word_at(rest, 0)].into_iter().filter(|word| !word.is_empty()).collect();
    };
    let mut words = Vec::new();
    let mut depth = 1;
    let mut entry = 0;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && byte == b',') {
            words.push(rust::word_at(group[entry..at].trim_start(), 0));
            entry = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    words.retain(|word| !word.is_empty() && *word != "self");
    words
}

/// Each room under `src` has a floor here and a row with the same floor and a sentence in `lib.rs`.
pub fn rooms_are_on_the_map(tree: &Tree) -> Vec<Fault> {
    let Some(map) = tree.file("src/lib.rs") else { return Vec::new() };
    let mut rooms: Vec<&str> = tree.rust().filter_map(File::room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let mut faults = Vec::new();
    for room in rooms.into_iter().filter(|room| !["lib", "main"].contains(room)) {
        let row = |line: &&str| line.contains(&format!("| `{room}`"));
        let cells: Option<Vec<&str>> =
            map.text.lines().find(row).map(|line| line.split('|').map(str::trim).collect());
        match (floor_of(room), cells.as_deref()) {
            (None, _) => faults.push(Fault::new(map, 0, format!("`{room}` has no floor"))),
            (Some(floor), Some([_, shown, _, sentence, ..]))
                if **shown == *floor.to_string() && !sentence.is_empty() => {}
            (Some(floor), _) => {
                let what = format!("`{room}` needs a row of floor {floor} with one sentence");
                faults.push(Fault::new(map, 0, what));
            }
        }
    }
    faults
}

#[test]
fn a_room_may_name_lower_floors_and_itself() {
    let text = "use crate::base::time;\nuse crate::{proto::http, base};\nuse crate::edge::pump;";
    assert_eq!(lines_of(rooms_look_down, "src/edge/heads.rs", text), []);
    assert_eq!(lines_of(rooms_look_down, "src/main.rs", "fn main() { floe::boot::run() }"), []);
}

#[test]
fn a_neighbour_or_a_higher_floor_is_caught() {
    let cases = [
        ("src/edge/heads.rs", "use crate::ingest::publish;"),
        ("src/proto/http.rs", "use crate::{base::time, media::{Step, Framer}};"),
        ("src/domain/mount.rs", "fn f() { crate::rt::clock::now(); }"),
        ("src/domain/mount.rs", "use super::super::rt;"),
        ("src/domain/mod.rs", "use super::edge;"),
        ("src/base/time.rs", "mod tests { use super::super::super::config; }"),
        ("src/main.rs", "use floe::edge;"),
        ("src/rt/net.rs", "use floe::domain::bus;"),
        ("loadtest/src/main.rs", "use floe::domain::bus;"),
        ("src/edge/heads.rs", "use crate::helpers::trim;"),
    ];
    for (path, text) in cases {
        assert_eq!(lines_of(rooms_look_down, path, text), [1], "{path}: {text}");
    }
}

#[test]
fn a_climb_that_stays_inside_the_room_is_no_naming() {
    let text = "use super::head;\nmod tests { use super::super::head; use super::*; }";
    assert_eq!(lines_of(rooms_look_down, "src/proto/http.rs", text), []);
    assert_eq!(lines_of(rooms_look_down, "src/proto/hls/cut.rs", "use super::super::http;"), []);
}

#[test]
fn a_room_without_its_row_is_caught() {
    let map =
        "//! | floor | room | owns |\n//! | 0 | `base` | units |\n//! | 2 | `edge` | cores |\n";
    let faults = |files: &[(&str, &str)]| rooms_are_on_the_map(&Tree::of(files)).len();
    assert_eq!(faults(&[("src/lib.rs", map), ("src/base/mod.rs", "")]), 0);
    assert_eq!(faults(&[("src/lib.rs", map), ("src/edge/mod.rs", "")]), 1, "wrong floor");
    assert_eq!(faults(&[("src/lib.rs", map), ("src/ring/mod.rs", "")]), 1, "no row");
    assert_eq!(faults(&[("src/lib.rs", map), ("src/attic/mod.rs", "")]), 1, "no floor");
}
