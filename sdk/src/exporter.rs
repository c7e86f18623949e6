//! The exporter socket: a trained model in, files of another format out.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{Model, ReadyContext};

/// Writes models in another format.
///
/// Called on the main thread, while nothing trains. An exporter never needs to know the network's code: [`Model`] gives
/// it named tensors, metadata, calibration images, and the network as ONNX.
pub trait Exporter: Send {
    /// What the model was trained in; once, before the export.
    ///
    /// # Errors
    /// An error ends the export.
    fn ready(&mut self, _run: &ReadyContext) -> Result<()> {
        Ok(())
    }

    /// The formats that it makes; users choose one by `format=NAME`.
    ///
    /// # Errors
    /// An error ends the export.
    fn formats(&self) -> Result<Vec<Format>>;

    /// Writes `model` to `out`, a path in a directory that exists, with the format's extension unless the user named
    /// another, and says what was written. Write beside and rename, so that no half of a file stays under the name.
    ///
    /// # Errors
    /// An error fails this export and nothing else.
    fn export(&mut self, model: &Model, out: &Path, cx: &ExportContext) -> Result<Vec<Artifact>>;

    /// State that a later export can use (calibration, timings); nothing by default.
    ///
    /// # Errors
    /// If the state cannot be written.
    fn save(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Takes back what [`save`](Self::save) wrote; by default no more than nothing.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn load(&mut self, state: &[u8]) -> Result<()> {
        ensure!(state.is_empty(), "there is no state to be loaded");
        Ok(())
    }
}

/// One format of an exporter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// Its name, as in `format=npz`.
    pub name: String,
    /// The extension of its files, without the dot.
    pub extension: String,
    /// One sentence on what it is.
    pub doc: String,
}

impl Format {
    /// A format by name, extension and sentence.
    #[must_use]
    pub fn new(name: &str, extension: &str, doc: &str) -> Self {
        Self { name: name.into(), extension: extension.into(), doc: doc.into() }
    }
}

/// One file that was written, or a folder of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The file or folder.
    pub path: PathBuf,
    /// What it is.
    pub doc: String,
}

impl Artifact {
    /// A file and what it is.
    #[must_use]
    pub fn new(path: &Path, doc: &str) -> Self {
        Self { path: path.into(), doc: doc.into() }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ExportContext {
    /// The name of one of the exporter's [`formats`](Exporter::formats).
    pub format: String,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
    /// Images in a batch.
    pub batch: usize,
}
