//! The loss: a chain of links, built in and loaded alike. Pass 1 makes the targets, pass 2 the named terms; the terms
//! times their gains, summed, times the number of images, are what the gradients come from.

mod assign;
mod detection;
mod fields;
mod iou;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use tch::{Kind, Tensor};
use trainer_sdk::{Loss, LossContext, Predictions, Targets, Terms, store};

pub use assign::{Assigner, Assignment, Candidates, Objects};
pub use iou::complete_iou;

use crate::{
    model::{Anchors, RawPredictions},
    near::near,
};
use fields::{PredictionFields, TargetFields, TermFields};

/// Terms of the built-in loss, whose gains have defaults: a plugin may drop them.
const OPTIONAL_TERMS: [&str; 3] = ["box", "cls", "dfl"];

/// The links in the order of the run file, and what each term is multiplied by.
pub struct LossChain {
    links: Vec<(String, Box<dyn Loss>)>,
    gains: BTreeMap<String, f64>,
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
}

/// What came out.
#[derive(Debug)]
pub struct LossValues {
    /// A scalar to run backwards from: the sum of the terms times the number of images.
    pub total: Tensor,
    /// The terms by name, times their gains, without gradients.
    pub terms: Vec<(String, Tensor)>,
}

impl LossValues {
    /// The terms as numbers; waits for the device.
    ///
    /// # Errors
    /// If one is not finite: the message shows all of them.
    pub fn values(&self) -> Result<Vec<(String, f64)>> {
        let value = |(name, term): &(String, Tensor)| Ok((name.clone(), f64::try_from(term)?));
        crate::means::finite(self.terms.iter().map(value).collect::<Result<_>>()?)
    }
}

impl LossChain {
    /// A chain of named links; a term without a gain counts once.
    #[must_use]
    pub fn new(links: Vec<(String, Box<dyn Loss>)>, gains: BTreeMap<String, f64>) -> Self {
        Self { links, gains }
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
        let mut predictions = PredictionFields(vec![
            ("scores", raw.scores.shallow_clone()),
            ("distribution", raw.distribution.shallow_clone()),
            ("boxes", anchors.decode(&raw.distribution)?),
            ("anchors", anchors.centres.shallow_clone()),
            ("strides", anchors.strides.shallow_clone()),
        ]);
        let mut targets = TargetFields(vec![
            ("object_classes".into(), objects.classes.shallow_clone()),
            ("object_boxes".into(), objects.boxes.shallow_clone()),
            ("object_valid".into(), objects.valid.shallow_clone()),
        ]);
        let mut terms = TermFields::default();
        {
            let predictions = Predictions(store::view(&mut predictions));
            let cx = LossContext {
                epoch: at.epoch,
                epochs: at.epochs,
                step: at.step,
                height: at.size.0 as usize,
                width: at.size.1 as usize,
                num_classes: num_classes as usize,
                image_ids: at.image_ids,
                predictions,
            };
            let mut targets = Targets(store::view(&mut targets));
            for (name, link) in &mut self.links {
                tch::no_grad(|| link.targets(&mut targets, &cx)).with_context(|| format!("loss {name}"))?;
            }
            let mut terms = Terms(store::view(&mut terms));
            for (name, link) in &mut self.links {
                link.terms(&mut terms, &predictions, &targets, &cx).with_context(|| format!("loss {name}"))?;
            }
        }
        self.weigh(terms.finish()?, batch)
    }

    fn weigh(&self, terms: Vec<(String, Tensor)>, batch: i64) -> Result<LossValues> {
        ensure!(!terms.is_empty(), "no link of the loss chain made a term");
        let made = || terms.iter().map(|(name, _)| name.as_str());
        let is_idle = |gain: &&String| !OPTIONAL_TERMS.contains(&gain.as_str()) && !made().any(|name| name == *gain);
        if let Some(gain) = self.gains.keys().find(is_idle) {
            let made_names = made().collect::<Vec<_>>().join(", ");
            bail!("train.gains.{gain}: the loss has no term of that name, it has {made_names}{}", near(gain, made()));
        }
        let gained = |(name, term): (String, Tensor)| -> Result<(String, Tensor)> {
            let gain = self.gains.get(&name).copied().unwrap_or(1.0);
            Ok((name, term.f_mul_scalar(gain)?))
        };
        let terms = terms.into_iter().map(gained).collect::<Result<Vec<_>>>()?;
        let stacked = Tensor::f_stack(&terms.iter().map(|(_, term)| term).collect::<Vec<_>>(), 0)?;
        let total = stacked.f_sum(None::<Kind>)?.f_mul_scalar(batch)?;
        let terms = terms.into_iter().map(|(name, term)| (name, term.detach())).collect();
        Ok(LossValues { total, terms })
    }
}
