//! Opening a library whose manifest was accepted. abi_stable's own loader refuses a plugin that is older than the
//! host as soon as a table gained a field, so the layout check is ours and runs both ways.

#![allow(unsafe_code)] // dlopen and what follows from it

use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use trainer_abi::{
    Extension, Factory, Host, LOSS, LossTable, RootRef, Sink, Status, Str, TENSOR,
    abi_stable::{
        StableAbi,
        abi_stability::abi_checking::check_layout_compatibility,
        library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL},
        type_layout::TypeLayout,
    },
};

use crate::{LoadError, LoadedComponent, LossFactory, Manifest};

/// glibc's flag for "never unload": code and static data of a plugin must outlive everything made from it.
const RTLD_NODELETE: i32 = 0x1000;

/// Opens the library and returns its components in the order of the manifest.
pub(crate) fn open(path: &Path, manifest: &Manifest) -> Result<Vec<LoadedComponent>, LoadError> {
    let root = root(path)?;
    static HOST: Host = Host { table: host_table };
    let mut error = Vec::new();
    // SAFETY: the layout check has passed; HOST lives for the process.
    let status = unsafe { root.init()(&raw const HOST, Sink::to(&mut error)) };
    if status != Status::OK {
        return Err(LoadError::Init { path: path.into(), reason: String::from_utf8_lossy(&error).into_owned() });
    }
    let mut count = 0;
    // SAFETY: the plugin returns `count` entries that live for the process.
    let factories = unsafe {
        let first = root.factories()(&raw mut count);
        if count == 0 { &[] } else { std::slice::from_raw_parts(first, count) }
    };
    manifest.components.iter().map(|entry| component(path, factories, entry)).collect()
}

/// dlopen, abi_stable's header, then our two-way layout check.
fn root(path: &Path) -> Result<RootRef, LoadError> {
    let refused = |reason: String| LoadError::Open { path: path.into(), reason };
    // SAFETY: running a plugin's initialisers is what the user asked for; its manifest was read before.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    let library = library.map_err(|reason| refused(reason.to_string()))?;
    // SAFETY: the symbol is abi_stable's header wherever it exists; `is_valid` looks at its magic bytes.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()).map(|symbol| *symbol) };
    let header = header.map_err(|_| refused("it has no root module".into()))?;
    std::mem::forget(library);
    if !header.is_valid() {
        return Err(refused("it was built with another version of abi_stable than 0.11".into()));
    }
    let header = header.upgrade().map_err(|reason| refused(reason.to_string()))?;
    compare(path, <RootRef as StableAbi>::LAYOUT, header.layout())?;
    // SAFETY: the layouts agree in one direction or the other.
    unsafe { header.unchecked_layout::<RootRef>() }.map_err(|reason| refused(format!("{reason:?}")))
}

/// Refuses unless one layout is a prefix of the other (the plugin newer, or the plugin older).
fn compare(path: &Path, mine: &'static TypeLayout, theirs: Option<&'static TypeLayout>) -> Result<(), LoadError> {
    let refused = |reason: String| LoadError::Layout { path: path.into(), reason };
    let theirs = theirs.ok_or_else(|| refused("it carries no layout".into()))?;
    let newer = check_layout_compatibility(mine, theirs);
    if newer.is_err() {
        check_layout_compatibility(theirs, mine).map_err(|reason| refused(reason.to_string()))?;
    }
    Ok(())
}

/// Finds the factory of a manifest entry and asks for the table of its kind.
fn component(path: &Path, factories: &[Factory], entry: &crate::ComponentEntry) -> Result<LoadedComponent, LoadError> {
    let refused = |reason: String| LoadError::Layout { path: path.into(), reason };
    let named = |factory: &&Factory| {
        // SAFETY: texts of a factory live for the process.
        unsafe { factory.kind.to_text() == entry.kind && factory.name.to_text() == entry.name }
    };
    let factory = factories
        .iter()
        .find(named)
        .ok_or_else(|| refused(format!("{} {} stands in the manifest only", entry.kind, entry.name)))?;
    if entry.kind != "loss" {
        return Err(refused(format!("this trainer loads plugins of kind loss, not {} ({})", entry.kind, entry.name)));
    }
    // SAFETY: the id lives for the call.
    let Extension { layout, table } = unsafe { (factory.table)(Str::new(LOSS)) };
    if table.is_null() {
        return Err(refused(format!("{} offers no {LOSS} table", entry.name)));
    }
    compare(path, <LossTable as StableAbi>::LAYOUT, layout)?;
    let mut schema = Vec::new();
    // SAFETY: the sink outlives the call.
    unsafe { (factory.schema)(Sink::to(&mut schema)) };
    let schema = serde_json::from_slice(&schema)
        .map_err(|reason| refused(format!("{} has no readable option schema: {reason}", entry.name)))?;
    // SAFETY: the id names the table's type and the layouts agree; it lives for the process.
    let factory = unsafe { LossFactory::new(&*table.cast::<LossTable>(), path.into()) };
    Ok(LoadedComponent { entry: entry.clone(), schema, factory })
}

/// The tables that this host offers to plugins.
unsafe extern "C" fn host_table(id: Str) -> *const () {
    // SAFETY: the id lives for the call.
    match &*unsafe { id.to_text() } {
        TENSOR => {
            trainer_sdk::export::installed_tensors().map_or(std::ptr::null(), |table| std::ptr::from_ref(table).cast())
        }
        _ => std::ptr::null(),
    }
}
