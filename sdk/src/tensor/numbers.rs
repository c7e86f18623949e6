//! Tensors from numbers in memory, and back.

use anyhow::{Result, bail};

use super::{Dtype, Tensor};

/// The bytes of all elements, of N bytes each.
fn bytes<T: Copy, const N: usize>(data: &[T], to_bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    data.iter().flat_map(|&x| to_bytes(x)).collect()
}

impl Tensor {
    /// A CPU tensor of single floats, from row-major `data`.
    ///
    /// # Errors
    /// If `data` has not as many elements as `size` says.
    pub fn from_f32(data: &[f32], size: &[i64]) -> Result<Self> {
        Self::from_bytes(Dtype::F32, &bytes(data, f32::to_ne_bytes), size)
    }

    /// A CPU tensor of doubles, from row-major `data`.
    ///
    /// # Errors
    /// If `data` has not as many elements as `size` says.
    pub fn from_f64(data: &[f64], size: &[i64]) -> Result<Self> {
        Self::from_bytes(Dtype::F64, &bytes(data, f64::to_ne_bytes), size)
    }

    /// A CPU tensor of int64, from row-major `data`.
    ///
    /// # Errors
    /// If `data` has not as many elements as `size` says.
    pub fn from_i64(data: &[i64], size: &[i64]) -> Result<Self> {
        Self::from_bytes(Dtype::I64, &bytes(data, i64::to_ne_bytes), size)
    }

    /// A CPU tensor of bools, from row-major `data`.
    ///
    /// # Errors
    /// If `data` has not as many elements as `size` says.
    pub fn from_bool(data: &[bool], size: &[i64]) -> Result<Self> {
        Self::from_bytes(Dtype::BOOL, &bytes(data, |x| [u8::from(x)]), size)
    }

    /// All elements, row-major, as doubles; waits for the device.
    ///
    /// # Errors
    /// If the element type has no conversion to double.
    pub fn to_vec(&self) -> Result<Vec<f64>> {
        self.read(Dtype::F64, f64::from_ne_bytes)
    }

    /// All elements, row-major, as integers (floats are cut off towards zero); waits for the device.
    ///
    /// # Errors
    /// If the element type has no conversion to int64.
    pub fn to_vec_i64(&self) -> Result<Vec<i64>> {
        self.read(Dtype::I64, i64::from_ne_bytes)
    }

    /// The only element, as a double; waits for the device.
    ///
    /// # Errors
    /// If there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        if self.numel() == 1
            && let [only] = self.to_vec()?[..]
        {
            return Ok(only);
        }
        bail!("a tensor of size {:?} is not one number: item() takes tensors of exactly one element", self.size())
    }

    fn read<T>(&self, dtype: Dtype, from_bytes: fn([u8; 8]) -> T) -> Result<Vec<T>> {
        let bytes = self.to_dtype(dtype)?.to_bytes()?;
        Ok(bytes.as_chunks().0.iter().map(|&chunk| from_bytes(chunk)).collect())
    }
}
