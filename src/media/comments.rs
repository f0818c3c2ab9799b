//! Vorbis comments, the tags of Vorbis, Opus, Speex, Theora and FLAC: reads what is playing, and
//! writes the same list with another title. Knows the bare list alone; the letters and the block
//! header that a codec puts in front of it are its parser's. Source core, once for each title.
//!
//! The list (<https://xiph.org/vorbis/doc/v-comment.html>): length and text of the vendor, number
//! of comments, then length and text of each, `KEY=value` in UTF-8. All numbers are little-endian
//! and have 32 bits. No number is believed further than there are bytes.

use super::Tags;
use super::tags::TEXT_BYTES_MAX;

/// What the comments in `list` say is playing. The first value of a key counts, an empty one says
/// nothing. A list that ends before its announced end is read up to there; `None` if not even the
/// vendor and the number of comments are there.
pub(super) fn read(list: &[u8]) -> Option<Tags> {
    let (_, comments) = open(list)?;
    let mut tags = Tags::default();
    for (key, value) in comments.filter_map(split) {
        let told = match key {
            _ if TITLE.eq_ignore_ascii_case(key) => &mut tags.title,
            _ if ARTIST.eq_ignore_ascii_case(key) => &mut tags.artist,
            _ if is_url(key) => &mut tags.url,
            _ => continue,
        };
        if told.is_none() && !value.is_empty() {
            *told = Some(text(value));
        }
    }
    Some(tags)
}

/// Appends to `out` the comments of `list` with the title and artist of `tags`, and its address if
/// there is one. Title and artist of before go in any case: one of them beside the other's
/// successor would tell of a song that never was. `None`, and nothing appended, if `list` is none.
pub(super) fn write(list: &[u8], tags: &Tags, out: &mut Vec<u8>) -> Option<()> {
    let (vendor, comments) = open(list)?;
    put(out, &[vendor]);
    let count_at = out.len();
    out.extend([0; 4]);
    let mut count = 0_u32;
    for (key, value) in [(TITLE, &tags.title), (ARTIST, &tags.artist), (URL, &tags.url)] {
        if let Some(value) = value {
            put(out, &[key, b"=", value.as_bytes()]);
            count += 1;
        }
    }
    let goes = |key: &[u8]| {
        TITLE.eq_ignore_ascii_case(key)
            || ARTIST.eq_ignore_ascii_case(key)
            || (tags.url.is_some() && is_url(key))
    };
    for comment in comments.filter(|comment| !split(comment).is_some_and(|(key, _)| goes(key))) {
        put(out, &[comment]);
        count += 1;
    }
    out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    Some(())
}

const TITLE: &[u8] = b"TITLE";
const ARTIST: &[u8] = b"ARTIST";
const URL: &[u8] = b"URL";
/// Contact of who made it, most often a web page. The standard has no `URL`, encoders do.
const CONTACT: &[u8] = b"CONTACT";

fn is_url(key: &[u8]) -> bool {
    URL.eq_ignore_ascii_case(key) || CONTACT.eq_ignore_ascii_case(key)
}

/// The vendor and the comments of a list.
fn open(list: &[u8]) -> Option<(&[u8], Comments<'_>)> {
    let mut rest = list;
    let vendor = take(&mut rest)?;
    let (count, rest) = rest.split_first_chunk()?;
    Some((vendor, Comments { rest, left: u32::from_le_bytes(*count) }))
}

/// The comments of a list that are there in full, as many as it announces at most.
struct Comments<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Comments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        take(&mut self.rest)
    }
}

/// Takes a length and so many bytes from the front of `rest`.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

/// Appends a length and the text that `parts` make together.
fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).expect("texts come out of lists with lengths of 32 bits");
    out.extend(length.to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Key and value of a comment.
fn split(comment: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = comment.iter().position(|&byte| byte == b'=')?;
    Some((&comment[..at], &comment[at + 1..]))
}

/// A value as it is kept. Only so much of it is looked at: a cover can be called a title.
fn text(value: &[u8]) -> String {
    let seen = &value[..value.len().min(TEXT_BYTES_MAX)];
    Tags::kept(&String::from_utf8_lossy(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(comments: &[&[u8]]) -> Vec<u8> {
        let mut list = Vec::new();
        put(&mut list, &[b"Lavf"]);
        list.extend((comments.len() as u32).to_le_bytes());
        comments.iter().for_each(|comment| put(&mut list, &[comment]));
        list
    }

    fn tags(title: &str, artist: &str, url: &str) -> Tags {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Tags { title: some(title), artist: some(artist), url: some(url) }
    }

    #[test]
    fn keys_are_known_in_any_case_and_the_first_value_wins() {
        let list = list(&[
            b"ENCODER=x",
            b"Title=One=1",
            b"TITLE=Two",
            b"artist=",
            b"artist=A",
            b"Contact=c",
            b"URL=u",
            b"titles=no",
            b"title",
        ]);
        assert_eq!(read(&list), Some(tags("One=1", "A", "c")));
    }

    #[test]
    fn a_list_cut_anywhere_gives_what_is_there_and_never_more() {
        let list = list(&[b"TITLE=Song", b"ARTIST=Who"]);
        let title_ends = 4 + 4 + 4 + 4 + 10;
        for end in 0..list.len() {
            let expected = match end {
                0..12 => None,
                _ if end < title_ends => Some(Tags::default()),
                _ => Some(tags("Song", "", "")),
            };
            assert_eq!(read(&list[..end]), expected, "{end} bytes");
        }
        assert_eq!(read(&list), Some(tags("Song", "Who", "")));
    }

    #[test]
    fn lying_counts_and_lengths_give_what_is_there() {
        let mut many = list(&[b"TITLE=Song"]);
        many[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&many), Some(tags("Song", "", "")));
        let mut none = list(&[b"TITLE=Song"]);
        none[8..12].copy_from_slice(&0_u32.to_le_bytes());
        assert_eq!(read(&none), Some(Tags::default()));
        let mut long = list(&[b"TITLE=Song"]);
        long[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&long), Some(Tags::default()));
        let mut vendor = list(&[b"TITLE=Song"]);
        vendor[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&vendor), None);
    }

    #[test]
    fn a_value_is_cut_between_two_characters_and_rubbish_in_it_is_replaced() {
        let long = [&b"TITLE="[..], "ö".repeat(TEXT_BYTES_MAX).as_bytes()].concat();
        let title = read(&list(&[&long])).and_then(|tags| tags.title).unwrap_or_default();
        assert!(title.len() <= TEXT_BYTES_MAX && title.len() > TEXT_BYTES_MAX - 4);
        let latin = read(&list(&[b"TITLE=Caf\xE9"]));
        assert_eq!(latin, Some(tags("Caf\u{FFFD}", "", "")));
    }

    #[test]
    fn a_new_title_takes_the_place_of_title_and_artist_and_leaves_the_rest() {
        let old = list(&[b"artist=Old", b"GENRE=g", b"TITLE=Old", b"CONTACT=c", b"odd"]);
        let mut new = Vec::new();
        write(&old, &tags("New", "", ""), &mut new).expect("a list");
        assert_eq!(new, list(&[b"TITLE=New", b"GENRE=g", b"CONTACT=c", b"odd"]));
        let mut all = Vec::new();
        write(&old, &tags("T", "A", "u"), &mut all).expect("a list");
        assert_eq!(all, list(&[b"TITLE=T", b"ARTIST=A", b"URL=u", b"GENRE=g", b"odd"]));
        assert_eq!(write(b"\xFF\xFF\xFF\xFF", &tags("T", "", ""), &mut all), None);
    }
}
