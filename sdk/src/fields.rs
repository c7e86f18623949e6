//! Named tensors of the host: predictions, targets and terms are views of such an object.

use std::marker::PhantomData;

use anyhow::Result;

use crate::{Tensor, abi, export::status_to_result};

/// A borrowed host object that holds named tensors.
#[derive(Clone, Copy)]
pub struct FieldMap<'a> {
    raw: abi::Fields,
    life: PhantomData<&'a ()>,
}

impl<'a> FieldMap<'a> {
    /// Wraps what the boundary passes.
    ///
    /// # Safety
    /// `raw` must be a live object with its table for `'a`.
    #[allow(unsafe_code)]
    #[must_use]
    pub unsafe fn from_raw(raw: abi::Fields) -> Self {
        Self { raw, life: PhantomData }
    }

    /// What the boundary passes.
    #[must_use]
    pub fn raw(&self) -> abi::Fields {
        self.raw
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut text = Vec::new();
        // SAFETY: the object and its table live for 'a.
        #[allow(unsafe_code)]
        unsafe {
            ((*self.raw.table).names)(self.raw.object, abi::Sink::to(&mut text));
        }
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// The named tensor.
    ///
    /// # Errors
    /// If there is none of that name; the message lists those there are.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let (mut handle, mut error) = (std::ptr::null_mut(), Vec::new());
        // SAFETY: the object and its table live for 'a; on success the handle is ours.
        #[allow(unsafe_code)]
        unsafe {
            let status = ((*self.raw.table).get)(
                self.raw.object,
                abi::Str::new(name),
                &raw mut handle,
                abi::Sink::to(&mut error),
            );
            status_to_result(status, &error)?;
            Ok(Tensor::from_raw(handle))
        }
    }

    /// Puts `tensor` under the name.
    ///
    /// # Errors
    /// If the field is read-only or its shape is fixed to another one.
    pub fn set(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let mut error = Vec::new();
        // SAFETY: the object and its table live for 'a; the tensor is borrowed for the call.
        #[allow(unsafe_code)]
        let status = unsafe {
            ((*self.raw.table).set)(self.raw.object, abi::Str::new(name), tensor.raw(), abi::Sink::to(&mut error))
        };
        status_to_result(status, &error)
    }

    /// Puts `value` under the name together with its gradients by other tensors: pairs of (input, gradient).
    ///
    /// # Errors
    /// As [`set`](Self::set), or if a gradient has not its input's shape.
    pub fn set_with_gradients(&mut self, name: &str, value: &Tensor, gradients: &[(&Tensor, &Tensor)]) -> Result<()> {
        let inputs: Vec<_> = gradients.iter().map(|(input, _)| input.raw()).collect();
        let by_input: Vec<_> = gradients.iter().map(|(_, gradient)| gradient.raw()).collect();
        let mut error = Vec::new();
        // SAFETY: the object and its table live for 'a; all tensors are borrowed for the call.
        #[allow(unsafe_code)]
        let status = unsafe {
            ((*self.raw.table).set_with_gradients)(
                self.raw.object,
                abi::Str::new(name),
                value.raw(),
                inputs.as_ptr(),
                by_input.as_ptr(),
                inputs.len(),
                abi::Sink::to(&mut error),
            )
        };
        status_to_result(status, &error)
    }

    /// Puts a computation under the name, run at most once, when somebody first asks for it.
    ///
    /// # Errors
    /// If this object takes no computations.
    pub fn offer(&mut self, name: &str, compute: impl FnOnce() -> Result<Tensor> + 'static) -> Result<()> {
        let mut error = Vec::new();
        let thunk = crate::export::thunk(Box::new(compute));
        // SAFETY: the object and its table live for 'a; the callee owns the thunk from here on.
        #[allow(unsafe_code)]
        let status = unsafe {
            ((*self.raw.table).offer)(self.raw.object, abi::Str::new(name), thunk, abi::Sink::to(&mut error))
        };
        status_to_result(status, &error)
    }

    /// Takes the name out.
    ///
    /// # Errors
    /// If there is none of that name, or the object is read-only.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let mut error = Vec::new();
        // SAFETY: the object and its table live for 'a.
        #[allow(unsafe_code)]
        let status =
            unsafe { ((*self.raw.table).remove)(self.raw.object, abi::Str::new(name), abi::Sink::to(&mut error)) };
        status_to_result(status, &error)
    }
}

/// How a trainable parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All elements alike.
    Constant(f64),
    /// Uniform in [low, high).
    Uniform(f64, f64),
    /// Normal, by mean and standard deviation.
    Normal(f64, f64),
}

/// A borrowed host object that holds a loss's trainable parameters.
#[derive(Clone, Copy)]
pub struct ParameterMap<'a> {
    raw: abi::Parameters,
    life: PhantomData<&'a ()>,
}

impl ParameterMap<'_> {
    /// Wraps what the boundary passes.
    ///
    /// # Safety
    /// `raw` must be a live object with its table for the lifetime that is chosen.
    #[allow(unsafe_code)]
    #[must_use]
    pub unsafe fn from_raw(raw: abi::Parameters) -> Self {
        Self { raw, life: PhantomData }
    }

    /// What the boundary passes.
    #[must_use]
    pub fn raw(&self) -> abi::Parameters {
        self.raw
    }

    /// See [`LossContext::parameter`](crate::LossContext::parameter).
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, name: &str, size: &[i64], init: Init) -> Result<Tensor> {
        let (kind, a, b) = match init {
            Init::Constant(value) => (0, value, 0.0),
            Init::Uniform(low, high) => (1, low, high),
            Init::Normal(mean, deviation) => (2, mean, deviation),
        };
        let (mut handle, mut error) = (std::ptr::null_mut(), Vec::new());
        // SAFETY: the object and its table live for 'a; on success the handle is ours.
        #[allow(unsafe_code)]
        unsafe {
            let status = ((*self.raw.table).get)(
                self.raw.object,
                abi::Str::new(name),
                size.as_ptr(),
                size.len(),
                abi::Init { kind, a, b },
                &raw mut handle,
                abi::Sink::to(&mut error),
            );
            status_to_result(status, &error)?;
            Ok(Tensor::from_raw(handle))
        }
    }
}
