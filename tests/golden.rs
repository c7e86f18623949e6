//! Reference numbers of tests/golden and the counter formula they were made with (tests/golden/formula.md).

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::{Deserialize, de::DeserializeOwned};
use tch::{Device, Kind, Tensor};
use trainer::model::TensorSpec;

/// The text of tests/golden/`file`.
pub fn text(file: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(file)).unwrap()
}

/// Reads the JSON in tests/golden/`file`.
pub fn read<T: DeserializeOwned>(file: &str) -> T {
    serde_json::from_str(&text(file)).unwrap()
}

/// Some entries of a large tensor.
#[derive(Deserialize)]
pub struct Sampled {
    pub shape: Vec<i64>,
    pub samples: Vec<f64>,
}

impl Sampled {
    /// The largest difference from `tensor` over the sampled entries, relative to their largest magnitude.
    pub fn error(&self, tensor: &Tensor) -> f64 {
        assert_eq!(tensor.size(), self.shape);
        let values = Vec::<f64>::try_from(tensor.contiguous().view(-1).to_kind(Kind::Double)).unwrap();
        let scale = self.samples.iter().fold(1e-12f64, |largest, x| largest.max(x.abs()));
        let at = |k: usize| values[(splitmix64(k as u64) % values.len() as u64) as usize];
        let errors = self.samples.iter().enumerate().map(|(k, sample)| (at(k) - sample).abs() / scale);
        errors.fold(0.0, |worst, error| if error.is_nan() { f64::INFINITY } else { f64::max(worst, error) })
    }
}

fn splitmix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The first `count` numbers of the formula's stream for `name`, in [0, 1).
pub fn units(name: &str, count: i64) -> Vec<f64> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (0..count as u64).map(|i| (splitmix64(hash.wrapping_add(i)) >> 11) as f64 / (1u64 << 53) as f64).collect()
}

/// A tensor of the formula's numbers.
pub fn unit_tensor(name: &str, shape: &[i64]) -> Tensor {
    Tensor::from_slice(&units(name, shape.iter().product())).reshape(shape)
}

/// Weights and statistics by the formula, in float64.
pub fn weights<'a>(specs: impl Iterator<Item = &'a TensorSpec>) -> BTreeMap<String, Tensor> {
    specs.map(|spec| (spec.name.clone(), weight(spec))).collect()
}

fn weight(spec: &TensorSpec) -> Tensor {
    let name = spec.name.as_str();
    if name.ends_with("num_batches_tracked") {
        return Tensor::zeros([0i64; 0], (Kind::Int64, Device::Cpu));
    }
    if name.ends_with("dfl.conv.weight") {
        return Tensor::arange(16, (Kind::Double, Device::Cpu)).reshape(&spec.shape);
    }
    let u = unit_tensor(name, &spec.shape);
    if spec.shape.len() == 4 {
        let gain = if name.contains(".m.") { 1.0 } else { 7.0 };
        let fan_in: i64 = spec.shape[1..].iter().product();
        return (u * 2.0 - 1.0) * f64::sqrt(gain / fan_in as f64);
    }
    if [".bn.weight", ".running_var", ".gamma"].iter().any(|end| name.ends_with(end)) {
        u + 0.5
    } else if [".bn.bias", ".running_mean"].iter().any(|end| name.ends_with(end)) {
        (u - 0.5) * 0.2
    } else {
        u - 0.5
    }
}

#[test]
fn formula_gives_the_documented_check_values() {
    assert_eq!(units("input", 1)[0], 0.0978183426575382);
    assert_eq!(units("model.0.conv.weight", 6)[5], 0.40951816579846);
}
