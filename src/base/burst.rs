//! How much of the past a newcomer gets at once: what the configuration sets for a mount, and what
//! a listener may ask for itself.

use std::time::Duration;

/// How much a newcomer gets at once, so that playing starts without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// As many bytes as the stream had in this time.
    Time(Duration),
    /// This many bytes.
    Bytes(usize),
}

impl Burst {
    /// What is left of it once `span` or `bytes` of it are there, whichever it is told in.
    #[must_use]
    pub fn less(self, span: Duration, bytes: usize) -> Self {
        match self {
            Self::Time(wanted) => Self::Time(wanted.saturating_sub(span)),
            Self::Bytes(wanted) => Self::Bytes(wanted.saturating_sub(bytes)),
        }
    }

    /// Whether it is more than `other` on every stream. A time and a size cannot be compared
    /// without the stream's rate; neither is more than the other then.
    pub fn exceeds(self, other: Self) -> bool {
        match (self, other) {
            (Self::Time(span), Self::Time(other)) => span > other,
            (Self::Bytes(bytes), Self::Bytes(other)) => bytes > other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bursts_of_one_kind_are_compared() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(Burst::Time(minute).exceeds(Burst::Time(second)));
        assert!(!Burst::Time(second).exceeds(Burst::Time(second)));
        assert!(Burst::Bytes(2).exceeds(Burst::Bytes(1)));
        assert!(!Burst::Time(minute).exceeds(Burst::Bytes(1)));
        assert!(!Burst::Bytes(usize::MAX).exceeds(Burst::Time(second)));
    }
}
