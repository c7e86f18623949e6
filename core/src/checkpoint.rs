//! Weights on disk: one safetensors file under the reference's tensor names, with what is needed to use it again as
//! one JSON text. A file is complete or not there: written beside, synced, then renamed.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, Result, anyhow, bail};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{
    loss::Named,
    model::{Network, Scale, Yolo12},
};

/// The metadata key that holds [`Card`] as JSON.
const KEY: &str = "trainer";

/// What a weights file says about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// Format of this text, 1.
    pub format: u32,
    /// The model's name, e.g. `yolo12n`.
    pub model: String,
    /// The class names, in order.
    pub names: Vec<String>,
    /// Side of the square input it was trained on.
    pub imgsz: u32,
    /// The epoch after which it was saved, from 1.
    pub epoch: usize,
    /// mAP50-95 at that epoch, 0..1.
    pub map50_95: f64,
    /// The trainer that wrote it.
    pub version: String,
}

/// Before the names of tensors that belong to a loss, in the form `plugin/LOSS/NAME`.
const OF_PLUGINS: &str = "plugin/";

/// Writes a network's tensors, and beside them the parameters of losses.
///
/// # Errors
/// If the file cannot be written; an older file of that name stays as it was.
pub fn save(path: &Path, network: &Network, of_losses: &[Named], card: &Card) -> Result<()> {
    let own = network.tensors().map(|(spec, tensor)| (spec.name.clone(), tensor));
    let of_losses = of_losses.iter().map(|(name, tensor)| (format!("{OF_PLUGINS}{name}"), tensor));
    let mut tensors = Vec::new();
    for (name, tensor) in own.chain(of_losses) {
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Double => Dtype::F64,
            Kind::Int64 => Dtype::I64,
            kind => bail!("cannot save {name} of type {kind:?}"),
        };
        let flat = tensor.detach().to_device(tch::Device::Cpu).contiguous();
        let mut data = vec![0u8; flat.numel() * flat.kind().elt_size_in_bytes()];
        flat.f_copy_data_u8(&mut data, flat.numel())?;
        let shape = tensor.size().iter().map(|&side| side as usize).collect::<Vec<_>>();
        tensors.push((name, dtype, shape, data));
    }
    let mut views = Vec::new();
    for (name, dtype, shape, data) in &tensors {
        views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), data)?));
    }
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(card)?)]);
    write(path, &safetensors::serialize(views, Some(metadata))?)
}

/// Replaces a file as a whole: a reader sees the old bytes or the new ones.
///
/// # Errors
/// If the directory cannot be written or is full; the message names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = path.with_extension("partial");
    let whole = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(dir)?.sync_all()
    };
    whole().or_else(|error| {
        let _ = fs::remove_file(&beside); // nothing half-written stays; the reason is told below
        Err(error).with_context(|| format!("cannot write {}", path.display()))
    })
}

/// Reads the network's tensors of a file, and its card where it has one of ours.
///
/// # Errors
/// If the file is missing, damaged or holds a type that networks do not use.
pub fn read(path: &Path) -> Result<(BTreeMap<String, Tensor>, Option<Card>)> {
    let place = path.display();
    let bytes = fs::read(path).with_context(|| format!("weights {place} cannot be read"))?;
    let damaged = |reason: String| anyhow!("weights {place} are not a whole safetensors file: {reason}");
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|reason| damaged(reason.to_string()))?;
    let card = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let card = card.map(|text| serde_json::from_str(text)).transpose().map_err(|reason| damaged(reason.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|reason| damaged(reason.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter().filter(|(name, _)| !name.starts_with(OF_PLUGINS)) {
        let kind = match view.dtype() {
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::I64 => Kind::Int64,
            other => bail!("weights {place}: tensor {name} is of type {other:?}, which no network uses"),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        tensors.insert(name.to_owned(), Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    Ok((tensors, card))
}

/// A network made of one of our own files.
///
/// # Errors
/// If the file is not one of ours, or its tensors are not those of its model.
pub fn load(path: &Path, device: tch::Device) -> Result<(Network, Card)> {
    let (tensors, card) = read(path)?;
    let card = card.with_context(|| format!("weights {} carry no description of their model", path.display()))?;
    let description = Yolo12::new(card.model.parse::<Scale>()?, card.names.len() as i64);
    let mut network = Network::new(description, 0, Kind::Float, device)?;
    network.load(&tensors).with_context(|| format!("weights {} do not fit {}", path.display(), card.model))?;
    Ok((network, card))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn card() -> Card {
        Card {
            format: 1,
            model: "yolo12n".into(),
            names: vec!["cat".into(), "dog".into()],
            imgsz: 64,
            epoch: 3,
            map50_95: 0.25,
            version: "0.1.0".into(),
        }
    }

    fn network(seed: u64) -> Network {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 2);
        Network::new(description, seed, Kind::Float, Device::Cpu).unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let saved = network(1);
        save(&path, &saved, &[], &card()).unwrap();
        let (loaded, read) = load(&path, Device::Cpu).unwrap();
        assert_eq!((read.names, read.imgsz, read.epoch), (card().names, 64, 3));
        for ((spec, a), (_, b)) in saved.tensors().zip(loaded.tensors()) {
            assert!(a.equal(b), "{}", spec.name);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing lies beside it");
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("w.safetensors");
        fs::create_dir(&taken).unwrap();
        let error = save(&taken, &network(1), &[], &card()).unwrap_err().to_string();
        assert_eq!(error, format!("cannot write {}", taken.display()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only what was there");
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        save(&path, &network(1), &[], &card()).unwrap();
        let whole = fs::read(&path).unwrap();
        let refusal = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            load(&path, Device::Cpu).err().unwrap().to_string().replace(path.to_str().unwrap(), "FILE")
        };
        for cut in [0, 7, 1000, whole.len() / 2, whole.len() - 1] {
            let message = refusal(&whole[..cut]);
            assert!(message.starts_with("weights FILE are not a whole safetensors file: "), "{cut}: {message}");
        }
        let foreign = safetensors::serialize(std::iter::empty::<(String, TensorView)>(), None).unwrap();
        assert_eq!(refusal(&foreign), "weights FILE carry no description of their model");
    }
}
