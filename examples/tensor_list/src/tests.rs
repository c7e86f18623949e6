//! The plugin on a model of two tensors.

// ANCHOR: test
use trainer_sdk::{
    ExportContext,
    testing::{self, ModelBench},
};

#[test]
fn each_tensor_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.txt");
    let mut exporter = testing::component("exporter", "tensor_list").make_exporter("{}").unwrap();
    let mut model = ModelBench::default().tensor("conv.weight", &[1, 2], &[0.5, 1.0]).tensor("scale", &[], &[2.0]);
    let cx = ExportContext { format: "tensors".into(), imgsz: 640, batch: 1 };
    let written = exporter.export(&model.view(), &out, &cx).unwrap();
    assert_eq!(written[0].path, out);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "conv.weight [1, 2]\nscale []\n");
}
// ANCHOR_END: test

#[test]
fn the_format_is_called_tensors() {
    let formats = testing::component("exporter", "tensor_list").make_exporter("{}").unwrap().formats().unwrap();
    assert_eq!((formats[0].name.as_str(), formats[0].extension.as_str()), ("tensors", "txt"));
}
