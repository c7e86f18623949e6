//! Loss functions.

use anyhow::{Result, bail, ensure};

use super::{
    Operator,
    elementwise::sub,
    functions::{abs, float_only, softplus},
    one,
    reduction::{mean, softmax, sum as total},
};
use crate::{
    Dtype,
    testing::{
        arguments::Arguments,
        dense::{Dense, broadcast, common_type, indices, is_float, offset, type_name},
    },
};

const TARGET: &[&str] = &["self", "target", "reduction?"];
const WEIGHT: &[&str] = &["self", "target", "weight?", "reduction?"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::binary_cross_entropy_with_logits", &["self", "target", "weight?", "pos_weight?", "reduction?"], |a| {
        bce_with_logits(a)
    }),
    one("aten::binary_cross_entropy", WEIGHT, bce),
    one(
        "aten::cross_entropy_loss",
        &["self", "target", "weight?", "reduction?", "ignore_index?", "label_smoothing?"],
        cross_entropy,
    ),
    one("aten::nll_loss_nd", &["self", "target", "weight?", "reduction?", "ignore_index?"], |a| {
        weighable(a.tensor(0)?, a.optional_tensor(2)?)?;
        nll(a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?, a.int_or(3, MEAN)?, a.int_or(4, -100)?, 0.0)
    }),
    one("aten::mse_loss", TARGET, |a| distance("mse", a, a.int_or(2, MEAN)?, |d| d * d)),
    one("aten::l1_loss", TARGET, |a| {
        let differences = sub(a.tensor(0)?, a.tensor(1)?, None)?; // of integers too
        match (is_float(differences.dtype), a.int_or(2, MEAN)?) {
            (true, reduction) => distance("", a, reduction, |d| d),
            (_, MEAN) => mean(&differences, &[], false, None),
            (_, SUM) => total(&abs(&differences)?, &[], false, None),
            _ => abs(&differences),
        }
    }),
    one("aten::smooth_l1_loss", &["self", "target", "reduction?", "beta?"], |a| {
        let beta = a.float_or(3, 1.0)?;
        ensure!(beta >= 0.0, "smooth_l1_loss does not support negative values for beta.");
        distance("smooth_l1", a, a.int_or(2, MEAN)?, |d| if d < beta { 0.5 * d * d / beta } else { d - 0.5 * beta })
    }),
    one("aten::huber_loss", &["self", "target", "reduction?", "delta?"], |a| {
        let delta = a.float_or(3, 1.0)?;
        ensure!(delta > 0.0, "huber_loss does not support non-positive values for delta.");
        let of = |d: f64| if d <= delta { 0.5 * d * d } else { delta * (d - 0.5 * delta) };
        let (x, target) = (a.tensor(0)?, a.tensor(1)?);
        castable(common_type(&[x, target]), x.dtype)?;
        Ok(distance("huber", a, a.int_or(2, MEAN)?, of)?.to(x.dtype))
    }),
    one("aten::kl_div", &["self", "target", "reduction?", "log_target?"], |a| {
        let of = if a.flag(3)? {
            |x: f64, target: f64| target.exp() * (target - x)
        } else {
            |x: f64, target: f64| if target == 0.0 { 0.0 } else { target * (target.ln() - x) }
        };
        for x in [a.tensor(0)?, a.tensor(1)?] {
            ensure!(is_float(x.dtype), "kl_div: Integral inputs not supported.");
        }
        let losses = elements(a.tensor(0)?, a.tensor(1)?, of)?;
        reduced(losses, a.int_or(2, MEAN)?)
    }),
];

/// How losses of elements are reduced; 0 keeps them.
const MEAN: i64 = 1;
const SUM: i64 = 2;

fn reduced(losses: Dense, reduction: i64) -> Result<Dense> {
    let sum: f64 = losses.as_floats().iter().sum();
    let scalar = |value| Ok(Dense::floats(losses.dtype, Vec::new(), vec![value]));
    match reduction {
        MEAN => scalar(sum / losses.numel() as f64),
        SUM => scalar(sum),
        _ => Ok(losses),
    }
}

/// `f` of each element and its target, broadcast.
fn elements(x: &Dense, target: &Dense, f: impl Fn(f64, f64) -> f64) -> Result<Dense> {
    let (dtype, size) = (common_type(&[x, target]), broadcast(&x.size, &target.size)?);
    let [x, target] = [x, target].map(|x| x.to(dtype).expanded(&size));
    Ok(Dense::floats(dtype, size, x.as_floats().iter().zip(&*target.as_floats()).map(|(&x, &y)| f(x, y)).collect()))
}

/// A function of the distance.
fn distance(name: &str, a: &Arguments, reduction: i64, f: impl Fn(f64) -> f64) -> Result<Dense> {
    let (x, target) = (a.tensor(0)?, a.tensor(1)?);
    let common = common_type(&[x, target]);
    ensure!(is_float(common), "\"{name}_cpu\" not implemented for '{}'", type_name(common));
    reduced(elements(x, target, |x, y| f((x - y).abs()))?, reduction)
}

/// With weights of elements and of positive ones.
fn bce_with_logits(a: &Arguments) -> Result<Dense> {
    let (x, target) = (a.tensor(0)?, a.tensor(1)?);
    let (weight, pos_weight) = (a.optional_tensor(2)?, a.optional_tensor(3)?);
    float_only("log_sigmoid_cpu", x, |x| x)?;
    sub(&Dense::ints(target.dtype, Vec::new(), vec![1]), target, None)?; // of bools there is no difference
    castable(common_type(&[x, target]), target.dtype)?;
    // libtorch works in place in tensors of the target's and the logits' sizes.
    let [x_size, size] = [&x.size, &target.size];
    let x = fitted(x, size)?.as_floats().into_owned();
    let ones = Dense::floats(Dtype::F64, Vec::new(), vec![1.0]);
    let pos = pos_weight.unwrap_or(&ones);
    ensure!(
        pos.dtype != Dtype::BOOL,
        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
    );
    if pos_weight.is_some() {
        fitted(&pos.expanded(&broadcast(&pos.size, size)?), x_size)?;
    }
    let [pos, weight] = [pos, weight.unwrap_or(&ones)].map(|weight| fitted(weight, size));
    let (pos, weight) = (pos?, weight?);
    let (pos, weight) = (pos.as_floats(), weight.as_floats());
    let loss = |(i, &y): (usize, &f64)| {
        let log_sigmoid = -softplus(-x[i], 1.0, f64::INFINITY);
        weight[i] * ((1.0 - y) * x[i] - (1.0 + (pos[i] - 1.0) * y) * log_sigmoid)
    };
    let losses = target.as_floats().iter().enumerate().map(loss).collect();
    reduced(Dense::floats(target.dtype, size.clone(), losses), a.int_or(4, MEAN)?)
}

/// Whether results of the type `from` can be written in place as `to`.
fn castable(from: Dtype, to: Dtype) -> Result<()> {
    let [found, wanted] = [from, to].map(type_name);
    ensure!(is_float(to) || !is_float(from), "result type {found} can't be cast to the desired output type {wanted}");
    Ok(())
}

/// Broadcast to `size`, as what is written in place must be.
fn fitted(x: &Dense, size: &[i64]) -> Result<Dense> {
    let common = broadcast(size, &x.size)?;
    ensure!(common == size, "output with shape {size:?} doesn't match the broadcast shape {common:?}");
    Ok(x.expanded(size))
}

fn bce(a: &Arguments) -> Result<Dense> {
    let (x, target) = (a.tensor(0)?, a.tensor(1)?);
    ensure!(x.dtype == target.dtype, "Found dtype {} but expected {}", type_name(target.dtype), type_name(x.dtype));
    float_only("binary_cross_entropy", x, |x| x)?;
    for (name, values) in [("input", x), ("target", target)] {
        let inside = values.as_floats().iter().all(|x| (0.0..=1.0).contains(x));
        ensure!(inside, "all elements of {name} should be between 0 and 1");
    }
    let losses = elements(x, target, |x, y| (y - 1.0) * (-x).ln_1p().max(-100.0) - y * x.ln().max(-100.0))?;
    let losses = match a.optional_tensor(2)? {
        Some(weight) => super::elementwise::mul(&losses, &fitted(weight, &losses.size)?)?.to(losses.dtype),
        None => losses,
    };
    reduced(losses, a.int_or(3, MEAN)?)
}

fn cross_entropy(a: &Arguments) -> Result<Dense> {
    let (x, target, weight) = (a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?);
    let (reduction, ignored, smoothing) = (a.int_or(3, MEAN)?, a.int_or(4, -100)?, a.float_or(5, 0.0)?);
    ensure!((0.0..=1.0).contains(&smoothing), "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}");
    let class_dim = i64::from(x.size.len() > 1);
    // In double precision, so that the result is rounded once.
    let logs = softmax("log_softmax", (x, class_dim), None, |x| x).map(|_| x.to(Dtype::F64))?;
    let logs = softmax("log_softmax", (&logs, class_dim), None, |x| x)?;
    let by_classes = x.size != target.size;
    if by_classes {
        weighable(x, weight)?;
        float_only("nll_loss_out_frame", x, |x| x)?;
    }
    let operands: Vec<&Dense> = [Some(x), Some(target).filter(|_| !by_classes), weight].into_iter().flatten().collect();
    let dtype = common_type(&operands);
    let weight = weight.map(|weight| weight.to(Dtype::F64));
    let losses = if !by_classes {
        ensure!(
            is_float(target.dtype),
            "Expected floating point type for target with class probabilities, got {}",
            type_name(target.dtype)
        );
        ensure!(ignored < 0, "ignore_index is not supported for floating point target");
        soft(&logs, target, weight.as_ref(), reduction, smoothing)
    } else {
        nll(&logs, target, weight.as_ref(), reduction, ignored, smoothing)
    };
    losses.map(|losses| losses.to(dtype))
}

/// Whether the weights of classes have the type of what they weigh.
fn weighable(x: &Dense, weight: Option<&Dense>) -> Result<()> {
    let [wanted, found] = [x, weight.unwrap_or(x)].map(|x| type_name(x.dtype));
    ensure!(wanted == found, "expected scalar type {wanted} but found {found}");
    Ok(())
}

/// The classes of `logs`: their dimension and number, and the weight of each.
fn classes(logs: &Dense, weight: Option<&Dense>) -> Result<(usize, i64, Vec<f64>)> {
    ensure!(!logs.size.is_empty(), "Expected 1 or more dimensions (got {})", 0);
    let dim = usize::from(logs.size.len() > 1);
    let count = logs.size[dim];
    let weights = weight.map_or_else(|| vec![1.0; count as usize], |weight| weight.as_floats().into_owned());
    let shape = weight.map(|weight| format!("{:?}", weight.size)).unwrap_or_default();
    ensure!(
        weights.len() as i64 == count,
        "weight tensor should be defined either for all {count} classes or no classes but got weight tensor of shape: {shape}"
    );
    Ok((dim, count, weights))
}

/// Cross entropy by probabilities.
fn soft(logs: &Dense, target: &Dense, weight: Option<&Dense>, reduction: i64, smoothing: f64) -> Result<Dense> {
    let (dim, count, weights) = classes(logs, weight)?;
    let (values, shares) = (logs.as_floats(), target.as_floats());
    let mut size = logs.size.clone();
    size.remove(dim);
    let mut losses = vec![0.0; size.iter().product::<i64>() as usize];
    for (place, mut at) in indices(&logs.size).enumerate() {
        let class = at.remove(dim) as usize;
        let share = shares[place] * (1.0 - smoothing) + smoothing / count as f64;
        losses[offset(&size, &at)] -= weights[class] * share * values[place];
    }
    reduced(Dense::floats(logs.dtype, size, losses), reduction)
}

/// Cross entropy by classes, `smoothing` of it spread over all of them.
fn nll(
    logs: &Dense,
    target: &Dense,
    weight: Option<&Dense>,
    reduction: i64,
    ignored: i64,
    smoothing: f64,
) -> Result<Dense> {
    let (dim, count, weights) = classes(logs, weight)?;
    let mut size = logs.size.clone();
    size.remove(dim);
    if let (Some(batch), Some(targets)) = (logs.size.first(), target.size.first()) {
        ensure!(
            logs.size.len() == 1 || batch == targets,
            "Expected input batch_size ({batch}) to match target batch_size ({targets})."
        );
    }
    ensure!(size == target.size, "Expected target size {size:?}, got {:?}", target.size);
    ensure!(target.dtype == Dtype::I64, "expected scalar type Long but found {}", type_name(target.dtype));
    float_only("nll_loss_out_frame", logs, |x| x)?;
    let values = logs.as_floats();
    let (mut losses, mut total) = (Vec::new(), 0.0);
    for (at, &class) in indices(&size).zip(&*target.as_ints()) {
        if class == ignored {
            losses.push(0.0);
            continue;
        }
        if !(0..count).contains(&class) {
            bail!("Target {class} is out of bounds.");
        }
        let loss = |class: i64| {
            let mut place = at.clone();
            place.insert(dim, class);
            -weights[class as usize] * values[offset(&logs.size, &place)]
        };
        let spread: f64 = if smoothing > 0.0 { (0..count).map(loss).sum::<f64>() / count as f64 } else { 0.0 };
        losses.push((1.0 - smoothing) * loss(class) + smoothing * spread);
        total += weights[class as usize];
    }
    let mean = losses.iter().sum::<f64>() / total;
    match reduction {
        MEAN => Ok(Dense::floats(logs.dtype, Vec::new(), vec![mean])),
        _ => reduced(Dense::floats(logs.dtype, size, losses), reduction),
    }
}
