//! Recipe: the augmentations of a run, and how strongly YOLOv12's authors used them for each scale of the model.

use crate::{config::ComponentConfig, model::Scale};

/// The stages of a run, in order.
pub const STAGES: [&str; 12] = [
    "mosaic",
    "copy_paste",
    "perspective",
    "mixup",
    "cutmix",
    "blur",
    "median_blur",
    "gray",
    "clahe",
    "hsv",
    "flip",
    "bgr",
];

/// An option whose value depends on the scale.
struct Scaled {
    stage: &'static str,
    option: &'static str,
    /// The option on the command line.
    key: &'static str,
    /// For n, s, m, l and x.
    values: [f64; 5],
}

const SCALED: [Scaled; 3] = [
    Scaled { stage: "copy_paste", option: "p", key: "copy_paste", values: [0.1, 0.15, 0.4, 0.5, 0.6] },
    Scaled { stage: "perspective", option: "scale", key: "scale", values: [0.5, 0.9, 0.9, 0.9, 0.9] },
    Scaled { stage: "mixup", option: "p", key: "mixup", values: [0.0, 0.05, 0.15, 0.15, 0.2] },
];

impl Scaled {
    /// The authors' value for a model; that of n for one that has no recipe.
    fn value(&self, model: &str) -> f64 {
        self.values[model.parse::<Scale>().map_or(0, |scale| scale as usize)]
    }
}

/// Sets the options that depend on the model's scale wherever the user set none.
pub fn fill(stages: &mut [ComponentConfig], model: &str) {
    for scaled in &SCALED {
        for stage in stages.iter_mut().filter(|stage| stage.name == scaled.stage) {
            stage.options.entry(scaled.option).or_insert_with(|| scaled.value(model).into());
        }
    }
}

/// Moves `copy_paste` behind the warp where it takes objects of another sample, whose warp was another.
pub fn order(stages: &mut Vec<ComponentConfig>) {
    let place = |name: &str| stages.iter().position(|stage| stage.name == name);
    let (Some(from), Some(warp)) = (place("copy_paste"), place("perspective")) else { return };
    if from < warp && stages[from].options.get("mode").is_some_and(|mode| mode == "mixup") {
        let stage = stages.remove(from);
        stages.insert(warp, stage);
    }
}

/// The stages for rectangular batches, and the names of those that are off there: mixing samples needs canvases of one
/// size. The warp keeps the canvas, and what letterboxes to the square is left to the pipeline.
#[must_use]
pub fn rectangular(stages: &[ComponentConfig]) -> (Vec<ComponentConfig>, Vec<String>) {
    let (mut rectangular, mut off) = (stages.to_vec(), Vec::new());
    rectangular.retain(|stage| stage.name != "letterbox");
    for stage in &mut rectangular {
        let mixes = match stage.name.as_str() {
            "mosaic" | "mixup" | "cutmix" => true,
            "copy_paste" => stage.options.get("mode").is_some_and(|mode| mode == "mixup"),
            _ => false,
        };
        if mixes && stage.options.get("p").and_then(serde_json::Value::as_f64).is_some_and(|p| p > 0.0) {
            stage.options.insert("p".into(), 0.0.into());
            off.push(stage.name.clone());
        }
        if stage.name == "perspective" {
            stage.options.insert("square".into(), false.into());
        }
    }
    (rectangular, off)
}

/// What to know of options beyond the authors' own, a line each.
#[must_use]
pub fn hints(stages: &[ComponentConfig], model: &str) -> Vec<String> {
    let beyond = |scaled: &Scaled| {
        let stage = stages.iter().find(|stage| stage.name == scaled.stage)?;
        let (value, authors) = (stage.options.get(scaled.option)?.as_f64()?, scaled.value(model));
        (value > authors).then(|| {
            let Scaled { key, .. } = scaled;
            format!("{key}={value} is beyond the authors' recipe for {model}, which has {key}={authors}")
        })
    };
    SCALED.iter().filter_map(beyond).collect()
}

/// Why `copy_paste` cannot act on a data set of so many objects, `outlined` of them with a polygon.
#[must_use]
pub fn idle_copy_paste(stages: &[ComponentConfig], objects: usize, outlined: usize) -> Option<String> {
    let stage = stages.iter().find(|stage| stage.name == "copy_paste")?;
    let p = stage.options.get("p")?.as_f64().filter(|&p| p > 0.0)?;
    (outlined == 0 && objects > 0).then(|| {
        format!(
            "copy_paste={p} cannot act: it cuts objects out along their polygons, and 0 of the {objects} training \
             objects have one; give labels with polygons, or copy_paste=0"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages() -> Vec<ComponentConfig> {
        STAGES.map(ComponentConfig::named).to_vec()
    }

    fn option(stages: &[ComponentConfig], name: &str, option: &str) -> f64 {
        stages.iter().find(|stage| stage.name == name).unwrap().options[option].as_f64().unwrap()
    }

    #[test]
    fn each_scale_has_the_authors_values_and_a_users_own_wins() {
        for (model, values) in
            [("yolo12n", [0.5, 0.0, 0.1]), ("yolo12s", [0.9, 0.05, 0.15]), ("yolo12x", [0.9, 0.2, 0.6])]
        {
            let mut all = stages();
            fill(&mut all, model);
            let got = [("perspective", "scale"), ("mixup", "p"), ("copy_paste", "p")].map(|(s, o)| option(&all, s, o));
            assert_eq!(got, values, "{model}");
            assert!(hints(&all, model).is_empty());
        }
        let mut own = stages();
        own[3].options.insert("p".into(), 0.5.into());
        fill(&mut own, "yolo12l");
        assert_eq!((option(&own, "mixup", "p"), option(&own, "copy_paste", "p")), (0.5, 0.5));
        assert_eq!(
            hints(&own, "yolo12l"),
            ["mixup=0.5 is beyond the authors' recipe for yolo12l, which has mixup=0.15"]
        );
    }

    #[test]
    fn objects_of_others_are_pasted_behind_the_warp() {
        let mut all = stages();
        order(&mut all);
        assert_eq!(all, stages());
        all[1].options.insert("mode".into(), "mixup".into());
        order(&mut all);
        let names: Vec<_> = all.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names[..4], ["mosaic", "perspective", "copy_paste", "mixup"]);
    }

    #[test]
    fn rectangular_batches_mix_no_samples() {
        let mut all = stages();
        fill(&mut all, "yolo12x");
        all[0].options.insert("p".into(), 1.0.into());
        all.push(ComponentConfig::named("letterbox"));
        let (rect, off) = rectangular(&all);
        assert_eq!(off, ["mosaic", "mixup"], "cutmix has no p, and copy_paste takes the sample's own objects");
        assert_eq!(["mosaic", "mixup", "copy_paste"].map(|name| option(&rect, name, "p")), [0.0, 0.0, 0.6]);
        assert_eq!((&rect[2].options["square"], rect.len()), (&false.into(), STAGES.len()));
        all[1].options.insert("mode".into(), "mixup".into());
        assert_eq!(rectangular(&all).1, ["mosaic", "copy_paste", "mixup"]);
    }

    #[test]
    fn a_recipe_that_cannot_act_says_so() {
        let mut all = stages();
        fill(&mut all, "yolo12n");
        let idle = idle_copy_paste(&all, 829, 0).unwrap();
        assert!(
            idle.starts_with("copy_paste=0.1 cannot act") && idle.contains("0 of the 829 training objects"),
            "{idle}"
        );
        assert_eq!(idle_copy_paste(&all, 829, 1), None);
        all[1].options.insert("p".into(), 0.into());
        assert_eq!(idle_copy_paste(&all, 829, 0), None);
    }
}
