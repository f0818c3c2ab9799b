//! Titles on their way from an encoder's bytes to a player: whatever was sent, the block is whole,
//! holds text, and players cut the title where the server ended it. Then the way back: a reader of
//! any stream gives the same bytes and blocks however they were cut.
#![no_main]

use floe::base::limits::TITLE_BYTES_MAX;
use floe::proto::icy::{
    BLOCK_TEXT_BYTES_MAX, IcyStep, NO_CHANGE, Reader, meta_block, stream_title, stream_url,
    title_of,
};
use floe::proto::title::{Title, TitleUpdate};
use libfuzzer_sys::fuzz_target;

/// Stream bytes between two blocks, here small so that inputs meet many.
const INTERVAL: usize = 5;

fuzz_target!(|input: &[u8]| {
    let title = Title::from_update(&update(input));
    assert!(title.text.len() <= TITLE_BYTES_MAX);
    let parts = [&title.artist, &title.title, &title.url, &title.artwork].map(Option::as_ref);
    let texts = parts.into_iter().chain([Some(&title.text)]);
    assert!(texts.flatten().all(|text| !text.chars().any(char::is_control)));

    let block = meta_block(&title);
    assert_eq!(block.len(), 1 + usize::from(block[0]) * 16);
    let stretch: &[u8] = &[0; INTERVAL];
    let (audio, blocks) = read(&[stretch, &block, stretch, &NO_CHANGE].concat(), 1);
    assert_eq!(audio, [0; 2 * INTERVAL]);
    assert!(blocks.len() == 2 && blocks[1].is_empty(), "one title, then nothing new");
    if let Some(shown) = stream_title(&blocks[0]) {
        assert!(std::str::from_utf8(shown).is_ok(), "cut between two characters");
    } else {
        assert!(title.is_empty(), "a title reaches its player");
    }

    let whole = read(input, input.len().max(1));
    assert_eq!(whole, read(input, 1), "at once and byte by byte");
    for block in whole.1 {
        let _ = (stream_title(&block), stream_url(&block));
        if let Some(title) = title_of(&block) {
            assert!(title.text.len() <= TITLE_BYTES_MAX, "fits inside");
            assert!(!title.text.chars().any(char::is_control));
        }
    }
});

/// Lines of the input in the order of an update's fields.
fn update(input: &[u8]) -> TitleUpdate<'_> {
    let mut lines =
        input.split(|&byte| byte == b'\n').map(|line| Some(line).filter(|l| !l.is_empty()));
    let mut next = || lines.next().flatten();
    let (song, artist, title, url) = (next(), next(), next(), next());
    TitleUpdate { song, artist, title, url, charset: next(), artwork: next() }
}

/// The stream bytes and the blocks of a stream that comes in pieces.
fn read(stream: &[u8], piece: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut reader = Reader::new(INTERVAL);
    let mut audio = Vec::new();
    let mut blocks = Vec::new();
    for part in stream.chunks(piece) {
        let mut at = 0;
        loop {
            match reader.step(&part[at..]) {
                IcyStep::Audio(range) => {
                    assert!(!range.is_empty());
                    audio.extend_from_slice(&part[at..][range.clone()]);
                    at += range.end;
                }
                IcyStep::Block { used } => {
                    assert!(reader.block().len() <= BLOCK_TEXT_BYTES_MAX);
                    blocks.push(reader.block().to_vec());
                    at += used;
                }
                IcyStep::More => break,
            }
        }
    }
    (audio, blocks)
}
