//! From a checked scenario and the place of a server to what is run: a plan for each crowd's
//! workers and a program for each kind of source.

use super::CrowdLimits;
use super::format::{Crowd, Scenario, Source};
use crate::addresses::SourceNet;
use crate::plan::{Behaviour, Plan};
use crate::target;
use std::net::SocketAddr;
use std::time::Duration;

/// Where the server under test listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its address.
    pub address: SocketAddr,
    /// The `Host` header's value.
    pub authority: String,
    /// What sources sign in with.
    pub password: String,
}

/// A crowd, ready to be launched.
#[derive(Clone, Debug)]
pub struct LoadedCrowd {
    /// What results call it.
    pub name: String,
    /// When it begins to come, from the start of the load.
    pub at: Duration,
    /// What its workers do.
    pub plan: Plan,
    /// What it is judged by.
    pub limits: CrowdLimits,
}

/// All crowds of `scenario`, to listen at `place`.
pub fn load(scenario: &Scenario, place: &Place) -> Vec<LoadedCrowd> {
    let on_loopback = place.address.is_ipv4() && place.address.ip().is_loopback();
    let crowds = scenario.crowd.iter().map(toml::Spanned::as_ref);
    crowds
        .map(|crowd| LoadedCrowd {
            name: crowd.name.clone(),
            at: crowd.at,
            limits: scenario.limits.for_crowd(crowd),
            plan: plan(scenario, crowd, place, on_loopback),
        })
        .collect()
}

fn plan(scenario: &Scenario, crowd: &Crowd, place: &Place, on_loopback: bool) -> Plan {
    let mounts = mounts_of(scenario, crowd);
    let kbit = crowd.bitrate_kbit.or_else(|| kbit_of(scenario, mounts.first()?)).unwrap_or(0);
    let sources = if crowd.sources_from.is_empty() && on_loopback {
        vec![SourceNet::LOOPBACK]
    } else {
        crowd.sources_from.clone()
    };
    Plan {
        server: place.address,
        authority: place.authority.clone(),
        mounts,
        user_agents: agents(crowd),
        indexes: 0..crowd.listeners,
        listeners: crowd.listeners,
        rate: crowd.rate,
        connecting_max: usize::try_from(crowd.connecting_max).unwrap_or(usize::MAX),
        icy: crowd.icy,
        sources,
        bytes_per_s: u64::from(kbit) * 1_000 / 8,
        behaviour: Behaviour {
            slow_fraction: crowd.slow_fraction,
            slow_rate: crowd.slow_rate,
            stop_fraction: crowd.stop_fraction,
            half_open_fraction: crowd.half_open_fraction,
            slow_head_fraction: crowd.slow_head_fraction,
            leaves_per_s: crowd.leaves_per_s,
            zaps: crowd.zaps,
            storm_at: crowd.storm_at,
        },
        checked: crowd.verify,
        copy: false,
        settle: SETTLE,
        tick: crowd.tick,
        patience: crowd.patience,
    }
}

/// Names in turn, each as often as the mix says. They are dealt like cards, one of each that has
/// some left, so that no run of listeners is all the same player.
fn agents(crowd: &Crowd) -> Vec<String> {
    let most = crowd.user_agents.values().copied().max().unwrap_or(0);
    let dealt = (0..most).flat_map(|round| {
        crowd.user_agents.iter().filter(move |(_, count)| **count > round).map(|(name, _)| name)
    });
    dealt.cloned().collect()
}

/// The mounts that `crowd` listens to.
pub(super) fn mounts_of(scenario: &Scenario, crowd: &Crowd) -> Vec<String> {
    if crowd.mounts.is_empty() {
        scenario.source.iter().flat_map(|source| source_mounts(source.as_ref())).collect()
    } else {
        let numbered = |mount: &String| target::numbered_mounts(mount, crowd.mount_count);
        crowd.mounts.iter().flat_map(numbered).collect()
    }
}

/// What the source of `mount` sends, in kbit/s.
pub(super) fn kbit_of(scenario: &Scenario, mount: &str) -> Option<u32> {
    let mut sources = scenario.source.iter().map(toml::Spanned::as_ref);
    let source =
        sources.find(|source| source_mounts(source).iter().any(|numbered| numbered == mount))?;
    Some(source.bitrate_kbit)
}

/// The mounts that `source` stands for.
pub fn source_mounts(source: &Source) -> Vec<String> {
    target::numbered_mounts(&source.mount, source.count)
}

/// A burst has been heard by then, and what follows is the stream's own rate.
const SETTLE: Duration = Duration::from_secs(5);
