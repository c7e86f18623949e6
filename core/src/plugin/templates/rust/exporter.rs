//! plugin_name: a text file with the smallest, the mean and the largest element of each tensor.

use std::{fmt::Write as _, fs, path::Path};

use trainer_sdk::{Artifact, ExportContext, Exporter, Format, Model, Result, export_plugin};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PluginName {
    /// Digits behind the point.
    #[schemars(range(min = 0, max = 17))]
    digits: usize,
}

impl Default for PluginName {
    fn default() -> Self {
        Self { digits: 6 }
    }
}

impl Exporter for PluginName {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(vec![Format::new("plugin_name", "txt", "range and mean of each tensor")])
    }

    fn export(&mut self, model: &Model, out: &Path, _cx: &ExportContext) -> Result<Vec<Artifact>> {
        let mut text = String::new();
        for name in model.names() {
            let Ok(values) = model.tensor(&name)?.to_f32() else { continue }; // counters are whole numbers
            let min = values.iter().copied().fold(f32::INFINITY, f32::min);
            let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len().max(1) as f64;
            let digits = self.digits;
            writeln!(text, "{name} {min:.digits$} {mean:.digits$} {max:.digits$}")?;
        }
        let beside = out.with_extension("part"); // renamed when whole: no half of a file is left
        fs::write(&beside, text)?;
        fs::rename(&beside, out)?;
        Ok(vec![Artifact::new(out, "range and mean of each tensor")])
    }
}

export_plugin! { exporter "plugin_name" "writes range and mean of each tensor": PluginName }

#[cfg(test)]
mod tests {
    use trainer_sdk::{
        ExportContext,
        testing::{self, ModelBench},
    };

    #[test]
    fn each_tensor_has_a_line() {
        let component = testing::component("exporter", "plugin_name");
        let mut exporter = component.make_exporter(r#"{"digits": 2}"#).unwrap();
        let file = format!("plugin_name-{}.txt", std::process::id());
        let out = std::env::temp_dir().join(file);
        let mut model = ModelBench::default().tensor("conv.weight", &[1, 2], &[0.5, 1.0]);
        let cx = ExportContext { format: "plugin_name".into(), imgsz: 640, batch: 1 };
        let written = exporter.export(&model.view(), &out, &cx).unwrap();
        let text = std::fs::read_to_string(&written[0].path).unwrap();
        std::fs::remove_file(&out).unwrap();
        assert_eq!(text, "conv.weight 0.50 0.75 1.00\n");
    }
}
