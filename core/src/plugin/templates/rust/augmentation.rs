//! plugin_name: makes some samples brighter or darker.

use trainer_sdk::{AugmentContext, Augmentation, Result, Sample, export_plugin};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PluginName {
    /// Largest change of a pixel's values, as a share of the full range.
    #[schemars(range(min = 0.0, max = 1.0))]
    strength: f64,
}

impl Default for PluginName {
    fn default() -> Self {
        Self { strength: 0.2 }
    }
}

impl Augmentation for PluginName {
    fn apply(&self, sample: &mut Sample, _partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        // All randomness comes from cx.rng, so a run is the same for any number of loader threads.
        let change = (255.0 * cx.rng.uniform(-self.strength, self.strength)) as i16;
        for row in sample.pixels()?.rows_mut()? {
            for value in row {
                *value = (i16::from(*value) + change).clamp(0, 255) as u8;
            }
        }
        Ok(())
    }
}

export_plugin! { augmentation "plugin_name" "makes samples brighter or darker": PluginName }

#[cfg(test)]
mod tests {
    use trainer_sdk::{
        Size,
        testing::{self, AugmentBench},
    };

    #[test]
    fn all_pixels_change_alike_and_boxes_stay() {
        let component = testing::component("augmentation", "plugin_name");
        let augmentation = component.make_augmentation(r#"{"strength": 0.1}"#).unwrap();
        let before = testing::picture(Size::new(32, 24));
        let bench = AugmentBench::default();
        let after = bench.apply(augmentation.as_ref(), &before).unwrap();
        assert_eq!(after.objects, before.objects);
        let (old, new) = (before.render(), after.render());
        let change = i16::from(new[2]) - i16::from(old[2]); // of blue, which is 64 or 192
        assert!(change != 0 && change.abs() <= 25, "{change}");
        let changed = old.iter().map(|&value| (i16::from(value) + change).clamp(0, 255) as u8);
        assert!(changed.eq(new.iter().copied()));
    }
}
