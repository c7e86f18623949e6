//! Predictions, targets and terms of the bench, with the trainer's rules on who may write them.

use anyhow::{Context as _, Result, bail, ensure};

use super::tensor;
use crate::{
    Init, Rng, Tensor,
    parameter_store::ParameterStore,
    store::{Computation, FieldStore},
};

pub(super) fn put<T>(fields: &mut Vec<(String, T)>, name: &str, value: T) {
    match fields.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => fields.push((name.to_owned(), value)),
    }
}

fn get(fields: &[(String, Tensor)], name: &str) -> Result<Tensor> {
    let found = fields.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.clone());
    found.with_context(|| format!("there is no `{name}`; there are {}", names(fields).join(", ")))
}

fn names<T>(fields: &[(String, T)]) -> Vec<String> {
    fields.iter().map(|(name, _)| name.clone()).collect()
}

/// Predictions.
pub(super) struct ReadOnly(pub Vec<(String, Tensor)>);

impl FieldStore for ReadOnly {
    fn names(&self) -> Vec<String> {
        names(&self.0)
    }

    fn get(&mut self, name: &str) -> Result<Tensor> {
        get(&self.0, name)
    }

    fn set(&mut self, name: &str, _tensor: Tensor) -> Result<()> {
        bail!("predictions are read-only (tried to set `{name}`)")
    }

    fn offer(&mut self, name: &str, _computation: Computation) -> Result<()> {
        bail!("predictions are read-only (tried to offer `{name}`)")
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        bail!("predictions are read-only (tried to remove `{name}`)")
    }
}

/// Targets: each field is set once; then only `scores` may be replaced, by a tensor of the same shape and type.
pub(super) struct Assigned(pub Vec<(String, Tensor)>);

impl FieldStore for Assigned {
    fn names(&self) -> Vec<String> {
        names(&self.0)
    }

    fn get(&mut self, name: &str) -> Result<Tensor> {
        get(&self.0, name)
    }

    fn set(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        match get(&self.0, name) {
            Ok(old) if name == "scores" => {
                let same = (old.size(), old.dtype()) == (tensor.size(), tensor.dtype());
                ensure!(same, "`scores` must stay {old:?}, not {tensor:?}");
            }
            Ok(_) => bail!("`{name}` is fixed by the assignment; only `scores` may be replaced"),
            Err(_) => {}
        }
        put(&mut self.0, name, tensor);
        Ok(())
    }

    fn offer(&mut self, name: &str, _computation: Computation) -> Result<()> {
        bail!("targets are tensors, not computations (tried to offer `{name}`)")
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        bail!("targets cannot be removed (tried to remove `{name}`)")
    }
}

/// Terms: scalars, computed when somebody asks.
pub(super) struct Named(pub Vec<(String, Term)>);

pub(super) enum Term {
    Offered(Computation),
    Failed,
    Ready(Tensor),
}

impl FieldStore for Named {
    fn names(&self) -> Vec<String> {
        names(&self.0)
    }

    fn get(&mut self, name: &str) -> Result<Tensor> {
        let known = names(&self.0).join(", ");
        let found = self.0.iter_mut().find(|(known, _)| known == name);
        let (_, term) = found.with_context(|| format!("there is no term `{name}`; there are {known}"))?;
        let value = match std::mem::replace(term, Term::Failed) {
            Term::Offered(computation) => scalar(name, computation.run()?)?,
            Term::Failed => bail!("the computation of term `{name}` has failed before"),
            Term::Ready(tensor) => tensor,
        };
        *term = Term::Ready(value.clone());
        Ok(value)
    }

    fn set(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        put(&mut self.0, name, Term::Ready(scalar(name, tensor)?));
        Ok(())
    }

    fn offer(&mut self, name: &str, computation: Computation) -> Result<()> {
        put(&mut self.0, name, Term::Offered(computation));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        let place = self.0.iter().position(|(known, _)| known == name);
        let known = || format!("there is no term `{name}` to remove; there are {}", names(&self.0).join(", "));
        let place = place.with_context(known)?;
        self.0.remove(place);
        Ok(())
    }
}

fn scalar(name: &str, tensor: Tensor) -> Result<Tensor> {
    ensure!(tensor.size().is_empty(), "term `{name}` must be a scalar, not {:?}", tensor.size());
    Ok(tensor)
}

/// A loss's trainable parameters: doubles that nothing trains.
#[derive(Default)]
pub(super) struct Kept(pub Vec<(String, Tensor)>);

impl ParameterStore for Kept {
    fn get(&mut self, name: &str, size: &[i64], init: Init) -> Result<Tensor> {
        if let Ok(known) = get(&self.0, name) {
            ensure!(known.size() == size, "parameter `{name}` is {:?}, not {size:?}", known.size());
            return Ok(known);
        }
        let mut rng = Rng::from_key(&[self.0.len() as u64]);
        let mut value = || match init {
            Init::Constant(value) => value,
            Init::Uniform(low, high) => rng.uniform(low, high),
            Init::Normal(mean, deviation) => mean + deviation * rng.normal(),
        };
        let count = size.iter().product::<i64>().max(0);
        let made = tensor(&(0..count).map(|_| value()).collect::<Vec<_>>(), size);
        put(&mut self.0, name, made.clone());
        Ok(made)
    }
}
