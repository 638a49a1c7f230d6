//! Settings of the memory allocator.

/// Makes the allocator keep freed memory.
///
/// A training step frees its large arrays, and the next one allocates the same sizes again. The C library would return
/// them to the operating system in between, and fresh pages cost more than the arithmetic on them (ADR 6).
pub(crate) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator has no other switch")]
    // SAFETY: both calls set an option of the allocator, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
