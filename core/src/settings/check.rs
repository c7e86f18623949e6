//! What is refused in a resolved configuration, and where the user wrote it.

use anyhow::anyhow;
use serde_json::Value;

use super::{KEYS, run_file::RunFile};
use crate::{
    config::{RunConfig, TrainConfig},
    device::{self, Choice},
    model::Scale,
};

/// A value that cannot stand, and its place in the configuration.
pub(super) struct Refused {
    /// Such as `loss.1.epsilon`.
    pub place: String,
    /// What is wrong with it, its key included.
    pub reason: String,
}

impl Refused {
    /// The reason, after file and line if the value is the run file's.
    pub fn locate(self, file: Option<&RunFile>, config: &RunConfig) -> anyhow::Error {
        let Self { place, reason } = self;
        let pointer = format!("/{}", place.replace('.', "/"));
        let config = serde_json::to_value(config).unwrap_or_default();
        let is_in = |file: &&RunFile| {
            let (written, refused) = (file.values.pointer(&pointer), config.pointer(&pointer));
            match (written.and_then(Value::as_f64), refused.and_then(Value::as_f64)) {
                (Some(written), Some(refused)) => written as f32 == refused as f32, // 1 and 1.0, f32 and f64
                _ => written == refused,
            }
        };
        match file.filter(is_in) {
            Some(file) => anyhow!("{}: {reason}", file.locate(&place)),
            None => anyhow!(reason),
        }
    }
}

/// Values whose type fits but whose meaning does not.
pub(super) fn check(config: &RunConfig) -> Result<(), Refused> {
    let RunConfig { data, model, optimizer, train, val, .. } = config;
    let text = |reason: anyhow::Error| reason.to_string();
    let at_least_1 =
        |key: &str, value: usize, why: &str| (value == 0).then(|| format!("{key}=0 {why}; give at least {key}=1"));
    let share = |key: &str, value: f32| {
        (!(0.0..=1.0).contains(&value)).then(|| format!("{key}={value} must lie between 0 and 1"))
    };
    let from_0 = |key: &str, value: f64| {
        (!(0.0..f64::INFINITY).contains(&value)).then(|| format!("{key}={value} must be a number from 0 up"))
    };
    let (imgsz, fraction) = (model.imgsz, data.fraction);
    let near_size = (imgsz.saturating_add(31) / 32).max(1) * 32;
    let is_size = imgsz > 0 && imgsz.is_multiple_of(32);
    let is_fraction = fraction > 0.0 && fraction <= 1.0;
    let faults = [
        ("model", model.name.parse::<Scale>().err().map(text)),
        ("device", device_fault(&train.device)),
        ("threads", train.threads.and_then(|value| at_least_1("threads", value, "computes nothing"))),
        ("amp", amp_fault(train)),
        ("imgsz", (!is_size).then(|| format!("imgsz={imgsz} is not a multiple of 32; take imgsz={near_size}"))),
        ("batch", at_least_1("batch", train.batch, "trains nothing")),
        ("epochs", at_least_1("epochs", train.epochs, "trains nothing")),
        ("nbs", at_least_1("nbs", optimizer.nbs, "never moves the weights")),
        ("fraction", (!is_fraction).then(|| format!("fraction={fraction} must be above 0 and at most 1"))),
        ("conf", share("conf", val.conf)),
        ("iou", share("iou", val.iou)),
        (
            "multi_scale",
            (!(0.0..1.0).contains(&train.multi_scale)).then(|| {
                format!("multi_scale={} must be True (0.5), False or a share from 0 to below 1", train.multi_scale)
            }),
        ),
        ("lr0", optimizer.lr0.and_then(|value| from_0("lr0", value))),
        ("momentum", optimizer.momentum.and_then(|value| from_0("momentum", value))),
        ("weight_decay", from_0("weight_decay", optimizer.weight_decay)),
    ];
    let place = |key| KEYS.iter().find(|(known, _)| *known == key).map_or(key, |(_, place)| *place).to_owned();
    let faults = faults.into_iter().filter_map(|(key, fault)| Some(Refused { place: place(key), reason: fault? }));
    let gains = train.gains.by_name().into_iter().filter(|(_, gain)| !gain.is_finite());
    let gains = gains.map(|(name, gain)| Refused {
        place: format!("train.gains.{name}"),
        reason: format!("train.gains.{name}={gain} must be a finite number"),
    });
    faults.chain(gains).next().map_or(Ok(()), Err)
}

fn amp_fault(train: &TrainConfig) -> Option<String> {
    let device = device::parse(&train.device).ok()?;
    train.amp.kind(device, true).err().map(|reason| reason.to_string())
}

/// A device that cannot be used; where the choice is ours there is always one, and nothing is opened for it here.
fn device_fault(device: &str) -> Option<String> {
    let opened = device.parse::<Choice>().and_then(|choice| match choice {
        Choice::Auto => Ok(()),
        named => named.open().map(drop),
    });
    opened.err().map(|reason| format!("{reason:#}"))
}
