//! Parts of a network that keep their inputs only and run once more in the backward pass (csrc/region.cpp).

#![allow(unsafe_code)] // C++ functions, and a closure in their hands

use std::{panic::AssertUnwindSafe, ptr::null_mut};

use anyhow::{Context as _, Result, anyhow};
use tch::Tensor;
use trainer_sdk::abi::{Opaque, Sink, Status};

use super::Source;

/// What is run, from its inputs.
pub type Block = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// As csrc/region.cpp has it.
#[repr(C)]
struct BlockTable {
    context: Opaque, // *mut Block
    run: extern "C" fn(Opaque, *const *mut torch_sys::C_tensor, usize, *mut Opaque, Sink) -> Status,
    drop: extern "C" fn(Opaque),
}

unsafe extern "C" {
    fn trainer_region(
        inputs: *const Opaque,
        sources: *const Opaque,
        count: usize,
        block: BlockTable,
        out: *mut Opaque,
        error: Sink,
    ) -> Status;
}

/// Runs `block` on the inputs, at least one of which has a gradient. Nothing is recorded but where the inputs come from:
/// the backward pass restores the random generators and autocast, runs the block again, and goes on through that. The
/// block must give the same result then, and must not change anything by its second run. It runs there, and is dropped, in
/// the thread of the backward pass, while the one that started that waits.
///
/// # Errors
/// The block's own, as text.
pub fn region(inputs: &[(Tensor, Source)], block: Block) -> Result<Tensor> {
    let tensors: Vec<Opaque> = inputs.iter().map(|(tensor, _)| tensor.as_ptr().cast_mut().cast()).collect();
    let sources: Vec<Opaque> = inputs.iter().map(|(_, source)| source.handle()).collect();
    let block = BlockTable { context: Box::into_raw(Box::new(block)).cast(), run, drop };
    let (mut out, mut error): (Opaque, Vec<u8>) = (null_mut(), Vec::new());
    // SAFETY: handles live for the call; the block is dropped by the other side; the result becomes ours.
    unsafe {
        let sink = Sink::to(&mut error);
        if trainer_region(tensors.as_ptr(), sources.as_ptr(), tensors.len(), block, &raw mut out, sink) != Status::OK {
            return Err(anyhow!("{}", String::from_utf8_lossy(&error)));
        }
        Ok(Tensor::from_ptr(out.cast()))
    }
}

extern "C" fn run(
    context: Opaque,
    inputs: *const *mut torch_sys::C_tensor,
    count: usize,
    out: *mut Opaque,
    error: Sink,
) -> Status {
    // SAFETY: the block lives until `drop`; the tensors are borrowed for the call, so clones are made of them.
    let (block, inputs) = unsafe { (&*context.cast::<Block>(), std::slice::from_raw_parts(inputs, count)) };
    // SAFETY: as above.
    let tensors: Vec<Tensor> = inputs.iter().map(|&input| unsafe { Tensor::clone_from_ptr(input) }).collect();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| block(&tensors)));
    match result.map_err(|_| anyhow!("a panic, reported above")).and_then(|tensor| tensor.context("in a region")) {
        Ok(tensor) => {
            // SAFETY: the place is the caller's; the result's reference goes with the pointer.
            unsafe { *out = std::mem::ManuallyDrop::new(tensor).as_ptr().cast_mut().cast() };
            Status::OK
        }
        Err(reason) => {
            // SAFETY: the sink lives for the call.
            unsafe { error.put(format!("{reason:#}").as_bytes()) };
            Status::FAILED
        }
    }
}

extern "C" fn drop(context: Opaque) {
    // SAFETY: made by `Box::into_raw`, and given back once.
    std::mem::drop(unsafe { Box::from_raw(context.cast::<Block>()) });
}
