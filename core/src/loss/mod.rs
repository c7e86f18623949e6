//! The loss: a chain of links, built in and loaded alike. Pass 1 makes the targets, pass 2 the named terms; the terms
//! times their gains, summed, times the number of images, are what the gradients come from.

mod assign;
mod detection;
mod fields;
mod iou;
mod parameters;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use tch::{Kind, Tensor};
use trainer_sdk::{Loss, LossContext, ParameterMap, Predictions, ReadyContext, Targets, Terms, parameter_store, store};

pub use assign::{Assigner, Assignment, Candidates, Objects};
pub use iou::complete_iou;
pub use parameters::{LossParameters, Named};

use crate::{
    model::{Anchors, RawPredictions},
    near::near,
};
use fields::{FinishedTerm, PredictionFields, TargetFields, TermFields};

/// Terms of the built-in loss, whose gains have defaults: a plugin may drop them.
const OPTIONAL_TERMS: [&str; 3] = ["box", "cls", "dfl"];

/// The links in the order of the run file, and what each term is multiplied by.
pub struct LossChain {
    links: Vec<(String, Box<dyn Loss>)>,
    gains: BTreeMap<String, f64>,
    parameters: LossParameters,
}

/// Where in the run the loss is computed.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossPoint<'a> {
    /// The current epoch, from 0.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Batches seen since the start of the run.
    pub step: usize,
    /// Height and width of the input in pixels.
    pub size: (i64, i64),
    /// The images' ids.
    pub image_ids: &'a [u64],
    /// Whether the network learns from the batch.
    pub is_training: bool,
    /// What terms are divided by, in the place of the sum of these images' class targets: their share of a whole batch's.
    pub normaliser: Option<&'a Tensor>,
}

impl<'a> LossPoint<'a> {
    /// What a link is told: this point, the batch and its own parameters.
    fn context(&self, num_classes: i64, predictions: Predictions<'a>, parameters: ParameterMap<'a>) -> LossContext<'a> {
        LossContext {
            epoch: self.epoch,
            epochs: self.epochs,
            step: self.step,
            height: self.size.0 as usize,
            width: self.size.1 as usize,
            num_classes: num_classes as usize,
            image_ids: self.image_ids,
            is_training: self.is_training,
            predictions,
            parameters,
        }
    }
}

/// What came out.
#[derive(Debug)]
pub struct LossValues {
    /// A scalar to run backwards from: the sum of the terms times the number of images.
    pub total: Tensor,
    /// The terms by name, times their gains, without gradients.
    pub terms: Vec<(String, Tensor)>,
    /// The link that made each term.
    links: Vec<String>,
}

impl LossValues {
    /// The terms of a batch from those of its parts, each with its share of the images.
    ///
    /// # Errors
    /// If there are none.
    pub fn of_parts(parts: Vec<(f64, Self)>) -> Result<Self> {
        let mut parts = parts.into_iter();
        let (share, mut whole) = parts.next().context("a batch without images has no loss")?;
        if parts.len() == 0 {
            return Ok(whole);
        }
        for (_, term) in &mut whole.terms {
            *term = term.f_mul_scalar(share)?;
        }
        for (share, part) in parts {
            whole.total = whole.total.f_add(&part.total)?;
            for ((name, term), link) in part.terms.into_iter().zip(part.links) {
                let term = term.f_mul_scalar(share)?;
                match whole.terms.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum = sum.f_add(&term)?,
                    None => {
                        whole.terms.push((name, term));
                        whole.links.push(link);
                    }
                }
            }
        }
        Ok(whole)
    }

    /// The same figures without what the gradients were computed from.
    #[must_use]
    pub fn detached(self) -> Self {
        Self { total: self.total.detach(), ..self }
    }

    /// The terms as numbers; waits for the device.
    ///
    /// # Errors
    /// If one is not finite: the message shows all of them, and the loss that made the first such.
    pub fn values(&self) -> Result<Vec<(String, f64)>> {
        let value = |(name, term): &(String, Tensor)| Ok((name.clone(), f64::try_from(term)?));
        let values = self.terms.iter().map(value).collect::<Result<Vec<_>>>()?;
        let broken = values.iter().position(|(_, value)| !value.is_finite());
        let whose = || broken.map_or(String::new(), |at| format!("term `{}` of loss {}", values[at].0, self.links[at]));
        crate::means::finite(values.clone()).with_context(whose)
    }
}

impl LossChain {
    /// A chain of named links; a term without a gain counts once.
    #[must_use]
    pub fn new(links: Vec<(String, Box<dyn Loss>)>, gains: BTreeMap<String, f64>, parameters: LossParameters) -> Self {
        Self { links, gains, parameters }
    }

    /// Tells every link what the run is like.
    ///
    /// # Errors
    /// A link's own error, with its name.
    pub fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        self.links.iter_mut().try_for_each(|(name, link)| link.ready(run).with_context(|| format!("loss {name}")))
    }

    /// The trainable parameters that the links have asked for.
    #[must_use]
    pub fn parameters(&self) -> &LossParameters {
        &self.parameters
    }

    /// Takes the state of another chain of the same links over, and the averages of its parameters. A chain that only
    /// validates follows the one that trains, and leaves no trace in it.
    ///
    /// # Errors
    /// If a link cannot save its state or take it back.
    pub fn follow(&mut self, trained: &Self, averages: &[Named]) -> Result<()> {
        averages.iter().for_each(|average| self.parameters.share(average));
        for ((name, link), (_, other)) in self.links.iter_mut().zip(&trained.links) {
            other.save().and_then(|state| link.load(&state)).with_context(|| format!("loss {name}"))?;
        }
        Ok(())
    }

    /// What every link would save now, to be taken back by [`restore`](Self::restore).
    ///
    /// # Errors
    /// A link's own error, with its name.
    pub fn state(&self) -> Result<Vec<Vec<u8>>> {
        self.links.iter().map(|(name, link)| link.save().with_context(|| format!("loss {name}"))).collect()
    }

    /// Takes the state of every link back.
    ///
    /// # Errors
    /// A link's own error, with its name.
    pub fn restore(&mut self, state: &[Vec<u8>]) -> Result<()> {
        let mut links = self.links.iter_mut().zip(state);
        links.try_for_each(|((name, link), state)| link.load(state).with_context(|| format!("loss {name}")))
    }

    /// The sum of the class targets (a scalar): what the terms of these images would be divided by if it is above 1. Runs
    /// only the links up to the one that assigns.
    ///
    /// # Errors
    /// A link's own error, with its name; if no link assigns.
    pub fn target_sum(
        &mut self,
        raw: &RawPredictions<Tensor>,
        anchors: &Anchors,
        objects: &Objects,
        at: LossPoint,
    ) -> Result<Tensor> {
        let num_classes = raw.scores.size3()?.2;
        let (mut predictions, mut targets) = (PredictionFields::new(raw, anchors)?, TargetFields::new(objects));
        let predictions = Predictions(store::view(&mut predictions));
        let Self { links, parameters, .. } = self;
        for (name, link) in links.iter_mut() {
            let mut own = parameters.of(name);
            let cx = at.context(num_classes, predictions, parameter_store::view(&mut own));
            let mut seen = Targets(store::view(&mut targets));
            tch::no_grad(|| link.targets(&mut seen, &cx)).with_context(|| format!("loss {name}"))?;
            if let Some(weights) = targets.find("weights") {
                return Ok(weights.f_sum(None::<Kind>)?);
            }
        }
        bail!("train.normaliser=batch needs a loss that assigns objects to anchors, and this chain has none")
    }

    /// Both passes over all links.
    ///
    /// # Errors
    /// A link's own error, with its name; if no link made a term; if a gain has no term.
    pub fn evaluate(
        &mut self,
        raw: &RawPredictions<Tensor>,
        anchors: &Anchors,
        objects: &Objects,
        at: LossPoint,
    ) -> Result<LossValues> {
        let (batch, _, num_classes) = raw.scores.size3()?;
        let (mut predictions, mut targets) = (PredictionFields::new(raw, anchors)?, TargetFields::new(objects));
        let mut terms = TermFields::default();
        let Self { links, parameters, .. } = self;
        {
            let predictions = Predictions(store::view(&mut predictions));
            for (name, link) in links.iter_mut() {
                let mut own = parameters.of(name);
                let cx = at.context(num_classes, predictions, parameter_store::view(&mut own));
                let mut seen = Targets(store::view(&mut targets));
                tch::no_grad(|| link.targets(&mut seen, &cx)).with_context(|| format!("loss {name}"))?;
                targets.normalise(at.normaliser);
            }
            let targets = Targets(store::view(&mut targets));
            for (name, link) in links.iter_mut() {
                let mut own = parameters.of(name);
                let cx = at.context(num_classes, predictions, parameter_store::view(&mut own));
                terms.link.clone_from(name);
                let mut terms = Terms(store::view(&mut terms));
                link.terms(&mut terms, &predictions, &targets, &cx).with_context(|| format!("loss {name}"))?;
            }
        }
        let terms = terms.finish()?;
        if raw.scores.requires_grad() {
            has_gradients(&terms)?;
        }
        self.weigh(terms, batch)
    }

    fn weigh(&self, terms: Vec<FinishedTerm>, batch: i64) -> Result<LossValues> {
        ensure!(!terms.is_empty(), "no link of the loss chain made a term");
        let made = || terms.iter().map(|term| term.name.as_str());
        let is_idle = |gain: &&String| !OPTIONAL_TERMS.contains(&gain.as_str()) && !made().any(|name| name == *gain);
        if let Some(gain) = self.gains.keys().find(is_idle) {
            let made_names = made().collect::<Vec<_>>().join(", ");
            bail!("train.gains.{gain}: the loss has no term of that name, it has {made_names}{}", near(gain, made()));
        }
        let gained = |FinishedTerm { name, value, .. }: &FinishedTerm| -> Result<(String, Tensor)> {
            let gain = self.gains.get(name).copied().unwrap_or(1.0);
            Ok((name.clone(), value.f_mul_scalar(gain)?))
        };
        let links = terms.iter().map(|term| term.link.clone()).collect();
        let terms = terms.iter().map(gained).collect::<Result<Vec<_>>>()?;
        let stacked = Tensor::f_stack(&terms.iter().map(|(_, term)| term).collect::<Vec<_>>(), 0)?;
        let total = stacked.f_sum(None::<Kind>)?.f_mul_scalar(batch)?;
        let terms = terms.into_iter().map(|(name, term)| (name, term.detach())).collect();
        Ok(LossValues { total, terms, links })
    }
}

/// A term without gradients would be added to every figure and train nothing.
fn has_gradients(terms: &[FinishedTerm]) -> Result<()> {
    match terms.iter().find(|term| !term.value.requires_grad()) {
        None => Ok(()),
        Some(FinishedTerm { name, link, .. }) => bail!(
            "term `{name}` of loss {link} has no gradient: it was detached, or computed without the predictions; compute \
             it from them or give its gradients by set_with_gradients"
        ),
    }
}
