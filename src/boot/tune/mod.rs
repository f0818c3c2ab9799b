//! `floe tune`: reads the host, has `domain::tuning` judge it, and shows, sets or restores what it
//! says. It runs on the main thread and starts nothing.
//!
//! | file | what it does |
//! |---|---|
//! | `host` | reads the host, and writes kernel variables |
//! | `files` | the texts of the two files under `/etc` |
//! | `apply` | writes and removes them, sets and restores what they say |
//! | `show` | the table, for people and as JSON |

mod apply;
mod files;
mod host;
mod show;

use std::path::Path;

use crate::config::{self, Config};
use crate::domain::tuning::{self, Aim};
use crate::rt::{cores, fds};

use super::Failure;
use super::cli::{ConfigFile, TuneArgs};
use super::serve;
use super::tools::{env, locate, print, read_config, say};
use host::Host;

/// What is planned for if nobody says: the size of server the project is made for.
const LISTENERS: u64 = 100_000;

/// `floe tune`.
pub(super) fn tune(args: &TuneArgs) -> Result<(), Failure> {
    let host = Host::at(&args.root);
    if args.undo {
        return told(apply::undo(&host)?);
    }
    let kbit = u64::from(args.bitrate);
    if args.sysctl_file || args.limits_file {
        let mut aim = Aim::anywhere(args.listeners.map_or(LISTENERS, u64::from), kbit);
        if args.sysctl_file {
            // With the few pages that ten listeners need no host could even be reached any more:
            // the file sets what it says, and knows nothing of what there is.
            aim.listeners = aim.listeners.max(LISTENERS);
        }
        let text =
            if args.sysctl_file { files::any_sysctls(&aim) } else { files::any_limits(&aim) };
        return print(text.trim_end());
    }
    let config = configuration(args.config.as_deref())?;
    let aim = aim(args.listeners, kbit, &config, &host)?;
    if args.apply {
        return told(apply::apply(&host, &aim)?);
    }
    let rows = tuning::table(&aim, &host.facts());
    print(&if args.json { show::json(&aim, &rows) } else { show::text(&aim, &rows) })?;
    let failing: Vec<_> =
        rows.iter().filter(|row| row.fails()).map(|row| row.name.as_str()).collect();
    if args.check && !failing.is_empty() {
        return Err(Failure::new(format!(
            "this host does not carry {} listeners until these are set: {}; the table has the \
             commands, and floe tune --apply sets the kernel's variables",
            show::thousands(aim.listeners),
            failing.join(", ")
        )));
    }
    Ok(())
}

/// Prints what was done, and what the kernel refused; fails if that was something needed.
fn told(done: apply::Done) -> Result<(), Failure> {
    print(&done.lines.join("\n"))?;
    if done.refused.is_empty() {
        return Ok(());
    }
    let refused = format!(
        "the kernel refused what follows; in a container the host has to set it, and what a module \
         brings has to be loaded first:\n{}",
        done.refused.join("\n")
    );
    if done.failed {
        return Err(Failure::new(refused));
    }
    say(&format!("warning: {refused}"));
    Ok(())
}

/// The configuration, or its defaults if there is none in the usual places.
fn configuration(named: Option<&Path>) -> Result<Config, Failure> {
    let file = locate(named);
    let text = match &file {
        ConfigFile::Named(path) | ConfigFile::Found(path) => read_config(path)?,
        ConfigFile::Missing(_) => String::new(),
    };
    let name = file.path().display().to_string();
    let loaded = config::load(&text, &name, &env)
        .map_err(|faults| Failure::new(format!("the configuration has faults:\n{faults}")))?;
    Ok(loaded.config)
}

/// What the host is to carry, and what it has.
fn aim(
    listeners: Option<u32>,
    kbit_per_second: u64,
    config: &Config,
    host: &Host,
) -> Result<Aim, Failure> {
    let configured = Some(config.limits.listeners).filter(|listeners| *listeners > 0);
    Ok(Aim {
        listeners: listeners.or(configured).map_or(LISTENERS, u64::from),
        kbit_per_second,
        beat_max: config.server.beat_max,
        backlog: config.server.backlog.into(),
        cores: serve::core_cpus(&config.server)?.len() as u64,
        cpus: cores::cpus().len().max(1) as u64,
        memory_bytes: host.memory_bytes(),
        page_bytes: fds::page_bytes(),
        paced: host.sysctl("net.ipv4.tcp_congestion_control").as_deref() == Some("bbr"),
    })
}
