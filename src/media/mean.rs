//! HOT PATH. The bitrate of a stream from the frames that went by. Source core; reads no clock:
//! time is counted in samples.

/// The mean bitrate of the last seconds, in three words instead of a history: when the window is
/// full both sums are halved, so that what is old weighs ever less.
#[derive(Debug, Default)]
pub(super) struct Mean {
    bytes: u64,
    samples: u64,
    /// Samples since the bitrate in the headers last changed; `None` if it never did.
    samples_since_change: Option<u64>,
}

impl Mean {
    /// Seconds at which the sums are halved. Shorter, and a quiet passage shows as another bitrate;
    /// longer, and an encoder's new setting is long in coming.
    const WINDOW_SECONDS: u64 = 16;

    /// Accounts for a frame of `bytes` and `samples` at `rate` Hz; `changed` tells that its header
    /// names another bitrate than the one before.
    #[inline]
    pub(super) fn add(&mut self, bytes: usize, samples: u32, rate: u32, changed: bool) {
        self.bytes += bytes as u64;
        self.samples += u64::from(samples);
        if self.samples >= Self::WINDOW_SECONDS * u64::from(rate) {
            self.bytes /= 2;
            self.samples /= 2;
        }
        if changed {
            self.samples_since_change = Some(0);
        } else if let Some(since) = &mut self.samples_since_change {
            *since += u64::from(samples);
        }
    }

    /// Whether the headers name one bitrate for a window or longer, or ever since.
    pub(super) fn is_steady(&self, rate: u32) -> bool {
        self.samples_since_change
            .is_none_or(|since| since >= Self::WINDOW_SECONDS * u64::from(rate))
    }

    /// In kbit/s, rounded.
    pub(super) fn kbps(&self, rate: u32) -> Option<u32> {
        let bits_by_rate = self.bytes * 8 * u64::from(rate);
        let per_kbit = self.samples * 1_000;
        let rounded = (bits_by_rate + per_kbit / 2).checked_div(per_kbit)?;
        u32::try_from(rounded).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_frame() {
        assert_eq!(Mean::default().kbps(48_000), None);
        assert!(Mean::default().is_steady(48_000));
    }

    #[test]
    fn a_new_bitrate_outweighs_the_old_one_within_two_windows() {
        let mut mean = Mean::default();
        let mut hear = |seconds: u32, bytes: usize| {
            for _ in 0..seconds * 50 {
                mean.add(bytes, 960, 48_000, false);
            }
            mean.kbps(48_000)
        };
        // 50 frames a second: 160 bytes are 64 kbit/s, 320 bytes 128 kbit/s.
        assert_eq!(hear(3_600, 160), Some(64));
        assert!(hear(32, 320).is_some_and(|kbps| kbps >= 112));
        assert_eq!(hear(120, 320), Some(128));
    }

    #[test]
    fn a_stream_is_steady_again_a_window_after_its_last_change() {
        let mut mean = Mean::default();
        mean.add(100, 48_000, 48_000, true);
        for second in 0..16 {
            assert!(!mean.is_steady(48_000), "{second}");
            mean.add(100, 48_000, 48_000, false);
        }
        assert!(mean.is_steady(48_000));
    }
}
