//! Autocast with a dtype of choice, on any device.

#![allow(unsafe_code)] // C++ functions

use std::marker::PhantomData;

use anyhow::{Result, bail};
use tch::{Device, Kind};
use trainer_sdk::abi::{Sink, Status};

use super::{device_parts, failure};

unsafe extern "C" {
    fn trainer_autocast_enter(device: i32, dtype: i32, was_on: *mut bool, was_dtype: *mut i32, error: Sink) -> Status;
    safe fn trainer_autocast_leave(device: i32, was_on: bool, was_dtype: i32);
}

/// While this lives, this thread's operators on a device of that type compute in a smaller type where that is safe:
/// convolutions and matrix products do, losses and sums stay in float32.
#[must_use]
pub struct Autocast {
    device: i32,
    was_on: bool,
    was_dtype: i32,
    of_thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Turns it on.
    ///
    /// # Errors
    /// A `kind` other than bfloat16 and float16.
    pub fn new(device: Device, kind: Kind) -> Result<Self> {
        let dtype = match kind {
            Kind::Half => 5, // c10::ScalarType
            Kind::BFloat16 => 15,
            other => bail!("autocast computes in bfloat16 or float16, not in {other:?}"),
        };
        let (device, _) = device_parts(device);
        let (mut was_on, mut was_dtype, mut error) = (false, 0, Vec::new());
        // SAFETY: all places outlive the call.
        let status = unsafe {
            let sink = Sink::to(&mut error);
            trainer_autocast_enter(device, dtype, &raw mut was_on, &raw mut was_dtype, sink)
        };
        failure(status, &error)?;
        Ok(Self { device, was_on, was_dtype, of_thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        trainer_autocast_leave(self.device, self.was_on, self.was_dtype);
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn products_are_cast_and_guards_nest() {
        let x = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        let kinds = || {
            (
                x.matmul(&x).kind(),
                x.binary_cross_entropy_with_logits::<Tensor>(&x, None, None, tch::Reduction::Mean).kind(),
            )
        };
        assert_eq!(kinds(), (Kind::Float, Kind::Float));
        let outer = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
        assert_eq!(kinds(), (Kind::BFloat16, Kind::Float), "a loss stays in float32");
        let inner = Autocast::new(Device::Cpu, Kind::Half).unwrap();
        assert_eq!(kinds().0, Kind::Half);
        drop(inner);
        assert_eq!(kinds().0, Kind::BFloat16);
        drop(outer);
        assert_eq!(kinds(), (Kind::Float, Kind::Float));
    }

    #[test]
    fn it_ends_with_a_panic() {
        let x = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        let panicked = std::panic::catch_unwind(|| {
            let _autocast = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_eq!(x.matmul(&x).kind(), Kind::Float);
    }

    #[test]
    fn other_types_are_refused() {
        let message = Autocast::new(Device::Cpu, Kind::Double).err().unwrap().to_string();
        assert_eq!(message, "autocast computes in bfloat16 or float16, not in Double");
    }
}
