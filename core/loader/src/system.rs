//! Two questions to the C library that no safe crate asks.

#![allow(unsafe_code)] // calls into the C library

use crate::Version;

/// The version of the C library this process runs on; none where it is not glibc.
#[cfg(target_env = "gnu")]
pub(crate) fn glibc() -> Option<Version> {
    // SAFETY: returns a constant text that lives for the process.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    Version::parse(text.to_str().ok()?)
}

#[cfg(not(target_env = "gnu"))]
pub(crate) fn glibc() -> Option<Version> {
    None
}

/// Writes out what C code has put into its buffered streams.
pub(crate) fn flush_c_streams() {
    // SAFETY: no stream stands for all of them.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}
