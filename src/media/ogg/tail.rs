//! HOT PATH. The end of a logical stream, as much of it as another link needs to go on without a
//! gap: the last whole packet, from which a decoder warms up, and the beginning of the one that is
//! on its way. Judges nothing; its memory has a ceiling, and is used again.

use super::page::Page;

/// Bytes of an unfinished packet that are kept, and of a whole one that began on an earlier page.
/// Packets of sound have some 2 KB; what is longer is none, and a title waits until it has passed.
const OPEN_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a whole packet that are kept: it is repeated on one page.
const LAST_BYTES_MAX: usize = 32 * 1024;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The last whole packet; empty if it is too long or lost.
    last: Vec<u8>,
    /// The beginning of the packet that goes on behind the last page.
    open: Vec<u8>,
    /// Whether that packet is too long to be kept.
    is_overlong: bool,
}

impl Tail {
    /// Takes the packets of `page`; `is_torn` if the one that it goes on with, if any, is lost.
    #[inline]
    pub(super) fn take(&mut self, page: &Page<'_>, is_torn: bool) {
        if is_torn {
            self.drop_open();
        }
        let is_lost = |begins: bool, open: &[u8]| !begins && open.is_empty();
        let mut last = None;
        for piece in page.pieces() {
            if piece.begins {
                self.drop_open();
            }
            if !piece.ends {
                if !is_lost(piece.begins, &self.open) {
                    self.hold(piece.bytes);
                }
            } else if piece.begins {
                last = Some(piece.bytes);
            } else {
                // This can only be the first piece of the page.
                self.last.clear();
                if !self.is_overlong && !is_lost(false, &self.open) {
                    self.last.append(&mut self.open);
                    self.last.extend_from_slice(piece.bytes);
                }
                self.drop_open();
            }
        }
        if let Some(last) = last {
            self.last.clear();
            self.last.extend_from_slice(last);
        }
        if self.last.len() > LAST_BYTES_MAX {
            self.last.clear();
        }
    }

    /// Keeps `bytes` as the beginning, or some more, of the packet under way.
    fn hold(&mut self, bytes: &[u8]) {
        self.is_overlong |= self.open.len() + bytes.len() > OPEN_BYTES_MAX;
        if !self.is_overlong {
            self.open.extend_from_slice(bytes);
        }
    }

    fn drop_open(&mut self) {
        self.open.clear();
        self.is_overlong = false;
    }

    /// The last whole packet, if it is known.
    pub(super) fn last(&self) -> Option<&[u8]> {
        (!self.last.is_empty()).then_some(&self.last)
    }

    /// The beginning of the packet under way; `None` if it is too long to be kept.
    pub(super) fn open(&self) -> Option<&[u8]> {
        (!self.is_overlong).then_some(&self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::{self, CONTINUED, Header, Seen};
    use super::*;

    fn take(tail: &mut Tail, flags: u8, lengths: &[u8], fill: u8, is_torn: bool) {
        let bytes: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        let header = Header { flags, granule: 0, serial: 0, sequence: 0 };
        let mut out = Vec::new();
        page::write(&mut out, header, lengths, &vec![fill; bytes]);
        let Seen::Page(page) = page::see(&out) else { panic!("a page") };
        tail.take(&page, is_torn);
    }

    #[test]
    fn the_last_packet_is_put_together_over_pages() {
        let mut tail = Tail::default();
        take(&mut tail, 0, &[5, 255], 1, false);
        assert_eq!((tail.last(), tail.open()), (Some(&[1; 5][..]), Some(&[1; 255][..])));
        take(&mut tail, CONTINUED, &[255, 255], 2, false);
        assert_eq!(tail.open().map(<[u8]>::len), Some(765));
        take(&mut tail, CONTINUED, &[3], 3, false);
        assert_eq!((tail.last().map(<[u8]>::len), tail.open()), (Some(768), Some(&[][..])));
        take(&mut tail, 0, &[9, 7], 4, false);
        assert_eq!(tail.last(), Some(&[4; 7][..]));
    }

    #[test]
    fn of_a_torn_packet_nothing_is_kept() {
        let mut tail = Tail::default();
        take(&mut tail, 0, &[255], 1, false);
        take(&mut tail, CONTINUED, &[255], 2, true);
        assert_eq!((tail.last(), tail.open()), (None, Some(&[][..])));
        take(&mut tail, CONTINUED, &[4], 2, true);
        assert_eq!((tail.last(), tail.open()), (None, Some(&[][..])));
    }

    #[test]
    fn what_is_too_long_is_let_go() {
        let mut tail = Tail::default();
        for index in 0..3 {
            assert!(tail.open().is_some());
            take(&mut tail, u8::from(index > 0), &[255; 255], 1, false);
        }
        assert_eq!(tail.open(), None);
        take(&mut tail, CONTINUED, &[1], 1, false);
        assert_eq!((tail.last(), tail.open()), (None, Some(&[][..])));
        take(&mut tail, 0, &[255; 140], 1, false);
        take(&mut tail, CONTINUED, &[1], 1, false);
        assert_eq!(tail.last(), None);
    }
}
