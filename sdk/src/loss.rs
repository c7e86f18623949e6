//! The loss socket: a chain of losses that change class targets, then add, replace or drop named terms.
//!
//! Shapes: B images of the batch, A anchors (all levels, P3 to P5, raster order), C classes, M objects of the
//! fullest image.

use anyhow::{Result, ensure};

use crate::{FieldMap, Init, ParameterMap, ReadyContext, Tensor};

/// One link of the loss chain.
///
/// Called on the training thread, one call at a time. The built-in `detection` is the first link: it assigns
/// objects to anchors, fixes each anchor's box weight and the normaliser, and offers the terms `box`, `cls` and
/// `dfl`. Then each further link is called in the order of the run file.
pub trait Loss: Send {
    /// What the run is like; once, before the first batch.
    ///
    /// # Errors
    /// An error stops the run before it starts.
    fn ready(&mut self, _run: &ReadyContext) -> Result<()> {
        Ok(())
    }

    /// Pass 1, with gradients off, after the assignment: smooth or reweight class targets. Box weights and the
    /// normaliser are fixed already and do not follow.
    ///
    /// # Errors
    /// An error stops the run at a step boundary and names the plugin.
    fn targets(&mut self, _targets: &mut Targets, _cx: &LossContext) -> Result<()> {
        Ok(())
    }

    /// Pass 2: replace, add or drop terms. A term that is replaced before anyone read it is never computed. Terms
    /// are scalars without their gain: the trainer multiplies by the run file's gain (1 for a new name) and by the
    /// number of images.
    ///
    /// # Errors
    /// An error stops the run at a step boundary and names the plugin.
    fn terms(
        &mut self,
        _terms: &mut Terms,
        _predictions: &Predictions,
        _targets: &Targets,
        _cx: &LossContext,
    ) -> Result<()> {
        Ok(())
    }

    /// State for the checkpoint; nothing by default.
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

/// Where in the run a loss is called.
pub struct LossContext<'a> {
    /// The current epoch, from 0.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Batches seen since the start of the run.
    pub step: usize,
    /// Height of the network input in pixels.
    pub height: usize,
    /// Width of the network input in pixels.
    pub width: usize,
    /// Number of classes, C.
    pub num_classes: usize,
    /// The image ids of the batch (their index in the data set), B of them.
    pub image_ids: &'a [u64],
    /// Whether the network learns from this batch; in validation a loss moves none of its state.
    pub is_training: bool,
    /// What the network predicted, for losses whose targets depend on it.
    pub predictions: Predictions<'a>,
    /// This loss's trainable parameters; see [`parameter`](Self::parameter).
    pub parameters: ParameterMap<'a>,
}

impl LossContext<'_> {
    /// A trainable parameter of this loss, float `size`, made at the first call and the same tensor ever after. The
    /// trainer optimizes it (without weight decay), averages it with the weights and saves it under the loss's name.
    /// In pass 1 and in validation it records no gradients; in validation it holds the averaged values.
    ///
    /// # Errors
    /// If the name was used with another size before, or the size or the start values are not possible.
    pub fn parameter(&self, name: &str, size: &[i64], init: Init) -> Result<Tensor> {
        self.parameters.get(name, size, init)
    }
}

/// What the network predicted. Read only; gradients flow through `scores`, `distribution` and `boxes` in pass 2.
#[derive(Clone, Copy)]
pub struct Predictions<'a>(pub FieldMap<'a>);

impl Predictions<'_> {
    /// Class logits (before the sigmoid), float (B, A, C).
    ///
    /// # Errors
    /// Never for a host of this version; as every field access, if the host lacks it.
    pub fn scores(&self) -> Result<Tensor> {
        self.0.get("scores")
    }

    /// Logits of the distance bins, float (B, A, 4 * 16), side-major: left, top, right, bottom.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn distribution(&self) -> Result<Tensor> {
        self.0.get("distribution")
    }

    /// Decoded boxes x1 y1 x2 y2 in grid units (pixels / stride), float (B, A, 4).
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn boxes(&self) -> Result<Tensor> {
        self.0.get("boxes")
    }

    /// Anchor centres x y in grid units, float (A, 2).
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn anchors(&self) -> Result<Tensor> {
        self.0.get("anchors")
    }

    /// The stride of each anchor in pixels, float (A, 1).
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn strides(&self) -> Result<Tensor> {
        self.0.get("strides")
    }
}

/// What the network should have predicted.
pub struct Targets<'a>(pub FieldMap<'a>);

impl Targets<'_> {
    /// Class targets in 0..1, float (B, A, C); zero on the background. The only field that may be set.
    ///
    /// # Errors
    /// If no link before this one has assigned objects to anchors.
    pub fn scores(&self) -> Result<Tensor> {
        self.0.get("scores")
    }

    /// Replaces the class targets.
    ///
    /// # Errors
    /// If the shape or the element type is not that of [`scores`](Self::scores).
    pub fn set_scores(&mut self, scores: &Tensor) -> Result<()> {
        self.0.set("scores", scores)
    }

    /// True on anchors that an object was assigned to, bool (B, A).
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn foreground(&self) -> Result<Tensor> {
        self.0.get("foreground")
    }

    /// The assigned object's box x1 y1 x2 y2 in grid units, float (B, A, 4); meaningless on the background.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn boxes(&self) -> Result<Tensor> {
        self.0.get("boxes")
    }

    /// The weight of each anchor in box terms, float (B, A): its class target as assigned. Zero on the background.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn weights(&self) -> Result<Tensor> {
        self.0.get("weights")
    }

    /// What sums over anchors are divided by: max(sum of weights, 1), a scalar.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn normaliser(&self) -> Result<Tensor> {
        self.0.get("normaliser")
    }

    /// The objects' classes, int64 (B, M); 0 where [`object_valid`](Self::object_valid) is false.
    ///
    /// # Errors
    /// Never for a host of this version.
    pub fn object_classes(&self) -> Result<Tensor> {
        self.0.get("object_classes")
    }

    /// The objects' boxes x1 y1 x2 y2 in pixels of the network input, float (B, M, 4).
    ///
    /// # Errors
    /// Never for a host of this version.
    pub fn object_boxes(&self) -> Result<Tensor> {
        self.0.get("object_boxes")
    }

    /// True for a real object, false for padding, bool (B, M).
    ///
    /// # Errors
    /// Never for a host of this version.
    pub fn object_valid(&self) -> Result<Tensor> {
        self.0.get("object_valid")
    }
}

/// The named parts of the loss: scalars that gradients flow through.
pub struct Terms<'a>(pub FieldMap<'a>);

impl Terms<'_> {
    /// The names so far, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// The named term; computes it if it was only offered.
    ///
    /// # Errors
    /// If there is no such term, or its computation fails.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        self.0.get(name)
    }

    /// Adds a term or replaces the one of that name.
    ///
    /// # Errors
    /// If the tensor is not a scalar.
    pub fn set(&mut self, name: &str, term: &Tensor) -> Result<()> {
        self.0.set(name, term)
    }

    /// As [`set`](Self::set), for a term that was computed outside libtorch: `value` is a scalar, and of each input
    /// (a tensor of [`Predictions`] or computed from one) the gradient of the value by it, of the input's shape.
    ///
    /// # Errors
    /// If `value` is not a scalar or a gradient has not its input's shape.
    pub fn set_with_gradients(&mut self, name: &str, value: &Tensor, gradients: &[(&Tensor, &Tensor)]) -> Result<()> {
        self.0.set_with_gradients(name, value, gradients)
    }

    /// As [`set`](Self::set), but computed only when somebody asks.
    ///
    /// # Errors
    /// Never for a host of this version.
    pub fn offer(&mut self, name: &str, compute: impl FnOnce() -> Result<Tensor> + 'static) -> Result<()> {
        self.0.offer(name, compute)
    }

    /// Drops the named term.
    ///
    /// # Errors
    /// If there is no such term.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.0.remove(name)
    }
}
