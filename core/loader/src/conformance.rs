//! What `trainer plugin check` asks of a loaded plugin's tables beyond what loading asks, and instances made from bytes
//! that no schema has seen.

#![allow(unsafe_code)] // calls of the plugin's functions with arguments that it should refuse

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSection as _};
use trainer_abi::{AUGMENTATION, EXPORTER, LOSS, MANIFEST_SECTION, SCHEDULER, Sink, Status, Str};

use crate::{
    LoadedFactory, Plugin,
    guest::{Entered, Factory, Table, words},
    kinds::Kind,
    open::Root,
};

/// Ids that no version of the ABI has.
const UNKNOWN: [&str; 4] = ["", "trainer.nothing/1", "trainer.loss/1 ", "trainer.loss/1\0x"];

/// Compares what the library answers with its manifest, and asks it for what nobody can know.
///
/// # Errors
/// What its author has to mend.
pub fn abi(plugin: &Plugin) -> Result<()> {
    let first = plugin.components.first().context("the manifest lists no components; export at least one")?;
    let root = Root::open(&plugin.path, first.factory.loaded())?;
    // SAFETY: the manifest's text lives for the process.
    let meta = unsafe { (root.meta)().as_bytes() };
    ensure!(
        meta == section(&plugin.path)?,
        "`meta` answers another text than the section {MANIFEST_SECTION} holds; both must be the one manifest"
    );
    for id in UNKNOWN {
        // SAFETY: the id lives for the call.
        let extension = unsafe { (root.get_ext)(Str::new(id)) };
        ensure!(extension.table.is_null(), "`get_ext` answers the unknown id {id:?}; answer it with a null table");
    }
    let factories = root.factories();
    let named = |kind: &str, name: &str| {
        // SAFETY: texts of a factory live for the process.
        let is_it = |f: &&trainer_abi::Factory| unsafe { f.kind.to_text() == kind && f.name.to_text() == name };
        factories.iter().filter(is_it).count()
    };
    for factory in factories {
        // SAFETY: texts of a factory live for the process.
        let (kind, name) = unsafe { (factory.kind.to_text(), factory.name.to_text()) };
        let in_manifest = plugin.components.iter().any(|it| it.entry.kind == kind && it.entry.name == name);
        ensure!(in_manifest, "{kind} {name} is among the factories but not in the manifest; list it there");
        ensure!(named(&kind, &name) == 1, "{kind} {name} is among the factories more than once; name each once");
        let own = match &*kind {
            "augmentation" => AUGMENTATION,
            "scheduler" => SCHEDULER,
            "loss" => LOSS,
            _ => EXPORTER,
        };
        let others = [AUGMENTATION, SCHEDULER, LOSS, EXPORTER].into_iter().filter(|id| *id != own);
        for id in UNKNOWN.into_iter().chain(others) {
            // SAFETY: the id lives for the call.
            let extension = unsafe { (factory.table)(Str::new(id)) };
            ensure!(
                extension.table.is_null(),
                "{kind} {name} answers the id {id:?} with a table; answer only {own} with one, any other with null"
            );
        }
    }
    Ok(())
}

/// The manifest's text as it stands in the file.
fn section(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    let elf = object::File::parse(&*bytes)?;
    let section = elf.section_by_name(MANIFEST_SECTION).context("the manifest's section is gone")?;
    Ok(section.data()?.to_vec())
}

/// Makes an instance from any bytes and ends it.
///
/// # Errors
/// The plugin's refusal; that it panicked, if the message begins so.
pub fn construct(factory: &LoadedFactory, options: &[u8]) -> Result<()> {
    match &factory.0 {
        Kind::Augmentation(factory) => raw(factory, options),
        Kind::Scheduler(factory) => raw(factory, options),
        Kind::Loss(factory) => raw(factory, options),
        Kind::Exporter(factory) => raw(factory, options),
    }
}

fn raw<T: Table>(factory: &Factory<T>, options: &[u8]) -> Result<()> {
    let (mut object, mut error) = (std::ptr::null_mut(), Vec::new());
    let status = {
        let _entered = Entered::new(factory.guest, "create");
        // SAFETY: the table's functions follow trainer-abi's rules; the pointers live for the call.
        unsafe { (factory.table.create())(Str::bytes(options), &raw mut object, Sink::to(&mut error)) }
    };
    if status != Status::OK {
        bail!("{}", words(&error));
    }
    let _entered = Entered::new(factory.guest, "destroy");
    // SAFETY: made by `create`, given back once.
    unsafe { (factory.table.destroy())(object) };
    Ok(())
}

impl LoadedFactory {
    /// The file that was loaded, a private copy.
    fn loaded(&self) -> &Path {
        match &self.0 {
            Kind::Augmentation(factory) => &factory.guest.loaded,
            Kind::Scheduler(factory) => &factory.guest.loaded,
            Kind::Loss(factory) => &factory.guest.loaded,
            Kind::Exporter(factory) => &factory.guest.loaded,
        }
    }
}
