//! The arguments of one call, read by their place in the operator's schema.

#![allow(unsafe_code)] // what the tags say the values point to

use anyhow::{Result, bail, ensure};

use super::{
    dense::{Dense, is_float, type_name},
    operators::Operator,
};
use crate::{
    Dtype,
    abi::{Value, tag},
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
    pub fn run(&self) -> Result<Dense> {
        (self.operator.run)(self)
    }

    /// The value, unless it was left out.
    fn value(&self, place: usize) -> Option<Value> {
        self.values.get(place).copied().filter(|value| value.tag != tag::NONE)
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

    pub fn int(&self, place: usize) -> Result<i64> {
        match self.value(place) {
            Some(value) if value.tag == tag::INT => Ok(value.data.cast_signed()),
            _ => self.refused(place, "Int"),
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
        match self.value(place) {
            None => Ok(false),
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
