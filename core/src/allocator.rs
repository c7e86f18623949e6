//! Allocator: lets the C library keep freed memory for the next batch, instead of giving it back and faulting it in again.

#![allow(unsafe_code)] // settings of the C library

/// Blocks up to this come from memory that is kept, in bytes; the most that glibc allows.
#[cfg(target_env = "gnu")]
const KEPT_BLOCK: libc::c_int = 32 << 20;

/// So much free memory is kept for each thread that allocates, in bytes.
#[cfg(target_env = "gnu")]
const KEPT_FREE: libc::c_int = 256 << 20;

/// Keeps freed memory, for the whole process. Images and tensors come and go by the megabyte: with glibc's own limits each
/// sample of the loader costs some 50 to 90 page faults. To be called before threads start; other C libraries stay as they
/// are.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: numbers for the allocator, which checks them; a value that it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_FREE);
    }
}

/// Gives memory that was freed back to the system, whatever [`keep_freed_memory`] says: once, where figures are taken or
/// memory is short.
pub fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
