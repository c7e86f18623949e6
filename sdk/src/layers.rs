//! What samples do with each other's pixels: parts that are copied, canvases that shine through.

#![allow(unsafe_code)] // calls through the table of the host

use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

use crate::{Matrix, Object, Sample, Size, abi, export::status_to_result, sample::object_to_raw, sample_store};

/// What the host of this plugin offers; never set in the trainer itself and in tests, whose samples are their own.
static OF_HOST: OnceLock<Option<&'static abi::LayersTable>> = OnceLock::new();

/// Makes the host's table known, or that it has none.
pub(crate) fn install(table: Option<&'static abi::LayersTable>) {
    OF_HOST.get_or_init(|| table);
}

impl Sample<'_> {
    fn layers(&self) -> Result<&'static abi::LayersTable> {
        match OF_HOST.get() {
            Some(table) if !sample_store::is_own(self) => {
                table.with_context(|| format!("this trainer does not offer {}; use a newer one", abi::LAYERS))
            }
            _ => Ok(&sample_store::LAYERS),
        }
    }

    /// Draws on top what of the canvas of `other`, moved by `matrix`, lies inside one of the areas (their outlines, or
    /// their boxes where they have none, in pixels of this canvas). `other` stays as it is; objects are not added.
    ///
    /// # Errors
    /// If a number is not finite, or `other` is not a sample of the same call.
    pub fn paste_inside(&mut self, other: &Sample, matrix: &Matrix, areas: &[Object]) -> Result<()> {
        ensure!(self.is_of_call(other), "parts of a sample of the same call only can be pasted");
        self.copy_inside(other.raw().object, matrix, areas)
    }

    /// As [`paste_inside`](Self::paste_inside), of the sample's own canvas mirrored left and right.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn paste_mirrored(&mut self, areas: &[Object]) -> Result<()> {
        let Size { width, .. } = self.size();
        let mirror = Matrix::scale(-1.0, 1.0).then(&Matrix::translate(f64::from(width), 0.0));
        self.copy_inside(self.raw().object, &mirror, areas)
    }

    fn copy_inside(&mut self, other: abi::Opaque, matrix: &Matrix, areas: &[Object]) -> Result<()> {
        let table = self.layers()?;
        let (raw, mut error) = (areas.iter().map(object_to_raw).collect::<Vec<_>>(), Vec::new());
        let matrix = matrix.0.as_ptr().cast();
        // SAFETY: matrix, list and outlines live for the call; both objects are samples of this host.
        let status = unsafe {
            let sink = abi::Sink::to(&mut error);
            (table.paste_inside)(self.raw().object, other, matrix, raw.as_ptr(), raw.len(), sink)
        };
        status_to_result(status, &error)
    }

    /// Mixes the pixels with those of `other`, upper left corners together: of each value `share` (0 to 1) stays, the
    /// rest is the other's. Its objects are added, and it is left empty.
    ///
    /// # Errors
    /// If `share` is not within 0 to 1, or `other` is not a sample of the same call.
    pub fn blend(&mut self, other: &mut Sample, share: f64) -> Result<()> {
        ensure!(self.is_of_call(other), "a sample can be blended with one of the same call only");
        let (table, mut error) = (self.layers()?, Vec::new());
        // SAFETY: both objects are samples of this host.
        let status = unsafe { (table.blend)(self.raw().object, other.raw().object, share, abi::Sink::to(&mut error)) };
        status_to_result(status, &error)
    }

    fn is_of_call(&self, other: &Sample) -> bool {
        std::ptr::eq(self.raw().table, other.raw().table)
    }
}
