//! A listener that checks every byte it gets against what a numbered source sent.

use floe::proto::icy::{IcyStep, Reader, stream_title};

use super::frames::Checker;
use super::http::{Answer, End, Talk};
use super::server::Server;
use crate::wait;

/// Hears a stream: takes metadata out of it and checks what is left.
#[derive(Debug)]
pub struct Ear {
    reader: Reader,
    /// What was heard.
    pub checker: Checker,
    /// Every title, in the order they came; a block that says "no change" adds none.
    pub titles: Vec<String>,
    /// Metadata blocks, those that say "no change" included.
    pub blocks: u64,
}

impl Ear {
    /// For the stream behind this head.
    pub fn behind(head: &Answer) -> Self {
        let interval = head.header("icy-metaint").map_or(0, |value| value.parse().expect("digits"));
        let reader = Reader::new(interval);
        Self { reader, checker: Checker::default(), titles: Vec::new(), blocks: 0 }
    }

    /// Takes the next bytes; an error says what is wrong with them.
    pub fn hear(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        loop {
            match self.reader.step(bytes) {
                IcyStep::Audio(range) => {
                    self.checker.feed(&bytes[range.clone()])?;
                    bytes = &bytes[range.end..];
                }
                IcyStep::Block { used } => {
                    self.blocks += 1;
                    self.note_block()?;
                    bytes = &bytes[used..];
                }
                IcyStep::More => return Ok(()),
            }
        }
    }

    fn note_block(&mut self) -> Result<(), String> {
        let block = self.reader.block();
        if block.is_empty() {
            return Ok(());
        }
        // A block off its grid is read from the middle of a frame, and is no block.
        let title = stream_title(block).ok_or_else(|| format!("no title in {block:02x?}"))?;
        self.titles.push(String::from_utf8_lossy(title).into_owned());
        Ok(())
    }
}

/// A listener on a connection of its own.
pub struct Tune {
    talk: Talk,
    /// The head of the answer.
    pub head: Answer,
    /// What it has heard.
    pub ear: Ear,
}

impl Tune {
    /// Listens without metadata.
    #[track_caller]
    pub fn to(server: &Server, path: &str) -> Self {
        Self::over(Talk::to(server), path, "")
    }

    /// Listens with metadata.
    #[track_caller]
    pub fn with_titles(server: &Server, path: &str) -> Self {
        Self::over(Talk::to(server), path, "Icy-MetaData: 1\r\n")
    }

    /// Listens over a connection, with more header lines.
    #[track_caller]
    pub fn over(mut talk: Talk, path: &str, lines: &str) -> Self {
        talk.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
        let head = talk.head();
        assert_eq!(head.status, 200, "{head:?}");
        let ear = Ear::behind(&head);
        Self { talk, head, ear }
    }

    /// Listens on until `count` more frames are heard.
    #[track_caller]
    pub fn hear(&mut self, count: u64) {
        let wanted = self.ear.checker.frames + count;
        self.hear_until("it has heard its frames", |ear| ear.checker.frames >= wanted);
    }

    /// Listens on until frame `number` is heard.
    #[track_caller]
    pub fn hear_number(&mut self, number: u64) {
        let what = format!("it hears frame {number}");
        self.hear_until(&what, |ear| ear.checker.range.is_some_and(|(_, last)| last >= number));
    }

    /// Listens on until `heard` says so.
    #[track_caller]
    pub fn hear_until(&mut self, what: &str, heard: impl Fn(&Ear) -> bool) {
        let Self { talk, ear, .. } = self;
        wait::until(what, || {
            if heard(ear) {
                return Some(());
            }
            match talk.some() {
                Ok(bytes) => ear.hear(&bytes).expect("what was sent"),
                Err(end) => panic!("the stream ended ({end:?}) before {what}: {ear:?}"),
            }
            None
        });
    }

    /// Listens until the stream ends; says how it did.
    #[track_caller]
    pub fn hear_out(&mut self) -> End {
        loop {
            match self.talk.some() {
                Ok(bytes) => self.ear.hear(&bytes).expect("what was sent"),
                Err(end) => return end,
            }
        }
    }
}
