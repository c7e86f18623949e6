//! The memory of a device as its allocator counts it: bytes in use, their peak, and a limit that makes an allocation fail.

#![allow(unsafe_code)] // C++ functions

use anyhow::{Result, bail};
use tch::Device;

use super::cuda;

unsafe extern "C" {
    safe fn trainer_allocator_current() -> u64;
    safe fn trainer_allocator_peak() -> u64;
    safe fn trainer_allocator_reset_peak();
    safe fn trainer_allocator_set_limit(bytes: u64);
    safe fn trainer_allocator_made() -> u64;
    safe fn trainer_allocator_fail(number: u64);
}

/// What is counted, and what can be asked for. Figures are of the whole process.
pub trait Allocator: Sync {
    /// Bytes that tensors hold now.
    fn allocated(&self) -> u64;

    /// The most that they have held since [`reset_peak`](Self::reset_peak), in bytes.
    fn peak(&self) -> u64;

    /// The peak starts anew from the present bytes.
    fn reset_peak(&self);

    /// From now on an allocation that would lead beyond so many bytes fails as out of memory; `None` lifts the limit.
    fn set_limit(&self, bytes: Option<u64>);

    /// Gives memory that is kept for reuse back to its device, before a step that has failed is repeated.
    fn release_unused(&self);
}

/// The allocator of tensors on a device.
///
/// # Errors
/// If none counts there.
pub fn allocator(device: Device) -> Result<&'static dyn Allocator> {
    match device {
        Device::Cpu => Ok(&Cpu),
        Device::Cuda(index) => cuda::allocator(index),
        other => bail!("memory on {other:?} is not counted by this version of the trainer"),
    }
}

/// libtorch's allocator on the CPU with ours in front of it (csrc/allocator.cpp).
pub struct Cpu;

impl Allocator for Cpu {
    fn allocated(&self) -> u64 {
        trainer_allocator_current()
    }

    fn peak(&self) -> u64 {
        trainer_allocator_peak()
    }

    fn reset_peak(&self) {
        trainer_allocator_reset_peak();
    }

    fn set_limit(&self, bytes: Option<u64>) {
        trainer_allocator_set_limit(bytes.unwrap_or(u64::MAX));
    }

    fn release_unused(&self) {
        crate::allocator::release_freed_memory();
    }
}

impl Cpu {
    /// How many blocks this thread has allocated so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        trainer_allocator_made()
    }

    /// Lets the `number`-th allocation of this thread from now on (1 is the next) fail as out of memory, once; 0 lets none.
    /// For tests.
    pub fn fail(&self, number: u64) {
        trainer_allocator_fail(number);
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    const GIB: u64 = 1 << 30;

    /// Bytes that nobody touches, so they cost no memory. Other tests count beside this one, by less than a GiB.
    fn untouched(bytes: u64) -> Result<Tensor, tch::TchError> {
        Tensor::f_empty([bytes as i64], (Kind::Uint8, Device::Cpu))
    }

    fn is_about(bytes: u64, wanted: u64) -> bool {
        bytes.abs_diff(wanted) < GIB
    }

    #[test]
    fn bytes_are_counted_while_a_tensor_lives() {
        let before = Cpu.allocated();
        let tensor = untouched(4 * GIB).unwrap();
        assert!(is_about(Cpu.allocated(), before + 4 * GIB));
        let shared = tensor.shallow_clone();
        drop(tensor);
        assert!(is_about(Cpu.allocated(), before + 4 * GIB), "a clone shares the bytes");
        drop(shared);
        assert!(is_about(Cpu.allocated(), before) && Cpu.peak() >= 4 * GIB);
    }

    #[test]
    fn blocks_are_aligned_and_empty_ones_are_none() {
        let made = Cpu.made();
        let blocks = [1i64, 63, 64, 65, 1000, 1 << 20].map(|size| Tensor::zeros([size], (Kind::Uint8, Device::Cpu)));
        assert!(blocks.iter().all(|block| (block.data_ptr() as usize).is_multiple_of(64)));
        assert_eq!(Cpu.made() - made, 6);
        assert!(Tensor::zeros([0], (Kind::Uint8, Device::Cpu)).data_ptr().is_null());
        assert_eq!(Cpu.made() - made, 6);
    }

    #[test]
    fn the_nth_allocation_fails_once_and_in_this_thread_only() {
        let make = || Tensor::f_zeros([8], (Kind::Float, Device::Cpu));
        Cpu.fail(2);
        std::thread::spawn(move || (0..4).for_each(|_| drop(make().unwrap()))).join().unwrap();
        assert!(make().is_ok());
        let message = make().unwrap_err().to_string();
        assert!(message.contains("CPU out of memory: an allocation of 32 bytes was made to fail"), "{message}");
        assert!(make().is_ok());
    }

    #[test]
    fn the_limit_is_an_error_with_its_figures() {
        const TIB: u64 = 1 << 40; // far beyond what other tests may need
        Cpu.set_limit(Some(TIB));
        let message = untouched(TIB + 1).unwrap_err().to_string();
        Cpu.set_limit(None);
        let start = message.find("CPU out of memory: 1099511627777 bytes beside the ");
        assert!(start.is_some() && message.contains(" in use are more than the limit of 1099511627776"), "{message}");
    }

    #[test]
    fn other_devices_are_refused() {
        let message = allocator(Device::Mps).err().unwrap().to_string();
        assert_eq!(message, "memory on Mps is not counted by this version of the trainer");
    }
}
