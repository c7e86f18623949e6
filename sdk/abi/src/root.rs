//! The root module: what the loader finds in a plugin's file. Frozen.

use abi_stable::{
    StableAbi, declare_root_module_statics, library::RootModule, package_version_strings, sabi_types::VersionStrings,
    type_layout::TypeLayout,
};

use crate::{Host, Sink, Status, Str};

/// What a plugin exports under abi_stable's root symbol. These four functions never change; growth goes through
/// the ids of [`Factory::table`] and `get_ext`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
#[sabi(missing_field(option))]
pub struct Root {
    /// The manifest (JSON), byte for byte the text of the ELF section; lives for the process.
    pub meta: unsafe extern "C" fn() -> Str,
    /// The components, `count` of them, in an array that lives for the process.
    pub factories: unsafe extern "C" fn(count: *mut usize) -> *const Factory,
    /// Hands over the host, which lives for the process. Called once, before any `create`.
    pub init: unsafe extern "C" fn(host: *const Host, error: Sink) -> Status,
    /// An extension of the plugin as a whole, by id; a null table where it is unknown.
    #[sabi(last_prefix_field)]
    pub get_ext: unsafe extern "C" fn(id: Str) -> Extension,
}

impl RootModule for RootRef {
    declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "trainer_plugin";
    const NAME: &'static str = "trainer_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// The symbol under which a plugin that is not written in Rust exports its [`PlainRoot`].
pub const PLAIN_ROOT: &str = "trainer_plugin_root";

/// The root of a plugin in another language: the same four functions, without abi_stable's header. Frozen.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct PlainRoot {
    /// `sizeof` this struct, as the plugin was compiled.
    pub size: usize,
    /// As [`Root::meta`].
    pub meta: unsafe extern "C" fn() -> Str,
    /// As [`Root::factories`].
    pub factories: unsafe extern "C" fn(count: *mut usize) -> *const Factory,
    /// As [`Root::init`].
    pub init: unsafe extern "C" fn(host: *const Host, error: Sink) -> Status,
    /// As [`Root::get_ext`].
    pub get_ext: unsafe extern "C" fn(id: Str) -> Extension,
}

/// One component of a plugin.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Factory {
    /// `loss`, `augmentation`, `scheduler` or `exporter`.
    pub kind: Str,
    /// The name in run files, e.g. `label_smooth`.
    pub name: Str,
    /// One sentence on what it does.
    pub doc: Str,
    /// Writes the JSON Schema of the options.
    pub schema: unsafe extern "C" fn(out: Sink),
    /// The component's table by id (`trainer.loss/1`); a null table where the id is unknown.
    pub table: unsafe extern "C" fn(id: Str) -> Extension,
}

// SAFETY: plain text and function pointers, all of them for the life of the process.
unsafe impl Send for Factory {}
// SAFETY: as above.
unsafe impl Sync for Factory {}

/// A table and its layout, which is compared before the table is used.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Extension {
    /// The layout of the table; none from a plugin that is not written in Rust.
    pub layout: Option<&'static TypeLayout>,
    /// The table, null where the id is unknown; lives for the process.
    pub table: *const (),
}

impl Extension {
    /// The answer to an unknown id.
    pub const NONE: Self = Self { layout: None, table: std::ptr::null() };
}
