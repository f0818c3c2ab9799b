//! What a stream is, from its first bytes: encoders send wrong content types, and some send none.
//! Only what can be told with certainty counts; a doubt leaves the word to the content type.

use super::FORMATS;
use super::format::Format;

/// Bytes after which a stream that shows no format is taken for what its content type says. Three
/// frames of any audio codec at common bitrates fit; more would delay the sound of odd streams.
pub const SNIFF_BYTES_MAX: usize = 4096;

/// What some first bytes look like to one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// They are of this format.
    Yes,
    /// They are not.
    No,
    /// They may be; more bytes will tell.
    Maybe,
}

impl Sniffed {
    /// The verdict of a format whose streams begin with `magic`.
    pub(super) fn by_magic(input: &[u8], magic: &[u8]) -> Self {
        let seen = input.len().min(magic.len());
        match input[..seen] == magic[..seen] {
            true if seen == magic.len() => Self::Yes,
            true => Self::Maybe,
            false => Self::No,
        }
    }
}

/// The format of a stream that begins with `input` and was announced as `declared`: `None` while
/// more bytes have to come, then the format, if there is one.
///
/// The announced format is asked first, then the others in the order of their table; whoever may
/// still become certain is waited for. So the answer does not depend on how the bytes were cut.
pub(super) fn sniff(
    input: &[u8],
    declared: Option<&'static Format>,
) -> Option<Option<&'static Format>> {
    let is_all = input.len() >= SNIFF_BYTES_MAX;
    let input = &input[..input.len().min(SNIFF_BYTES_MAX)];
    for format in declared.into_iter().chain(FORMATS) {
        match (format.sniff)(input) {
            Sniffed::Yes => return Some(Some(format)),
            Sniffed::Maybe if !is_all => return None,
            Sniffed::Maybe | Sniffed::No => {}
        }
    }
    Some(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_is_told_as_soon_as_it_is_there_and_a_wrong_letter_at_once() {
        assert_eq!(Sniffed::by_magic(b"", b"OggS"), Sniffed::Maybe);
        assert_eq!(Sniffed::by_magic(b"Ogg", b"OggS"), Sniffed::Maybe);
        assert_eq!(Sniffed::by_magic(b"OggS..", b"OggS"), Sniffed::Yes);
        assert_eq!(Sniffed::by_magic(b"Oh", b"OggS"), Sniffed::No);
    }
}
