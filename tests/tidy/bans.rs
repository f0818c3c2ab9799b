//! Words that have no place somewhere: allocation in hot files, panics in production code, clocks
//! below the cores, sleeping tests. Each ban says what to do instead; each exemption why.

use crate::floors::floor_of;
use crate::hot::is_hot;
use crate::rust;
use crate::tree::{Fault, File, Tree, lines_of};

/// Where a ban holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Files marked as hot, code of tests aside.
    Hot,
    /// The server and the load test, code of tests aside.
    Production,
    /// The server, code of tests aside.
    Server,
    /// Rooms that get their time as an argument: floors 0 to 2 without `rt`.
    Timeless,
    /// Everywhere but in the two rooms that may hold unsafe code.
    Safe,
    /// Code of tests.
    Tests,
}

struct Ban {
    scope: Scope,
    words: &'static [&'static str],
    cure: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        scope: Scope::Hot,
        words: &["format!", "vec!", "Vec::new", "String", "to_string", "to_owned", "Box::new"],
        cure: "a hot file allocates nothing: write into a buffer the caller owns",
    },
    Ban {
        scope: Scope::Hot,
        words: &[".clone()"],
        cure: "a hot file copies nothing; a count is taken visibly, by `Arc::clone(&x)`",
    },
    Ban {
        scope: Scope::Hot,
        words: &["print!", "println!", "eprintln!", "log::", "tracing::"],
        cure: "a hot file logs nothing: count it, and let the caller tell",
    },
    Ban {
        scope: Scope::Hot,
        words: &["trace!", "debug!", "info!", "warn!", "error!"],
        cure: "a hot file logs nothing: count it, and let the caller tell",
    },
    Ban {
        scope: Scope::Hot,
        words: &["Mutex", "RwLock", ".lock()"],
        cure: "no core waits for another: lanes and published values (law 2)",
    },
    Ban {
        scope: Scope::Production,
        words: &["todo!", "unimplemented!", "dbg!"],
        cure: "what is not finished is not merged",
    },
    Ban {
        scope: Scope::Production,
        words: &[".unwrap()"],
        cure: "answer the error, or `expect` with the invariant that rules it out",
    },
    Ban {
        scope: Scope::Server,
        words: &["thread::sleep", "thread::sleep_ms"],
        cure: "nothing waits on a core (law 4): use a deadline and the timer of the thread",
    },
    Ban {
        scope: Scope::Production,
        words: &["fn get_"],
        cure: "name the thing: `head()`, not `get_head()`",
    },
    Ban {
        scope: Scope::Timeless,
        words: &["Instant::now", "SystemTime::now"],
        cure: "time is an argument below the cores (law 8)",
    },
    Ban {
        scope: Scope::Safe,
        words: &["unsafe", "unsafe_code"],
        cure: "unsafe code lives in `ring` and `rt` alone",
    },
    Ban {
        scope: Scope::Tests,
        words: &["#[ignore"],
        cure: "a test that does not run proves nothing: mend or remove it",
    },
    Ban {
        scope: Scope::Tests,
        words: &["thread::sleep", "thread::sleep_ms"],
        cure: "a sleeping test is slow or flaky: drive a virtual clock, or wait for the event",
    },
];

/// Where a banned word is right: path, word and reason.
const EXEMPT: &[(&str, &str, &str)] = &[
    (
        "tests/e2e/wait.rs",
        "thread::sleep",
        "other processes give no event to wait for: it looks again, up to a deadline",
    ),
    (
        "benches/sends/kernel.rs",
        "thread::sleep",
        "it measures sends that are spread over real time, as the server's are",
    ),
    ("benches/sends/kernel.rs", "unsafe", BARE_CALLS),
    ("benches/sends/kernel.rs", "unsafe_code", BARE_CALLS),
    ("benches/sends/reader.rs", "unsafe", BARE_CALLS),
    ("benches/sends/reader.rs", "unsafe_code", BARE_CALLS),
    ("benches/sends/ring.rs", "unsafe", BARE_CALLS),
    ("benches/sends/ring.rs", "unsafe_code", BARE_CALLS),
    ("benches/sends/ways.rs", "unsafe", BARE_CALLS),
    ("benches/sends/ways.rs", "unsafe_code", BARE_CALLS),
];

const BARE_CALLS: &str = "it compares system calls, which a safe wrapper would add its own cost to";

impl Scope {
    fn covers(self, file: &File, line: usize) -> bool {
        let test = file.is_test_line(line);
        let room = file.room();
        match self {
            Self::Hot => is_hot(file) && !test,
            Self::Production => !test && (room.is_some() || file.path.starts_with("loadtest/src/")),
            Self::Server => !test && room.is_some(),
            Self::Timeless => {
                let floor = room.filter(|room| *room != "rt").and_then(floor_of);
                !test && floor.is_some_and(|floor| floor <= 2)
            }
            Self::Safe => !matches!(room, Some("ring" | "rt")),
            Self::Tests => test,
        }
    }
}

/// Where each banned word stands: file, line, word and cure, exemptions not yet taken out.
fn finds(tree: &Tree) -> impl Iterator<Item = (&File, usize, &'static str, &'static str)> {
    tree.rust().flat_map(|file| {
        let words = BANS.iter().flat_map(|ban| ban.words.iter().map(move |word| (ban, *word)));
        words.flat_map(move |(ban, word)| {
            occurrences(&file.code, word)
                .filter(move |line| ban.scope.covers(file, *line))
                .map(move |line| (file, line, word, ban.cure))
        })
    })
}

/// Lines that hold the word. One that ends in `_` is the beginning of a longer one.
fn occurrences<'c>(code: &'c str, word: &'static str) -> impl Iterator<Item = usize> + 'c {
    let beginning = word.strip_suffix('_').map(|_| code.match_indices(word).map(|(at, _)| at));
    let whole = beginning.is_none().then(|| rust::find(code, word));
    beginning
        .into_iter()
        .flatten()
        .chain(whole.into_iter().flatten())
        .map(|at| rust::line_of(code, at))
}

pub fn words_stay_out(tree: &Tree) -> Vec<Fault> {
    let exempt = |file: &File, word: &str| {
        EXEMPT.iter().any(|(path, exempt, _)| *path == file.path && *exempt == word)
    };
    finds(tree)
        .filter(|(file, _, word, _)| !exempt(file, word))
        .map(|(file, line, word, cure)| Fault::new(file, line, format!("`{word}`: {cure}")))
        .collect()
}

pub fn exemptions_are_needed(tree: &Tree) -> Vec<Fault> {
    let needed = |path: &str, exempt: &str| {
        finds(tree).any(|(file, _, word, _)| file.path == path && word == exempt)
    };
    EXEMPT
        .iter()
        .filter(|(path, word, _)| !needed(path, word))
        .map(|(path, word, _)| Fault::at(path, format!("`{word}` needs no exemption any more")))
        .collect()
}

/// A case of a banned word: the wrong text at this path is caught, once.
fn caught(path: &str, text: &str) -> bool {
    lines_of(words_stay_out, path, text).len() == 1
}

#[test]
fn every_banned_word_is_caught_where_the_ban_holds() {
    for ban in BANS {
        let (path, head) = match ban.scope {
            Scope::Hot => ("src/ring/segment.rs", "//! HOT PATH\n"),
            Scope::Production | Scope::Server | Scope::Safe => ("src/edge/heads.rs", ""),
            Scope::Timeless => ("src/domain/mount.rs", ""),
            Scope::Tests => ("tests/wire.rs", ""),
        };
        for word in ban.words {
            let end = if word.ends_with("::") { "now" } else { "" };
            assert!(caught(path, &format!("{head}a {word}{end} b")), "{word} at {path}");
        }
    }
}

#[test]
fn a_banned_word_is_free_where_the_ban_does_not_hold() {
    let cases = [
        ("src/edge/heads.rs", "fn f() -> String { format!(\"a\") }"),
        ("src/edge/heads.rs", "// never unwrap(): todo!()\nlet a = \".unwrap() unsafe\";"),
        ("src/edge/heads.rs", "#[cfg(test)]\nmod tests { fn f() { a.unwrap() } }"),
        ("src/edge/pump.rs", "//! HOT PATH\nlet a = Arc::clone(&b); c.clone_from(d);"),
        ("src/rt/clock.rs", "fn now() { Instant::now(); unsafe { f() } }"),
        ("src/control/thread.rs", "fn now() { Instant::now(); }"),
        ("tests/sim.rs", "fn f() { a.unwrap(); }"),
        ("loadtest/src/main.rs", "fn f() { Instant::now(); }"),
        ("loadtest/src/publish.rs", "fn f() { thread::sleep(until_next_frame); }"),
    ];
    for (path, text) in cases {
        assert_eq!(lines_of(words_stay_out, path, text), [], "{path}: {text}");
    }
}

#[test]
fn a_ban_holds_wherever_its_scope_reaches() {
    assert!(caught("loadtest/src/main.rs", "fn f() { a.unwrap() }"));
    assert!(caught("benches/ring.rs", "unsafe { f() }"));
    assert!(caught("src/edge/heads.rs", "#![allow(unsafe_code)]"));
    assert!(caught(
        "src/edge/heads.rs",
        "#[cfg(test)]\nmod tests {\n#[ignore = \"slow\"]\nfn f() {} }"
    ));
    assert!(caught("src/edge/heads.rs", "fn get_head() {}"));
}
