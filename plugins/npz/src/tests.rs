//! Archives are read back: names, headers, bytes.

use std::{fs::File, io::Read as _, path::Path};

use half::f16;
use trainer_sdk::{Dtype, ExportContext, Metadata, model_store::StoredTensor, testing};
use zip::{CompressionMethod, ZipArchive};

const CONTEXT: ExportContext = ExportContext { format: String::new(), imgsz: 640, batch: 1 };

fn model() -> testing::ModelBench {
    let mut model = testing::ModelBench::default()
        .tensor("model.0.conv.weight", &[2, 1, 2], &[1.5, -2.0, 0.1, 70000.0])
        .tensor("model.0.bn.bias", &[3], &[0.0, 1.0, 2.0])
        .tensor("scalar", &[], &[7.0]);
    let mut metadata = Metadata::default();
    (metadata.model, metadata.names) = ("yolo12n".into(), vec!["cat".into(), "dog".into()]);
    model.metadata = metadata;
    model
}

fn export(
    model: &mut testing::ModelBench,
    options: &str,
    out: &Path,
) -> trainer_sdk::Result<Vec<trainer_sdk::Artifact>> {
    let mut exporter = testing::component("exporter", "npz").make_exporter(options)?;
    exporter.export(&model.view(), out, &CONTEXT)
}

/// Header and data of a member.
fn member(out: &Path, name: &str) -> (String, Vec<u8>) {
    let mut archive = ZipArchive::new(File::open(out).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes[..8], *b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(data % 64, 0, "the data is aligned");
    (String::from_utf8(bytes[10..data].to_vec()).unwrap().trim_end().into(), bytes.split_off(data))
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| f32::from_ne_bytes(*chunk)).collect()
}

#[test]
fn all_tensors_and_the_metadata_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("best.npz");
    for options in ["{}", r#"{"compress": true}"#] {
        let artifacts = export(&mut model(), options, &out).unwrap();
        assert_eq!(artifacts[0].path, out);
        let (header, data) = member(&out, "model.0.conv.weight.npy");
        assert_eq!(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 2, ), }");
        assert_eq!(f32s(&data), [1.5, -2.0, 0.1, 70000.0]);
        assert!(member(&out, "model.0.bn.bias.npy").0.contains("'shape': (3, )"));
        assert!(member(&out, "scalar.npy").0.contains("'shape': ()"));
        let mut archive = ZipArchive::new(File::open(&out).unwrap()).unwrap();
        assert_eq!(archive.len(), 4);
        let wanted = if options == "{}" { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        assert_eq!(archive.by_index(1).unwrap().compression(), wanted);
        let metadata: Metadata = serde_json::from_reader(archive.by_name("metadata.json").unwrap()).unwrap();
        assert_eq!(metadata, model().metadata);
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn half_rounds_floats_and_leaves_integers() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("best.npz");
    let mut model = model();
    let put =
        |name: &str, dtype, bytes: &[u8]| StoredTensor { name: name.into(), dtype, size: vec![1], bytes: bytes.into() };
    model.tensors.push(put("count", Dtype::I64, &5i64.to_ne_bytes()));
    model.tensors.push(put("brain", Dtype::BF16, &half::bf16::from_f32(-3.0).to_ne_bytes()));
    export(&mut model, r#"{"half": true}"#, &out).unwrap();
    let (header, data) = member(&out, "model.0.conv.weight.npy");
    assert!(header.contains("'<f2'"));
    let values: Vec<_> = data.as_chunks().0.iter().map(|chunk| f16::from_ne_bytes(*chunk).to_f32()).collect();
    assert_eq!(values, [1.5, -2.0, 0.099_975_586, f32::INFINITY]);
    assert_eq!(member(&out, "count.npy").1, 5i64.to_ne_bytes());
    assert_eq!(member(&out, "brain.npy").1, f16::from_f32(-3.0).to_ne_bytes());
    export(&mut model, "{}", &out).unwrap();
    assert_eq!(f32s(&member(&out, "brain.npy").1), [-3.0]);
}

#[test]
fn equal_models_give_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = ["a.npz", "b.npz"].map(|name| {
        let out = folder.path().join(name);
        export(&mut model(), r#"{"compress": true}"#, &out).unwrap();
        std::fs::read(out).unwrap()
    });
    assert_eq!(bytes[0], bytes[1]);
}

#[test]
fn a_failure_names_the_tensor_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("best.npz");
    std::fs::write(&out, "older").unwrap();
    let mut model = model();
    model.tensors.push(StoredTensor { name: "odd".into(), dtype: Dtype(9), size: vec![1], bytes: vec![0; 8] });
    let refused = format!("{:#}", export(&mut model, "{}", &out).unwrap_err());
    let wanted = format!("cannot write {}: tensor `odd`: NumPy archives cannot hold elements of type", out.display());
    assert!(refused.starts_with(&wanted), "{refused}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "older");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    let nowhere = format!("{:#}", export(&mut model, "{}", &folder.path().join("no/best.npz")).unwrap_err());
    assert!(nowhere.contains("no/best.npz: No such file"), "{nowhere}");
}

#[test]
fn it_has_one_format_and_two_options() {
    let component = testing::component("exporter", "npz");
    assert_eq!(component.options_default(), serde_json::json!({"compress": false, "half": false}));
    let formats = component.make_exporter("{}").unwrap().formats().unwrap();
    assert_eq!((formats[0].name.as_str(), formats[0].extension.as_str(), formats.len()), ("npz", "npz", 1));
    assert!(component.make_exporter(r#"{"level": 9}"#).is_err());
    assert!(component.make_exporter(r#"{"half": "yes"}"#).is_err());
}
