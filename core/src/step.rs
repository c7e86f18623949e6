//! Step: the gradients of one batch, in as many parts as memory asks for. Where memory runs out all the same, everything
//! that the batch has changed is taken back, and it starts again in smaller parts: the optimizer sees whole batches only.

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::{
    batch::Part,
    loss::{LossChain, LossPoint, LossValues},
    memory::{Care, Normaliser, OutOfMemory, guarded, is_out_of_memory},
    model::{Anchors, Network, Role},
    torch::{Arg, Operator, RandomState, allocator, put_gradient, take_gradient},
};

/// What computes the loss of some images and adds its gradients to those of the parameters.
pub type Learn = fn(&Part, &mut Network, &mut LossChain, LossPoint) -> Result<LossValues>;

/// How batches go through the network.
pub struct Step {
    /// Images at once. Parts of a batch differ by at most one image.
    pub micro_batch: usize,
    /// How often it was halved because memory had run out.
    pub halvings: usize,
    care: Care,
    normaliser: Normaliser,
    statistics: Statistics,
    add: Operator,
}

impl Step {
    /// Batches of `network` in parts of at most `micro_batch` images.
    ///
    /// # Errors
    /// If memory is out.
    pub fn new(network: &Network, micro_batch: usize, care: Care, normaliser: Normaliser) -> Result<Self> {
        let (statistics, add) = (Statistics::of(network)?, Operator::find("aten::_foreach_add_", "List")?);
        Ok(Self { micro_batch, halvings: 0, care, normaliser, statistics, add })
    }

    /// Adds the gradients of a batch to those of the batches before it; `learn` does so for a part of it. Returns the loss
    /// of the whole batch.
    ///
    /// # Errors
    /// Those of `learn`; an [`OutOfMemory`] if memory is out even with one image at a time.
    pub fn gradients(
        &mut self,
        batch: &Part,
        network: &mut Network,
        chain: &mut LossChain,
        at: LossPoint,
        learn: Learn,
    ) -> Result<LossValues> {
        let before = Before::of(&self.statistics, network, chain)?;
        let loss = loop {
            match guarded(|| self.in_parts(&before, batch, network, chain, at, learn)) {
                Ok(loss) => break loss,
                Err(error) if self.care == Care::Auto && is_out_of_memory(&error) => {
                    trained(network, chain).for_each(|parameter| drop(take_gradient(parameter)));
                    allocator(network.device())?.release_unused();
                    before.rewind(&self.statistics, chain)?;
                    self.halve(batch, at.step, &error)?;
                }
                Err(error) => return Err(error),
            }
        };
        before.add_gradients(&self.add)?;
        Ok(loss)
    }

    fn in_parts(
        &self,
        before: &Before,
        batch: &Part,
        network: &mut Network,
        chain: &mut LossChain,
        at: LossPoint,
        learn: Learn,
    ) -> Result<LossValues> {
        let parts = batch.split(self.micro_batch);
        let mut whole = None;
        if self.normaliser == Normaliser::Batch && parts.len() > 1 {
            whole = Some(target_sum(&parts, network, chain, at)?.f_clamp_min(1)?);
            before.rewind(&self.statistics, chain)?;
        }
        let mut losses = Vec::new();
        for part in &parts {
            let share = part.images.len() as f64 / batch.images.len() as f64;
            let normaliser = whole.as_ref().map(|whole| whole.f_mul_scalar(share)).transpose()?;
            let at = LossPoint { normaliser: normaliser.as_ref(), ..at };
            if std::env::var("TRAINER_T").is_ok() {
                crate::allocator::release_freed_memory();
            }
            losses.push((share, learn(part, network, chain, at)?.detached()));
        }
        LossValues::of_parts(losses)
    }

    /// Smaller parts from now on.
    fn halve(&mut self, batch: &Part, step: usize, error: &anyhow::Error) -> Result<()> {
        let largest = batch.split(self.micro_batch).iter().map(|part| part.images.len()).max().unwrap_or(0);
        if largest <= 1 {
            return Err(OutOfMemory::new("out of memory with one image at a time", error).into());
        }
        self.micro_batch = largest.div_ceil(2);
        self.halvings += 1;
        tracing::warn!(
            "out of memory at step {step} with {largest} images at once: the step is repeated with {}, and so are those \
             to come (halving {}; the run is no longer the one that more memory would give to the bit)",
            self.micro_batch,
            self.halvings
        );
        Ok(())
    }
}

/// The class targets of all parts, summed, by a pass through the network that leaves gradients alone.
fn target_sum(parts: &[Part], network: &mut Network, chain: &mut LossChain, at: LossPoint) -> Result<Tensor> {
    let mut sums = Vec::new();
    for part in parts {
        let batch = part.load(network.kind(), network.device())?;
        let (_, _, height, width) = batch.images.size4()?;
        let anchors = Anchors::new(height, width, network.kind(), network.device());
        let predictions = tch::no_grad(|| network.forward_train(&batch.images))?;
        let at = LossPoint { size: (height, width), image_ids: &batch.image_ids, ..at };
        sums.push(chain.target_sum(&predictions, &anchors, &batch.objects, at)?);
    }
    Ok(Tensor::f_stack(&sums, 0)?.f_sum(None::<Kind>)?)
}

/// What gets gradients: the network's parameters and those of losses.
fn trained<'a>(network: &'a Network, chain: &'a LossChain) -> impl Iterator<Item = &'a Tensor> {
    let roles = [Role::Weight, Role::Norm, Role::Bias];
    let own = network.tensors().filter(move |(spec, _)| roles.contains(&spec.role)).map(|(_, tensor)| tensor);
    own.chain(chain.parameters().all().iter().map(|(_, tensor)| tensor))
}

/// The running statistics of a network's normalisations, and room for a copy of them.
struct Statistics {
    /// Floats and counters apart, as libtorch's kernels for lists want them; each with its copy.
    kinds: [(Vec<Tensor>, Vec<Tensor>); 2],
    copy: Operator,
}

impl Statistics {
    fn of(network: &Network) -> Result<Self> {
        let of_kind = |is_counter: bool| {
            let buffers = network.tensors().filter(|(spec, _)| spec.role == Role::Buffer).map(|(_, tensor)| tensor);
            let live = buffers.filter(|tensor| (tensor.kind() == Kind::Int64) == is_counter).map(Tensor::detach);
            let live = live.collect::<Vec<_>>();
            let copies = live.iter().map(Tensor::f_empty_like).collect::<Result<_, _>>()?;
            Ok::<_, anyhow::Error>((live, copies))
        };
        Ok(Self { kinds: [of_kind(false)?, of_kind(true)?], copy: Operator::find("aten::_foreach_copy_", "")? })
    }

    fn keep(&self) -> Result<()> {
        self.kinds.iter().try_for_each(|(live, copies)| self.transfer(live, copies))
    }

    fn restore(&self) -> Result<()> {
        self.kinds.iter().try_for_each(|(live, copies)| self.transfer(copies, live))
    }

    fn transfer(&self, from: &[Tensor], to: &[Tensor]) -> Result<()> {
        tch::no_grad(|| self.copy.call(&[Arg::Tensors(to), Arg::Tensors(from)], 0))?;
        Ok(())
    }
}

/// All that a batch changes, as it was before it.
struct Before {
    /// Parameters with the gradients of the batches before this one, which are kept apart from its own.
    gradients: Vec<(Tensor, Tensor)>,
    random: RandomState,
    losses: Vec<Vec<u8>>,
}

impl Before {
    fn of(statistics: &Statistics, network: &Network, chain: &LossChain) -> Result<Self> {
        statistics.keep()?;
        let (random, losses) = (RandomState::of(network.device())?, chain.state()?);
        let gradient = |parameter: &Tensor| Some((parameter.shallow_clone(), take_gradient(parameter)?));
        Ok(Self { gradients: trained(network, chain).filter_map(gradient).collect(), random, losses })
    }

    /// Takes back what going through the network and the losses changes, gradients apart.
    fn rewind(&self, statistics: &Statistics, chain: &mut LossChain) -> Result<()> {
        statistics.restore()?;
        self.random.restore()?;
        chain.restore(&self.losses)
    }

    /// The batch is done: its gradients join those of the batches before it.
    fn add_gradients(self, add: &Operator) -> Result<()> {
        let (mut sums, mut earlier) = (Vec::new(), Vec::new());
        for (parameter, gradient) in self.gradients {
            match parameter.grad() {
                sum if sum.defined() => {
                    sums.push(sum);
                    earlier.push(gradient);
                }
                _ => put_gradient(&parameter, &gradient)?,
            }
        }
        if !sums.is_empty() {
            tch::no_grad(|| add.call(&[Arg::Tensors(&sums), Arg::Tensors(&earlier)], 0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
