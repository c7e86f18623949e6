//! Trainable parameters of losses: made when a loss first asks for them, then optimized, averaged and saved like the
//! network's own.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};
use trainer_sdk::{Init, Rng, parameter_store::ParameterStore};

use crate::torch::to_sdk;

/// A parameter and its name, `LOSS/NAME`.
pub type Named = (String, Tensor);

/// The parameters of all links of a chain.
pub struct LossParameters {
    kind: Kind,
    device: Device,
    is_trained: bool,
    all: Vec<Named>,
}

impl LossParameters {
    /// None yet. Those of a chain that is only evaluated record no gradients.
    #[must_use]
    pub fn new(kind: Kind, device: Device, is_trained: bool) -> Self {
        Self { kind, device, is_trained, all: Vec::new() }
    }

    /// Those made so far, in the order in which they were asked for.
    #[must_use]
    pub fn all(&self) -> &[Named] {
        &self.all
    }

    /// Puts a parameter that is kept elsewhere (its average) in the place of one that would be made.
    pub fn share(&mut self, (name, tensor): &Named) {
        self.all.retain(|(known, _)| known != name);
        self.all.push((name.clone(), tensor.shallow_clone()));
    }

    /// The parameters as the link of that name sees them.
    pub(super) fn of<'a>(&'a mut self, link: &'a str) -> LinkParameters<'a> {
        LinkParameters { link, parameters: self }
    }

    fn make(&self, name: &str, size: &[i64], init: Init) -> Result<Tensor> {
        ensure!(size.iter().all(|&side| side > 0), "parameter `{name}` cannot have the size {size:?}");
        // Its own generator, so that the network's and the data's random numbers do not depend on a loss.
        let mut rng = Rng::from_key(&name.bytes().map(u64::from).collect::<Vec<_>>());
        let count: i64 = size.iter().product();
        let value = |_| match init {
            Init::Constant(value) => value,
            Init::Uniform(low, high) => rng.uniform(low, high),
            Init::Normal(mean, deviation) => mean + deviation * rng.normal(),
        };
        let values: Vec<f64> = (0..count).map(value).collect();
        ensure!(values.iter().all(|value| value.is_finite()), "parameter `{name}` cannot start from {init:?}");
        let tensor = Tensor::f_from_slice(&values)?.f_reshape(size)?.f_to_device(self.device)?.f_to_kind(self.kind)?;
        Ok(tensor.f_set_requires_grad(self.is_trained)?)
    }
}

/// The parameters of one link.
pub(super) struct LinkParameters<'a> {
    link: &'a str,
    parameters: &'a mut LossParameters,
}

impl ParameterStore for LinkParameters<'_> {
    fn get(&mut self, name: &str, size: &[i64], init: Init) -> Result<trainer_sdk::Tensor> {
        let name = format!("{}/{name}", self.link);
        if let Some((_, known)) = self.parameters.all.iter().find(|(known, _)| *known == name) {
            ensure!(known.size() == size, "parameter `{name}` is {:?}, not {size:?}", known.size());
            return Ok(to_sdk(known));
        }
        let made = self.parameters.make(&name, size, init)?;
        let seen = to_sdk(&made);
        self.parameters.all.push((name, made));
        Ok(seen)
    }
}
