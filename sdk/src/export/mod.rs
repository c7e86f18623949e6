//! The plugin's side of the boundary: fills the tables of `trainer-abi` from the traits, catches panics, and writes
//! the manifest. Authors use [`export_plugin!`](crate::export_plugin!) alone.

#![allow(unsafe_code)] // this folder and the other ends of the same pointers are the boundary

mod augmentation;
mod exporter;
mod factory;
mod guard;
mod instance;
mod log;
mod loss;
mod scheduler;
mod thunk;

use abi::{Extension, Host, Sink, Status, Str, abi_stable};
use abi_stable::prefix_type::PrefixTypeTrait as _;
use anyhow::anyhow;

use crate::{abi, component};

pub use abi_stable::library::{CheckTypeLayout, LibHeader};
pub use factory::MAX_COMPONENTS;
pub(crate) use guard::{guarded, status_to_result};
pub(crate) use thunk::thunk;

/// The compiler that built the SDK, for the manifest.
pub const RUSTC: &str = env!("TRAINER_SDK_RUSTC");
/// The target triple that the SDK was built for, for the manifest.
pub const TARGET: &str = env!("TRAINER_SDK_TARGET");

unsafe extern "C" fn init<P: Plugin>(host: *const Host, error: Sink) -> Status {
    guard::keep_panics();
    guarded(error, || {
        // SAFETY: the host lives for the process.
        let host = unsafe { &*host };
        // SAFETY: the host answers an id with that id's table, for the life of the process, or null.
        let tensors = unsafe { (host.table)(Str::new(abi::TENSOR)).cast::<abi::TensorTable>().as_ref() };
        crate::tensor::install(tensors.ok_or_else(|| anyhow!("this trainer does not offer {}", abi::TENSOR))?);
        // SAFETY: as above.
        if let Some(table) = unsafe { (host.table)(Str::new(abi::LOG)).cast::<abi::LogTable>().as_ref() } {
            log::forward(P::ID, table);
        }
        // SAFETY: as above.
        crate::layers::install(unsafe { (host.table)(Str::new(abi::LAYERS)).cast::<abi::LayersTable>().as_ref() });
        let count = component::all().len();
        anyhow::ensure!(count <= MAX_COMPONENTS, "{count} components in one library; it may hold {MAX_COMPONENTS}");
        Ok(())
    })
}

unsafe extern "C" fn get_ext(_id: Str) -> Extension {
    Extension::NONE
}

/// What one library exports; written by [`export_plugin!`](crate::export_plugin!).
pub trait Plugin: 'static {
    /// The name of its crate.
    const ID: &'static str;
    /// The manifest's text.
    const MANIFEST: &'static str;
}

/// Builds the root module; abi_stable calls this once, when the library is loaded.
pub extern "C" fn root<P: Plugin>() -> abi_stable::library::RootModuleResult {
    unsafe extern "C" fn meta<P: Plugin>() -> Str {
        Str::new(P::MANIFEST)
    }
    abi_stable::library::__call_root_module_loader(|| {
        abi::Root { meta: meta::<P>, factories: factory::factories, init: init::<P>, get_ext }.leak_into_prefix()
    })
}

/// Makes the host's tensor table known to this binary; the trainer calls it for its built-ins and tests.
///
/// # Panics
/// If another table is known already.
///
/// # Safety
/// The table's functions must do as `trainer-abi` says of them.
pub unsafe fn install_tensors(table: &'static abi::TensorTable) {
    crate::tensor::install(table);
}

/// The tensor table that was made known, for plugins that this binary loads.
#[must_use]
pub fn installed_tensors() -> Option<&'static abi::TensorTable> {
    crate::tensor::installed()
}

/// Whether a text can stand in the manifest as it is.
#[must_use]
pub const fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] < 0x20 || bytes[i] == b'"' || bytes[i] == b'\\' {
            return false;
        }
        i += 1;
    }
    true
}

/// Makes a library a plugin: registers its components (see [`component!`](crate::component!)), exports the root
/// module and writes the manifest into the file. Once per library.
#[macro_export]
macro_rules! export_plugin {
    ($kind:ident $name:literal $doc:literal : $type:ty $(, alias $key:literal = $option:literal)*
     $(; $kind2:ident $name2:literal $doc2:literal : $type2:ty $(, alias $key2:literal = $option2:literal)*)* $(;)?) => {
        $crate::component! {
            $kind $name $doc : $type $(, alias $key = $option)*
            $(; $kind2 $name2 $doc2 : $type2 $(, alias $key2 = $option2)*)*
        }

        const _: () = {
            assert!($crate::export::is_plain($doc), "a component's sentence must have no quotes and no line breaks");
            $(assert!($crate::export::is_plain($doc2), "a component's sentence must have no quotes and no line breaks");)*

            const MANIFEST: &str = $crate::constcat::concat!(
                "{\"schema\":1,\"id\":\"", env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                "\",\"license\":\"", env!("CARGO_PKG_LICENSE"),
                "\",\"abi\":\"", $crate::abi::VERSION,
                "\",\"rustc\":\"", $crate::export::RUSTC,
                "\",\"target\":\"", $crate::export::TARGET,
                "\",\"panic\":\"", if cfg!(panic = "unwind") { "unwind" } else { "abort" },
                "\",\"components\":[",
                $crate::export_plugin!(@component $kind $name $doc $($key $option)*),
                $(",", $crate::export_plugin!(@component $kind2 $name2 $doc2 $($key2 $option2)*),)*
                "]}"
            );

            struct Here;
            impl $crate::export::Plugin for Here {
                const ID: &'static str = env!("CARGO_PKG_NAME");
                const MANIFEST: &'static str = MANIFEST;
            }

            const fn bytes<const N: usize>(text: &str) -> [u8; N] {
                *text.as_bytes().first_chunk().expect("N is the length of the text")
            }
            #[used]
            #[allow(unsafe_code)]
            #[unsafe(link_section = ".trainer.manifest")]
            #[unsafe(export_name = "trainer_manifest")]
            pub static SECTION: [u8; MANIFEST.len()] = bytes(MANIFEST);

            // The name that abi_stable looks for (`abi_stable::library::ROOT_MODULE_LOADER_NAME`).
            #[allow(unsafe_code)]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::export::LibHeader = unsafe {
                $crate::export::LibHeader::from_constructor::<$crate::abi::RootRef>(
                    $crate::export::root::<Here>,
                    $crate::export::CheckTypeLayout::Yes,
                )
            };
        };
    };
    (@component $kind:ident $name:literal $doc:literal $($key:literal $option:literal)*) => {
        $crate::constcat::concat!(
            "{\"kind\":\"", stringify!($kind), "\",\"name\":\"", $name, "\",\"doc\":\"", $doc, "\",\"aliases\":{",
            $crate::export_plugin!(@aliases $($key $option)*), "}}"
        )
    };
    (@aliases) => { "" };
    (@aliases $key:literal $option:literal $($key2:literal $option2:literal)*) => {
        $crate::constcat::concat!("\"", $key, "\":\"", $option, "\"" $(, ",\"", $key2, "\":\"", $option2, "\"")*)
    };
}
