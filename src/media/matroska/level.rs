//! Where a source's next element stands, and which ones may stand there. Source core.

use super::ebml::{Element, id};

/// What the next element stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Level {
    /// A segment, or nothing.
    #[default]
    Segment,
    /// A cluster with so many bytes left, if it told.
    Cluster(Option<u64>),
}

/// Where an element may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In a segment, or around it.
    Segment,
    /// In a cluster.
    Cluster,
    /// In both.
    Anywhere,
}

impl Home {
    /// That of the elements with this id; `None` for one that RFC 9559 has neither in segments nor
    /// in clusters.
    #[inline]
    pub(super) fn of(id: u32) -> Option<Self> {
        match id {
            id::SIMPLE_BLOCK | id::BLOCK_GROUP | id::TIMESTAMP => Some(Self::Cluster),
            id::SILENT_TRACKS | id::POSITION | id::PREV_SIZE | id::ENCRYPTED_BLOCK => {
                Some(Self::Cluster)
            }
            id::EBML | id::SEGMENT | id::INFO | id::TRACKS | id::CLUSTER => Some(Self::Segment),
            id::SEEK_HEAD | id::CUES | id::CHAPTERS | id::ATTACHMENTS | id::TAGS => {
                Some(Self::Segment)
            }
            id::VOID | id::CRC_32 => Some(Self::Anywhere),
            _ => None,
        }
    }
}

impl Level {
    /// Whether `element` may stand here and ends where it must. Segments and clusters alone can do
    /// without a size. A cluster without one ends where something of a segment stands.
    #[inline]
    pub(super) fn admits(self, element: Element) -> bool {
        let Some(home) = Home::of(element.id) else { return false };
        let has_size =
            element.body_bytes.is_some() || matches!(element.id, id::SEGMENT | id::CLUSTER);
        let fits = match self {
            Self::Segment => home != Home::Cluster,
            Self::Cluster(None) => true,
            Self::Cluster(Some(left)) => {
                let header_bytes = element.header_bytes as u64;
                let ends = element.body_bytes.is_some_and(|body| body + header_bytes <= left);
                home != Home::Segment && ends
            }
        };
        has_size && fits
    }

    /// The level behind `bytes` of an element with this id, none of which is a cluster's head.
    #[inline]
    pub(super) fn behind(self, id: u32, bytes: usize) -> Self {
        match self {
            Self::Cluster(left) if Home::of(id) != Some(Home::Segment) => {
                Self::in_cluster(left.map(|left| left.saturating_sub(bytes as u64)))
            }
            _ => Self::Segment,
        }
    }

    /// The level within a cluster with so many bytes left, if it told.
    #[inline]
    pub(super) fn in_cluster(left: Option<u64>) -> Self {
        if left == Some(0) { Self::Segment } else { Self::Cluster(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: u32, body_bytes: Option<u64>) -> Element {
        Element { id, header_bytes: 2, body_bytes }
    }

    #[test]
    fn nothing_crosses_the_end_of_a_cluster() {
        let level = Level::in_cluster(Some(10));
        assert!(level.admits(element(id::SIMPLE_BLOCK, Some(8))));
        assert!(!level.admits(element(id::SIMPLE_BLOCK, Some(9))));
        assert!(!level.admits(element(id::SIMPLE_BLOCK, Some((1 << 56) - 2))));
        assert!(!level.admits(element(id::CLUSTER, None)), "it has not ended");
        assert_eq!(level.behind(id::SIMPLE_BLOCK, 4), Level::Cluster(Some(6)));
        assert_eq!(level.behind(id::SIMPLE_BLOCK, 10), Level::Segment);
    }

    #[test]
    fn a_cluster_without_size_ends_where_something_of_a_segment_stands() {
        let level = Level::in_cluster(None);
        for id in [id::SIMPLE_BLOCK, id::VOID, id::CLUSTER, id::TAGS, id::EBML] {
            assert!(level.admits(element(id, Some(100))));
        }
        assert_eq!(level.behind(id::VOID, 10), level);
        assert_eq!(level.behind(id::CUES, 10), Level::Segment);
        assert!(!Level::Segment.admits(element(id::SIMPLE_BLOCK, Some(1))));
    }

    #[test]
    fn only_segments_and_clusters_go_without_a_size() {
        for (id, admitted) in
            [(id::SEGMENT, true), (id::CLUSTER, true), (id::TRACKS, false), (id::TAGS, false)]
        {
            assert_eq!(Level::Segment.admits(element(id, None)), admitted);
        }
        assert!(!Level::in_cluster(None).admits(element(id::BLOCK_GROUP, None)));
        assert!(!Level::Segment.admits(element(id::TRACK_ENTRY, Some(1))), "of no segment");
    }
}
