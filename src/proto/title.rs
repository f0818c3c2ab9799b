//! Titles: what a mount is playing, from the bytes and charsets encoders send to the one form kept
//! inside. UTF-8 from here on; every way out (ICY blocks, status, pages) starts from it.

use encoding_rs::Encoding;

use crate::base::limits;

use super::text;

/// Bytes of a title's URL. It is repeated whole or not at all, since a cut one leads nowhere.
pub const TITLE_URL_BYTES_MAX: usize = 1024;

/// What a mount is playing. Without control characters, trimmed, within its bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Title {
    /// Usually `Artist - Title`; empty if nothing is known. At most
    /// [`limits::TITLE_BYTES_MAX`] bytes.
    pub text: String,
    /// The artist alone, if the sender told the two apart.
    pub artist: Option<String>,
    /// The title alone, if the sender told the two apart.
    pub title: Option<String>,
    /// Where to read more, if the encoder said so.
    pub url: Option<String>,
    /// Where the cover is, if the encoder said so.
    pub artwork: Option<String>,
}

/// A metadata update as it was sent (`/admin/metadata`, `/admin.cgi`): bytes in an unknown charset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TitleUpdate<'b> {
    /// The whole title in one. It wins over `artist` and `title`, as in Icecast.
    pub song: Option<&'b [u8]>,
    /// The artist alone.
    pub artist: Option<&'b [u8]>,
    /// The title alone.
    pub title: Option<&'b [u8]>,
    /// Where to read more.
    pub url: Option<&'b [u8]>,
    /// Where the cover is; a parameter of icecast-kh's.
    pub artwork: Option<&'b [u8]>,
    /// The label of the charset of all of these, such as `ISO-8859-15`. Labels are those of the
    /// WHATWG Encoding Standard; an unknown one counts as none.
    pub charset: Option<&'b [u8]>,
}

/// What a stream's own tags say is playing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TitleTags<'t> {
    /// The artist alone.
    pub artist: Option<&'t str>,
    /// The title alone.
    pub title: Option<&'t str>,
    /// Where to read more.
    pub url: Option<&'t str>,
}

impl Title {
    /// The title that an update names: `song`, or `artist - title`, or whichever of both is there;
    /// empty if there is none, which takes a title back.
    pub fn from_update(update: &TitleUpdate<'_>) -> Self {
        let charset = update.charset.and_then(Encoding::for_label);
        let words = |bytes: Option<&[u8]>| {
            let label = bytes.map(|bytes| text::decode(bytes, charset));
            label.and_then(|label| text::label(label, limits::TITLE_BYTES_MAX)).unwrap_or_default()
        };
        let mut title = Self {
            url: update.url.and_then(url),
            artwork: update.artwork.and_then(url),
            ..Self::default()
        };
        if update.song.is_some() {
            title.text = words(update.song);
            return title;
        }
        let (artist, alone) = (words(update.artist), words(update.title));
        title.text = joined(&artist, &alone);
        title.artist = Some(artist).filter(|artist| !artist.is_empty());
        title.title = Some(alone).filter(|alone| !alone.is_empty());
        title
    }

    /// The title that a stream's own tags name.
    pub fn from_tags(tags: &TitleTags<'_>) -> Self {
        Self::from_update(&TitleUpdate {
            artist: tags.artist.map(str::as_bytes),
            title: tags.title.map(str::as_bytes),
            url: tags.url.map(str::as_bytes),
            ..TitleUpdate::default()
        })
    }

    /// The title of one line of text whose charset is `charset`, if its sender named one.
    pub fn from_bytes(song: &[u8], charset: Option<&[u8]>) -> Self {
        Self::from_update(&TitleUpdate { song: Some(song), charset, ..TitleUpdate::default() })
    }

    /// The title after `last` on the same mount. An update of nothing but URLs keeps the words
    /// that stand, as in Icecast, where each is a tag of its own.
    #[must_use]
    pub fn after(mut self, last: &Self) -> Self {
        if self.text.is_empty() && !self.is_empty() {
            self.text.clone_from(&last.text);
            self.artist.clone_from(&last.artist);
            self.title.clone_from(&last.title);
        }
        self
    }

    /// Artist and title as status documents show them: apart where both are known apart, else all
    /// that is known as the title.
    pub fn parts(&self) -> (Option<&str>, &str) {
        match (&self.artist, &self.title) {
            (Some(artist), Some(title)) => (Some(artist), title),
            _ => (None, &self.text),
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.url.is_none() && self.artwork.is_none()
    }
}

fn joined(artist: &str, title: &str) -> String {
    let whole = match (artist, title) {
        ("", one) | (one, "") => return one.to_owned(),
        (artist, title) => format!("{artist} - {title}"),
    };
    text::cut(&whole, limits::TITLE_BYTES_MAX).trim_end().to_owned()
}

/// A URL in printable ASCII; anything else cannot be one.
fn url(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.trim_ascii();
    let fits = !bytes.is_empty()
        && bytes.len() <= TITLE_URL_BYTES_MAX
        && bytes.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_song_wins_over_its_parts() {
        let update = TitleUpdate {
            song: Some(b"Song"),
            artist: Some(b"Artist"),
            title: Some(b"Title"),
            url: Some(b" http://radio.example/now "),
            artwork: Some(b"http://radio.example/cover.jpg"),
            charset: None,
        };
        let title = Title::from_update(&update);
        assert_eq!((title.text.as_str(), title.parts()), ("Song", (None, "Song")));
        assert_eq!(title.url.as_deref(), Some("http://radio.example/now"));
        assert_eq!(title.artwork.as_deref(), Some("http://radio.example/cover.jpg"));
        let title = Title::from_update(&TitleUpdate { song: None, ..update });
        assert_eq!(title.text, "Artist - Title");
        assert_eq!(title.parts(), (Some("Artist"), "Title"));
        let title = Title::from_update(&TitleUpdate { song: None, artist: None, ..update });
        assert_eq!((title.text.as_str(), title.parts()), ("Title", (None, "Title")));
        let title = Title::from_update(&TitleUpdate { song: None, title: None, ..update });
        assert_eq!((title.text.as_str(), title.parts()), ("Artist", (None, "Artist")));
        assert!(Title::from_update(&TitleUpdate::default()).is_empty());
    }

    #[test]
    fn tags_of_a_stream_are_a_title_in_parts() {
        let tags = TitleTags { artist: Some("Bj\u{f6}rk\n"), title: Some("J\u{f3}ga"), url: None };
        let title = Title::from_tags(&tags);
        assert_eq!(title.text, "Björk - Jóga");
        assert_eq!(title.parts(), (Some("Björk"), "Jóga"));
        assert!(Title::from_tags(&TitleTags::default()).is_empty());
    }

    #[test]
    fn an_update_of_urls_alone_keeps_the_words() {
        let last = Title::from_tags(&TitleTags {
            artist: Some("A"),
            title: Some("B"),
            url: Some("http://radio.example/b"),
        });
        let artwork = Some(&b"http://radio.example/b.jpg"[..]);
        let update = TitleUpdate { artwork, ..TitleUpdate::default() };
        let title = Title::from_update(&update).after(&last);
        assert_eq!((title.text.as_str(), title.parts()), ("A - B", (Some("A"), "B")));
        assert_eq!((title.url, title.artwork.is_some()), (None, true));
        assert!(Title::default().after(&last).is_empty(), "an empty title takes the last one back");
        let next = Title::from_bytes(b"Next", None);
        assert_eq!(next.clone().after(&last), next);
    }

    #[test]
    fn charsets_are_obeyed_and_unknown_ones_guessed() {
        let text = |bytes, charset| Title::from_bytes(bytes, charset).text;
        assert_eq!(text(b"\xa4", Some(b"ISO-8859-15")), "€");
        assert_eq!(text(b"\xce\xd2", Some(b"windows-1251")), "ОТ");
        assert_eq!(text(b"\x83\x4c", Some(b"shift_jis")), "キ");
        assert_eq!(text("キ".as_bytes(), Some(b"no-such-charset")), "キ");
        assert_eq!(text(b"\xe9", None), "é");
    }

    #[test]
    fn titles_hold_no_control_characters_and_stay_in_bounds() {
        assert_eq!(Title::from_bytes(b" a\r\nb\0c ", None).text, "a  bc");
        let long = "é".repeat(3_000);
        assert_eq!(Title::from_bytes(long.as_bytes(), None).text.len(), limits::TITLE_BYTES_MAX);
    }

    #[test]
    fn a_url_that_is_none_is_left_out() {
        let long = vec![b'a'; TITLE_URL_BYTES_MAX + 1];
        for bytes in [&b""[..], b"a b", b"a\r\nb", b"\xe9", &long] {
            assert_eq!(url(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn no_update_breaks_a_title(
            song: Option<Vec<u8>>, artist: Vec<u8>, title: Vec<u8>, url: Vec<u8>,
            artwork: Vec<u8>,
            charset in proptest::option::of("utf-16le|utf-8|big5|iso-2022-jp|latin1|x"),
        ) {
            let title = Title::from_update(&TitleUpdate {
                song: song.as_deref(),
                artist: Some(&artist),
                title: Some(&title),
                url: Some(&url),
                artwork: Some(&artwork),
                charset: charset.as_deref().map(str::as_bytes),
            });
            prop_assert!(title.text.len() <= limits::TITLE_BYTES_MAX);
            prop_assert!(!title.text.chars().any(char::is_control));
        }
    }
}
