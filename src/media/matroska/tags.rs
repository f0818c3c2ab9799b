//! Title and artist in a Tags element (RFC 9559, section 5.1.8). Source core.

use super::super::Tags;
use super::ebml::{Child, Children, id, text};

/// Bytes of a Tags element that is read; a longer one is left out unread. Tags of a live stream
/// have some hundred bytes, and reading needs all of them at once.
pub(super) const TAGS_BYTES_MAX: usize = 64 * 1024;

/// What a tag speaks of where it does not say: an album, as RFC 9559 has it.
const LEVEL_OF_ALBUM: u64 = 50;

/// What the body of a Tags element says. Where a title is given for a song and for its album, the
/// song's counts: lower levels are smaller things.
pub(super) fn parse(body: &[u8]) -> Tags {
    let mut tags: Vec<(u64, &[u8])> = Children::of(body)
        .filter(|child| child.id == id::TAG)
        .map(|tag| (level(tag), tag.body))
        .collect();
    tags.sort_by_key(|(level, _)| *level);
    let simple = || {
        let fields = tags.iter().flat_map(|(_, tag)| Children::of(tag));
        fields.filter(|field| field.id == id::SIMPLE_TAG)
    };
    let find = |name: &str| {
        let value = |field: Child<'_>| {
            let fields = Children::of(field.body);
            let named = fields.find_text(id::TAG_NAME)?.eq_ignore_ascii_case(name);
            let value = fields.find_body(id::TAG_STRING).filter(|_| named)?;
            Some(Tags::kept(&text(value))).filter(|value| !value.is_empty())
        };
        simple().find_map(value)
    };
    Tags { title: find("TITLE"), artist: find("ARTIST"), url: None }
}

/// What a tag speaks of, by its TargetTypeValue.
fn level(tag: Child<'_>) -> u64 {
    let targets = Children::of(tag.body).find_body(id::TARGETS).unwrap_or_default();
    Children::of(targets).find_unsigned(id::TARGET_TYPE_VALUE).unwrap_or(LEVEL_OF_ALBUM)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{element, number, simple_tag};
    use super::*;

    #[test]
    fn a_song_is_told_before_its_album() {
        let at = |level: u64, fields: &[Vec<u8>]| {
            let targets = element(id::TARGETS, &number(id::TARGET_TYPE_VALUE, level));
            element(id::TAG, &[targets, fields.concat()].concat())
        };
        let album = at(50, &[simple_tag("TITLE", "Record"), simple_tag("ARTIST", "Band")]);
        let song = at(30, &[simple_tag("title", "Song"), simple_tag("ENCODER", "Lavf")]);
        let tags = parse(&[album, song].concat());
        assert_eq!((tags.title.as_deref(), tags.artist.as_deref()), (Some("Song"), Some("Band")));
    }

    #[test]
    fn tags_without_targets_and_cut_ones_are_read_as_far_as_they_go() {
        let whole = element(id::TAG, &simple_tag("ARTIST", "Band"));
        assert_eq!(parse(&whole).artist.as_deref(), Some("Band"));
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_empty(), "{cut}");
        }
        assert!(parse(&element(id::TAG, &simple_tag("ARTIST", ""))).is_empty());
    }
}
