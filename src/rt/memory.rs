//! Giving memory back to the machine.
#![allow(unsafe_code)]

/// Returns freed heap pages of all threads to the kernel. A storm of newcomers needs a few
/// kilobytes for each request under way, and glibc keeps what was freed; a hundred thousand quiet
/// listeners should not pay for it. Holds each arena's lock for as long as that arena takes, about
/// a millisecond after a storm of 100,000: call it from the control thread, rarely.
pub fn give_back() {
    // SAFETY: malloc_trim has no preconditions; a pad of 0 keeps nothing at the top of the heap.
    unsafe { libc::malloc_trim(0) };
}
