//! Plugins that are not written in Rust: their root is a plain symbol, and nothing carries a layout. What can be
//! checked is checked here: sizes, and that no entry is empty.

#![allow(unsafe_code)] // reads what a library exports

#[cfg(test)]
mod tests;

use std::path::Path;

use libloading::os::unix::Library;
use trainer_abi::{PLAIN_ROOT, PlainRoot, abi_stable::StableAbi};

use crate::LoadError;

/// A root that says more than this is no root but something else of that name.
const LARGEST: usize = 4096;

/// The plain root of a library, copied; none where the library exports no such symbol.
pub(crate) fn plain_root(library: &Library, path: &Path) -> Option<Result<PlainRoot, LoadError>> {
    // SAFETY: only the symbol's address is taken.
    let symbol = unsafe { library.get::<*const PlainRoot>(PLAIN_ROOT.as_bytes()) }.ok()?;
    let root: *const PlainRoot = *symbol;
    if root.is_null() {
        return None;
    }
    let refused = |reason: String| LoadError::Layout { path: path.into(), reason };
    let known = size_of::<PlainRoot>();
    // SAFETY: an exported object of this name begins with its size; one that is something else has readable bytes, too.
    let size = unsafe { root.cast::<usize>().read_unaligned() };
    if !(known..=LARGEST).contains(&size) {
        let reason = format!(
            "its {PLAIN_ROOT} says that it has {size} bytes, this trainer's has {known}; is it a `const struct \
             {PLAIN_ROOT}` as sdk/include/trainer_plugin.h declares it?"
        );
        return Some(Err(refused(reason)));
    }
    // SAFETY: the root has at least the known size.
    if let Some(name) = unsafe { empty_entry::<PlainRoot>(root.cast()) } {
        return Some(Err(refused(format!("its {PLAIN_ROOT} has no function `{name}`"))));
    }
    // SAFETY: as above, and every function is there; the C compiler has aligned it.
    Some(Ok(unsafe { root.read_unaligned() }))
}

/// The first function pointer of a `T` that is null, by name. In Rust no function pointer may be, in C any can.
///
/// # Safety
/// `table` must point to as many readable bytes as a `T` has.
pub(crate) unsafe fn empty_entry<T: StableAbi>(table: *const ()) -> Option<&'static str> {
    let mut end: usize = 0;
    let fields = T::LAYOUT.get_fields().into_iter().flatten();
    let mut entries = fields.map(|field| {
        let offset = end.next_multiple_of(field.layout().alignment());
        end = offset + field.layout().size();
        (field.name(), offset, field.is_function())
    });
    // SAFETY: the field lies within the type, promised by the caller.
    let is_null = |offset| unsafe { table.byte_add(offset).cast::<usize>().read_unaligned() == 0 };
    entries.find(|&(_, offset, is_function)| is_function && is_null(offset)).map(|(name, ..)| name)
}
