//! ICY metadata: the blocks between a listener's bytes, written for listeners and read back for
//! tests, load tests and relays. Where a block stands in a stream is counted by whoever sends it.

use std::ops::Range;

use super::text;
use super::title::{Title, TitleUpdate};

/// Bytes of metadata in one block: its length byte counts 16 bytes each.
pub const BLOCK_TEXT_BYTES_MAX: usize = 255 * 16;

/// The block that says nothing changed.
pub const NO_CHANGE: [u8; 1] = [0];

const TITLE_START: &str = "StreamTitle='";
const URL_START: &str = "StreamUrl='";
const FIELD_END: &str = "';";

/// The block for a title: a length byte, then `StreamTitle='…';` and, if there is one,
/// `StreamUrl='…';` in UTF-8, padded with NUL to a multiple of 16. The empty title gives the 17
/// bytes that Icecast sends before any title came.
///
/// Players cut at the first `';` (VLC and ffmpeg by search, web players by the pattern
/// `StreamTitle='(.*?)';`), and the format has no escape. So a `';` inside a title gets a space
/// between its two characters: every player then shows the whole title, at the price of a space.
/// A typographic quote instead would show as three wrong letters in players that read ISO-8859-1.
/// An apostrophe before anything else is harmless, and stays.
///
/// A title too long for one block is cut between two characters; the URL, useless when cut, is left
/// out if it alone would not leave room for the title. A title without a URL gives that of its
/// cover, which is what players of SHOUTcast's family look for there.
pub fn meta_block(title: &Title) -> Vec<u8> {
    let url = title.url.as_deref().or(title.artwork.as_deref());
    let url = url.map(|url| url.replace('\'', "%27"));
    let url_bytes = url.as_ref().map_or(0, |url| URL_START.len() + url.len() + FIELD_END.len());
    let url = url.filter(|_| url_bytes <= BLOCK_TEXT_BYTES_MAX / 2);
    let frame_bytes = TITLE_START.len() + FIELD_END.len();
    let room = BLOCK_TEXT_BYTES_MAX - frame_bytes - url.as_ref().map_or(0, |_| url_bytes);

    let safe = title.text.replace(FIELD_END, "' ;").replace('\0', "");
    let mut block = Vec::with_capacity(frame_bytes + safe.len().min(room) + url_bytes + 17);
    block.push(0);
    block.extend_from_slice(TITLE_START.as_bytes());
    block.extend_from_slice(text::cut(&safe, room).as_bytes());
    block.extend_from_slice(FIELD_END.as_bytes());
    if let Some(url) = url {
        block.extend_from_slice(URL_START.as_bytes());
        block.extend_from_slice(url.as_bytes());
        block.extend_from_slice(FIELD_END.as_bytes());
    }
    let units = (block.len() - 1).div_ceil(16);
    block.resize(1 + units * 16, 0);
    block[0] = u8::try_from(units).expect("the room for title and URL adds up to 255 units");
    block
}

/// A piece of what a listener receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IcyStep {
    /// Stream bytes, at this range of the input; never empty. The next step begins at its end.
    Audio(Range<usize>),
    /// A metadata block ended; it is at [`Reader::block`] until the next step.
    Block {
        /// Bytes of the input that are done with.
        used: usize,
    },
    /// The whole input was taken.
    More,
}

/// Takes metadata blocks out of a stream with `icy-metaint`.
#[derive(Clone, Debug)]
pub struct Reader {
    interval: usize,
    audio_left: usize,
    /// Bytes of the present block still to come; `None` outside of a block.
    block_left: Option<usize>,
    block: Vec<u8>,
}

impl Reader {
    /// A reader at the first byte behind the head, with `interval` stream bytes between two blocks.
    /// Zero means there are no blocks.
    pub fn new(interval: usize) -> Self {
        Self { interval, audio_left: interval, block_left: None, block: Vec::new() }
    }

    /// The last block without its length byte and padding; empty if nothing changed.
    pub fn block(&self) -> &[u8] {
        let text = self.block.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        &self.block[..text]
    }

    /// Looks at the start of `input`, which follows what earlier steps took, up to the first piece
    /// of stream or the end of a block. At most 4080 bytes are kept.
    pub fn step(&mut self, input: &[u8]) -> IcyStep {
        if self.interval == 0 {
            return if input.is_empty() { IcyStep::More } else { IcyStep::Audio(0..input.len()) };
        }
        if self.audio_left > 0 {
            let bytes = self.audio_left.min(input.len());
            self.audio_left -= bytes;
            return if bytes == 0 { IcyStep::More } else { IcyStep::Audio(0..bytes) };
        }
        let Some((left, used)) = self.block_start(input) else { return IcyStep::More };
        let taken = left.min(input.len() - used);
        self.block.extend_from_slice(&input[used..used + taken]);
        if taken < left {
            self.block_left = Some(left - taken);
            return IcyStep::More;
        }
        self.block_left = None;
        self.audio_left = self.interval;
        IcyStep::Block { used: used + taken }
    }

    /// Bytes the present block still needs and bytes of input its length took.
    fn block_start(&mut self, input: &[u8]) -> Option<(usize, usize)> {
        if let Some(left) = self.block_left {
            return Some((left, 0));
        }
        let units = *input.first()?;
        self.block.clear();
        Some((usize::from(units) * 16, 1))
    }
}

/// The stream title in a block's text, cut as players cut it.
pub fn stream_title(block: &[u8]) -> Option<&[u8]> {
    field(block, TITLE_START)
}

/// The stream URL in a block's text.
pub fn stream_url(block: &[u8]) -> Option<&[u8]> {
    field(block, URL_START)
}

/// The title that a source's block names; `None` if it names none. The text is UTF-8, or else taken
/// for windows-1252.
///
/// Encoders escape nothing, so a title may hold the `';` that ends it. The end is taken to be the
/// first that nothing or the next field follows; some encoders leave out the last semicolon.
pub fn title_of(block: &[u8]) -> Option<Title> {
    let song = whole_field(block, TITLE_START)?;
    let url = whole_field(block, URL_START);
    Some(Title::from_update(&TitleUpdate { song: Some(song), url, ..TitleUpdate::default() }))
}

/// The value of a field up to where its sender ended it.
fn whole_field<'b>(block: &'b [u8], start: &str) -> Option<&'b [u8]> {
    let value = &block[find(block, start.as_bytes())? + start.len()..];
    let ends = value.windows(FIELD_END.len()).enumerate();
    let mut ends = ends.filter(|(_, window)| *window == FIELD_END.as_bytes());
    let is_last = |at: usize| begins_field(&value[at + FIELD_END.len()..]);
    let end = ends.find(|&(at, _)| is_last(at)).map(|(at, _)| at);
    let end = end.or_else(|| value.iter().rposition(|&byte| byte == b'\''));
    Some(&value[..end?])
}

/// Whether what follows a field is nothing or another field: a name and `='`.
fn begins_field(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii();
    let letter = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let name = rest.iter().take_while(letter).count();
    rest.iter().all(|&byte| byte == 0) || (name > 0 && rest[name..].starts_with(b"='"))
}

fn field<'b>(block: &'b [u8], start: &str) -> Option<&'b [u8]> {
    let value = &block[find(block, start.as_bytes())? + start.len()..];
    Some(&value[..find(value, FIELD_END.as_bytes())?])
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn title(text: &str, url: Option<&str>) -> Title {
        Title { text: text.to_owned(), url: url.map(str::to_owned), ..Title::default() }
    }

    #[test]
    fn a_block_is_its_length_its_text_and_padding() {
        assert_eq!(meta_block(&Title::default()), b"\x01StreamTitle='';\0");
        assert_eq!(meta_block(&title("A", None)), b"\x01StreamTitle='A';");
        assert_eq!(
            meta_block(&title("AB", Some("http://a/'"))),
            b"\x03StreamTitle='AB';StreamUrl='http://a/%27';\0\0\0\0\0\0"
        );
    }

    #[test]
    fn no_quote_in_a_title_makes_a_player_cut_it_early() {
        for (text, shown) in [
            ("Rock 'n' Roll", "Rock 'n' Roll"),
            ("Ends 'so'", "Ends 'so'"),
            ("a';b';';c", "a' ;b' ;' ;c"),
            ("'';", "'' ;"),
        ] {
            let block = meta_block(&title(text, None));
            assert_eq!(stream_title(&block[1..]), Some(shown.as_bytes()), "{text}");
        }
    }

    #[test]
    fn too_long_a_title_is_cut_between_two_characters() {
        let block = meta_block(&title(&"é".repeat(3_000), Some("http://radio.example/")));
        assert!(block.len() <= 1 + BLOCK_TEXT_BYTES_MAX);
        let shown = stream_title(&block[1..]).expect("a title");
        assert!(std::str::from_utf8(shown).is_ok_and(|shown| shown.len() > 4_000));
        assert_eq!(stream_url(&block[1..]), Some(&b"http://radio.example/"[..]));
        let block = meta_block(&title("A", Some(&"'".repeat(1_000))));
        assert_eq!(stream_url(&block[1..]), None);
    }

    #[test]
    fn a_cover_stands_where_there_is_no_other_url() {
        let artwork = Some("http://a/c.jpg".to_owned());
        let cover = Title { artwork, ..title("A", None) };
        assert_eq!(stream_url(&meta_block(&cover)[1..]), Some(&b"http://a/c.jpg"[..]));
        let both = Title { url: Some("http://a/".to_owned()), ..cover };
        assert_eq!(stream_url(&meta_block(&both)[1..]), Some(&b"http://a/"[..]));
    }

    #[test]
    fn a_title_comes_back_from_the_block_of_any_encoder() {
        let read = |block: &[u8]| title_of(block).map(|title| (title.text, title.url));
        let named = |text: &str, url: Option<&str>| Some((text.to_owned(), url.map(str::to_owned)));
        for (block, title) in [
            (&b"StreamTitle='A - B';"[..], named("A - B", None)),
            (b"StreamTitle='A';StreamUrl='http://a/';\0\0", named("A", Some("http://a/"))),
            (b"StreamUrl='http://a/';StreamTitle='A';", named("A", Some("http://a/"))),
            (b"StreamTitle='';StreamUrl='';", named("", None)),
            (b"StreamTitle='It's; 'so'; it is';StreamUrl='';", named("It's; 'so'; it is", None)),
            (b"StreamTitle='no semicolon'", named("no semicolon", None)),
            (b"StreamTitle='Bj\xf6rk';", named("Björk", None)),
            ("StreamTitle='Björk';".as_bytes(), named("Björk", None)),
            (b"StreamTitle='A\r\nB';adw_ad='true';", named("A  B", None)),
            (b"StreamTitle='A';adwad='true';", named("A", None)),
            (b"StreamTitle='never ended", None),
            (b"StreamUrl='http://a/';", None),
            (b"", None),
        ] {
            assert_eq!(read(block), title, "{}", block.escape_ascii());
        }
    }

    /// Feeds `wire` in pieces; answers the stream bytes and the blocks' texts.
    fn read(wire: &[u8], interval: usize, piece_bytes: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut reader = Reader::new(interval);
        let (mut audio, mut blocks) = (Vec::new(), Vec::new());
        for piece in wire.chunks(piece_bytes) {
            let mut at = 0;
            loop {
                match reader.step(&piece[at..]) {
                    IcyStep::Audio(range) => {
                        audio.extend_from_slice(&piece[at..][range.clone()]);
                        at += range.end;
                    }
                    IcyStep::Block { used } => {
                        blocks.push(reader.block().to_vec());
                        at += used;
                    }
                    IcyStep::More => break,
                }
            }
        }
        (audio, blocks)
    }

    fn wire() -> Vec<u8> {
        let mut wire = b"0123456789".to_vec();
        wire.extend_from_slice(&meta_block(&title("First", None)));
        wire.extend_from_slice(b"abcdefghij");
        wire.extend_from_slice(&NO_CHANGE);
        wire.extend_from_slice(b"ABC");
        wire
    }

    #[test]
    fn a_reader_gives_back_stream_and_blocks_in_pieces_of_any_size() {
        let wire = wire();
        for piece_bytes in 1..=wire.len() {
            let (audio, blocks) = read(&wire, 10, piece_bytes);
            assert_eq!(audio, b"0123456789abcdefghijABC");
            assert_eq!(blocks, [b"StreamTitle='First';".to_vec(), Vec::new()]);
        }
    }

    #[test]
    fn a_stream_cut_at_any_byte_shows_no_half_block() {
        let wire = wire();
        for cut in 1..wire.len() {
            let (audio, blocks) = read(&wire[..cut], 10, 4);
            assert!(audio.len() <= cut);
            assert!(blocks.iter().all(|block| block.is_empty() || block.ends_with(b"';")));
        }
    }

    #[test]
    fn without_an_interval_everything_is_stream() {
        assert_eq!(read(b"\x01abc", 0, 2), (b"\x01abc".to_vec(), vec![]));
    }

    #[test]
    fn broken_blocks_have_no_title() {
        for block in [&b""[..], b"StreamTitle='", b"StreamTitle='a'", b"Title='a';"] {
            assert_eq!(stream_title(block), None);
        }
    }

    proptest! {
        #[test]
        fn every_title_is_read_back_by_a_player(text in "[a';é]{0,40}", url in "[a'/]{0,20}") {
            let block = meta_block(&title(&text, Some(&url)));
            prop_assert_eq!(block.len(), 1 + usize::from(block[0]) * 16);
            let shown = stream_title(&block[1..]).map(|shown| shown.to_vec());
            prop_assert_eq!(shown, Some(text.replace("';", "' ;").into_bytes()));
            prop_assert!(stream_url(&block[1..]).is_some());
        }
    }
}
