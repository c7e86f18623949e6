//! What a version 1.1 of the ABI could add: a second table for losses, an extension of the root.

use abi_stable::StableAbi;

use crate::{Extension, LossTable, Opaque, Sink, Status, Str};

/// The id of [`LossTable2`].
pub const LOSS_2: &str = "trainer.loss/2";

/// A loss that is told of the end of epochs.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LossTable2 {
    /// As before.
    pub first: LossTable,
    /// An epoch has ended.
    pub epoch_done: unsafe extern "C" fn(instance: Opaque, epoch: u64, error: Sink) -> Status,
}

/// Does nothing.
pub unsafe extern "C" fn nothing(_: Opaque, _: u64, _: Sink) -> Status {
    Status::OK
}

/// The id of [`AboutTable`].
pub const ABOUT: &str = "trainer.about/1";

/// What a plugin says about itself as a whole.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AboutTable {
    /// A page about it.
    pub homepage: unsafe extern "C" fn() -> Str,
}

/// The answer of `get_ext`.
pub unsafe fn about(id: Str) -> Option<Extension> {
    unsafe extern "C" fn homepage() -> Str {
        Str::new("https://example.org/fixture")
    }
    static TABLE: AboutTable = AboutTable { homepage };
    (unsafe { id.to_text() } == ABOUT).then(|| Extension {
        layout: Some(<AboutTable as StableAbi>::LAYOUT),
        table: std::ptr::from_ref(&TABLE).cast(),
    })
}
