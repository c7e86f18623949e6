//! The arguments of one call, read by their place in the operator's schema.

#![allow(unsafe_code)] // what the tags say the values point to

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    dense::{Dense, is_float, type_name},
    operators::Operator,
};
use crate::{
    Dtype,
    abi::{Str, Value, tag},
};

pub(super) struct Arguments<'a> {
    operator: &'a Operator,
    values: &'a [Value],
}

impl<'a> Arguments<'a> {
    /// Checks that there are not too many and that those without a default are there.
    ///
    /// # Safety
    /// What the values point to must live for `'a` and be what their tags say; tensors must be the kit's.
    pub unsafe fn new(operator: &'a Operator, values: &'a [Value]) -> Result<Self> {
        let wanted = operator.arguments;
        ensure!(values.len() <= wanted.len(), "takes {} arguments, not {}", wanted.len(), values.len());
        match wanted.get(values.len()) {
            Some(name) if !name.ends_with('?') => bail!("argument {name} is missing"),
            _ => Ok(Self { operator, values }),
        }
    }

    /// Calls the operator.
    pub fn run(&self) -> Result<Vec<Dense>> {
        self.operator.run(self)
    }

    /// The value, unless it was left out.
    fn value(&self, place: usize) -> Option<Value> {
        self.values.get(place).copied().filter(|value| value.tag != tag::NONE)
    }

    /// Whether it was not left out.
    pub fn is_there(&self, place: usize) -> bool {
        self.value(place).is_some()
    }

    fn refused<T>(&self, place: usize, wanted: &str) -> Result<T> {
        let found = match self.value(place) {
            None => "None",
            Some(value) => *TAGS.get(value.tag as usize).unwrap_or(&"(unknown)"),
        };
        bail!("argument {} must be a {wanted}, not {found}", self.operator.arguments[place].trim_end_matches('?'))
    }

    pub fn tensor(&self, place: usize) -> Result<&'a Dense> {
        match self.value(place) {
            // SAFETY: promised by the caller of `new`.
            Some(value) if value.tag == tag::TENSOR => Ok(unsafe { &*(value.data as *const Dense) }),
            _ => self.refused(place, "Tensor"),
        }
    }

    /// A tensor; none where it was left out.
    pub fn optional_tensor(&self, place: usize) -> Result<Option<&'a Dense>> {
        if self.is_there(place) { self.tensor(place).map(Some) } else { Ok(None) }
    }

    pub fn tensors(&self, place: usize) -> Result<Vec<&'a Dense>> {
        match self.value(place) {
            Some(value) if value.tag == tag::TENSORS && value.len == 0 => Ok(Vec::new()),
            Some(value) if value.tag == tag::TENSORS => {
                // SAFETY: promised by the caller of `new`; absent tensors are null.
                let found = unsafe {
                    let handles = std::slice::from_raw_parts(value.data as *const *const Dense, value.len as usize);
                    handles.iter().map(|handle| handle.as_ref())
                };
                let present = found
                    .enumerate()
                    .map(|(i, found)| found.with_context(|| format!("element {i} of the list is no tensor")));
                present.collect()
            }
            _ => self.refused(place, "list of Tensor"),
        }
    }

    /// A Scalar, as a tensor without dimensions; none where it was left out.
    pub fn optional_number(&self, place: usize) -> Result<Option<Dense>> {
        let Some(value) = self.value(place) else { return Ok(None) };
        let dense = match value.tag {
            tag::INT => Dense::ints(Dtype::I64, Vec::new(), vec![value.data.cast_signed()]),
            tag::FLOAT => Dense::floats(Dtype::F64, Vec::new(), vec![f64::from_bits(value.data)]),
            tag::BOOL => Dense::ints(Dtype::BOOL, Vec::new(), vec![value.data.cast_signed()]),
            _ => return self.refused(place, "Scalar"),
        };
        Ok(Some(Dense { number: true, ..dense }))
    }

    pub fn number(&self, place: usize) -> Result<Dense> {
        self.optional_number(place)?.map_or_else(|| self.refused(place, "Scalar"), Ok)
    }

    /// A Scalar as a float.
    pub fn number_or(&self, place: usize, default: f64) -> Result<f64> {
        Ok(self.optional_number(place)?.map_or(default, |number| number.as_floats()[0]))
    }

    pub fn int(&self, place: usize) -> Result<i64> {
        match self.value(place) {
            Some(value) if value.tag == tag::INT => Ok(value.data.cast_signed()),
            _ => self.refused(place, "Int"),
        }
    }

    pub fn int_or(&self, place: usize, default: i64) -> Result<i64> {
        if self.is_there(place) { self.int(place) } else { Ok(default) }
    }

    /// A float; none where it was left out.
    pub fn optional_float(&self, place: usize) -> Result<Option<f64>> {
        match self.value(place) {
            None => Ok(None),
            Some(value) if value.tag == tag::FLOAT => Ok(Some(f64::from_bits(value.data))),
            Some(value) if value.tag == tag::INT => Ok(Some(value.data.cast_signed() as f64)),
            _ => self.refused(place, "Float"),
        }
    }

    pub fn float_or(&self, place: usize, default: f64) -> Result<f64> {
        Ok(self.optional_float(place)?.unwrap_or(default))
    }

    pub fn text(&self, place: usize) -> Result<&'a str> {
        match self.value(place) {
            Some(value) if value.tag == tag::TEXT => {
                // SAFETY: promised by the caller of `new`.
                let bytes = unsafe { Str { ptr: value.data as *const u8, len: value.len as usize }.as_bytes() };
                Ok(std::str::from_utf8(bytes)?)
            }
            _ => self.refused(place, "text"),
        }
    }

    /// A list of integers, empty where it was left out.
    pub fn ints(&self, place: usize) -> Result<&'a [i64]> {
        match self.value(place) {
            None => Ok(&[]),
            Some(value) if value.tag == tag::INTS && value.len == 0 => Ok(&[]),
            Some(value) if value.tag == tag::INTS => {
                // SAFETY: promised by the caller of `new`.
                Ok(unsafe { std::slice::from_raw_parts(value.data as *const i64, value.len as usize) })
            }
            _ => self.refused(place, "list of Int"),
        }
    }

    /// A bool, false where it was left out.
    pub fn flag(&self, place: usize) -> Result<bool> {
        self.flag_or(place, false)
    }

    pub fn flag_or(&self, place: usize, default: bool) -> Result<bool> {
        match self.value(place) {
            None => Ok(default),
            Some(value) if value.tag == tag::BOOL => Ok(value.data != 0),
            _ => self.refused(place, "Bool"),
        }
    }

    pub fn dtype(&self, place: usize) -> Result<Dtype> {
        self.optional_dtype(place)?.map_or_else(|| self.refused(place, "element type"), Ok)
    }

    /// The element type that the result shall have, if one is asked for.
    pub fn optional_dtype(&self, place: usize) -> Result<Option<Dtype>> {
        match self.value(place) {
            None => Ok(None),
            Some(value) if value.tag == tag::DTYPE => known_type(Dtype(value.data as i32)).map(Some),
            _ => self.refused(place, "element type"),
        }
    }

    /// The element type of a new tensor, if one is asked for. Its device comes two places later in every schema and can
    /// only be the CPU.
    pub fn new_type(&self, place: usize) -> Result<Option<Dtype>> {
        match self.value(place + 2) {
            None => {}
            Some(value) if value.tag == tag::DEVICE => {
                ensure!(value.data >> 32 == 0, "the testing kit has tensors on the CPU only");
            }
            _ => return self.refused(place + 2, "device"),
        }
        self.optional_dtype(place)
    }
}

/// Names of the tags, by their number.
const TAGS: [&str; 12] = [
    "None",
    "Tensor",
    "Int",
    "Float",
    "Bool",
    "list of Int",
    "list of Float",
    "list of Tensor",
    "text",
    "element type",
    "device",
    "memory format",
];

/// Refuses element types that the kit has no tensors of.
pub(super) fn known_type(dtype: Dtype) -> Result<Dtype> {
    let known = is_float(dtype) || matches!(dtype, Dtype::I64 | Dtype::BOOL);
    let names = [Dtype::F32, Dtype::F64, Dtype::I64, Dtype::BOOL].map(type_name).join(", ");
    ensure!(known, "the testing kit has tensors of {names} only, not of {dtype:?}");
    Ok(dtype)
}
