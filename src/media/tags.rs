//! What a stream says is playing, in whatever tags its format has.

/// Texts of a tag, in UTF-8 as decoded; neither trimmed nor rid of control characters, each at most
/// [`TITLE_BYTES_MAX`](crate::base::limits::TITLE_BYTES_MAX) bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The title alone.
    pub title: Option<String>,
    /// The artist alone.
    pub artist: Option<String>,
    /// Where to read more.
    pub url: Option<String>,
}

/// Bytes kept of one text. A title's ceiling inside is
/// [`TITLE_BYTES_MAX`](crate::base::limits::TITLE_BYTES_MAX); more would be cut there.
pub(super) const TEXT_BYTES_MAX: usize = crate::base::limits::TITLE_BYTES_MAX;

impl Tags {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.title.is_none() && self.artist.is_none() && self.url.is_none()
    }

    /// As much of `text` as is kept, cut between two characters.
    pub(super) fn kept(text: &str) -> String {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    }
}
