//! libtorch's settings for the whole process, and the states of its random generators.

#![allow(unsafe_code)] // C++ functions

use anyhow::Result;
use tch::{Device, Tensor};
use trainer_sdk::abi::{Opaque, Sink, Status};

use super::{device_parts, failure};

unsafe extern "C" {
    safe fn trainer_determinism() -> u32;
    fn trainer_determinism_set(determinism: u32, error: Sink) -> Status;
    fn trainer_tf32(matrices: *mut bool, convolutions: *mut bool);
    fn trainer_tf32_set(matrices: bool, convolutions: bool, error: Sink) -> Status;
    fn trainer_random_state(device: i32, index: i32, state: *mut Opaque, error: Sink) -> Status;
    fn trainer_random_set_state(device: i32, index: i32, state: Opaque, error: Sink) -> Status;
    fn trainer_libtorch_build(text: Sink);
    fn trainer_libtorch_instructions(text: Sink);
    fn trainer_libtorch_headers(text: Sink);
}

/// What makes two runs give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Determinism {
    /// Operators take deterministic algorithms; those that have none warn once and run.
    pub algorithms: bool,
    /// cuDNN takes deterministic algorithms.
    pub cudnn: bool,
    /// cuDNN times its algorithms for each new shape and takes the fastest, which may differ from run to run.
    pub cudnn_benchmark: bool,
}

impl Determinism {
    const ALGORITHMS: u32 = 1;
    const CUDNN: u32 = 2;
    const CUDNN_BENCHMARK: u32 = 4;

    /// Everything that gives the same bits again.
    pub const FULL: Self = Self { algorithms: true, cudnn: true, cudnn_benchmark: false };

    /// Everything that is fast.
    pub const FAST: Self = Self { algorithms: false, cudnn: false, cudnn_benchmark: true };

    /// What holds now.
    #[must_use]
    pub fn current() -> Self {
        let bits = trainer_determinism();
        Self {
            algorithms: bits & Self::ALGORITHMS != 0,
            cudnn: bits & Self::CUDNN != 0,
            cudnn_benchmark: bits & Self::CUDNN_BENCHMARK != 0,
        }
    }

    /// Makes it hold for the whole process. A GPU also needs `CUBLAS_WORKSPACE_CONFIG=:4096:8` in the environment.
    ///
    /// # Errors
    /// libtorch's own message.
    pub fn set(self) -> Result<()> {
        let bit = |on: bool, bit| if on { bit } else { 0 };
        let bits = bit(self.algorithms, Self::ALGORITHMS)
            | bit(self.cudnn, Self::CUDNN)
            | bit(self.cudnn_benchmark, Self::CUDNN_BENCHMARK);
        let mut error = Vec::new();
        // SAFETY: the sink outlives the call.
        failure(unsafe { trainer_determinism_set(bits, Sink::to(&mut error)) }, &error)
    }
}

/// Which products of float32 a GPU may round to TF32, 10 bits of precision at several times the speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tf32 {
    /// Those of matrices.
    pub matrices: bool,
    /// Those of convolutions.
    pub convolutions: bool,
}

impl Tf32 {
    /// What holds now.
    #[must_use]
    pub fn current() -> Self {
        let (mut matrices, mut convolutions) = (false, false);
        // SAFETY: both places outlive the call.
        unsafe { trainer_tf32(&raw mut matrices, &raw mut convolutions) };
        Self { matrices, convolutions }
    }

    /// Makes it hold for the whole process.
    ///
    /// # Errors
    /// libtorch's own message.
    pub fn set(self) -> Result<()> {
        let mut error = Vec::new();
        // SAFETY: the sink outlives the call.
        failure(unsafe { trainer_tf32_set(self.matrices, self.convolutions, Sink::to(&mut error)) }, &error)
    }
}

/// The state of a device's random generator at one moment.
#[derive(Debug)]
pub struct RandomState {
    device: Device,
    state: Tensor,
}

impl RandomState {
    /// The present one.
    ///
    /// # Errors
    /// If the device has no generator.
    pub fn of(device: Device) -> Result<Self> {
        let (kind, index) = device_parts(device);
        let (mut state, mut error): (Opaque, _) = (std::ptr::null_mut(), Vec::new());
        // SAFETY: both places outlive the call; the tensor becomes ours.
        unsafe {
            failure(trainer_random_state(kind, index, &raw mut state, Sink::to(&mut error)), &error)?;
            Ok(Self { device, state: Tensor::from_ptr(state.cast()) })
        }
    }

    /// The generator goes on from there.
    ///
    /// # Errors
    /// libtorch's own message.
    pub fn restore(&self) -> Result<()> {
        let (kind, index) = device_parts(self.device);
        let mut error = Vec::new();
        let state = self.state.as_ptr().cast_mut().cast();
        // SAFETY: a live tensor.
        failure(unsafe { trainer_random_set_state(kind, index, state, Sink::to(&mut error)) }, &error)
    }
}

/// What libtorch says about itself.
#[derive(Clone, Debug)]
pub struct Libtorch {
    /// The version that is loaded, such as `2.11.0`.
    pub version: String,
    /// The version that the trainer was compiled for.
    pub headers: String,
    /// The processor's instructions that its kernels use, such as `AVX512`.
    pub instructions: String,
    /// What it was built from and with.
    pub build: String,
}

impl Libtorch {
    /// Asks it.
    #[must_use]
    pub fn loaded() -> Self {
        let text = |ask: unsafe extern "C" fn(Sink)| {
            let mut text = Vec::new();
            // SAFETY: the sink outlives the call.
            unsafe { ask(Sink::to(&mut text)) };
            String::from_utf8_lossy(&text).into_owned()
        };
        let build = text(trainer_libtorch_build);
        let version = build.split_once("TORCH_VERSION=").map_or("", |(_, rest)| rest);
        Self {
            version: version.split([',', ' ', '\n']).next().unwrap_or_default().to_owned(),
            headers: text(trainer_libtorch_headers),
            instructions: text(trainer_libtorch_instructions),
            build,
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::own_process;

    #[test]
    fn a_generator_goes_on_from_the_state_that_was_kept() {
        own_process::run("torch::context::tests::a_generator_goes_on_from_the_state_that_was_kept", || {
            let drawn = || Vec::<f32>::try_from(Tensor::rand([5], (Kind::Float, Device::Cpu))).unwrap();
            tch::manual_seed(7);
            let state = RandomState::of(Device::Cpu).unwrap();
            let (first, second) = (drawn(), drawn());
            assert_ne!(first, second);
            state.restore().unwrap();
            assert_eq!((drawn(), drawn()), (first.clone(), second));
            state.restore().unwrap();
            assert_eq!(drawn(), first, "a state serves more than once");
        });
    }

    #[test]
    fn a_device_without_a_generator_is_an_error() {
        let message = RandomState::of(Device::Cuda(0)).unwrap_err().to_string();
        assert!(message.contains("CUDA"), "{message}");
    }

    #[test]
    fn determinism_and_precision_are_what_was_set() {
        own_process::run("torch::context::tests::determinism_and_precision_are_what_was_set", || {
            let before = Determinism::current();
            assert_eq!(before, Determinism { algorithms: false, cudnn: false, cudnn_benchmark: false });
            for wanted in [Determinism::FULL, Determinism::FAST, before] {
                wanted.set().unwrap();
                assert_eq!(Determinism::current(), wanted);
            }
            for (matrices, convolutions) in [(true, false), (false, true), (true, true), (false, false)] {
                Tf32 { matrices, convolutions }.set().unwrap();
                assert_eq!(Tf32::current(), Tf32 { matrices, convolutions });
            }
        });
    }

    #[test]
    fn libtorch_names_its_version_and_that_of_its_headers() {
        let libtorch = Libtorch::loaded();
        assert_eq!((libtorch.version.as_str(), libtorch.headers.as_str()), ("2.11.0", "2.11.0"), "{}", libtorch.build);
        assert!(["DEFAULT", "AVX2", "AVX512"].contains(&libtorch.instructions.as_str()), "{}", libtorch.instructions);
    }
}
