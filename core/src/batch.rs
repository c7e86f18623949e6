//! From the loader's bytes to tensors on the device.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::{data::loader::RawBatch, loss::Objects};

/// Images and objects of one batch.
#[derive(Debug)]
pub struct Batch {
    /// Float (B, 3, H, W), 0..1, channels innermost in memory.
    pub images: Tensor,
    /// What is in the images, in pixels of the input.
    pub objects: Objects,
    /// The images' ids.
    pub image_ids: Vec<u64>,
}

impl Batch {
    /// Copies a batch to the device; bytes travel, floats are made there.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn new(raw: &RawBatch, kind: Kind, device: Device) -> Result<Self> {
        let count = raw.samples.len() as i64;
        let (height, width) = (i64::from(raw.size.height), i64::from(raw.size.width));
        let bytes = Tensor::f_from_slice(&raw.pixels)?.f_view([count, height, width, 3])?.f_to_device(device)?;
        let images = bytes.f_permute([0, 3, 1, 2])?.f_to_kind(kind)?.f_div_scalar(255.0)?;
        Ok(Self {
            images,
            objects: objects(raw, kind, device)?,
            image_ids: raw.samples.iter().map(|sample| sample.id).collect(),
        })
    }
}

/// What is to be found, padded to the fullest image: crowds and regions to ignore are none of it.
fn objects(raw: &RawBatch, kind: Kind, device: Device) -> Result<Objects> {
    let mut rows = vec![Vec::new(); raw.samples.len()];
    for found in raw.objects.iter().filter(|found| !found.object.crowd && !found.object.ignore) {
        rows[found.image as usize].push(&found.object);
    }
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (mut classes, mut boxes, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        for i in 0..most {
            let object = row.get(i);
            classes.push(object.map_or(0, |object| i64::from(object.class)));
            boxes.extend(object.map_or([0.0; 4], |object| {
                let b = object.bbox;
                [b.x1, b.y1, b.x2, b.y2]
            }));
            valid.push(object.is_some());
        }
    }
    let shape = [rows.len() as i64, most as i64];
    Ok(Objects {
        classes: Tensor::f_from_slice(&classes)?.f_view(shape)?.f_to_device(device)?,
        boxes: Tensor::f_from_slice(&boxes)?.f_view([shape[0], shape[1], 4])?.f_to_kind(kind)?.f_to_device(device)?,
        valid: Tensor::f_from_slice(&valid)?.f_view(shape)?.f_to_device(device)?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trainer_sdk::{Bbox, Matrix, Object, Size};

    use super::*;
    use crate::data::loader::{BatchObject, SampleInfo};

    #[test]
    fn crowds_and_regions_to_ignore_are_no_targets() {
        let object = |class| Object::new(class, Bbox::new(1.0, 1.0, 5.0, 5.0));
        let crowd = Object { crowd: true, ..object(1) };
        let ignore = Object { ignore: true, ..object(2) };
        let objects = [crowd, object(3), ignore].map(|object| BatchObject { image: 0, object }).to_vec();
        let size = Size::square(8);
        let sample =
            SampleInfo { id: 0, path: Path::new("a").into(), original: size, to_input: Matrix::scale(1.0, 1.0) };
        let raw = RawBatch { pixels: vec![0; 8 * 8 * 3], size, objects, samples: vec![sample], skipped: Vec::new() };
        let objects = Batch::new(&raw, Kind::Float, Device::Cpu).unwrap().objects;
        assert_eq!(Vec::<i64>::try_from(objects.classes.view(-1)).unwrap(), [3]);
    }
}
