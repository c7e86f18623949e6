//! Which format a data set is in, going by what lies there, and what its folder would say in a `data.yaml`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::files::{image_files, locate, split_key};
use super::formats::{self, Format, VISDRONE_CLASSES};
use super::yaml::{DataYaml, Places, Split};

/// The format of a data.yaml that does not say it: `.json` files are COCO; else the first of label files (YOLO), XML
/// (Pascal VOC), or `annotations/*.txt` (VisDrone) that any training image has.
///
/// # Errors
/// Json files beside other places; both XML and VisDrone files.
pub(super) fn format(yaml: &DataYaml) -> Result<Format> {
    let is_json = |path: &&String| Path::new(path).extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
    let (mut jsons, mut others) = (Vec::new(), Vec::new());
    for split in Split::ALL {
        let Ok(places) = yaml.places(split) else { continue };
        let (json, other): (Vec<_>, Vec<_>) = places.paths.iter().partition(is_json);
        jsons.extend(json);
        others.extend(other);
    }
    if let (Some(json), Some(other)) = (jsons.first(), others.first()) {
        bail!(
            "{}: {json} is a COCO json and {other} is not: name json files for all splits, or images for all",
            yaml.file.display()
        );
    }
    if !jsons.is_empty() {
        return Ok(Format::Coco);
    }
    let images = image_files(yaml, Split::Train).unwrap_or_default(); // what is wrong is told when they are needed
    let any = |format: Format| images.iter().any(|image| format.label_path(image).is_file());
    if any(Format::Yolo) {
        return Ok(Format::Yolo);
    }
    match (any(Format::Voc), any(Format::VisDrone)) {
        (true, true) => bail!(
            "{}: the training images have both XML and VisDrone annotations: add `format: voc` or `format: visdrone`",
            yaml.file.display()
        ),
        (true, false) => Ok(Format::Voc),
        (false, true) => Ok(Format::VisDrone),
        (false, false) => Ok(Format::Yolo),
    }
}

/// The class names of a data.yaml that has none.
///
/// # Errors
/// A format whose files do not name classes, or files that cannot be read.
pub(super) fn names(yaml: &DataYaml) -> Result<Vec<String>> {
    let name = yaml.file.display();
    match yaml.format {
        Format::Yolo => bail!("{name}: no `names`: add the class names, e.g. `names: [cat, dog]`"),
        Format::VisDrone => Ok(VISDRONE_CLASSES.map(str::to_owned).to_vec()),
        Format::Voc => formats::voc_names(&image_files(yaml, Split::Train)?).with_context(|| format!("{name}: names")),
        Format::Coco => {
            let first =
                yaml.train.paths.first().with_context(|| format!("{}: no json", split_key(yaml, Split::Train)))?;
            formats::category_names(&locate(&yaml.root, first)).with_context(|| split_key(yaml, Split::Train))
        }
    }
}

/// What a data.yaml would say of the data set in `folder`.
///
/// # Errors
/// No data set that is known, or several.
pub(super) fn of_folder(folder: &Path) -> Result<DataYaml> {
    let name = folder.display();
    let found: Vec<(Format, [Vec<String>; 3])> =
        [(Format::Coco, coco(folder)), (Format::Voc, voc(folder)), (Format::VisDrone, visdrone(folder))]
            .into_iter()
            .filter(|(_, splits)| !splits[0].is_empty())
            .collect();
    let [(format, splits)] = &found[..] else {
        ensure!(
            found.is_empty(),
            "{name} holds several data sets ({}): write a data.yaml that names one, e.g. with `format: {}`",
            found.iter().map(|(format, _)| format.to_string()).collect::<Vec<_>>().join(", "),
            found[0].0,
        );
        bail!(
            "{name} is a folder without a data.yaml, and not one of COCO (annotations/instances_train*.json), Pascal VOC \
             (Annotations, ImageSets/Main/train.txt) or VisDrone (*-train/annotations): name a data.yaml"
        );
    };
    for (split, places) in Split::ALL.into_iter().zip(splits) {
        let several = places.join(", ");
        ensure!(places.len() < 2, "{name}: several files for {split} ({several}): write a data.yaml that names one");
    }
    let [train, val, test] = splits.clone().map(|paths| Places { line: 0, paths });
    ensure!(
        !val.paths.is_empty(),
        "{name}: {} for train but nothing for val: write a data.yaml with both",
        train.paths[0]
    );
    let test = (!test.paths.is_empty()).then_some(test);
    let (file, root) = (folder.to_path_buf(), folder.to_path_buf());
    let mut yaml = DataYaml { file, root, names: Vec::new(), format: *format, images: None, train, val, test };
    yaml.names = names(&yaml)?;
    Ok(yaml)
}

/// `annotations/instances_SPLIT*.json`, or `SPLIT/_annotations.coco.json`.
fn coco(folder: &Path) -> [Vec<String>; 3] {
    let files = entries(&folder.join("annotations"));
    let named = |split: Split| -> Vec<String> {
        let start = format!("instances_{split}");
        let own = files.iter().filter(|file| file.starts_with(&start) && file.ends_with(".json"));
        own.map(|file| format!("annotations/{file}")).collect()
    };
    let exported = |split| {
        let folders: &[&str] = match split {
            Split::Train => &["train"],
            Split::Val => &["valid", "val"],
            Split::Test => &["test"],
        };
        let files = folders.iter().map(|split| format!("{split}/_annotations.coco.json"));
        files.filter(|file| folder.join(file).is_file()).collect::<Vec<_>>()
    };
    Split::ALL.map(|split| [named(split), exported(split)].concat())
}

/// `ImageSets/Main/SPLIT.txt` beside `Annotations`.
fn voc(folder: &Path) -> [Vec<String>; 3] {
    let list = |split: Split| format!("ImageSets/Main/{split}.txt");
    let is_there = |split| folder.join("Annotations").is_dir() && folder.join(list(split)).is_file();
    Split::ALL.map(|split| if is_there(split) { vec![list(split)] } else { Vec::new() })
}

/// `*-train/images` beside `*-train/annotations`, and so on.
fn visdrone(folder: &Path) -> [Vec<String>; 3] {
    let folders = entries(folder);
    Split::ALL.map(|split| {
        let ends = if split == Split::Test { "-test-dev".to_owned() } else { format!("-{split}") };
        let is_own = |name: &&String| name.ends_with(&ends) && folder.join(name).join("annotations").is_dir();
        folders.iter().filter(is_own).map(|name| format!("{name}/images")).collect()
    })
}

/// The names in a folder, sorted; none where it cannot be read.
fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATEGORIES: &str = r#"{"categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}]}"#;

    /// A folder of files, those that end in json with two categories, those in xml with one object.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = match path.extension().and_then(|suffix| suffix.to_str()) {
                Some("json") => CATEGORIES,
                Some("xml") => "<annotation><object><name>cell</name></object></annotation>",
                _ if file.starts_with("ImageSets") => "a\n",
                _ => "",
            };
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn message(files: &[&str]) -> String {
        let dir = folder(files);
        format!("{:#}", DataYaml::read(dir.path()).unwrap_err()).replace(dir.path().to_str().unwrap(), "~")
    }

    #[test]
    fn folders_say_what_they_are() {
        let cases: [(&[&str], Format, &str, &str); 4] = [
            (
                &[
                    "annotations/instances_train2017.json",
                    "annotations/instances_val2017.json",
                    "annotations/captions.json",
                ],
                Format::Coco,
                "dog cat",
                "annotations/instances_val2017.json",
            ),
            (
                &["train/_annotations.coco.json", "valid/_annotations.coco.json", "README.txt"],
                Format::Coco,
                "dog cat",
                "valid/_annotations.coco.json",
            ),
            (
                &["Annotations/a.xml", "JPEGImages/a.jpg", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt"],
                Format::Voc,
                "cell",
                "ImageSets/Main/val.txt",
            ),
            (
                &["V-DET-train/annotations/a.txt", "V-DET-val/annotations/a.txt", "V-DET-test-dev/annotations/a.txt"],
                Format::VisDrone,
                "pedestrian people bicycle car van truck tricycle awning-tricycle bus motor",
                "V-DET-val/images",
            ),
        ];
        for (files, format, names, val) in cases {
            let dir = folder(files);
            let yaml = DataYaml::read(dir.path()).unwrap();
            assert_eq!((yaml.format, yaml.names.join(" ").as_str()), (format, names));
            assert_eq!(yaml.places(Split::Val).unwrap().paths, [val]);
            assert_eq!(yaml.test.is_some(), format == Format::VisDrone);
        }
    }

    #[test]
    fn folders_that_say_nothing_or_too_much_are_refused() {
        let start = "~ is a folder without a data.yaml, and not one of COCO (annotations/instances_train*.json)";
        assert!(message(&["images/a.jpg"]).starts_with(start));
        let coco = "annotations/instances_train2017.json";
        let both = message(&[coco, "Annotations/a.xml", "JPEGImages/a.jpg", "ImageSets/Main/train.txt"]);
        let advice = "write a data.yaml that names one";
        assert_eq!(both, format!("~ holds several data sets (coco, voc): {advice}, e.g. with `format: coco`"));
        let older = "annotations/instances_train2014.json";
        assert_eq!(message(&[coco, older]), format!("~: several files for train ({older}, {coco}): {advice}"));
        let no_val = format!("~: {coco} for train but nothing for val: write a data.yaml with both");
        assert_eq!(message(&[coco]), no_val);
        let dir = folder(&["data.yaml"]);
        assert!(format!("{:#}", DataYaml::read(dir.path()).unwrap_err()).contains("data.yaml: no `train`"));
    }

    #[test]
    fn names_that_cannot_be_read_are_told_with_the_key() {
        let named = |yaml: &str| {
            let dir = folder(&["images/a.jpg"]);
            std::fs::write(dir.path().join("a.json"), "{}").unwrap();
            std::fs::write(dir.path().join("data.yaml"), yaml).unwrap();
            format!("{:#}", DataYaml::read(dir.path()).unwrap_err()).replace(dir.path().to_str().unwrap(), "~")
        };
        let no_xml = "~/data.yaml: names: no class in any XML file such as ~/Annotations/a.xml";
        assert_eq!(named("format: voc\ntrain: images\nval: images"), no_xml);
        let nowhere = "~/data.yaml:2: train: ~/photos does not exist: correct it, or `path` (~)";
        assert_eq!(named("format: voc\ntrain: photos\nval: images"), nowhere);
        let broken = "~/data.yaml:1: train: ~/a.json: missing field `categories` at line 1 column 2";
        assert_eq!(named("train: a.json\nval: a.json"), broken);
        assert_eq!(named("format: coco\ntrain: []\nval: a.json"), "~/data.yaml:2: train: no json");
    }

    #[test]
    fn a_data_yaml_need_not_name_the_format() {
        let format = |files: &[&str], yaml: &str| {
            let dir = folder(files);
            std::fs::write(dir.path().join("data.yaml"), yaml).unwrap();
            DataYaml::read(dir.path()).map(|yaml| yaml.format).map_err(|error| error.to_string())
        };
        let yaml = "train: images\nval: images\nnames: [cell]";
        let (image, xml, txt) = ("images/a.jpg", "Annotations/a.xml", "annotations/a.txt");
        assert_eq!(format(&[image], yaml), Ok(Format::Yolo));
        assert_eq!(format(&[image, "labels/a.txt", xml, txt], yaml), Ok(Format::Yolo));
        assert_eq!(format(&[image, xml], yaml), Ok(Format::Voc));
        assert_eq!(format(&[image, txt], "train: images\nval: images"), Ok(Format::VisDrone));
        let few = format(&[image, txt], yaml).unwrap_err();
        assert!(few.ends_with("names: 1 of them, but VisDrone has 10 classes: correct them, or remove names"), "{few}");
        assert_eq!(format(&["a.json"], "train: a.json\nval: [a.json]"), Ok(Format::Coco));
        assert_eq!(format(&[image, xml], &format!("format: YOLO\n{yaml}")), Ok(Format::Yolo));
        let ambiguous = format(&[image, xml, txt], yaml).unwrap_err();
        let expected =
            "the training images have both XML and VisDrone annotations: add `format: voc` or `format: visdrone`";
        assert!(ambiguous.ends_with(expected), "{ambiguous}");
        let mixed = format(&[image, "a.json"], "train: a.json\nval: images").unwrap_err();
        let expected = "a.json is a COCO json and images is not: name json files for all splits, or images for all";
        assert!(mixed.ends_with(expected), "{mixed}");
    }
}
