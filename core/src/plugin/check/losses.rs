//! A loss in its chain on a small batch: the built-in first link, then the loss under test, whose calls are watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use tch::{Device, Kind, Tensor};
use trainer_sdk::{
    FieldMap, Loss, LossContext, Predictions, Targets, Terms,
    store::{self, Computation, FieldStore},
};

use super::{
    cases::Case,
    faults, host,
    subject::{FIRST, Subject},
};
use crate::loss::{LossChain, LossParameters, LossPoint, LossValues};

/// Predictions by name.
pub type Named = Vec<(String, trainer_sdk::Tensor)>;

/// What is remembered of an evaluation.
#[derive(Default)]
pub struct Memory {
    /// The predictions that pass 1 saw.
    pub predictions: Named,
    /// The terms that the loss under test made.
    pub made: BTreeSet<String>,
    /// Whether it brought gradients of its own.
    pub has_gradients: bool,
}

type Shared<T> = Arc<Mutex<T>>;

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fresh instance in a chain, step by step.
pub struct LossRun {
    chain: LossChain,
    loss: Shared<Box<dyn Loss>>,
    memory: Shared<Memory>,
    step: usize,
}

impl LossRun {
    /// A chain with all gains 1.
    pub fn new(subject: &Subject, kind: Kind) -> Result<Self> {
        Self::with(subject, kind, &BTreeMap::new(), None)
    }

    /// A chain with these gains, 1 for terms that are not named. With `fixed`, pass 1 sees these predictions whatever
    /// the batch's are, so that the targets stay the same.
    pub fn with(subject: &Subject, kind: Kind, gains: &BTreeMap<String, f64>, fixed: Option<&Named>) -> Result<Self> {
        let loss = Arc::new(Mutex::new(subject.loss()?));
        let memory = Shared::default();
        let mut links: Vec<(String, Box<dyn Loss>)> = Vec::new();
        if subject.name != FIRST || subject.plugin.is_some() {
            let first = Held { loss: subject.registry.loss(FIRST, "{}")?, fixed: fixed.cloned() };
            links.push((FIRST.into(), Box::new(first)));
        }
        let watched = Watched { loss: Arc::clone(&loss), memory: Arc::clone(&memory), fixed: fixed.cloned() };
        links.push((subject.name.clone(), Box::new(watched)));
        let parameters = LossParameters::new(kind, Device::Cpu, true);
        Ok(Self { chain: LossChain::new(links, gains.clone(), parameters), loss, memory, step: 0 })
    }

    /// Both passes on a batch.
    pub fn step(&mut self, case: &Case) -> Result<LossValues> {
        let is_training = case.raw.scores.requires_grad();
        let (size, image_ids) = ((64, 64), &[3, 8]);
        let at = LossPoint { epochs: 10, step: self.step, size, image_ids, is_training, ..LossPoint::default() };
        self.step += 1;
        self.chain.evaluate(&case.raw, &case.anchors, &case.objects, at)
    }

    /// Both passes and the way back: terms, then gradients, as bits.
    pub fn trace(&mut self, case: &Case) -> Result<Vec<u64>> {
        let case = case.fresh();
        let values = self.step(&case)?;
        values.total.f_backward()?;
        let mut tensors: Vec<Tensor> = values.terms.into_iter().map(|(_, term)| term.reshape([1])).collect();
        tensors.extend(case.gradients().map(|gradient| gradient.reshape([-1])));
        let all = tensors.iter().map(Vec::<f64>::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().flatten().map(f64::to_bits).collect())
    }

    pub fn save(&self) -> Result<Vec<u8>> {
        lock(&self.loss).save()
    }

    /// Takes the state over and goes on at the step of another run.
    pub fn load(&mut self, state: &[u8], step: usize) -> Result<()> {
        self.step = step;
        lock(&self.loss).load(state)
    }

    /// What it remembers of the last step.
    pub fn take_memory(&self) -> Memory {
        std::mem::take(&mut lock(&self.memory))
    }
}

/// The first link, which assigns.
struct Held {
    loss: Box<dyn Loss>,
    fixed: Option<Named>,
}

impl Loss for Held {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let Some(fixed) = &self.fixed else { return self.loss.targets(targets, cx) };
        let mut predictions = Fields { fixed: fixed.clone(), ..Fields::of(cx.predictions.0) };
        self.loss.targets(targets, &with_predictions(cx, &mut predictions))
    }

    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, cx: &LossContext) -> Result<()> {
        self.loss.terms(terms, preds, targets, cx)
    }
}

/// The loss under test.
struct Watched {
    loss: Shared<Box<dyn Loss>>,
    memory: Shared<Memory>,
    fixed: Option<Named>,
}

impl Loss for Watched {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let of_cx = cx.predictions.0;
        let named = of_cx.names().into_iter().map(|name| Ok((name.clone(), of_cx.get(&name)?)));
        lock(&self.memory).predictions = named.collect::<Result<_>>()?;
        let mut seen = Fields::of(targets.0);
        let mut predictions = Fields { fixed: self.fixed.clone().unwrap_or_default(), ..Fields::of(of_cx) };
        let cx = with_predictions(cx, &mut predictions);
        lock(&self.loss).targets(&mut Targets(store::view(&mut seen)), &cx)
    }

    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, cx: &LossContext) -> Result<()> {
        let (mut own, mut of_targets) = (Fields::of(terms.0), Fields::of(targets.0));
        let (mut of_preds, mut of_context) = (Fields::of(preds.0), Fields::of(cx.predictions.0));
        let (preds, targets) = (Predictions(store::view(&mut of_preds)), Targets(store::view(&mut of_targets)));
        let cx = with_predictions(cx, &mut of_context);
        let done = lock(&self.loss).terms(&mut Terms(store::view(&mut own)), &preds, &targets, &cx);
        let mut memory = lock(&self.memory);
        memory.made.append(&mut own.made);
        memory.has_gradients |= own.has_gradients;
        done
    }
}

fn with_predictions<'a>(cx: &LossContext<'a>, predictions: &'a mut Fields) -> LossContext<'a> {
    LossContext { predictions: Predictions(store::view(predictions)), ..*cx }
}

/// Fields of the trainer, each of whose calls may be told to fail.
struct Fields<'a> {
    inner: FieldMap<'a>,
    /// What is read instead of the inner fields of these names.
    fixed: Named,
    /// The names that were set or offered.
    made: BTreeSet<String>,
    /// Whether one of them was set with gradients.
    has_gradients: bool,
}

impl<'a> Fields<'a> {
    fn of(inner: FieldMap<'a>) -> Self {
        Self { inner, fixed: Vec::new(), made: BTreeSet::new(), has_gradients: false }
    }
}

impl FieldStore for Fields<'_> {
    fn names(&self) -> Vec<String> {
        self.inner.names()
    }

    fn get(&mut self, name: &str) -> Result<trainer_sdk::Tensor> {
        faults::check(name)?;
        let fixed = self.fixed.iter().find(|(known, _)| known == name);
        fixed.map_or_else(|| self.inner.get(name), |(_, tensor)| Ok(tensor.clone()))
    }

    fn set(&mut self, name: &str, tensor: trainer_sdk::Tensor) -> Result<()> {
        faults::check(name)?;
        self.made.insert(name.to_owned());
        self.inner.set(name, &tensor)
    }

    fn set_with_gradients(
        &mut self,
        name: &str,
        value: &trainer_sdk::Tensor,
        gradients: &[(trainer_sdk::Tensor, trainer_sdk::Tensor)],
    ) -> Result<()> {
        faults::check(name)?;
        self.made.insert(name.to_owned());
        self.has_gradients = true;
        let pairs: Vec<_> = gradients.iter().map(|(input, gradient)| (input, gradient)).collect();
        host::with_free_detach(|| self.inner.set_with_gradients(name, value, &pairs))
    }

    fn offer(&mut self, name: &str, computation: Computation) -> Result<()> {
        faults::check(name)?;
        self.made.insert(name.to_owned());
        self.inner.offer(name, move || computation.run())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        faults::check(name)?;
        self.inner.remove(name)
    }
}
