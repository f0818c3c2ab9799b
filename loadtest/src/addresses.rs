//! Which source address a listener connects from. Between one pair of addresses there are about
//! 28,000 ports; a crowd on one machine needs more source addresses, and all of 127.0.0.0/8 is
//! there for it without any setup.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A range of IPv4 addresses, all of which must belong to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceNet {
    first: u32,
    count: u32,
}

/// Why a source range cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANet;

impl std::fmt::Display for NotANet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected an IPv4 address or range such as 127.0.0.0/8")
    }
}

impl std::error::Error for NotANet {}

impl SourceNet {
    /// All of the loopback net.
    pub const LOOPBACK: Self = Self { first: 0x7f00_0001, count: (1 << 24) - 2 };

    /// The address of listener `index` among `listeners`. Spread over as few addresses as keep each
    /// at [`LISTENERS_PER_ADDRESS`] or fewer, in turn, so that the same plan always gives the same
    /// addresses and a server's tables see a lifelike mix.
    pub fn address(&self, index: u64, listeners: u64) -> IpAddr {
        let wanted = listeners.div_ceil(LISTENERS_PER_ADDRESS).clamp(1, u64::from(self.count));
        let offset = u32::try_from(index % wanted).unwrap_or(0);
        IpAddr::V4(Ipv4Addr::from_bits(self.first.saturating_add(offset)))
    }
}

/// Far below the 28,000 ports of an address, because the kernel searches longer for a free port the
/// fuller an address is.
pub const LISTENERS_PER_ADDRESS: u64 = 1_000;

impl FromStr for SourceNet {
    type Err = NotANet;

    /// Reads `a.b.c.d` or `a.b.c.d/n`. The net's own address and its broadcast address are left out
    /// of ranges that have them.
    fn from_str(text: &str) -> Result<Self, NotANet> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let address = address.parse::<Ipv4Addr>().map_err(|_| NotANet)?.to_bits();
        let prefix = prefix.parse::<u32>().ok().filter(|&bits| bits <= 32).ok_or(NotANet)?;
        // A /0 has no place here; treating it as a /1 would surprise, so it is refused.
        let size = 1u32.checked_shl(32 - prefix).ok_or(NotANet)?;
        let net = address & !(size - 1);
        if size <= 2 {
            Ok(Self { first: net, count: size })
        } else {
            Ok(Self { first: net + 1, count: size - 2 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_spreads_over_enough_addresses_and_no_more() {
        let net: SourceNet = "127.0.0.0/8".parse().unwrap();
        assert_eq!(net, SourceNet::LOOPBACK);
        let used: std::collections::HashSet<_> =
            (0..100_000).map(|i| net.address(i, 100_000)).collect();
        assert_eq!(used.len(), 100);
        assert_eq!(net.address(0, 5), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(net.address(4, 5), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(net.address(101, 100_000), IpAddr::from([127, 0, 0, 2]));
    }

    #[test]
    fn small_ranges_are_used_up_and_then_shared() {
        let pair: SourceNet = "10.0.0.4/31".parse().unwrap();
        assert_eq!(pair.address(7, 1_000_000), IpAddr::from([10, 0, 0, 5]));
        let single: SourceNet = "10.0.0.4".parse().unwrap();
        assert_eq!(single.address(7, 1_000_000), IpAddr::from([10, 0, 0, 4]));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "127.0.0.0/", "127.0.0.0/33", "0.0.0.0/0", "::1", "a/8", "127.0.0.0/8/8"] {
            assert_eq!(text.parse::<SourceNet>(), Err(NotANet), "{text}");
        }
    }
}
