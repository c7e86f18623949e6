//! One tensor as a `.npy` file, version 1.0 of NumPy's format: a magic number, a header that is a Python dict, the data.

use half::f16;
use trainer_sdk::{Dtype, Result, TensorView, bail};

/// The header ends at a multiple of this, so that the data can be mapped.
const ALIGNMENT: usize = 64;

/// The bytes of the file. bfloat16, which NumPy has not, becomes float32; with `half` all floats become float16.
pub fn encode(tensor: &TensorView, half: bool) -> Result<Vec<u8>> {
    let bytes = tensor.bytes;
    let (code, data) = match (tensor.dtype, half) {
        (Dtype::F32, true) => ("f2", halves(bytes, |b| f16::from_f32(f32::from_ne_bytes(b)))),
        (Dtype::F64, true) => ("f2", halves(bytes, |b| f16::from_f64(f64::from_ne_bytes(b)))),
        (Dtype::BF16, true) => ("f2", halves(bytes, |b| f16::from_f32(half::bf16::from_ne_bytes(b).to_f32()))),
        (Dtype::BF16, false) => ("f4", convert(bytes, |b| half::bf16::from_ne_bytes(b).to_f32().to_ne_bytes())),
        (Dtype::F16, _) => ("f2", bytes.to_vec()),
        (Dtype::F32, _) => ("f4", bytes.to_vec()),
        (Dtype::F64, _) => ("f8", bytes.to_vec()),
        (Dtype::I32, _) => ("i4", bytes.to_vec()),
        (Dtype::I64, _) => ("i8", bytes.to_vec()),
        (Dtype::U8, _) => ("u1", bytes.to_vec()),
        (Dtype::BOOL, _) => ("b1", bytes.to_vec()),
        (other, _) => bail!("NumPy archives cannot hold elements of type {other:?}"),
    };
    let order = if cfg!(target_endian = "little") { '<' } else { '>' };
    let shape: String = tensor.size.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({shape}), }}");
    let start = "\x7fNUMPY".len() + 4; // magic number, version, length
    let padding = ALIGNMENT - (start + header.len() + 1) % ALIGNMENT;
    header.extend(std::iter::repeat_n(' ', padding % ALIGNMENT));
    header.push('\n');
    let Ok(length) = u16::try_from(header.len()) else { bail!("it has too many dimensions: {}", tensor.size.len()) };
    Ok([b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header.as_bytes(), &data].concat())
}

fn halves<const N: usize>(bytes: &[u8], to_half: impl Fn([u8; N]) -> f16) -> Vec<u8> {
    convert(bytes, |element| to_half(element).to_ne_bytes())
}

fn convert<const N: usize, const M: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> [u8; M]) -> Vec<u8> {
    bytes.as_chunks().0.iter().flat_map(|chunk| element(*chunk)).collect()
}
