//! What the kernel needs for the listeners' sockets: the arithmetic behind `net.ipv4.tcp_mem` and
//! the memory a start prints. It reads nothing of the machine.
//!
//! Two kinds of memory are told apart, because only the second counts against `tcp_mem`:
//!
//! - *structures*: slab objects of one accepted socket;
//! - *queued bytes*: what was sent and is not yet acknowledged, charged in whole pages.

use crate::base::limits::UNSENT_BYTES_MAX;

/// Bytes of structures of one accepted socket. On Linux 6.18 they are `TCPv6` 2,496,
/// `sock_inode_cache` 832, `dentry` 192, `filp` 192 and a slot of the descriptor table: 3,720
/// (`/proc/slabinfo`), and slabs are not always full.
pub const SOCKET_BYTES: u64 = 4 * 1024;

/// What the kernel may take over [`UNSENT_BYTES_MAX`] before it stops: it looks at the mark before
/// it takes a buffer and not within it. A reader that stopped was measured to hold 160,328 bytes.
const OVERSHOOT_BYTES: u64 = 32 * 1024;

/// Of how many listeners one is planned to stop reading at the same time as others: a mobile
/// network's outage. Stopped listeners leave after `limits.stall_timeout`.
const STOPPED_ONE_IN: u64 = 4;

/// What all listeners together send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Listeners.
    pub listeners: u64,
    /// Bytes that one send carries to each: the bitrate over the longest beat.
    pub beat_bytes: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
}

/// The three numbers of `net.ipv4.tcp_mem`, in pages (Documentation/networking/ip-sysctl.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpMem {
    /// Below it the kernel does not look at what TCP takes.
    pub low: u64,
    /// Above it buffers grow no more until `low` is reached again.
    pub pressure: u64,
    /// Above it sends fail and connections are broken (`TCPAbortOnMemory`).
    pub high: u64,
}

/// Bytes that a stream of this rate has for one beat.
pub fn beat_bytes(kbit_per_second: u64, beat: std::time::Duration) -> u64 {
    let millis = u64::try_from(beat.as_millis()).unwrap_or(u64::MAX);
    // A kbit/s is 1,000 bits in 1,000 ms, so it is bits for each millisecond.
    kbit_per_second.saturating_mul(millis) / 8
}

impl Crowd {
    /// Bytes charged for a listener whose last send is not acknowledged. Measured for 4,000,
    /// 8,000, 16,000 and 40,000 bytes: 5,816, 10,496, 18,401 and 42,065, so whole pages and one
    /// for the packets' heads.
    pub fn queued_bytes(&self) -> u64 {
        let page = self.page_bytes.max(1);
        self.beat_bytes.div_ceil(page).saturating_add(1).saturating_mul(page)
    }

    /// Bytes charged for a listener that stopped reading, its own receive window aside, which its
    /// own machine pays for.
    pub fn stopped_bytes(&self) -> u64 {
        self.queued_bytes().max(u64::from(UNSENT_BYTES_MAX) + OVERSHOOT_BYTES)
    }

    /// Bytes of the kernel for all of them with one send under way to each.
    pub fn kernel_bytes(&self) -> u64 {
        self.listeners.saturating_mul(SOCKET_BYTES + self.queued_bytes())
    }

    /// Bytes of the kernel if all of them stopped reading.
    pub fn kernel_bytes_stopped(&self) -> u64 {
        self.listeners.saturating_mul(SOCKET_BYTES + self.stopped_bytes())
    }

    /// Bytes charged against `tcp_mem` with one send under way to each.
    pub fn charged_bytes(&self) -> u64 {
        self.listeners.saturating_mul(self.queued_bytes())
    }

    /// The `tcp_mem` that holds them: no pressure while a send is under way to everybody, no broken
    /// connection while a quarter has stopped reading besides, and `pressure` half-way between.
    ///
    /// TCP gets half of `memory_bytes` at most (0 = unknown), because what it holds cannot be
    /// swapped; the three keep their proportions then.
    pub fn tcp_mem(&self, memory_bytes: u64) -> TcpMem {
        let page = self.page_bytes.max(1);
        let charged = self.charged_bytes();
        let stopped = (self.listeners / STOPPED_ONE_IN).saturating_mul(self.stopped_bytes());
        let wanted = charged.saturating_add(stopped);
        let ceiling = if memory_bytes == 0 { u64::MAX } else { memory_bytes / 2 };
        let high = wanted.min(ceiling);
        let low = if high == wanted { charged } else { part(high, charged, wanted) };
        let pages = |bytes: u64| bytes.div_ceil(page);
        TcpMem { low: pages(low), pressure: pages(low.midpoint(high)), high: pages(high) }
    }
}

/// `whole * of / among`, without overflow on the way.
fn part(whole: u64, of: u64, among: u64) -> u64 {
    let result = u128::from(whole) * u128::from(of) / u128::from(among.max(1));
    u64::try_from(result).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn crowd(listeners: u64, kbit_per_second: u64) -> Crowd {
        let beat_bytes = beat_bytes(kbit_per_second, Duration::from_secs(1));
        Crowd { listeners, beat_bytes, page_bytes: 4096 }
    }

    #[test]
    fn a_beat_carries_the_bitrate() {
        assert_eq!(beat_bytes(128, Duration::from_secs(1)), 16_000);
        assert_eq!(beat_bytes(320, Duration::from_millis(250)), 10_000);
        assert_eq!(beat_bytes(u64::MAX, Duration::MAX), u64::MAX / 8);
    }

    #[test]
    fn queued_bytes_cover_what_was_measured() {
        for (sent, measured) in
            [(4_000, 5_816), (8_000, 10_496), (16_000, 18_401), (40_000, 42_065)]
        {
            let planned = Crowd { beat_bytes: sent, ..crowd(1, 128) }.queued_bytes();
            assert!(planned >= measured && planned < measured + 2 * 4096, "{sent}: {planned}");
        }
        assert!(crowd(1, 128).stopped_bytes() >= 160_328);
    }

    /// The table of tuning/README.md, line for line.
    #[test]
    fn the_three_numbers_for_ten_thousand_to_a_million() {
        let table = include_str!("../../tuning/README.md");
        for listeners in [10_000, 100_000, 1_000_000] {
            let crowd = crowd(listeners, 128);
            let TcpMem { low, pressure, high } = crowd.tcp_mem(0);
            assert_eq!(low, listeners * 5);
            assert_eq!(high, listeners * 5 + listeners / 4 * 40);
            assert_eq!(pressure, (low + high) / 2);
            let gb = |bytes: u64| {
                let hundredths = bytes / 10_000_000;
                format!("{}.{:02} GB", hundredths / 100, hundredths % 100)
            };
            let line = format!(
                "| {} | {} | {} | {} | {} | `{low} {pressure} {high}` |",
                thousands(listeners),
                gb(listeners * SOCKET_BYTES),
                gb(crowd.charged_bytes()),
                gb(crowd.kernel_bytes()),
                gb(crowd.kernel_bytes_stopped()),
            );
            assert!(table.contains(&line), "tuning/README.md lacks this line:\n{line}");
        }
    }

    fn thousands(number: u64) -> String {
        match number / 1_000 {
            0 => number.to_string(),
            above => format!("{},{:03}", thousands(above), number % 1_000),
        }
    }

    #[test]
    fn tcp_gets_half_of_the_memory_at_most_and_keeps_its_proportions() {
        let small = crowd(100_000, 128).tcp_mem(4 << 30);
        assert_eq!(small.high, (2 << 30) / 4096);
        assert!(small.low < small.pressure && small.pressure < small.high);
        let third = small.high / 3;
        assert!(small.low.abs_diff(third) <= 1, "{small:?}");
        let nobody = crowd(0, 128).tcp_mem(4 << 30);
        assert_eq!(nobody, TcpMem { low: 0, pressure: 0, high: 0 });
        let absurd = crowd(u64::MAX, u64::MAX).tcp_mem(0);
        assert!(absurd.low <= absurd.pressure && absurd.pressure <= absurd.high);
    }
}
