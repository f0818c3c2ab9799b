//! Papers: what is written beside the code. Files open with their purpose, decisions are in order,
//! links lead somewhere, and nothing large, ragged or private is checked in.

use crate::tree::{Fault, Tree, lines_of};

/// Largest file in the repository.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Folders of bytes as they were recorded or found; their white space is part of the fact.
const RECORDED: &[&str] = &["fuzz/corpus/", "tests/fixtures/", "tests/wire/"];

/// Folders that exist under some user or on one machine only. A path below one is nothing that a
/// reader could open.
const PRIVATE: &[&str] = &["home", "root", "work", "Users"];

/// Where a path below a private folder is right: path of the file and reason.
const PRIVATE_EXEMPT: &[(&str, &str)] = &[];

pub fn files_open_with_their_purpose(tree: &Tree) -> Vec<Fault> {
    tree.rust()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| Fault::new(file, 1, "opens with `//!`: what it owns, what it never does"))
        .collect()
}

/// `docs/decisions/NNNN-name.md` counts from 0001 without gap or double; each file has a title, a
/// line that tells its status, and a line in the index of the book.
pub fn decisions_are_in_order(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut expected = 1;
    for file in tree.files() {
        let Some(name) = file.path.strip_prefix("docs/decisions/") else { continue };
        if name == "README.md" {
            continue;
        }
        let number = name.split_once('-').filter(|(number, _)| number.len() == 4);
        match number.and_then(|(number, _)| number.parse::<u32>().ok()) {
            Some(number) if number == expected => expected += 1,
            Some(number) => {
                faults.push(Fault::new(file, 0, format!("number {expected:04} comes next")));
                expected = number + 1;
            }
            None => faults.push(Fault::new(file, 0, "is named by number and words: 0001-name.md")),
        }
        if !file.text.starts_with("# ") {
            faults.push(Fault::new(file, 1, "opens with a title"));
        }
        let index = tree.file("docs/README.md");
        if index.is_some_and(|index| !index.text.contains(&format!("(decisions/{name})"))) {
            faults.push(Fault::new(file, 0, "has no line in docs/README.md"));
        }
        if !file.text.lines().take(10).any(|line| line.to_lowercase().contains("status:")) {
            faults.push(Fault::new(file, 1, "tells its status: `Status: accepted`"));
        }
    }
    faults
}

/// Markdown links without a scheme lead to a file, a folder or a heading that exists.
pub fn links_resolve(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(&file.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { file.path.clone() } else { join(&file.path, path) };
            let found = tree.file(&path);
            let missing = found.is_none() && !tree.has_folder(path.trim_end_matches('/'));
            let headless = !heading.is_empty()
                && found.is_none_or(|file| !headings(&file.text).any(|known| known == heading));
            if missing || headless {
                faults.push(Fault::new(file, line, format!("`{target}` leads nowhere")));
            }
        }
    }
    faults
}

/// Line and target of every inline link outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let prose = line.split('`').step_by(2).filter(|_| !fenced);
        // A link's text may hold code, so that its target is in the next piece: `](` opens it.
        for target in prose.flat_map(|piece| piece.split("](").skip(1)) {
            let target = target.split([')', ' ']).next().unwrap_or(target);
            found.push((index + 1, target));
        }
    }
    found
}

/// The anchors of a page's headings, made as the common renderers make them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// A link's path, seen from the root of the tree.
fn join(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Size of each file, white space at the ends of lines, and paths that lead to one machine.
pub fn files_are_clean(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files() {
        if file.bytes > FILE_BYTES_MAX {
            let what = format!("{} bytes, at most {FILE_BYTES_MAX}", file.bytes);
            faults.push(Fault::new(file, 0, what));
        }
        if RECORDED.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        let exempt = PRIVATE_EXEMPT.iter().any(|(path, _)| *path == file.path);
        for (index, line) in file.text.lines().enumerate() {
            if line.ends_with(char::is_whitespace) {
                faults.push(Fault::new(file, index + 1, "white space at the end of the line"));
            }
            if let Some(folder) = private_path(line).filter(|_| !exempt) {
                let what = format!("a path below /{folder} exists on one machine only");
                faults.push(Fault::new(file, index + 1, what));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            faults.push(Fault::new(file, 0, "ends without a line end"));
        }
    }
    faults
}

/// The private folder that an absolute path in this line starts with.
fn private_path(line: &str) -> Option<&'static str> {
    PRIVATE.iter().copied().find(|folder| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c))
        })
    })
}

/// A text with an absolute path, put together so that this file does not hold one itself.
#[cfg(test)]
fn private_text(before: &str) -> String {
    format!("{before}/{}/someone/floe\n", "home")
}

#[test]
fn a_rust_file_without_its_purpose_is_caught() {
    let lines = |text| lines_of(files_open_with_their_purpose, "src/edge/a.rs", text);
    assert_eq!(lines("//! Owns a.\nfn f() {}"), []);
    assert_eq!(lines("// Owns a."), [1]);
}

#[test]
fn decisions_out_of_order_are_caught() {
    let right = "# One\n\nStatus: accepted\n";
    let faults = |files: &[(&str, &str)]| decisions_are_in_order(&Tree::of(files)).len();
    let first = ("docs/decisions/0001-one.md", right);
    assert_eq!(faults(&[first, ("docs/decisions/0002-two.md", right)]), 0);
    assert_eq!(faults(&[first, ("docs/decisions/0003-three.md", right)]), 1, "gap");
    assert_eq!(faults(&[first, ("docs/decisions/0001-two.md", right)]), 1, "double");
    assert_eq!(faults(&[("docs/decisions/one.md", right)]), 1, "no number");
    assert_eq!(faults(&[("docs/decisions/0001-one.md", "One\n")]), 2, "no title, no status");
    let index = |text| faults(&[first, ("docs/README.md", text)]);
    assert_eq!((index("[0001](decisions/0001-one.md)\n"), index("[0001](decisions/)\n")), (0, 1));
}

#[test]
fn a_link_to_nowhere_is_caught() {
    let faults = |text: &str| {
        let pages = [("docs/a.md", text), ("README.md", "# Floe\n## Why `it` is, fast\n")];
        links_resolve(&Tree::of(&pages)).iter().map(|fault| fault.line).collect::<Vec<_>>()
    };
    let right = "[a](../README.md) [b](https://example.org) [c](#top)\n# Top\n[`d`](../docs/)\n\
                 `[e](gone.md)`\n```\n[f](gone.md)\n```\n[g](../README.md#why-it-is-fast)\n";
    assert_eq!(faults(right), []);
    assert_eq!(faults("[a](gone.md)\n[`b`](README.md)\n[c](../README.md#slow)\n"), [1, 2, 3]);
}

#[test]
fn ragged_private_or_large_files_are_caught() {
    let lines = |path, text: &str| lines_of(files_are_clean, path, text);
    assert_eq!(lines("docs/a.md", "one\ntwo\n"), []);
    assert_eq!(lines("docs/a.md", "one \ntwo\t\n"), [1, 2]);
    assert_eq!(lines("docs/a.md", "one"), [0]);
    assert_eq!(lines("tests/wire/butt.txt", "PUT / HTTP/1.1\r\n\r\n  "), []);
    assert_eq!(lines("docs/a.md", &private_text("see ")), [1]);
    assert_eq!(lines("docs/a.md", &private_text("https://example.org")), []);
    assert_eq!(lines("docs/a.md", &"x\n".repeat(524_289)), [0]);
}

#[test]
fn a_link_is_joined_to_the_folder_of_its_page() {
    assert_eq!(join("docs/book/a.md", "../b.md"), "docs/b.md");
    assert_eq!(join("README.md", "./docs/"), "docs");
}
