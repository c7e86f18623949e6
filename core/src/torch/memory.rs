//! The bytes of batches as tensors: not copied on the way on the CPU, read from page-locked memory by a GPU.

#![allow(unsafe_code)] // tensors over the loader's memory, and the loader in a tensor's

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::{Arg, Operator};
use crate::data::loader::{Block, Buffer, Buffers, Heap, Memory};

/// Buffers for batches that go to `device`: page-locked where that is a GPU, which copies from there while the processor
/// goes on.
#[must_use]
pub fn buffers(device: Device) -> Arc<Buffers> {
    match device {
        Device::Cuda(_) => Buffers::new(Pinned::default()),
        _ => Buffers::new(Heap),
    }
}

/// Page-locked memory. libtorch's allocator keeps it for the next batch as soon as no copy reads it any longer.
#[derive(Default)]
struct Pinned {
    has_failed: AtomicBool,
}

/// Contiguous bytes in page-locked memory.
struct PinnedBlock(Tensor);

impl Memory for Pinned {
    fn block(&self, len: usize) -> Result<Box<dyn Block>> {
        match pinned(len) {
            Ok(bytes) => Ok(Box::new(PinnedBlock(bytes))),
            Err(reason) => {
                if !self.has_failed.swap(true, Ordering::Relaxed) {
                    tracing::warn!("no page-locked memory for batches, copies to the GPU will be slower: {reason:#}");
                }
                Heap.block(len) // a copy from there ends before its call does
            }
        }
    }

    fn is_reusable(&self) -> bool {
        false
    }
}

fn pinned(len: usize) -> Result<Tensor> {
    const UINT8: i64 = 0; // c10::ScalarType
    let sizes = [i64::try_from(len)?];
    let (dtype, pin_memory) = (Arg::Dtype(UINT8), Arg::Bool(true));
    let arguments = [Arg::Ints(&sizes), dtype, Arg::None, Arg::None, pin_memory, Arg::None];
    Operator::find("aten::empty", "memory_format")?.one(&arguments)
}

impl Block for PinnedBlock {
    fn bytes(&self) -> &[u8] {
        // SAFETY: a contiguous tensor of bytes on the CPU, nobody else's.
        unsafe { std::slice::from_raw_parts(self.0.data_ptr().cast_const().cast(), self.0.numel()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.data_ptr().cast(), self.0.numel()) }
    }
}

/// Pictures `first` and on of a batch, `sizes` being N, height, width, 3, as floats of `kind` in 0..1 on the device: (N, 3,
/// height, width), channels innermost in memory. Bytes travel, floats are made there.
///
/// # Errors
/// If there are not so many of this size, or the device runs out of memory.
pub fn images(pixels: &Buffer, first: usize, sizes: [i64; 4], kind: Kind, device: Device) -> Result<Tensor> {
    let wanted = sizes.iter().product::<i64>();
    let start = first as i64 * sizes[1..].iter().product::<i64>();
    let end = start + wanted;
    ensure!(pixels.len() as i64 >= end, "pictures of {sizes:?} end at byte {end} of {}", pixels.len());
    ensure!(kind != Kind::Uint8, "pictures become floats");
    let bytes = match pixels.block::<PinnedBlock>() {
        Some(PinnedBlock(block)) => {
            let (non_blocking, copy) = (true, false);
            block.f_narrow(0, start, wanted)?.f_view(sizes)?.f_to_device_(device, Kind::Uint8, non_blocking, copy)?
        }
        None => {
            let pixels = &pixels[start as usize..];
            // SAFETY: the pixels outlive this function, and the tensor over them does not leave it: floats are a copy.
            let bytes = unsafe { Tensor::f_from_blob(pixels.as_ptr(), &sizes, &[], Kind::Uint8, Device::Cpu)? };
            bytes.f_to_device(device)?
        }
    };
    let mut floats = bytes.f_permute([0, 3, 1, 2])?.f_to_kind(kind)?;
    Ok(floats.f_div_scalar_(255.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_floats_with_channels_innermost() {
        let pixels = Buffer::from((0..=254).step_by(2).chain(0..=63).collect::<Vec<u8>>()); // 192 = 2 x 4 x 8 x 3
        let images = images(&pixels, 0, [2, 4, 8, 3], Kind::Float, Device::Cpu).unwrap();
        assert_eq!((images.size(), images.stride()), (vec![2, 3, 4, 8], vec![96, 1, 24, 3]));
        for (place, byte) in [([0, 0, 0, 0], 0.0), ([0, 2, 0, 1], 10.0), ([1, 2, 3, 7], 63.0)] {
            assert_eq!(images.double_value(&place), f64::from(byte / 255.0_f32));
        }
        assert!(*pixels == pixels.to_vec()[..] && pixels[5] == 10, "the bytes are only read");
        let half = super::images(&pixels, 0, [2, 4, 8, 3], Kind::BFloat16, Device::Cpu).unwrap();
        assert_eq!((half.kind(), half.double_value(&[0, 0, 0, 0])), (Kind::BFloat16, 0.0));
        let second = super::images(&pixels, 1, [1, 4, 8, 3], Kind::Float, Device::Cpu).unwrap();
        assert!(second.equal(&images.narrow(0, 1, 1)), "a part of a batch has the same pictures");
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let message = images(&vec![0; 11].into(), 1, [1, 2, 1, 3], Kind::Float, Device::Cpu).unwrap_err().to_string();
        assert_eq!(message, "pictures of [1, 2, 1, 3] end at byte 12 of 11");
    }

    #[test]
    fn without_page_locked_memory_the_ordinary_one_serves() {
        let pinned = Pinned::default();
        let mut block = pinned.block(100).unwrap();
        assert_eq!((block.bytes().len(), pinned.is_reusable()), (100, false));
        block.bytes_mut()[99] = 7;
        assert_eq!(block.bytes()[99], 7);
        assert_eq!(pinned.has_failed.load(Ordering::Relaxed), !tch::Cuda::is_available());
    }
}
