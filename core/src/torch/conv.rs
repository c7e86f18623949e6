//! A convolution with its normalisation and activation that keeps little for the backward pass, and maps that can be made
//! again (csrc/conv_bn_act.cpp, csrc/source.cpp).

#![allow(unsafe_code)] // C++ functions, and handles that change hands

use std::ptr::{null, null_mut};

use anyhow::{Result, anyhow, bail};
use tch::{Kind, Tensor};
use trainer_sdk::abi::{Opaque, Sink, Status};

/// Where the values of a map come from: instead of the map itself, what it is made of may be kept. Clones share.
#[derive(Debug)]
pub struct Source(Opaque);

/// A convolution and what follows it.
pub struct Conv<'a> {
    /// (B, C, H, W).
    pub input: &'a Tensor,
    /// Where the input comes from; that is what is kept of it.
    pub source: &'a Source,
    /// (out, C / groups, kernel, kernel).
    pub weight: &'a Tensor,
    /// (out), of the convolution itself.
    pub bias: Option<&'a Tensor>,
    /// Normalisation over the batch, if any.
    pub norm: Option<Norm<'a>>,
    /// Step of the kernel in pixels.
    pub stride: i64,
    /// Zeros around the input in pixels.
    pub padding: i64,
    /// Groups of channels.
    pub groups: i64,
    /// SiLU at the end.
    pub silu: bool,
    /// What is computed in; parameters stay in their own type.
    pub kind: Kind,
    /// Normalisation and SiLU in one pass by kernels of our own, where they take the map (float and bfloat16 on the CPU),
    /// else by libtorch's operators: the bits of a plain network.
    pub fused: bool,
}

/// Batch normalisation with the batch's own statistics.
pub struct Norm<'a> {
    /// (C), as the next three.
    pub weight: &'a Tensor,
    /// What is added.
    pub bias: &'a Tensor,
    /// Running mean and variance, which move towards those of the batch; `None` leaves them.
    pub running: Option<[&'a Tensor; 2]>,
    /// Added to the variance.
    pub epsilon: f64,
    /// Share of the batch in running statistics.
    pub momentum: f64,
}

/// As csrc/conv_bn_act.cpp has it.
#[repr(C)]
struct Call {
    input: *const torch_sys::C_tensor,
    source: Opaque,
    weight: *const torch_sys::C_tensor,
    bias: *const torch_sys::C_tensor,
    norm_weight: *const torch_sys::C_tensor,
    norm_bias: *const torch_sys::C_tensor,
    running_mean: *const torch_sys::C_tensor,
    running_var: *const torch_sys::C_tensor,
    stride: i64,
    padding: i64,
    groups: i64,
    epsilon: f64,
    momentum: f64,
    dtype: i32,
    silu: bool,
    fused: bool,
}

unsafe extern "C" {
    fn trainer_conv_bn_act(call: *const Call, out: *mut Opaque, source: *mut Opaque, error: Sink) -> Status;
    fn trainer_source_kept(tensor: *const torch_sys::C_tensor) -> Opaque;
    fn trainer_source_retain(source: Opaque) -> Opaque;
    fn trainer_source_release(source: Opaque);
    fn trainer_source_channels(source: Opaque, start: i64, length: i64) -> Opaque;
    fn trainer_source_joined(sources: *const Opaque, count: usize) -> Opaque;
    fn trainer_source_sum(a: Opaque, b: Opaque) -> Opaque;
    fn trainer_source_doubled(source: Opaque) -> Opaque;
}

impl Conv<'_> {
    /// The result, differentiable once, and where it comes from.
    ///
    /// # Errors
    /// libtorch's own message: shapes that do not fit, memory that is not there.
    pub fn forward(&self) -> Result<(Tensor, Source)> {
        let pointer = |tensor: Option<&Tensor>| tensor.map_or(null(), Tensor::as_ptr);
        let norm = self.norm.as_ref();
        let running = |i: usize| pointer(norm.and_then(|norm| norm.running).map(|running| running[i]));
        let call = Call {
            input: self.input.as_ptr(),
            source: self.source.0,
            weight: self.weight.as_ptr(),
            bias: pointer(self.bias),
            norm_weight: pointer(norm.map(|norm| norm.weight)),
            norm_bias: pointer(norm.map(|norm| norm.bias)),
            running_mean: running(0),
            running_var: running(1),
            stride: self.stride,
            padding: self.padding,
            groups: self.groups,
            epsilon: norm.map_or(0.0, |norm| norm.epsilon),
            momentum: norm.map_or(0.0, |norm| norm.momentum),
            dtype: scalar_type(self.kind)?,
            silu: self.silu,
            fused: self.fused,
        };
        let (mut out, mut source, mut error): (Opaque, Opaque, Vec<u8>) = (null_mut(), null_mut(), Vec::new());
        // SAFETY: all tensors live for the call; both results become ours.
        unsafe {
            if trainer_conv_bn_act(&raw const call, &raw mut out, &raw mut source, Sink::to(&mut error)) != Status::OK {
                return Err(anyhow!("{}", String::from_utf8_lossy(&error)));
            }
            Ok((Tensor::from_ptr(out.cast()), Source(source)))
        }
    }
}

/// The c10::ScalarType of what a network can be computed in.
fn scalar_type(kind: Kind) -> Result<i32> {
    Ok(match kind {
        Kind::Half => 5,
        Kind::Float => 6,
        Kind::Double => 7,
        Kind::BFloat16 => 15,
        other => bail!("a network cannot be computed in {other:?}"),
    })
}

impl Source {
    /// The map itself is kept.
    #[must_use]
    pub fn kept(map: &Tensor) -> Self {
        // SAFETY: takes a reference of its own.
        Self(unsafe { trainer_source_kept(map.as_ptr()) })
    }

    /// `length` channels from `start` on.
    #[must_use]
    pub fn channels(&self, start: i64, length: i64) -> Self {
        // SAFETY: a live handle; the new one has a reference of its own, as below.
        Self(unsafe { trainer_source_channels(self.0, start, length) })
    }

    /// One after the other along channels; at least one.
    #[must_use]
    pub fn joined(maps: &[Self]) -> Self {
        let handles: Vec<Opaque> = maps.iter().map(|map| map.0).collect();
        // SAFETY: live handles.
        Self(unsafe { trainer_source_joined(handles.as_ptr(), handles.len()) })
    }

    /// The sum of two of one shape.
    #[must_use]
    pub fn sum(a: &Self, b: &Self) -> Self {
        // SAFETY: live handles.
        Self(unsafe { trainer_source_sum(a.0, b.0) })
    }

    /// Twice as high and wide, nearest neighbour.
    #[must_use]
    pub fn doubled(&self) -> Self {
        // SAFETY: a live handle.
        Self(unsafe { trainer_source_doubled(self.0) })
    }

    /// The handle, for a call that takes a reference of its own.
    pub(super) fn handle(&self) -> Opaque {
        self.0
    }
}

impl Clone for Source {
    fn clone(&self) -> Self {
        // SAFETY: a live handle.
        Self(unsafe { trainer_source_retain(self.0) })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: our own reference.
        unsafe { trainer_source_release(self.0) }
    }
}
