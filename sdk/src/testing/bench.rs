//! A bench for losses: one batch, with the trainer's own rules on what a loss may read and write.

use anyhow::Result;

use super::{
    fields::{Assigned, Kept, Named, ReadOnly, put},
    tensor,
};
use crate::{
    Loss, LossContext, Predictions, Targets, Tensor, Terms, parameter_store,
    store::{self, FieldStore as _},
};

/// One batch of the trainer, as far as a test says it: class targets, then whatever else the loss reads.
///
/// Both passes may be run with several losses, in turn, as in a chain. All fields are those of [`Predictions`],
/// [`Targets`] and [`LossContext`].
pub struct LossBench {
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
    /// Whether the network learns from the batch; true unless a test says otherwise.
    pub is_training: bool,
    image_ids: Vec<u64>,
    num_classes: usize,
    predictions: ReadOnly,
    targets: Assigned,
    terms: Named,
    parameters: Kept,
}

impl LossBench {
    /// A batch with these class targets (B, A, C). `foreground`, `weights` and `normaliser` follow from them; the
    /// first of 100 epochs, 640 x 640 pixels, images 0 to B.
    ///
    /// # Panics
    /// If the tensor has not three dimensions.
    #[must_use]
    pub fn new(scores: Tensor) -> Self {
        let size = scores.size();
        let [images, _, num_classes] = size[..] else { panic!("class targets are (B, A, C), not {size:?}") };
        let derived = || -> Result<_> {
            let weights = scores.sum_dims(&[-1], false)?;
            let normaliser = weights.sum()?.clamp(1.0, f64::INFINITY)?;
            Ok([("foreground", weights.gt_scalar(0.0)?), ("weights", weights), ("normaliser", normaliser)])
        };
        let derived = derived().unwrap_or_else(|reason| panic!("cannot use these class targets: {reason:#}"));
        let mut targets = Assigned(vec![("scores".into(), scores)]);
        targets.0.extend(derived.map(|(name, tensor)| (name.to_owned(), tensor)));
        Self {
            epoch: 0,
            epochs: 100,
            step: 0,
            height: 640,
            width: 640,
            is_training: true,
            image_ids: (0..images.cast_unsigned()).collect(),
            num_classes: num_classes as usize,
            predictions: ReadOnly(Vec::new()),
            targets,
            terms: Named(Vec::new()),
            parameters: Kept::default(),
        }
    }

    /// With this prediction, e.g. `scores`, the class logits.
    #[must_use]
    pub fn prediction(mut self, name: &str, tensor: Tensor) -> Self {
        put(&mut self.predictions.0, name, tensor);
        self
    }

    /// With this target, e.g. `boxes`.
    #[must_use]
    pub fn target(mut self, name: &str, tensor: Tensor) -> Self {
        put(&mut self.targets.0, name, tensor);
        self
    }

    /// With this term, a double, offered as the trainer's own loss offers `box`, `cls` and `dfl`.
    #[must_use]
    pub fn term(self, name: &str, value: f64) -> Self {
        self.offer(name, move || Ok(tensor(&[value], &[])))
    }

    /// With this term, computed only when somebody asks. One that fails shows that nobody did.
    ///
    /// # Panics
    /// Never; terms take any computation.
    #[must_use]
    pub fn offer(mut self, name: &str, compute: impl FnOnce() -> Result<Tensor> + 'static) -> Self {
        store::view(&mut self.terms).offer(name, compute).expect("terms take any computation");
        self
    }

    /// With these values in a trainable parameter of the loss, instead of those it starts with.
    #[must_use]
    pub fn parameter(mut self, name: &str, values: Tensor) -> Self {
        put(&mut self.parameters.0, name, values);
        self
    }

    /// Runs pass 1 of `loss` and returns the class targets after it.
    ///
    /// # Errors
    /// The loss's own error, or that it broke a rule: only `scores` may be replaced, by the same shape and type.
    pub fn targets(&mut self, loss: &mut dyn Loss) -> Result<Tensor> {
        self.run(|targets, _, cx| loss.targets(targets, cx))?;
        self.targets.get("scores")
    }

    /// Runs pass 2 of `loss`; then [`names`](Self::names) and [`value`](Self::value) tell the terms.
    ///
    /// # Errors
    /// The loss's own error, or that it broke a rule: terms are scalars, predictions are read-only.
    pub fn terms(&mut self, loss: &mut dyn Loss) -> Result<()> {
        self.run(|targets, terms, cx| loss.terms(terms, &cx.predictions, targets, cx))
    }

    fn run(&mut self, pass: impl FnOnce(&mut Targets, &mut Terms, &LossContext) -> Result<()>) -> Result<()> {
        let cx = LossContext {
            epoch: self.epoch,
            epochs: self.epochs,
            step: self.step,
            height: self.height,
            width: self.width,
            is_training: self.is_training,
            num_classes: self.num_classes,
            image_ids: &self.image_ids,
            predictions: Predictions(store::view(&mut self.predictions)),
            parameters: parameter_store::view(&mut self.parameters),
        };
        pass(&mut Targets(store::view(&mut self.targets)), &mut Terms(store::view(&mut self.terms)), &cx)
    }

    /// The names of the terms, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.terms.names()
    }

    /// The named term, computed now if it was only offered.
    ///
    /// # Errors
    /// If there is no such term or its computation fails.
    pub fn value(&mut self, name: &str) -> Result<f64> {
        Ok(Terms(store::view(&mut self.terms)).get(name)?.to_vec()?[0])
    }
}
