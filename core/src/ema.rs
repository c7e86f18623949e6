//! The exponential moving average of the weights, batch-norm statistics included: what is validated and saved.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::{
    loss::Named,
    model::Network,
    torch::{Arg, Operator},
};

/// Largest share that stays from the old average.
const DECAY: f64 = 0.9999;
/// Updates over which the decay rises, so that early averages follow the weights.
const RAMP: f64 = 2000.0;

/// The share that stays at the `updates`-th update (from 1): 0.9999 * (1 - exp(-updates / 2000)).
#[must_use]
pub fn decay(updates: usize) -> f64 {
    DECAY * (1.0 - (-(updates as f64) / RAMP).exp())
}

/// Shadow weights.
pub struct Ema {
    network: Network,
    average: Vec<Tensor>,
    live: Vec<Tensor>,
    counters: Vec<(Tensor, Tensor)>,
    updates: usize,
    lerp: Operator,
    adopted: Vec<Named>,
}

impl Ema {
    /// Starts at the network's present weights.
    ///
    /// # Errors
    /// If libtorch lacks `_foreach_lerp_`.
    pub fn new(network: &Network) -> Result<Self> {
        let mut copies = BTreeMap::new();
        let (mut average, mut live, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for (spec, tensor) in network.tensors() {
            let copy = tensor.detach().copy();
            if tensor.kind() == Kind::Int64 {
                counters.push((copy.shallow_clone(), tensor.shallow_clone()));
            } else {
                average.push(copy.shallow_clone());
                live.push(tensor.detach()); // shares the storage, so it follows the training
            }
            copies.insert(spec.name.clone(), copy);
        }
        let lerp = Operator::find("aten::_foreach_lerp_", "Scalar")?;
        Ok(Self {
            network: network.with_tensors(copies),
            average,
            live,
            counters,
            updates: 0,
            lerp,
            adopted: Vec::new(),
        })
    }

    /// Moves the average towards the live weights; once after each optimizer step.
    ///
    /// # Errors
    /// If the live network's shapes have changed.
    pub fn update(&mut self) -> Result<()> {
        self.updates += 1;
        let share = Arg::Float(1.0 - decay(self.updates));
        tch::no_grad(|| self.lerp.call(&[Arg::Tensors(&self.average), Arg::Tensors(&self.live), share], 0))?;
        for (copy, live) in &self.counters {
            copy.shallow_clone().f_copy_(live)?;
        }
        Ok(())
    }

    /// Averages a trainable parameter of a loss from now on, too.
    pub fn adopt(&mut self, (name, parameter): &Named) {
        let copy = parameter.detach().copy();
        self.average.push(copy.shallow_clone());
        self.live.push(parameter.detach());
        self.adopted.push((name.clone(), copy));
    }

    /// The averages of the losses' parameters, in the order in which they came.
    #[must_use]
    pub fn adopted(&self) -> &[Named] {
        &self.adopted
    }

    /// The network over the averaged weights.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }
}
