//! What a step that is repeated takes back: gradients, and the state of the random numbers.

#![allow(unsafe_code)] // C++ functions, and tensors that change hands

use anyhow::{Result, anyhow, ensure};
use tch::{Device, Tensor};
use trainer_sdk::abi::{Opaque, Sink, Status};

unsafe extern "C" {
    fn trainer_gradient_take(parameter: Opaque) -> Opaque;
    fn trainer_gradient_put(parameter: Opaque, gradient: Opaque);
    fn trainer_random_state(device_type: i32, index: i32, state: *mut Opaque, error: Sink) -> Status;
    fn trainer_random_restore(device_type: i32, index: i32, state: Opaque, error: Sink) -> Status;
}

/// Takes the gradient off a parameter, which has none afterwards.
#[must_use]
pub fn take_gradient(parameter: &Tensor) -> Option<Tensor> {
    // SAFETY: tch holds a live at::Tensor*; what comes back is a new one, ours, or null.
    let taken = unsafe { trainer_gradient_take(parameter.as_ptr().cast_mut().cast()) };
    // SAFETY: as above.
    (!taken.is_null()).then(|| unsafe { Tensor::from_ptr(taken.cast()) })
}

/// Gives a parameter a gradient, in the place of any that it has.
///
/// # Errors
/// If they differ in shape or type.
pub fn put_gradient(parameter: &Tensor, gradient: &Tensor) -> Result<()> {
    let (wanted, got) = ((parameter.size(), parameter.kind()), (gradient.size(), gradient.kind()));
    ensure!(wanted == got, "a parameter {wanted:?} cannot have a gradient {got:?}");
    let (parameter, gradient) = (parameter.as_ptr().cast_mut().cast(), gradient.as_ptr().cast_mut().cast());
    // SAFETY: both are live; the parameter takes a reference of its own.
    unsafe { trainer_gradient_put(parameter, gradient) };
    Ok(())
}

/// The state of libtorch's own random numbers on a device.
pub struct RandomState {
    device: Device,
    state: Tensor,
}

impl RandomState {
    /// As it is now.
    ///
    /// # Errors
    /// If the device has none.
    pub fn of(device: Device) -> Result<Self> {
        let ((kind, index), mut state, mut error) = (place(device)?, std::ptr::null_mut(), Vec::new());
        // SAFETY: all pointers live for the call.
        let status = unsafe { trainer_random_state(kind, index, &raw mut state, Sink::to(&mut error)) };
        succeeded(status, &error)?;
        // SAFETY: a new at::Tensor, ours.
        Ok(Self { device, state: unsafe { Tensor::from_ptr(state.cast()) } })
    }

    /// Random numbers go on from here once more.
    ///
    /// # Errors
    /// libtorch's own message.
    pub fn restore(&self) -> Result<()> {
        let ((kind, index), mut error) = (place(self.device)?, Vec::new());
        let state = self.state.as_ptr().cast_mut().cast();
        // SAFETY: a live at::Tensor*, and an error sink that lives for the call.
        let status = unsafe { trainer_random_restore(kind, index, state, Sink::to(&mut error)) };
        succeeded(status, &error)
    }
}

/// A device's type and index as c10 has them.
fn place(device: Device) -> Result<(i32, i32)> {
    match device {
        Device::Cpu => Ok((0, -1)),
        Device::Cuda(index) => Ok((1, i32::try_from(index)?)),
        other => Err(anyhow!("random numbers on {other:?} cannot be kept")),
    }
}

fn succeeded(status: Status, error: &[u8]) -> Result<()> {
    match status {
        Status::OK => Ok(()),
        _ => Err(anyhow!("random state: {}", String::from_utf8_lossy(error))),
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn a_gradient_is_taken_once() {
        let parameter = Tensor::from_slice(&[1.0f32, 2.0]).set_requires_grad(true);
        assert!(take_gradient(&parameter).is_none());
        (&parameter * 3.0).sum(Kind::Float).backward();
        let taken = take_gradient(&parameter).unwrap();
        assert_eq!(Vec::<f32>::try_from(&taken).unwrap(), [3.0, 3.0]);
        assert!(!parameter.grad().defined() && take_gradient(&parameter).is_none());
        (&parameter * 2.0).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(parameter.grad()).unwrap(), [2.0, 2.0], "counted from 0 again");
        assert_eq!(Vec::<f32>::try_from(&taken).unwrap(), [3.0, 3.0]);
        put_gradient(&parameter, &taken).unwrap();
        (&parameter * 2.0).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(parameter.grad()).unwrap(), [5.0, 5.0], "added to what was given back");
        let message =
            put_gradient(&parameter, &Tensor::zeros([3], (Kind::Float, Device::Cpu))).unwrap_err().to_string();
        assert_eq!(message, "a parameter ([2], Float) cannot have a gradient ([3], Float)");
    }
}
