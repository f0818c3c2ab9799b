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

    fn address(&self, offset: u64) -> IpAddr {
        let offset = u32::try_from(offset).unwrap_or(0);
        IpAddr::V4(Ipv4Addr::from_bits(self.first.saturating_add(offset)))
    }
}

/// The address of `nets` that listener `index` connects from, if `ports` connections need a port at
/// one time; `None` if there is no net. Spread over as few addresses as keep each at
/// [`PORTS_PER_ADDRESS`] or fewer, in turn, so that the same plan always gives the same addresses
/// and a server's tables see a lifelike mix. The first net is used up before the next is begun.
pub fn address(nets: &[SourceNet], index: u64, ports: u64) -> Option<IpAddr> {
    let all: u64 = nets.iter().map(|net| u64::from(net.count)).sum();
    let wanted = ports.div_ceil(PORTS_PER_ADDRESS).clamp(1, all.max(1));
    let mut offset = index % wanted;
    for net in nets {
        if offset < u64::from(net.count) {
            return Some(net.address(offset));
        }
        offset -= u64::from(net.count);
    }
    None
}

/// Far below the 28,000 ports of an address, because the kernel searches longer for a free port the
/// fuller an address is.
pub const PORTS_PER_ADDRESS: u64 = 1_000;

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

    fn nets(texts: &[&str]) -> Vec<SourceNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_crowd_spreads_over_enough_addresses_and_no_more() {
        let nets = nets(&["127.0.0.0/8"]);
        assert_eq!(nets, [SourceNet::LOOPBACK]);
        let used: std::collections::HashSet<_> =
            (0..100_000).map(|i| address(&nets, i, 100_000)).collect();
        assert_eq!(used.len(), 100);
        assert_eq!(address(&nets, 0, 5), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(address(&nets, 4, 5), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(address(&nets, 101, 100_000), Some(IpAddr::from([127, 0, 0, 2])));
    }

    #[test]
    fn small_ranges_are_used_up_and_then_shared() {
        let pair = nets(&["10.0.0.4/31"]);
        assert_eq!(address(&pair, 7, 1_000_000), Some(IpAddr::from([10, 0, 0, 5])));
        let single = nets(&["10.0.0.4"]);
        assert_eq!(address(&single, 7, 1_000_000), Some(IpAddr::from([10, 0, 0, 4])));
    }

    #[test]
    fn several_nets_are_used_one_after_the_other() {
        let nets = nets(&["10.0.0.4/31", "10.9.0.1", "10.8.0.0/30"]);
        let used: Vec<_> =
            (0..6).map(|i| address(&nets, i, 1_000_000).unwrap().to_string()).collect();
        assert_eq!(used, ["10.0.0.4", "10.0.0.5", "10.9.0.1", "10.8.0.1", "10.8.0.2", "10.0.0.4"]);
        assert_eq!(address(&nets, 5, 3_000), Some(IpAddr::from([10, 9, 0, 1])));
        assert_eq!(address(&[], 5, 3_000), None);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "127.0.0.0/", "127.0.0.0/33", "0.0.0.0/0", "::1", "a/8", "127.0.0.0/8/8"] {
            assert_eq!(text.parse::<SourceNet>(), Err(NotANet), "{text}");
        }
    }
}
