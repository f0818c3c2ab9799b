//! Reading Rust well enough for the rules, and no better: comments and literals are blanked, and
//! then words, braces and paths can be found by plain searching. It is no parser; what it cannot
//! tell apart (a macro's tokens, say) it treats as code.

use std::ops::Range;

/// The text with every comment and every string and character literal turned into spaces. Lines
/// stay lines; offsets are those of the result.
pub fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(next) = rest.chars().next() {
        let bytes = comment_bytes(rest).or_else(|| literal_bytes(rest, after_word));
        let (cut, keep) = rest.split_at(bytes.unwrap_or(next.len_utf8()));
        match bytes {
            Some(_) => code.extend(cut.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push(next),
        }
        after_word = bytes.is_none() && is_word(next);
        rest = keep;
    }
    code
}

/// How long the comment is that `text` starts with. Block comments nest.
fn comment_bytes(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut depth = 0;
    let mut at = 0;
    while text.starts_with("/*") && at < text.len() {
        let rest = &text.as_bytes()[at..];
        match (rest.starts_with(b"/*"), rest.starts_with(b"*/")) {
            (true, _) => (depth, at) = (depth + 1, at + 2),
            (_, true) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    text.starts_with("/*").then_some(text.len())
}

/// How long the literal is that `text` starts with, its prefix and quotes included. `after_word`
/// says that the character before belongs to a word, so that `r` or `b` is no prefix.
fn literal_bytes(text: &str, after_word: bool) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""]
        .into_iter()
        .find(|prefix| {
            let opens = text.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
            opens.is_some_and(|rest| rest.starts_with('"') || rest.starts_with('\''))
        })
        .filter(|prefix| prefix.is_empty() || !after_word)?;
    let rest = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = rest.bytes().take_while(|&byte| byte == b'#').count();
        let close = format!("\"{}", "#".repeat(hashes));
        let inside = rest[hashes..].strip_prefix('"')?;
        let end = inside.find(&close).map_or(inside.len(), |end| end + close.len());
        return Some(prefix.len() + hashes + 1 + end);
    }
    let quoted = match rest.chars().next()? {
        '"' => quoted_bytes(rest, b'"'),
        '\'' if is_char_literal(rest) => quoted_bytes(rest, b'\''),
        _ => return None,
    };
    Some(prefix.len() + quoted)
}

/// A quote opens a character, not a lifetime, when an escape or a closing quote follows.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn quoted_bytes(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word (identifier or number) that starts at `at`; empty when none does.
pub fn word_at(code: &str, at: usize) -> &str {
    let rest = &code[at..];
    &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
}

/// Every offset at which `pattern` stands by itself: no letter runs into its ends.
pub fn find<'c>(code: &'c str, pattern: &'c str) -> impl Iterator<Item = usize> + 'c {
    code.match_indices(pattern).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back().is_some_and(is_word);
        let after = code[at + pattern.len()..].chars().next().is_some_and(is_word);
        !(before && pattern.starts_with(is_word) || after && pattern.ends_with(is_word))
    })
}

/// The line, from 1, of an offset.
pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// From an item's start to the end of its body, or to the semicolon that closes it.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// For each line whether it is compiled for tests or models alone: it lies in an item under a
/// condition that [`is_test_condition`], or the whole file does.
pub fn test_lines(code: &str) -> Vec<bool> {
    let mut tests = vec![false; code.lines().count()];
    for (opener, whole_file) in [("#[cfg(", false), ("#![cfg(", true)] {
        for (start, _) in code.match_indices(opener) {
            let condition = start + opener.len();
            let condition_end = condition + inside_parentheses(&code[condition..]).len();
            if !is_test_condition(&code[condition..condition_end]) {
                continue;
            }
            let item = code[condition_end..].find(']').map_or(code.len(), |at| condition_end + at);
            let end = if whole_file { code.len() } else { item_end(code, item + 1) };
            let last = line_of(code, end).min(tests.len());
            tests[line_of(code, start) - 1..last].fill(true);
        }
    }
    tests
}

/// Whether what stands under this condition never reaches production: it asks for a build for tests
/// or for models, and neither by `not` nor as one of `any`.
fn is_test_condition(condition: &str) -> bool {
    let mut asked = condition.to_owned();
    for negation in ["not(", "any("] {
        while let Some(at) = asked.find(negation) {
            let end = at + negation.len() + inside_parentheses(&asked[at + negation.len()..]).len();
            asked.replace_range(at..end, "");
        }
    }
    ["test", "floe_loom"].iter().any(|word| find(&asked, word).next().is_some())
}

/// Up to the parenthesis that closes one opened before `code`.
fn inside_parentheses(code: &str) -> &str {
    let mut depth = 1;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
    }
    code
}

/// Names of the modules that are declared on lines of tests and written in files of their own.
pub fn test_modules<'c>(code: &'c str, tests: &[bool]) -> Vec<&'c str> {
    find(code, "mod ")
        .filter(|&at| tests.get(line_of(code, at) - 1) == Some(&true))
        .map(|at| word_at(code, at + "mod ".len()))
        .filter(|name| code.contains(&format!("mod {name};")))
        .collect()
}

/// A function with a body: its name and its first and last line.
#[derive(Debug, PartialEq, Eq)]
pub struct Function<'c> {
    pub name: &'c str,
    pub first: usize,
    pub last: usize,
}

pub fn functions(code: &str) -> impl Iterator<Item = Function<'_>> {
    find(code, "fn ").filter_map(|at| {
        let name = word_at(code, at + "fn ".len());
        let end = item_end(code, at);
        (!name.is_empty()).then(|| Function {
            name,
            first: line_of(code, at),
            last: line_of(code, end.saturating_sub(1)),
        })
    })
}

/// The bodies of the modules that are written inline.
pub fn inline_modules(code: &str) -> Vec<Range<usize>> {
    find(code, "mod ").map(|at| at..item_end(code, at)).collect()
}

#[test]
fn comments_and_literals_become_spaces() {
    let cases = [
        ("a // unwrap()\nb", "a b"),
        ("a /* x /* y */ z */ b", "a b"),
        (r#"f("a\"b", c)"#, "f( , c)"),
        (r##"f(r#"a"b"#, c)"##, "f( , c)"),
        (r"f(b'\'', 'x', c)", "f( , , c)"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("bar\"x\"", "bar"),
        ("r#type", "r#type"),
        ("'\u{2192}'x", "x"),
    ];
    for (text, words) in cases {
        let code = blank(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), words, "{text}");
        assert_eq!(code.chars().count(), text.chars().count(), "{text}");
        assert_eq!(code.lines().count(), text.lines().count(), "{text}");
    }
}

#[test]
fn a_text_cut_anywhere_is_still_read() {
    let text = "/* a */ fn f() { g(\"é\\\"\", r#\"x\"#, b'\\n', 'é') } // end";
    for (cut, _) in text.char_indices() {
        assert_eq!(blank(&text[..cut]).lines().count(), usize::from(cut > 0));
    }
}

#[test]
fn test_lines_are_those_of_the_item_under_cfg_test() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    assert_eq!(test_lines(code), [false, true, true, true, true, false]);
    let models = "#[cfg(all(test, floe_loom))]\nmod m { }\nfn c() {}";
    assert_eq!(test_lines(models), [true, true, false]);
    let no_models = "#[cfg(all(test, not(floe_loom)))]\nmod m { }\nfn c() {}";
    assert_eq!(test_lines(no_models), [true, true, false]);
    assert_eq!(test_lines("#[cfg(test)]\nuse a::b;\nfn c() {}"), [true, true, false]);
    assert_eq!(test_lines("#[cfg(not(test))]\nfn c() {}"), [false, false]);
    assert_eq!(test_lines("#[cfg(any(test, fuzzing))]\nfn c() {}"), [false, false]);
    assert_eq!(test_lines("#[cfg(not(floe_loom))]\nuse a::b;"), [false, false]);
    assert_eq!(test_lines("#![cfg(test)]\nfn c() {}"), [true, true]);
}

#[test]
fn modules_of_tests_in_their_own_files_are_known() {
    let code = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod c { mod d {} }\n";
    assert_eq!(test_modules(code, &test_lines(code)), ["b"]);
}

#[test]
fn functions_are_measured_from_head_to_closing_brace() {
    let code = "fn a(x: [u8; 2]) {\n    b();\n}\ntrait T {\n    fn c();\n}\ntype F = fn (u8);\n";
    let found: Vec<_> = functions(code).collect();
    let a = Function { name: "a", first: 1, last: 3 };
    assert_eq!(found, [a, Function { name: "c", first: 5, last: 5 }]);
}

#[test]
fn a_word_is_found_only_by_itself() {
    let found = |code, word| find(code, word).count();
    assert_eq!(found("String StringView MyString", "String"), 1);
    assert_eq!(found("unsafe_code unsafe {}", "unsafe"), 1);
    assert_eq!(found("a.unwrap() b.unwrap_or(c)", ".unwrap()"), 1);
}
