//! Descriptor limits and private descriptor tables.
//!
//! Each core gets its own table with `unshare(CLONE_FILES)`: accept and close take no lock that
//! another core wants, and RLIMIT_NOFILE counts per core instead of per process.
#![allow(unsafe_code)]

use std::io;

/// A soft and a hard resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is in force.
    pub soft: u64,
    /// What it may be raised to without privilege.
    pub hard: u64,
}

/// Raises RLIMIT_NOFILE to its hard limit and says what it is then. Descriptor tables are limited
/// each on its own.
pub fn raise_open_files() -> io::Result<Limit> {
    raise(libc::RLIMIT_NOFILE)
}

/// Raises RLIMIT_MEMLOCK to its hard limit: glommio asks for 512 KiB a ring.
pub fn raise_locked_memory() -> io::Result<Limit> {
    raise(libc::RLIMIT_MEMLOCK)
}

fn raise(resource: libc::__rlimit_resource_t) -> io::Result<Limit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live, writable rlimit for the length of the call.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a live rlimit for the length of the call.
        check(unsafe { libc::setrlimit(resource, &raw const raised) })?;
        limit = raised;
    }
    Ok(Limit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

/// Gives the calling thread a descriptor table of its own, a copy of the process's at this moment.
/// Call it after every executor and waker exists: what is made before has the same number in every
/// table, and the others' wakers keep working.
pub fn own_table() -> io::Result<()> {
    // SAFETY: CLONE_FILES only copies the table of the calling thread; no memory is shared or
    // freed.
    check(unsafe { libc::unshare(libc::CLONE_FILES) })
}

/// Closes a descriptor number in the calling thread's own table. For the copies that
/// [`own_table`] made of other cores' listening sockets.
pub(super) fn close_copy(fd: std::os::fd::RawFd) {
    // SAFETY: the caller owns this table's copy of the number, and nothing in this thread uses it.
    unsafe { libc::close(fd) };
}

/// Bytes of a page.
pub fn page_bytes() -> u64 {
    // SAFETY: sysconf reads a constant of the system.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Memory of the machine in bytes, and how many bytes the kernel lets all TCP sockets hold.
pub fn machine_memory() -> (u64, u64) {
    let page = page_bytes();
    // SAFETY: sysconf reads a constant of the system.
    let pages = u64::try_from(unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) }).unwrap_or(0);
    let tcp_pages = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_mem")
        .ok()
        .and_then(|text| text.split_whitespace().nth(2)?.parse::<u64>().ok())
        .unwrap_or(0);
    (page * pages, page * tcp_pages)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = raise_open_files().expect("getrlimit and setrlimit work for any process");
        assert_eq!(limit.soft, limit.hard);
        assert!(limit.soft > 0);
    }

    #[test]
    fn a_thread_with_its_own_table_keeps_what_it_opens_to_itself() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let path = folder.path().join("mine");
        let (mine, theirs) = std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                own_table().expect("unshare(CLONE_FILES) needs no privilege");
                let file = std::fs::File::create(&path).expect("the folder is writable");
                let seen_by = |whose: &str| {
                    std::fs::read_link(format!("/proc/{whose}/fd/{}", file.as_raw_fd())).ok()
                };
                (seen_by("thread-self"), seen_by("self"))
            });
            opened.join().expect("the thread only opens files")
        });
        assert_eq!(mine.as_ref(), Some(&path));
        assert_ne!(theirs, Some(path));
    }
}
