//! `floe serve`: configuration, limits, sockets, threads, and their end, in the one order that
//! works.
//!
//! Everything that can fail for a reason a person can mend is done before the first core exists:
//! taking over what a service manager passed, reading the configuration, opening logs, binding
//! sockets. Then executors and the control thread's runtime are made, then each core takes its own
//! descriptor table, then they run.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{FILES_MIN, LOCKED_BYTES_MIN};
use crate::config::{self, Config, Cores, Loaded, Server};
use crate::control::notify::Notify;
use crate::domain::capacity::{Capacity, Machine, Wanted};
use crate::rt::clock::Clock;
use crate::rt::cores;
use crate::rt::net::{BindOptions, Bound, bind, is_unknown_family};
use crate::rt::passed::{self, Passed};
use crate::rt::{fds, inherit, steer};

use super::Failure;
use super::cli::{ConfigFile, ServeArgs};
use super::fresh::{self, Fresh};
use super::logging::Logging;
use super::tools::{env, faulty, locate, read_config};
use super::{shelf, threads};

/// Runs the server until it is told to stop.
pub(super) fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let inherited = inherit::take().map_err(|fault| Failure::new(fault.to_string()))?;
    let clock = Clock::start();
    let (loaded, fresh, path) = configuration(args)?;
    let Loaded { config, warnings, attachments } = loaded;
    let shelf = Arc::new(shelf::fill(&attachments, &path).map_err(faulty)?);
    let config = Arc::new(config);
    let found = limits(&config)?;
    let cpus = core_cpus(&config.server)?;
    let sockets = sockets(&config.server, &cpus, inherited.sockets)?;
    if let Some(fresh) = &fresh {
        fresh.write(&path)?;
    }
    let logging = Logging::start(&config.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    announce(&config, &found, &cpus, &sockets);
    if let Some(fresh) = fresh {
        let port = sockets.first().and_then(|of_address| of_address.first());
        fresh.tell(&path, port.map_or(0, |bound| bound.address.port()), &config.auth);
    }
    let listeners_max = u32::try_from(found.capacity.listeners_max).unwrap_or(u32::MAX);
    let notify = notify(inherited.notify_socket, inherited.watchdog);
    let outcome = threads::run(threads::Plan {
        config,
        shelf,
        clock,
        listeners_max,
        cpus,
        sockets,
        logging: &logging,
        notify,
    });
    if outcome.is_ok() {
        tracing::info!("stopped");
    }
    logging.finish();
    outcome
}

/// The way to the service manager. Without it the server is as good, so a fault is only told.
fn notify(socket: Option<OsString>, watchdog: Option<Duration>) -> Notify {
    Notify::open(socket.as_deref(), watchdog).unwrap_or_else(|error| {
        tracing::warn!(
            ?socket, %error, "the service manager will be told nothing: correct NOTIFY_SOCKET"
        );
        Notify::default()
    })
}

/// Finds and reads the configuration; the first start makes one.
fn configuration(args: &ServeArgs) -> Result<(Loaded, Option<Fresh>, std::path::PathBuf), Failure> {
    let file = locate(args.config.as_deref());
    let path = file.path().to_owned();
    let (text, fresh) = match file {
        ConfigFile::Named(path) | ConfigFile::Found(path) => (read_config(&path)?, None),
        ConfigFile::Missing(_) => {
            let fresh = fresh::make()?;
            (fresh.text.clone(), Some(fresh))
        }
    };
    let name = path.display().to_string();
    let loaded = config::load(&text, &name, &args.overlay(&env)).map_err(faulty)?;
    Ok((loaded, fresh, path))
}

/// Raises the process's limits as far as it may and says what they allow.
fn limits(config: &Config) -> Result<Found, Failure> {
    let files = fds::raise_open_files()?;
    let locked = fds::raise_locked_memory()?;
    if locked.soft < LOCKED_BYTES_MIN {
        return Err(Failure::new(format!(
            "the limit of locked memory is {} bytes and io_uring needs {LOCKED_BYTES_MIN}: raise \
             LimitMEMLOCK (ulimit -l)",
            locked.soft
        )));
    }
    if files.soft < FILES_MIN {
        return Err(Failure::new(format!(
            "the limit of open files is {} and floe needs {FILES_MIN} at least: raise LimitNOFILE \
             (ulimit -n)",
            files.soft
        )));
    }
    let (memory_bytes, tcp_bytes) = fds::machine_memory();
    let cores = core_cpus(&config.server)?.len() as u64;
    let machine = Machine { cores, descriptors_per_core: files.soft, memory_bytes, tcp_bytes };
    let limits = &config.limits;
    let capacity = machine.capacity(&Wanted {
        listeners: limits.listeners.into(),
        header_bytes: limits.header_bytes as u64,
        lag_bytes: limits.lag_bytes as u64,
    });
    Ok(Found { machine, capacity })
}

/// A machine and what it allows of the configuration.
struct Found {
    machine: Machine,
    capacity: Capacity,
}

/// The CPU of each listener core.
pub(super) fn core_cpus(server: &Server) -> Result<Vec<usize>, Failure> {
    let cpus = cores::cpus();
    match &server.cores {
        Cores::List(list) => {
            if let Some(missing) = list.iter().find(|cpu| !cpus.contains(cpu)) {
                return Err(Failure::new(format!(
                    "server.cores names CPU {missing}, but this process may run on {cpus:?} only; \
                     name those, or set cores = \"auto\""
                )));
            }
            Ok(list.clone())
        }
        Cores::Auto if cpus.len() >= threads::SPARE_CPU_FROM => Ok(cpus[1..].to_vec()),
        Cores::Auto if cpus.is_empty() => Ok(vec![0]),
        Cores::Auto => Ok(cpus),
    }
}

/// Listening sockets by address, one for each core: those that were passed, and bound ones for the
/// configured addresses that they do not cover.
fn sockets(
    server: &Server,
    cpus: &[usize],
    passed: Vec<OwnedFd>,
) -> Result<Vec<Vec<Bound>>, Failure> {
    let options = BindOptions { cores: cpus.len(), backlog: server.backlog };
    let passed: Vec<Passed> = passed
        .into_iter()
        .map(Passed::examine)
        .collect::<Result<_, _>>()
        .map_err(|unfit| Failure::new(unfit.to_string()))?;
    let mut listen = server.listen.clone();
    listen.retain(|&address| !passed.iter().any(|socket| socket.covers(address)));
    if server.steer {
        steerable(&passed, cpus.len())?;
    }
    let mut sockets = passed::deal(passed, options).map_err(|error| {
        Failure::new(format!("a passed socket cannot be used: {error}; restart the socket unit"))
    })?;
    for address in listen {
        match bind(address, options) {
            Ok(bound) => sockets.push(bound),
            // A machine without IPv6 still serves IPv4.
            Err(error)
                if address == any_v6(address)
                    && server.listen.len() > 1
                    && no_such_family(&error) => {}
            Err(error) => return Err(bind_failure(address, &error)),
        }
    }
    if server.steer {
        for of_address in &sockets {
            steer::attach(&of_address[0], cpus).map_err(|error| {
                Failure::new(format!(
                    "connections cannot be steered to CPUs: {error}; set server.steer = false"
                ))
            })?;
        }
    }
    Ok(sockets)
}

/// Steering chooses among the sockets of an address by the number of the core.
fn steerable(passed: &[Passed], cores: usize) -> Result<(), Failure> {
    for socket in passed {
        let address = socket.address();
        let count = passed.iter().filter(|other| other.address() == address).count();
        if count != cores {
            return Err(Failure::new(format!(
                "connections cannot be steered to CPUs: {count} sockets were passed for {address} \
                 and there are {cores} cores; write ReusePort=yes and {cores} times ListenStream= \
                 in the socket unit, or set server.steer = false"
            )));
        }
    }
    Ok(())
}

fn any_v6(address: SocketAddr) -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, address.port()))
}

fn no_such_family(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || is_unknown_family(error)
}

fn bind_failure(address: SocketAddr, error: &std::io::Error) -> Failure {
    let port = address.port();
    let cure = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another port with --listen or \
             server.listen"
                .to_owned()
        }
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 need a privilege; choose a higher one, have systemd pass the socket, \
             or give floe CAP_NET_BIND_SERVICE (port {port})"
        ),
        ErrorKind::AddrNotAvailable => {
            "no interface has this address; correct server.listen".to_owned()
        }
        _ => "correct server.listen".to_owned(),
    };
    Failure::new(format!("cannot listen on {address}: {error}; {cure}"))
}

/// What an operator wants to know of a start.
fn announce(config: &Config, found: &Found, cpus: &[usize], sockets: &[Vec<Bound>]) {
    let Found { machine, capacity } = found;
    let mib = |bytes: u64| bytes >> 20;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), cores = ?cpus, "floe starts");
    tracing::info!(
        listeners_max = capacity.listeners_max,
        listeners_per_core = capacity.listeners_per_core,
        process_mib_at_full_load = mib(capacity.process_bytes),
        kernel_mib_at_full_load = mib(capacity.kernel_bytes),
        kernel_mib_if_all_stop_reading = mib(capacity.kernel_bytes_stopped),
        kib_a_mount = capacity.mount_bytes >> 10,
        "what this machine allows"
    );
    for shortage in machine.shortages(capacity) {
        tracing::warn!("{}", shortage.cure());
    }
    if config.auth.source_password.is_none() {
        tracing::warn!("auth.source_password is not set: only mounts with their own can be used");
    }
    for bound in sockets.iter().filter_map(|of_address| of_address.first()) {
        let words = if bound.is_passed { "listening on a passed socket" } else { "listening" };
        tracing::info!(address = %bound.address, "{words}");
    }
}
