//! The tree as the rules see it: every file with its text and, for Rust, its code without comments
//! and literals. It reads the disk once and judges nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::rust;

/// Something that breaks a rule. Line 0 means the file as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub path: String,
    pub line: usize,
    pub what: String,
}

impl Fault {
    pub fn new(file: &File, line: usize, what: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, what: what.into() }
    }

    /// A fault of the tree itself: of a table's row, or of a file that is not there.
    pub fn at(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// One file. `path` is relative to the root and uses `/`.
pub struct File {
    pub path: String,
    /// Size on disk.
    pub bytes: u64,
    /// The text, or empty when the file is not UTF-8.
    pub text: String,
    /// Rust only: the text with comments and literals blanked, line for line.
    pub code: String,
    /// Rust only: for each line of `code`, whether it is compiled for tests alone.
    pub tests: Vec<bool>,
}

impl File {
    fn new(path: &str, content: Vec<u8>) -> Self {
        let bytes = content.len() as u64;
        let text = String::from_utf8(content).unwrap_or_default();
        let code = if path.ends_with(".rs") { rust::blank(&text) } else { String::new() };
        let tests = match is_test_path(path) {
            true => vec![true; code.lines().count()],
            false => rust::test_lines(&code),
        };
        Self { path: path.to_owned(), bytes, text, code, tests }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the line (from 1) is compiled for tests alone.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.tests.get(line - 1).copied().unwrap_or(false)
    }

    /// The room a file under `src` belongs to; `main` and `lib` stand for the two crate roots.
    pub fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let room = inside.split_once('/').map_or(inside, |(room, _)| room);
        Some(room.strip_suffix(".rs").unwrap_or(room))
    }
}

/// Everything the rules look at.
pub struct Tree {
    files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads every file below `root`, build output and what fuzzing leaves behind aside.
    pub fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(root.join(&folder)).expect("a folder of the tree is readable");
            for entry in entries {
                let entry = entry.expect("an entry of the tree is readable");
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = entry.file_type().expect("an entry of the tree has a type");
                if is_passed_over(&path) {
                    continue;
                } else if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let content = fs::read(entry.path()).expect("a file of the tree is readable");
                    files.insert(path.clone(), File::new(&path, content));
                }
            }
        }
        Self::with(files)
    }

    fn with(mut files: BTreeMap<String, File>) -> Self {
        let declared: Vec<String> = files.values().flat_map(test_modules_of).collect();
        for path in declared {
            if let Some(file) = files.get_mut(&path) {
                file.tests.fill(true);
            }
        }
        Self { files }
    }

    /// A tree made up for a case: pairs of path and text.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| {
            ((*path).to_owned(), File::new(path, text.as_bytes().to_vec()))
        };
        Self::with(files.iter().map(file).collect())
    }

    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.is_rust())
    }

    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// Whether something lies in this folder.
    pub fn has_folder(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty() || self.files().any(|file| file.path.starts_with(&inside))
    }
}

/// What is in `.gitignore`, and git itself: no part of the project.
fn is_passed_over(path: &str) -> bool {
    const PASSED_OVER: &[&str] = &[".git", "target", "fuzz/target", "fuzz/artifacts", "floe.toml"];
    PASSED_OVER.contains(&path) || path.ends_with(".log")
}

/// Paths at which the modules may lie that a file declares for tests alone.
fn test_modules_of(file: &File) -> Vec<String> {
    let folder = match file.path.strip_suffix("/mod.rs").or(file.path.strip_suffix("/lib.rs")) {
        Some(folder) => folder,
        None => file.path.strip_suffix(".rs").unwrap_or(&file.path),
    };
    let names = rust::test_modules(&file.code, &file.tests);
    names.iter().map(|name| format!("{folder}/{name}.rs")).collect()
}

fn is_test_path(path: &str) -> bool {
    let in_folder = |folder: &str| path.starts_with(folder) || path.contains(&format!("/{folder}"));
    in_folder("tests/") || in_folder("benches/")
}

/// For cases: the lines that a rule finds fault with in a tree of one file.
pub fn lines_of(rule: fn(&Tree) -> Vec<Fault>, path: &str, text: &str) -> Vec<usize> {
    rule(&Tree::of(&[(path, text)])).iter().map(|fault| fault.line).collect()
}

#[test]
fn a_file_knows_its_room() {
    let tree = Tree::of(&[("src/edge/pump.rs", ""), ("src/boot.rs", ""), ("tests/wire.rs", "")]);
    let room = |path| tree.file(path).and_then(File::room);
    assert_eq!(room("src/edge/pump.rs"), Some("edge"));
    assert_eq!(room("src/boot.rs"), Some("boot"));
    assert_eq!(room("tests/wire.rs"), None);
}

#[test]
fn a_module_for_tests_in_a_file_of_its_own_is_code_of_tests() {
    let parent = ("src/media/mod.rs", "mod tag;\n#[cfg(test)]\nmod testing;\n");
    let tree = Tree::of(&[parent, ("src/media/testing.rs", "a"), ("src/media/tag.rs", "a")]);
    let is_test = |path| tree.file(path).is_some_and(|file| file.is_test_line(1));
    assert!(is_test("src/media/testing.rs") && !is_test("src/media/tag.rs"));
}

#[test]
fn a_file_of_bytes_has_a_size_and_no_text() {
    let file = File::new("tests/fixtures/tone.mp3", vec![0xff, 0xfb, 0x90]);
    assert_eq!((file.bytes, file.text.as_str()), (3, ""));
}

#[test]
fn build_output_is_passed_over_and_sources_are_not() {
    assert!(is_passed_over("target") && is_passed_over("fuzz/target") && is_passed_over("a/x.log"));
    assert!(!is_passed_over("src/target.rs") && !is_passed_over(".ci"));
}
