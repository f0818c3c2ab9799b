//! What the process that started this one handed down: listening sockets (`sd_listen_fds(3)`), the
//! address of the service manager (`sd_notify(3)`) and its watchdog (`sd_watchdog_enabled(3)`).
//! Taken once, by the main thread before there is another. It opens nothing.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::base::limits::PASSED_SOCKETS_MAX;

/// The number of the first passed descriptor: SD_LISTEN_FDS_START.
const FIRST: RawFd = 3;

/// Every variable of the protocol. They are for this process alone, so none of its children is to
/// see them.
const VARIABLES: [&str; 6] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What was handed down. Without a service manager all of it is empty.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Passed sockets, in their order, still to be examined.
    pub sockets: Vec<OwnedFd>,
    /// Where the service manager listens: a path, or an abstract name after `@`.
    pub notify_socket: Option<OsString>,
    /// How long the service manager waits for a sign of life.
    pub watchdog: Option<Duration>,
}

/// Why what was handed down cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// This variable is no number, or none that makes sense.
    Number {
        /// Its name.
        variable: &'static str,
        /// What it says.
        found: OsString,
    },
    /// More sockets than the ceiling.
    TooMany(usize),
    /// A descriptor that was announced is not there.
    Missing(RawFd, io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { variable, found } => {
                let found = found.to_string_lossy();
                write!(out, "{variable} is \"{found}\" and should be a number above 0; unset it")
            }
            Self::TooMany(count) => write!(
                out,
                "{count} sockets were passed and {PASSED_SOCKETS_MAX} are the most; remove some \
                 ListenStream= lines of the socket unit"
            ),
            Self::Missing(number, error) => write!(
                out,
                "descriptor {number} was announced by LISTEN_FDS and is not there: {error}; unset \
                 LISTEN_PID and LISTEN_FDS"
            ),
        }
    }
}

/// Takes over what was handed down, and takes its variables out of the environment. Call it first,
/// while the process has one thread and has opened nothing.
///
/// # Errors
/// What this process was announced and cannot be used. What is meant for another process
/// (LISTEN_PID, WATCHDOG_PID) is left out without a word.
pub fn take() -> Result<Inherited, Fault> {
    let announced = announced(&|name| std::env::var_os(name), std::process::id());
    forget_variables();
    let Announced { sockets, notify_socket, watchdog } = announced?;
    let numbers = FIRST..FIRST + RawFd::try_from(sockets).unwrap_or(0);
    let sockets = numbers.map(adopt).collect::<Result<_, _>>()?;
    Ok(Inherited { sockets, notify_socket, watchdog })
}

/// What the variables say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Announced {
    sockets: usize,
    notify_socket: Option<OsString>,
    watchdog: Option<Duration>,
}

/// Reads the variables; `pid` is this process.
fn announced(env: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Result<Announced, Fault> {
    let set = |name| env(name).filter(|value| !value.is_empty());
    let number = |variable| {
        let Some(found) = set(variable) else { return Ok(None) };
        let number = found.to_str().and_then(|text| text.parse::<u64>().ok());
        match number.filter(|number| *number > 0) {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::Number { variable, found }),
        }
    };
    let own = Some(u64::from(pid));
    let mut announced = Announced { notify_socket: set("NOTIFY_SOCKET"), ..Announced::default() };
    // A watchdog without a process is for whoever reads it, sockets without one are for nobody.
    if set("WATCHDOG_PID").is_none() || number("WATCHDOG_PID")? == own {
        announced.watchdog = number("WATCHDOG_USEC")?.map(Duration::from_micros);
    }
    if number("LISTEN_PID")? == own {
        let count = number("LISTEN_FDS")?.unwrap_or(0);
        announced.sockets = usize::try_from(count).unwrap_or(usize::MAX);
        if announced.sockets > PASSED_SOCKETS_MAX {
            return Err(Fault::TooMany(announced.sockets));
        }
    }
    Ok(announced)
}

/// Takes a passed descriptor over and keeps it from children.
fn adopt(number: RawFd) -> Result<OwnedFd, Fault> {
    // SAFETY: fcntl on a number has no memory effect; one that is not open is told by EBADF.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result == -1 {
        return Err(Fault::Missing(number, io::Error::last_os_error()));
    }
    // SAFETY: it is open, and nobody else owns it: it was passed to this process, which has opened
    // nothing itself when `take` is called, and is taken once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes the variables out of the environment, unless another thread could be reading it.
#[allow(clippy::disallowed_methods, reason = "there is no other thread: it is counted")]
fn forget_variables() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return;
    }
    for name in VARIABLES {
        // SAFETY: this is the only thread, as was just counted, so nobody reads the environment.
        unsafe { std::env::remove_var(name) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 77;

    fn read(pairs: &[(&str, &str)]) -> Result<Announced, String> {
        let env = |name: &str| {
            let pair = pairs.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(pair.1))
        };
        announced(&env, PID).map_err(|fault| fault.to_string())
    }

    #[test]
    fn without_variables_nothing_is_announced() {
        assert_eq!(read(&[]), Ok(Announced::default()));
        let empty = VARIABLES.map(|name| (name, ""));
        assert_eq!(read(&empty), Ok(Announced::default()));
    }

    #[test]
    fn everything_a_service_manager_announces_is_read() {
        let announced = read(&[
            ("LISTEN_PID", "77"),
            ("LISTEN_FDS", "2"),
            ("LISTEN_FDNAMES", "http:http"),
            ("NOTIFY_SOCKET", "@floe"),
            ("WATCHDOG_PID", "77"),
            ("WATCHDOG_USEC", "30000000"),
        ]);
        let notify_socket = Some(OsString::from("@floe"));
        let watchdog = Some(Duration::from_secs(30));
        assert_eq!(announced, Ok(Announced { sockets: 2, notify_socket, watchdog }));
    }

    #[test]
    fn what_is_meant_for_another_process_is_left_to_it() {
        let other = [("LISTEN_PID", "78"), ("LISTEN_FDS", "2")];
        assert_eq!(read(&other), Ok(Announced::default()));
        assert_eq!(read(&[("LISTEN_FDS", "2")]), Ok(Announced::default()));
        let other = [("WATCHDOG_PID", "78"), ("WATCHDOG_USEC", "1000")];
        assert_eq!(read(&other), Ok(Announced::default()));
        let anybody = read(&[("WATCHDOG_USEC", "1000")]).expect("it is well formed");
        assert_eq!(anybody.watchdog, Some(Duration::from_millis(1)));
    }

    #[test]
    fn what_makes_no_sense_is_a_fault_that_names_the_variable() {
        for (name, value) in [
            ("LISTEN_PID", "self"),
            ("LISTEN_FDS", "-1"),
            ("LISTEN_FDS", "0"),
            ("LISTEN_FDS", "99999999999999999999"),
            ("WATCHDOG_USEC", "0"),
            ("WATCHDOG_USEC", "30s"),
            ("WATCHDOG_PID", "none"),
        ] {
            let fault = read(&[(name, value), ("LISTEN_PID", "77")]).expect_err(name);
            assert!(fault.contains(name) && fault.contains(value), "{fault}");
        }
        let fault = read(&[("LISTEN_PID", "77"), ("LISTEN_FDS", "513")]).expect_err("too many");
        assert!(fault.contains("513") && fault.contains("ListenStream="), "{fault}");
    }

    #[test]
    fn a_descriptor_that_is_not_there_is_a_fault() {
        let fault = adopt(RawFd::MAX).expect_err("no table is so large").to_string();
        assert!(fault.contains("LISTEN_FDS"), "{fault}");
    }
}
