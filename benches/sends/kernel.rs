//! What the bench asks the kernel besides sending: CPU clocks, CPUs, time. It keeps no state.
#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

use core_affinity::CoreId;

/// The result of a system call as a count, or its error.
pub fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// User and system time of this process and all its threads, those of an io_uring too.
pub fn process_cpu() -> io::Result<Duration> {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The same of another process.
pub fn cpu_of(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: writes one clock's number to a live place.
    match unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) } {
        0 => read(clock),
        // This one call returns its error and leaves errno alone.
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn read(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec to a live place.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) } as isize)?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Sleeps: a beat is a matter of real time, and so is a reader's tick.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Pins this process to the first CPU it may use, and returns which is the readers': the last.
pub fn share_cpus() -> io::Result<usize> {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let (Some(first), Some(last)) = (cpus.first(), cpus.last()) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    pin(first.id)?;
    Ok(last.id)
}

/// Pins the calling thread.
pub fn pin(cpu: usize) -> io::Result<()> {
    match core_affinity::set_for_current(CoreId { id: cpu }) {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// The machine's default congestion control, which sockets get that name none.
pub fn congestion_control() -> io::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
    Ok(format!("{} by default", name.trim()))
}
