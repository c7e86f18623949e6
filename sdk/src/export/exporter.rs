//! Fills `trainer.exporter/1` from the trait.

use std::path::Path;

use super::instance::{self, exclusive};
use crate::{
    ExportContext, Exporter, Model,
    abi::{self, ExporterTable, Opaque, Sink, Status, Str},
};

type Create = unsafe extern "C" fn(Str, *mut Opaque, Sink) -> Status;

pub(super) const fn table(create: Create) -> ExporterTable {
    ExporterTable {
        create,
        destroy: instance::destroy::<dyn Exporter>,
        ready: instance::ready::<dyn Exporter>,
        formats,
        export,
        save: instance::save::<dyn Exporter>,
        load: instance::load::<dyn Exporter>,
    }
}

unsafe extern "C" fn formats(instance: Opaque, out: Sink, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        exclusive::<dyn Exporter>(instance, error, |exporter| {
            out.put(&serde_json::to_vec(&exporter.formats()?)?);
            Ok(())
        })
    }
}

unsafe extern "C" fn export(
    instance: Opaque,
    model: abi::Model,
    path: Str,
    cx: *const abi::ExportContext,
    artifacts: Sink,
    error: Sink,
) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        exclusive::<dyn Exporter>(instance, error, |exporter| {
            let raw = &*cx;
            let cx = ExportContext {
                format: raw.format.to_text().into_owned(),
                imgsz: raw.imgsz,
                batch: raw.batch as usize,
            };
            let written = exporter.export(&Model::from_raw(model), Path::new(&*path.to_text()), &cx)?;
            artifacts.put(&serde_json::to_vec(&written)?);
            Ok(())
        })
    }
}
