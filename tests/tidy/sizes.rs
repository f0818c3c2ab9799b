//! Sizes: a file, a function and a line have a cap. A cap is where one asks what second thing lives
//! there; lists of exemptions say what the answer was.

use crate::hot::is_hot;
use crate::rust;
use crate::tree::{Fault, File, Tree, lines_of};

/// Lines of a file, code of tests aside.
const FILE_LINES_MAX: usize = 700;
/// Lines of a hot file, code of tests aside: one that is longer is not read as a whole any more.
const HOT_LINES_MAX: usize = 250;
/// Lines of a function, from its head to the closing brace: a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line.
const COLUMNS_MAX: usize = 100;

/// Functions that may be longer: path, name and reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

pub fn files_fit(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        let cap = if is_hot(file) { HOT_LINES_MAX } else { FILE_LINES_MAX };
        let lines = match file.room() {
            Some(_) => file.tests.iter().filter(|test| !**test).count(),
            None => file.tests.len(),
        };
        if lines > cap {
            faults.push(Fault::new(file, 0, format!("{lines} lines, at most {cap}")));
        }
    }
    faults
}

pub fn functions_fit(tree: &Tree) -> Vec<Fault> {
    let long = |file: &File| -> Vec<(usize, String, usize)> {
        let lines = |function: &rust::Function<'_>| function.last - function.first + 1;
        rust::functions(&file.code)
            .filter(|function| lines(function) > FUNCTION_LINES_MAX)
            .map(|function| (function.first, function.name.to_owned(), lines(&function)))
            .collect()
    };
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (line, name, lines) in long(file) {
            let exempt =
                |(path, exempt, _): &&(&str, &str, &str)| *path == file.path && *exempt == name;
            if !LONG_FUNCTIONS.iter().any(|row| exempt(&row)) {
                let what = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}");
                faults.push(Fault::new(file, line, what));
            }
        }
    }
    for (path, name, _) in LONG_FUNCTIONS {
        let needed =
            tree.file(path).is_some_and(|file| long(file).iter().any(|(_, long, _)| long == name));
        if !needed && tree.file("Cargo.toml").is_some() {
            faults.push(Fault::at(path, format!("`{name}` needs no exemption any more")));
        }
    }
    faults
}

/// A line that holds an address may be longer: an address cannot be wrapped.
pub fn lines_fit(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust() {
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !line.contains("://") {
                let what = format!("{columns} columns, at most {COLUMNS_MAX}");
                faults.push(Fault::new(file, index + 1, what));
            }
        }
    }
    faults
}

#[test]
fn a_file_past_its_cap_is_caught_and_tests_do_not_count() {
    let body = |lines: usize| "fn f() {}\n".repeat(lines);
    let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", body(700), body(300));
    assert_eq!(lines_of(files_fit, "src/edge/a.rs", &with_tests), []);
    assert_eq!(lines_of(files_fit, "src/edge/a.rs", &body(701)), [0]);
    let hot = |lines| format!("//! HOT PATH: a.\n{}", body(lines));
    assert_eq!(lines_of(files_fit, "src/edge/a.rs", &hot(249)), []);
    assert_eq!(lines_of(files_fit, "src/edge/a.rs", &hot(250)), [0]);
    assert_eq!(lines_of(files_fit, "tests/wire.rs", &body(701)), [0]);
}

#[test]
fn a_function_past_a_screen_is_caught() {
    let function = |lines: usize| format!("\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    assert_eq!(lines_of(functions_fit, "src/edge/a.rs", &function(70)), []);
    assert_eq!(lines_of(functions_fit, "src/edge/a.rs", &function(71)), [2]);
}

#[test]
fn a_long_line_is_caught_unless_it_holds_an_address() {
    let line = |columns: usize| format!("// {}\n", "é".repeat(columns - 3));
    assert_eq!(lines_of(lines_fit, "src/edge/a.rs", &line(100)), []);
    assert_eq!(lines_of(lines_fit, "src/edge/a.rs", &line(101)), [1]);
    let address = format!("// https://example.org/{}", "a".repeat(100));
    assert_eq!(lines_of(lines_fit, "src/edge/a.rs", &address), []);
}
