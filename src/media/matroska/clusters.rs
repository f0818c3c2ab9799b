//! The clusters that listeners get: blocks are written into clusters of this server's own as they
//! arrive, so that nothing waits for the end of a source's cluster, and a player can start where it
//! is useful. Source core; allocates nothing for a block once the largest has been here.

use super::block::Block;
use super::ebml::{UNKNOWN, id, push_header};

/// The clusters of one stream, and the bytes that go out for the last block.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    /// Time of the open cluster; `None` if the next block begins one.
    base: Option<i64>,
    /// Time of the last block that a player can start with.
    started: Option<i64>,
    written: Vec<u8>,
}

/// Time between two start points, at least. Each costs 22 bytes, 0.4 kbit/s at this distance. A
/// burst on connect is as exact as start points are dense; closer than the frames of some codecs
/// they would be most of a slow stream.
pub(super) const STARTS_APART_MS: i64 = 500;

impl Clusters {
    /// The next block begins a cluster. Until then nothing is written.
    pub(super) fn close(&mut self) {
        self.base = None;
        self.started = None;
        self.written.clear();
    }

    /// Writes the element `whole`, which is `block`, with the time `at`, in front of it the head of
    /// a new cluster where one is due. Says whether a player can start with it; it never can if
    /// not `may_start`, nor before `apart` ticks have gone by since the last start.
    #[inline]
    pub(super) fn write(
        &mut self,
        whole: &[u8],
        block: Block,
        at: i64,
        may_start: bool,
        apart: i64,
    ) -> bool {
        let starts =
            may_start && self.started.is_none_or(|started| !(0..apart).contains(&(at - started)));
        if starts {
            self.started = Some(at);
            self.base = None;
        }
        self.written.clear();
        // Times in a cluster have 16 bits.
        let within = self.base.and_then(|base| i16::try_from(at - base).ok());
        let relative = within.unwrap_or_else(|| {
            self.begin(at);
            0
        });
        let from = self.written.len();
        self.written.extend_from_slice(whole);
        let relative_at = from + block.relative_at;
        self.written[relative_at..relative_at + 2].copy_from_slice(&relative.to_be_bytes());
        if let Some(checksum_at) = block.checksum_at {
            // An element of the same length that means nothing; both ids have one byte.
            self.written[from + checksum_at] = id::VOID as u8;
        }
        starts
    }

    /// Writes the head of a cluster: of unknown size, since it goes out before its blocks are here.
    fn begin(&mut self, at: i64) {
        self.base = Some(at);
        push_header(&mut self.written, id::CLUSTER, UNKNOWN);
        // Eight bytes, whose size takes one.
        self.written.extend_from_slice(&[id::TIMESTAMP as u8, 0x88]);
        self.written.extend_from_slice(&at.to_be_bytes());
    }

    /// What goes out for the last block.
    pub(super) fn written(&self) -> &[u8] {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::header::Parsed;
    use super::super::ebml::{Children, Element, unsigned};
    use super::super::testing::block as simple_block;
    use super::*;

    const APART: i64 = 500;

    /// Writes a key frame of track 1; gives the time of its cluster if it begins one, its own
    /// relative time, and whether a player can start with it.
    fn written(clusters: &mut Clusters, at: i64, may_start: bool) -> (Option<u64>, i16, bool) {
        let whole = simple_block(1, 999, true, b"frame");
        let read = |whole: &[u8]| {
            let Parsed::Whole(element) = Element::parse(whole) else { panic!("no element") };
            (element, Block::simple(whole, element))
        };
        let block = read(&whole).1.unwrap();
        let starts = clusters.write(&whole, block, at, may_start, APART);
        let out = clusters.written();
        let (element, _) = read(out);
        if element.id != id::CLUSTER {
            return (None, read(out).1.unwrap().relative, starts);
        }
        let body = &out[element.header_bytes..];
        assert_eq!(element.header_bytes + 10, 22);
        let time = Children::of(body).find_body(id::TIMESTAMP).and_then(unsigned);
        (time, read(&body[10..]).1.unwrap().relative, starts)
    }

    #[test]
    fn clusters_begin_at_start_points_and_those_are_apart() {
        let mut clusters = Clusters::default();
        assert_eq!(written(&mut clusters, 100, true), (Some(100), 0, true));
        assert_eq!(written(&mut clusters, 120, true), (None, 20, false));
        assert_eq!(written(&mut clusters, 90, false), (None, -10, false));
        assert_eq!(written(&mut clusters, 599, true), (None, 499, false));
        assert_eq!(written(&mut clusters, 600, true), (Some(600), 0, true));
        clusters.close();
        assert!(clusters.written().is_empty());
        assert_eq!(written(&mut clusters, 620, false), (Some(620), 0, false));
        assert_eq!(written(&mut clusters, 640, true), (Some(640), 0, true));
    }

    #[test]
    fn a_cluster_ends_where_sixteen_bits_do() {
        let mut clusters = Clusters::default();
        assert_eq!(written(&mut clusters, 0, true), (Some(0), 0, true));
        assert_eq!(written(&mut clusters, 32_767, false), (None, 32_767, false));
        assert_eq!(written(&mut clusters, 32_768, false), (Some(32_768), 0, false));
        assert_eq!(written(&mut clusters, 0, false), (None, -32_768, false));
        assert_eq!(written(&mut clusters, 32_788, true), (Some(32_788), 0, true));
    }

    #[test]
    fn a_checksum_that_would_not_hold_becomes_padding() {
        let mut clusters = Clusters::default();
        let whole = [0xA0, 0x8D, 0xBF, 0x84, 1, 2, 3, 4, 0xA1, 0x85, 0x81, 0, 9, 0, 7];
        let Parsed::Whole(element) = Element::parse(&whole) else { panic!("no element") };
        let block = Block::group(&whole, element).unwrap();
        assert!(clusters.write(&whole, block, 5, true, APART));
        let out = &clusters.written()[22..];
        assert_eq!(out, [0xA0, 0x8D, 0xEC, 0x84, 1, 2, 3, 4, 0xA1, 0x85, 0x81, 0, 0, 0, 7]);
    }
}
