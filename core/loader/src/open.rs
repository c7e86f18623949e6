//! Opening a library whose manifest was accepted: its root, its components, and the table of each.

#![allow(unsafe_code)] // dlopen and what follows from it

use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use trainer_abi::{
    Extension, Factory, Host, RootRef, Sink, Status, Str,
    abi_stable::{
        StableAbi,
        library::{AbiHeader, AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL},
        type_layout::TypeLayout,
    },
};

use crate::{
    ComponentEntry, LoadError, LoadedComponent, Manifest,
    guest::{self, Guest, Table},
    host::HOST,
    kinds::{Kind, LoadedFactory},
    layout,
    plain::{empty_entry, plain_root},
};

/// glibc's flag for "never unload": code and static data of a plugin must outlive everything made from it.
const RTLD_NODELETE: i32 = 0x1000;

/// Opens the library `loaded`, a copy of the user's `file`, and returns its components in the order of the manifest.
pub(crate) fn open(file: &Path, loaded: &Path, manifest: &Manifest) -> Result<Vec<LoadedComponent>, LoadError> {
    let root = Root::open(file, loaded)?;
    let mut error = Vec::new();
    // SAFETY: the layout check has passed; HOST lives for the process.
    let status = unsafe { (root.init)(&raw const HOST, Sink::to(&mut error)) };
    if status != Status::OK {
        return Err(LoadError::Init { path: file.into(), reason: guest::words(&error) });
    }
    let factories = root.factories();
    manifest
        .components
        .iter()
        .map(|entry| {
            let guest = Guest {
                plugin: manifest.id.clone(),
                component: entry.name.clone(),
                file: file.into(),
                loaded: loaded.into(),
            };
            component(Box::leak(Box::new(guest)), factories, entry, root.is_plain)
        })
        .collect()
}

/// The functions of a root that are used here, whichever language it was written in.
pub(crate) struct Root {
    pub(crate) meta: unsafe extern "C" fn() -> Str,
    pub(crate) get_ext: unsafe extern "C" fn(Str) -> Extension,
    factories: unsafe extern "C" fn(*mut usize) -> *const Factory,
    init: unsafe extern "C" fn(*const Host, Sink) -> Status,
    /// Whether it carries no layouts, being written in another language than Rust.
    is_plain: bool,
}

impl Root {
    pub(crate) fn open(file: &Path, loaded: &Path) -> Result<Self, LoadError> {
        let refused = |reason: String| LoadError::Open { path: file.into(), reason };
        // SAFETY: running a plugin's initialisers is what the user asked for; its manifest was read before.
        let library = unsafe { Library::open(Some(loaded), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
        let library = library.map_err(|error| refused(words_of(&error, loaded)))?;
        let root = match plain_root(&library, file) {
            Some(root) => root.map(|root| Self {
                meta: root.meta,
                get_ext: root.get_ext,
                factories: root.factories,
                init: root.init,
                is_plain: true,
            }),
            None => rust_root(&library, file).map(|root| Self {
                meta: root.meta(),
                get_ext: root.get_ext(),
                factories: root.factories(),
                init: root.init(),
                is_plain: false,
            }),
        };
        std::mem::forget(library);
        root
    }

    /// The components of the library, in its own order.
    pub(crate) fn factories(&self) -> &'static [Factory] {
        let mut count = 0;
        // SAFETY: the plugin returns `count` entries that live for the process.
        unsafe {
            let first = (self.factories)(&raw mut count);
            if count == 0 { &[] } else { std::slice::from_raw_parts(first, count) }
        }
    }
}

/// The system's own words, without the name of the copy, which the user has never seen.
fn words_of(error: &libloading::Error, loaded: &Path) -> String {
    let words = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    words.replace(&format!("{}: ", loaded.display()), "")
}

/// abi_stable's header, then our two-way layout check.
fn rust_root(library: &Library, path: &Path) -> Result<RootRef, LoadError> {
    let refused = |reason: String| LoadError::Open { path: path.into(), reason };
    // SAFETY: the symbol is abi_stable's header wherever it exists; `is_valid` looks at its magic bytes.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()).map(|symbol| *symbol) };
    let header = header.map_err(|_| refused("it has no root module".into()))?;
    if !header.is_valid() {
        let (theirs, ours) = (version(&header), version(&AbiHeader::VALUE));
        return Err(refused(format!(
            "it was built with abi_stable {theirs}, this trainer with {ours}; rebuild it with the trainer-sdk of this \
             trainer"
        )));
    }
    let header = header.upgrade().map_err(|reason| refused(reason.to_string()))?;
    compare(path, <RootRef as StableAbi>::LAYOUT, header.layout())?;
    // SAFETY: the layouts agree in one direction or the other.
    unsafe { header.unchecked_layout::<RootRef>() }.map_err(|reason| refused(format!("{reason:?}")))
}

/// The version that a header was written by: abi_stable's major and minor.
fn version(header: &AbiHeader) -> String {
    format!("{}.{}", header.abi_major, header.abi_minor)
}

/// Refuses a library whose table is laid out otherwise.
fn compare(path: &Path, ours: &'static TypeLayout, theirs: Option<&'static TypeLayout>) -> Result<(), LoadError> {
    layout::compare(ours, theirs).map_err(|reason| LoadError::Layout { path: path.into(), reason })
}

/// Finds the factory of a manifest entry and asks for the table of its kind.
fn component(
    guest: &'static Guest,
    factories: &[Factory],
    entry: &ComponentEntry,
    is_plain: bool,
) -> Result<LoadedComponent, LoadError> {
    let refused = |reason: String| LoadError::Layout { path: guest.file.clone(), reason };
    let named = |factory: &&Factory| {
        // SAFETY: texts of a factory live for the process.
        unsafe { factory.kind.to_text() == entry.kind && factory.name.to_text() == entry.name }
    };
    let factory = factories
        .iter()
        .find(named)
        .ok_or_else(|| refused(format!("{} {} stands in the manifest only", entry.kind, entry.name)))?;
    let kind = match entry.kind.as_str() {
        "augmentation" => Kind::Augmentation(table(guest, factory, is_plain)?),
        "scheduler" => Kind::Scheduler(table(guest, factory, is_plain)?),
        "loss" => Kind::Loss(table(guest, factory, is_plain)?),
        "exporter" => Kind::Exporter(table(guest, factory, is_plain)?),
        kind => {
            return Err(refused(format!(
                "this trainer has no socket for {kind} ({}); there are augmentation, scheduler, loss and exporter",
                entry.name
            )));
        }
    };
    let mut schema = Vec::new();
    // SAFETY: the sink outlives the call.
    unsafe { (factory.schema)(Sink::to(&mut schema)) };
    let schema = serde_json::from_slice(&schema)
        .map_err(|reason| refused(format!("{} has no readable option schema: {reason}", entry.name)))?;
    Ok(LoadedComponent { entry: entry.clone(), schema, factory: LoadedFactory(kind) })
}

/// The component's table of the id that belongs to `T`, after its layout was compared.
fn table<T: Table>(guest: &'static Guest, factory: &Factory, is_plain: bool) -> Result<guest::Factory<T>, LoadError> {
    // SAFETY: the id lives for the call.
    let Extension { layout, table } = unsafe { (factory.table)(Str::new(T::ID)) };
    if table.is_null() {
        let reason =
            format!("{} offers no table {}, which is the newest that this trainer knows", guest.component, T::ID);
        return Err(LoadError::Layout { path: guest.file.clone(), reason });
    }
    if is_plain {
        // SAFETY: the id names the table's type.
        if let Some(name) = unsafe { empty_entry::<T>(table) } {
            let reason = format!("the table {} of {} has no function `{name}`", T::ID, guest.component);
            return Err(LoadError::Layout { path: guest.file.clone(), reason });
        }
    } else {
        compare(&guest.file, T::LAYOUT, layout)?;
    }
    // SAFETY: the id names the table's type and the layouts agree (C has none: there the header vouches for them); it
    // lives for the process.
    Ok(guest::Factory { table: unsafe { &*table.cast::<T>() }, guest })
}
