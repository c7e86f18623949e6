//! The running mean of 1 - IoU, kept where the tensors are, so that no step waits for the device.

use trainer_sdk::{Context, Result, Tensor, ensure};

const VERSION: u8 = 1;

/// The mean goes no lower, since outlier degrees are divided by it.
const LOWEST: f64 = 1e-6;

/// An exponential mean.
pub struct RunningMean {
    /// What it was when it was made or loaded; 1 is the loss of boxes that do not touch.
    start: f64,
    /// What it is, after the first batch.
    now: Option<Tensor>,
}

impl Default for RunningMean {
    fn default() -> Self {
        Self { start: 1.0, now: None }
    }
}

impl RunningMean {
    /// Moves towards the mean of `losses` over the `foreground` (bool, of their size) and returns where it is then. A
    /// batch without foreground moves nothing.
    pub fn follow(&mut self, losses: &Tensor, foreground: &Tensor, momentum: f64) -> Result<Tensor> {
        let foreground = foreground.to_dtype(losses.dtype())?;
        let count = foreground.sum()?;
        let batch = losses.mul(&foreground)?.sum()?.div(&count.clamp_min(1.0)?)?;
        let old = match &self.now {
            Some(mean) => mean.clone(),
            None => batch.full_like(self.start)?,
        };
        let share = count.clamp_max(1.0)?.mul_scalar(momentum)?;
        let new = old.add(&batch.sub(&old)?.mul(&share)?)?.clamp(LOWEST, 1.0)?;
        self.now = Some(new.clone());
        Ok(new)
    }

    /// A version, then the mean as a double, little-endian.
    pub fn save(&self) -> Result<Vec<u8>> {
        let mean = match &self.now {
            Some(mean) => mean.item()?,
            None => self.start,
        };
        Ok([&[VERSION][..], &mean.to_le_bytes()].concat())
    }

    /// What [`save`](Self::save) wrote.
    pub fn load(state: &[u8]) -> Result<Self> {
        let (version, mean) = state.split_first().context("this is no state of wiou: it is empty")?;
        ensure!(*version == VERSION, "this is state {version} of wiou; this plugin reads state {VERSION}");
        let bytes: [u8; 8] = mean.try_into().context("this is no state of wiou: it has not 9 bytes")?;
        let start = f64::from_le_bytes(bytes);
        ensure!(start > 0.0 && start <= 1.0, "the mean of 1 - IoU lies between 0 and 1, not at {start}");
        Ok(Self { start, now: None })
    }
}

#[cfg(test)]
mod tests {
    use trainer_sdk::testing::{assert_close, bools, tensor};

    use super::*;

    #[test]
    fn follows_the_foreground_and_ignores_empty_batches() {
        let mut mean = RunningMean::default();
        let mut follow = |losses: [f64; 2], foreground| {
            mean.follow(&tensor(&losses, &[1, 2]), &bools(foreground, &[1, 2]), 0.25).unwrap().item().unwrap()
        };
        let means =
            [follow([0.2, 9.0], &[true, false]), follow([0.5, 0.5], &[false; 2]), follow([0.2, 0.6], &[true; 2])];
        assert_close(&means, &[0.8, 0.8, 0.7], 1e-15);
        assert_close(&[f64::from_le_bytes(mean.save().unwrap()[1..].try_into().unwrap())], &[0.7], 1e-15);
        let perfect = mean.follow(&tensor(&[0.0], &[1, 1]), &bools(&[true], &[1, 1]), 1.0).unwrap().item().unwrap();
        assert_eq!(perfect, 1e-6, "it stays above 0");
    }

    #[test]
    fn goes_on_from_what_was_saved_and_refuses_the_rest() {
        let mut mean = RunningMean::default();
        let (losses, foreground) = (tensor(&[0.3], &[1, 1]), bools(&[true], &[1, 1]));
        mean.follow(&losses, &foreground, 0.1).unwrap();
        let saved = mean.save().unwrap();
        let mut loaded = RunningMean::load(&saved).unwrap();
        assert_eq!(loaded.save().unwrap(), saved);
        let next = [&mut mean, &mut loaded].map(|mean| mean.follow(&losses, &foreground, 0.1).unwrap().item().unwrap());
        assert_eq!(next[0], next[1]);

        let reason = |state: &[u8]| RunningMean::load(state).err().unwrap().to_string();
        assert_eq!(reason(b""), "this is no state of wiou: it is empty");
        assert_eq!(reason(&[2, 0, 0]), "this is state 2 of wiou; this plugin reads state 1");
        assert_eq!(reason(&saved[..5]), "this is no state of wiou: it has not 9 bytes");
        let with = |mean: f64| [&[1][..], &mean.to_le_bytes()].concat();
        assert!([0.0, -1.0, 1.5, f64::NAN, f64::INFINITY].iter().all(|mean| RunningMean::load(&with(*mean)).is_err()));
    }
}
