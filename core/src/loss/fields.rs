//! Predictions, targets and terms as the losses of the chain see them: named tensors with rules on who may write.

use anyhow::{Context as _, Result, bail, ensure};
use tch::Tensor;
use trainer_loader::Visit;
use trainer_sdk::store::{Computation, FieldStore};

use super::Objects;
use crate::{
    model::{Anchors, RawPredictions},
    torch::{from_sdk, to_sdk},
};

/// Tensors that are only read.
pub(super) struct PredictionFields(Vec<(&'static str, Tensor)>);

impl PredictionFields {
    /// What the network gave, and its boxes in grid units.
    pub(super) fn new(raw: &RawPredictions<Tensor>, anchors: &Anchors) -> Result<Self> {
        Ok(Self(vec![
            ("scores", raw.scores.shallow_clone()),
            ("distribution", raw.distribution.shallow_clone()),
            ("boxes", anchors.decode(&raw.distribution)?),
            ("anchors", anchors.centres.shallow_clone()),
            ("strides", anchors.strides.shallow_clone()),
        ]))
    }
}

impl FieldStore for PredictionFields {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn get(&mut self, name: &str) -> Result<trainer_sdk::Tensor> {
        find(self.0.iter().map(|(name, tensor)| (*name, tensor)), name).map(to_sdk)
    }

    fn set(&mut self, name: &str, _tensor: trainer_sdk::Tensor) -> Result<()> {
        bail!("predictions are read-only (tried to set `{name}`)")
    }

    fn offer(&mut self, name: &str, _computation: Computation) -> Result<()> {
        bail!("predictions are read-only (tried to offer `{name}`)")
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        bail!("predictions are read-only (tried to remove `{name}`)")
    }
}

/// The assigning link sets each field once; later links may only replace `scores`, by a tensor of the same shape.
pub(super) struct TargetFields(Vec<(String, Tensor)>);

impl TargetFields {
    /// The objects; the assignment is yet to come.
    pub(super) fn new(objects: &Objects) -> Self {
        Self(vec![
            ("object_classes".into(), objects.classes.shallow_clone()),
            ("object_boxes".into(), objects.boxes.shallow_clone()),
            ("object_valid".into(), objects.valid.shallow_clone()),
        ])
    }

    /// A field, once it is set.
    pub(super) fn find(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// Puts a given normaliser in the place of the assignment's own.
    pub(super) fn normalise(&mut self, given: Option<&Tensor>) {
        let own = self.0.iter_mut().find(|(name, _)| name == "normaliser");
        if let (Some((_, own)), Some(given)) = (own, given) {
            *own = given.shallow_clone();
        }
    }
}

impl FieldStore for TargetFields {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn get(&mut self, name: &str) -> Result<trainer_sdk::Tensor> {
        find(self.0.iter().map(|(name, tensor)| (name.as_str(), tensor)), name).map(to_sdk)
    }

    fn set(&mut self, name: &str, tensor: trainer_sdk::Tensor) -> Result<()> {
        let new = from_sdk(&tensor);
        match self.0.iter_mut().find(|(known, _)| known == name) {
            None => self.0.push((name.to_owned(), new)),
            Some((_, old)) if name == "scores" => {
                let (wanted, got) = ((old.size(), old.kind()), (new.size(), new.kind()));
                ensure!(wanted == got, "`scores` must stay {:?} {:?}, not {:?} {:?}", wanted.0, wanted.1, got.0, got.1);
                *old = new;
            }
            Some(_) => bail!("`{name}` is fixed by the assignment; only `scores` may be replaced"),
        }
        Ok(())
    }

    fn offer(&mut self, name: &str, _computation: Computation) -> Result<()> {
        bail!("targets are tensors, not computations (tried to offer `{name}`)")
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        bail!("targets cannot be removed (tried to remove `{name}`)")
    }
}

/// Scalars that are computed when somebody asks, in the order they were first named.
#[derive(Default)]
pub(super) struct TermFields {
    terms: Vec<Made>,
    /// The link that is at work.
    pub(super) link: String,
}

/// A term and the link that made it.
struct Made {
    name: String,
    link: String,
    term: Term,
}

/// A term that is computed, and the link that made it.
pub struct FinishedTerm {
    /// Its name.
    pub name: String,
    /// The loss that made it.
    pub link: String,
    /// A scalar, without its gain.
    pub value: Tensor,
}

enum Term {
    /// A computation until it is run, and the call of a plugin that offered it.
    Offered(Option<(Computation, Option<Visit>)>),
    Ready(Tensor),
}

impl TermFields {
    /// Computes what is still only offered and returns all terms.
    pub(super) fn finish(mut self) -> Result<Vec<FinishedTerm>> {
        let names: Vec<_> = self.terms.iter().map(|made| (made.name.clone(), made.link.clone())).collect();
        let finished = |(name, link): (String, String)| {
            let value = self.value(&name).with_context(|| format!("loss {link}"))?.shallow_clone();
            Ok(FinishedTerm { name, link, value })
        };
        names.into_iter().map(finished).collect()
    }

    fn value(&mut self, name: &str) -> Result<&Tensor> {
        let names = self.names().join(", ");
        let Some(Made { term, .. }) = self.terms.iter_mut().find(|made| made.name == name) else {
            bail!("there is no term `{name}`; there are {names}");
        };
        if let Term::Offered(computation) = term {
            let Some((computation, visit)) = computation.take() else {
                bail!("the computation of term `{name}` has failed before")
            };
            let compute = || scalar(name, from_sdk(&computation.run()?));
            *term = Term::Ready(match visit {
                Some(visit) => visit.resumed(compute)?,
                None => compute()?,
            });
        }
        match term {
            Term::Ready(tensor) => Ok(tensor),
            Term::Offered(_) => bail!("term `{name}` was not computed"),
        }
    }

    fn put(&mut self, name: &str, term: Term) {
        let made = Made { name: name.to_owned(), link: self.link.clone(), term };
        match self.terms.iter_mut().find(|old| old.name == name) {
            Some(old) => *old = made,
            None => self.terms.push(made),
        }
    }
}

impl FieldStore for TermFields {
    fn names(&self) -> Vec<String> {
        self.terms.iter().map(|made| made.name.clone()).collect()
    }

    fn get(&mut self, name: &str) -> Result<trainer_sdk::Tensor> {
        self.value(name).map(to_sdk)
    }

    fn set(&mut self, name: &str, tensor: trainer_sdk::Tensor) -> Result<()> {
        let tensor = scalar(name, from_sdk(&tensor))?;
        self.put(name, Term::Ready(tensor));
        Ok(())
    }

    fn offer(&mut self, name: &str, computation: Computation) -> Result<()> {
        self.put(name, Term::Offered(Some((computation, trainer_loader::visit()))));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        let before = self.terms.len();
        self.terms.retain(|made| made.name != name);
        ensure!(
            self.terms.len() < before,
            "there is no term `{name}` to remove; there are {}",
            self.names().join(", ")
        );
        Ok(())
    }
}

fn scalar(name: &str, tensor: Tensor) -> Result<Tensor> {
    ensure!(tensor.dim() == 0, "term `{name}` must be a scalar, not {:?}", tensor.size());
    Ok(tensor)
}

fn find<'a>(fields: impl Iterator<Item = (&'a str, &'a Tensor)> + Clone, name: &str) -> Result<&'a Tensor> {
    match fields.clone().find(|(known, _)| *known == name) {
        Some((_, tensor)) => Ok(tensor),
        None => {
            bail!("there is no `{name}`; there are {}", fields.map(|(name, _)| name).collect::<Vec<_>>().join(", "))
        }
    }
}
