//! How text, bytes and outcomes cross the boundary.

use abi_stable::StableAbi;

/// Borrowed UTF-8 text (or, where a function says so, bytes).
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Str {
    /// First byte; dangling when `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

// SAFETY: a `Str` is a pointer and a length; who reads it vouches for the bytes, on whatever thread.
unsafe impl Send for Str {}
// SAFETY: as above; the bytes are never written through a `Str`.
unsafe impl Sync for Str {}

impl Str {
    /// The text `s`, for as long as the callee keeps to the call.
    #[must_use]
    pub const fn new(s: &str) -> Self {
        Self::bytes(s.as_bytes())
    }

    /// The bytes `b`.
    #[must_use]
    pub const fn bytes(b: &[u8]) -> Self {
        Self { ptr: b.as_ptr(), len: b.len() }
    }

    /// The bytes behind the pointer.
    ///
    /// # Safety
    /// `ptr` must point to `len` readable bytes that live for `'a` and do not change.
    #[must_use]
    pub unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The text behind the pointer; invalid UTF-8 is replaced.
    ///
    /// # Safety
    /// As for [`as_bytes`](Self::as_bytes).
    #[must_use]
    pub unsafe fn to_text<'a>(self) -> std::borrow::Cow<'a, str> {
        // SAFETY: promised by the caller.
        String::from_utf8_lossy(unsafe { self.as_bytes() })
    }
}

/// Where a function writes text or bytes of a length only it knows; it may write several times.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Sink {
    /// Passed back to `write`.
    pub context: *mut (),
    /// Appends `len` bytes.
    pub write: unsafe extern "C" fn(context: *mut (), ptr: *const u8, len: usize),
}

impl Sink {
    /// A sink that appends to `buffer`; it must not outlive it.
    pub fn to(buffer: &mut Vec<u8>) -> Self {
        unsafe extern "C" fn append(context: *mut (), ptr: *const u8, len: usize) {
            if len > 0 {
                // SAFETY: `context` is the buffer below; the writer vouches for the bytes.
                unsafe { (*context.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(ptr, len)) }
            }
        }
        Self { context: std::ptr::from_mut(buffer).cast(), write: append }
    }

    /// Appends `bytes`.
    ///
    /// # Safety
    /// What the sink writes to must still be alive.
    pub unsafe fn put(self, bytes: &[u8]) {
        // SAFETY: promised by the caller.
        unsafe { (self.write)(self.context, bytes.as_ptr(), bytes.len()) }
    }
}

/// The outcome of a call: 0 or a code. Codes are only ever added; an unknown one reads as [`Status::FAILED`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// The call failed; the sink says why.
    pub const FAILED: Self = Self(1);
    /// The options were refused.
    pub const OPTIONS: Self = Self(2);
    /// The code panicked; the instance is poisoned and answers this from now on.
    pub const PANICKED: Self = Self(3);
    /// The callee does not offer this.
    pub const UNSUPPORTED: Self = Self(4);
}
