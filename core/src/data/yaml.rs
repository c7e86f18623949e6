//! `data.yaml` as people have it: where the images of each split are, and what the classes are called.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use super::formats::{Format, VISDRONE_CLASSES, brief, short};
use super::layout;
use crate::near::near;

/// More classes than this are a slip of the pen.
const MAX_CLASSES: usize = 100_000;

/// Larger files are no data.yaml.
const MAX_BYTES: u64 = 16 << 20;

/// A part of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The split's key in `data.yaml`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A checked `data.yaml`. Keys that are not ours (`download`, `author`, …) are ignored.
#[derive(Clone, Debug)]
pub struct DataYaml {
    /// The file itself.
    pub file: PathBuf,
    /// `path`: what the splits are relative to; by default the folder of the file.
    pub root: PathBuf,
    /// The class names; class i is `names[i]`. Never empty.
    pub names: Vec<String>,
    /// How the labels are written.
    pub format: Format,
    /// `images`: where the images of a COCO json are, if the file says so.
    pub(super) images: Option<Folders>,
    pub(super) train: Places,
    pub(super) val: Places,
    pub(super) test: Option<Places>,
}

/// What a split's key says: folders and .txt lists, and the line it stands on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// 0 where no file says it.
    pub line: u64,
    pub paths: Vec<String>,
}

/// A folder of images, or one a split.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "images: expected a folder, or a folder for each of train, val and test")]
pub(super) enum Folders {
    One(String),
    Each(BTreeMap<String, String>),
}

impl DataYaml {
    /// Reads and checks `file`, or the folder of a data set, and finds out how its labels are written.
    ///
    /// # Errors
    /// A file that is missing, not YAML, or lacks `train`, `val`, or class names; a folder without a data set. The
    /// message names file, line, key.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        if file.is_dir() {
            let inner = file.join("data.yaml");
            return if inner.is_file() { Self::read(&inner) } else { layout::of_folder(file) };
        }
        let is_json = file.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"));
        ensure!(!is_json, "{name} is one json: write a data.yaml that names one for `train` and one for `val`");
        let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        ensure!(length <= MAX_BYTES, "{name} has {length} bytes: too large for a data.yaml");
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {name}: data= takes the path of a YOLO data.yaml"))?;
        let Written { mut yaml, format, names } = Written::parse(file, &text)?;
        yaml.format = match format {
            Some(format) => format,
            None => layout::format(&yaml)?,
        };
        yaml.names = match names {
            Some(names) => names,
            None => layout::names(&yaml)?,
        };
        let (count, needed) = (yaml.names.len(), VISDRONE_CLASSES.len());
        ensure!(
            yaml.format != Format::VisDrone || count == needed,
            "{name}: names: {count} of them, but VisDrone has {needed} classes: correct them, or remove names"
        );
        Ok(yaml)
    }

    /// The splits that it names.
    pub fn splits(&self) -> impl Iterator<Item = Split> {
        Split::ALL.into_iter().filter(|split| self.places(*split).is_ok())
    }

    /// The class names of a run: one alone with `single_cls`.
    #[must_use]
    pub fn class_names(&self, single_cls: bool) -> Vec<String> {
        if single_cls && self.names.len() > 1 { vec!["item".to_owned()] } else { self.names.clone() }
    }

    /// The folder that `images` names for `split`.
    pub(super) fn images(&self, split: Split) -> Option<&str> {
        match self.images.as_ref()? {
            Folders::One(folder) => Some(folder),
            Folders::Each(folders) => folders.get(split.key()).map(String::as_str),
        }
    }

    /// Where the images of `split` are, as the file says it.
    pub(crate) fn places(&self, split: Split) -> Result<&Places> {
        match split {
            Split::Train => Ok(&self.train),
            Split::Val => Ok(&self.val),
            Split::Test => (self.test.as_ref())
                .with_context(|| format!("{}: no `test`: add it, or use another split", self.file.display())),
        }
    }
}

/// A data.yaml before a look at the files that it names.
pub(super) struct Written {
    /// Without names, and in any format.
    pub yaml: DataYaml,
    pub format: Option<Format>,
    pub names: Option<Vec<String>>,
}

impl Written {
    /// Reads the text of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        let name = file.display();
        let options = serde_saphyr::options! { with_snippet: false };
        let raw: Raw = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let message = brief(&UserMessageFormatter.format_message(&error));
            let Some(line) = error.location().map(|at| at.line()) else { return anyhow!("{name}: {message}") };
            let source = text.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default().trim();
            anyhow!("{name}:{line}: cannot read `{}`: {message}", short(source))
        })?;
        let places = |key, found: Option<Spanned<Paths>>| {
            let found = found.with_context(|| {
                format!("{name}: no `{key}`: add the folder (or .txt list) of its images, e.g. `{key}: images/{key}`")
            })?;
            Ok::<_, anyhow::Error>(Places { line: found.referenced.line(), paths: found.value.0 })
        };
        let test = raw.test.map(|found| Places { line: found.referenced.line(), paths: found.value.0 });
        let (train, val) = (places("train", raw.train)?, places("val", raw.val)?);
        let format = raw.format.map(|format| named_format(&format.value, format.referenced.line())).transpose();
        let names = (raw.names.is_some() || raw.nc.is_some()).then(|| class_names(raw.names, raw.nc)).transpose();
        let (format, names) =
            format.and_then(|format| Ok((format, names?))).map_err(|error| anyhow!("{name}{error}"))?;
        let (file, root) = (file.to_path_buf(), root(file, raw.path.as_deref()));
        let (images, any) = (raw.images, Format::Yolo);
        let yaml = DataYaml { file, root, names: Vec::new(), format: any, images, train, val, test };
        Ok(Self { yaml, format, names })
    }
}

/// `path` relative to the file's folder; where that does not exist but `path` as typed does, as typed.
fn root(file: &Path, path: Option<&str>) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let Some(path) = path.map(Path::new) else { return folder };
    let beside_file = folder.join(path);
    let root = if !beside_file.exists() && path.exists() { path } else { &beside_file };
    root.components().collect() // without the `.` that stands in most files
}

/// The names, checked against `nc`. An error's text continues the file's name.
fn class_names(names: Option<Spanned<Names>>, nc: Option<Spanned<String>>) -> Result<Vec<String>> {
    let nc = nc.map(|nc| num_classes(&nc.value, nc.referenced.line())).transpose()?;
    let Some(found) = names else {
        return Ok((0..nc.unwrap_or_default()).map(|class| format!("class_{class}")).collect());
    };
    let line = found.referenced.line();
    let mut names: Vec<Option<String>> = vec![None; found.value.0.len()];
    ensure!(!names.is_empty(), ":{line}: names: at least one class is needed");
    for (class, name) in found.value.0 {
        let last = names.len() - 1;
        let place = class.parse().ok().and_then(|class: usize| names.get_mut(class)).filter(|place| place.is_none());
        let place = place.with_context(|| {
            let (class, name) = (short(&class), short(&name));
            format!(":{line}: names: class `{class}` ({name}), expected every number from 0 to {last} once")
        })?;
        *place = Some(name);
    }
    if let Some(nc) = nc {
        let count = names.len();
        ensure!(nc == count, ":{line}: names: {count} of them, but nc says {nc} classes: correct one, or remove nc");
    }
    Ok(names.into_iter().flatten().collect())
}

fn named_format(name: &str, line: u64) -> Result<Format> {
    let known = Format::ALL.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    known.map(|(_, format)| *format).with_context(|| {
        let names = Format::ALL.map(|(name, _)| name);
        format!(":{line}: format: `{}`, expected one of {}{}", short(name), names.join(", "), near(name, names))
    })
}

fn num_classes(nc: &str, line: u64) -> Result<usize> {
    let number = nc.parse().ok().filter(|number| (1..=MAX_CLASSES).contains(number));
    number
        .with_context(|| format!(":{line}: nc: `{}`, expected a number of classes from 1 to {MAX_CLASSES}", short(nc)))
}

/// The file as written.
#[derive(Deserialize)]
struct Raw {
    path: Option<String>,
    train: Option<Spanned<Paths>>,
    #[serde(alias = "validation")]
    val: Option<Spanned<Paths>>,
    test: Option<Spanned<Paths>>,
    names: Option<Spanned<Names>>,
    nc: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
    images: Option<Folders>,
}

/// One path or a list of them.
struct Paths(Vec<String>);

/// Class numbers as written, and names, in the order of the file.
struct Names(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathsVisitor)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a folder, a .txt list of images, or a list of these")
    }

    fn visit_str<E>(self, path: &str) -> Result<Paths, E> {
        Ok(Paths(vec![path.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            paths.push(path);
        }
        Ok(Paths(paths))
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("class names as a list ([cat, dog]) or by number ({0: cat, 1: dog})")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push((names.len().to_string(), name));
        }
        Ok(Names(names))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(entry) = map.next_entry()? {
            names.push(entry);
        }
        Ok(Names(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DataYaml> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.yaml");
        std::fs::write(&file, text).unwrap();
        DataYaml::read(&file)
    }

    /// The message, from the name of the file on.
    fn message(text: &str) -> String {
        let message = format!("{:#}", read(text).unwrap_err());
        message[message.find("data.yaml").unwrap()..].to_owned()
    }

    #[test]
    fn names_in_every_form() {
        let names = |rest: &str| read(&format!("train: a\nval: b\n{rest}")).unwrap().names;
        assert_eq!(names("names: [no, 1.50, 'x y']"), ["no", "1.50", "x y"], "as written");
        assert_eq!(names("names:\n  1: dog\n  0: cat\nnc: 2"), ["cat", "dog"]);
        assert_eq!(names("nc: 2"), ["class_0", "class_1"]);
        assert_eq!(names("names: {0: a}\ndownload: |\n  import os\nextra: {b: [c]}"), ["a"]);
    }

    #[test]
    fn paths_in_every_form() {
        let yaml = read("\u{feff}path: .\r\ntrain: [a, b.txt]\r\nvalidation: c\r\ntest:\r\nnames: [x]\r\n").unwrap();
        assert_eq!(yaml.places(Split::Train).unwrap().paths, ["a", "b.txt"]);
        let val = yaml.places(Split::Val).unwrap();
        assert_eq!((val.line, &val.paths[..]), (3, &["c".to_owned()][..]));
        assert_eq!(yaml.root.as_os_str(), yaml.file.parent().unwrap().as_os_str());
        let error = yaml.places(Split::Test).unwrap_err().to_string();
        assert!(error.ends_with("data.yaml: no `test`: add it, or use another split"), "{error}");
    }

    #[test]
    fn a_path_as_typed_is_taken_where_it_is_not_beside_the_file() {
        let root = |path: &str| read(&format!("path: {path}\ntrain: a\nval: b\nnames: [x]")).unwrap().root;
        assert!(Path::new("src").is_dir(), "tests run in the folder of the crate");
        assert_eq!(root("src"), Path::new("src"));
        assert!(root("nowhere").is_absolute(), "beside the file, where it will be missed");
    }

    #[test]
    fn splits_and_names_of_a_run() {
        let yaml = read("train: a\nval: b\nnames: [cat, dog]").unwrap();
        assert_eq!(yaml.splits().collect::<Vec<_>>(), [Split::Train, Split::Val]);
        assert_eq!((yaml.class_names(false), yaml.class_names(true)), (yaml.names.clone(), vec!["item".to_owned()]));
        let yaml = read("train: a\nval: b\ntest: c\nnames: [cat]").unwrap();
        assert_eq!(yaml.splits().collect::<Vec<_>>(), Split::ALL);
        assert_eq!(yaml.class_names(true), ["cat"], "one class keeps its name");
    }

    #[test]
    fn missing_keys_are_named() {
        let hint = "add the folder (or .txt list) of its images, e.g.";
        assert_eq!(message("val: b\nnames: [x]"), format!("data.yaml: no `train`: {hint} `train: images/train`"));
        assert_eq!(message("train: a\nnames: [x]"), format!("data.yaml: no `val`: {hint} `val: images/val`"));
        let no_names = "data.yaml: no `names`: add the class names, e.g. `names: [cat, dog]`";
        assert_eq!(message("train: a\nval: b"), no_names);
        assert!(message("").starts_with("data.yaml: no `train`"));
    }

    #[test]
    fn wrong_values_are_named_with_their_line() {
        let with = |rest: &str| message(&format!("train: a\nval: b\n{rest}"));
        let cases = [
            (
                "names: 3",
                ":3: cannot read `names: 3`: invalid type: integer `3`, expected class names \
                 as a list ([cat, dog]) or by number ({0: cat, 1: dog})",
            ),
            ("names: [a, [b]]", ":3: cannot read `names: [a, [b]]`: expected string scalar"),
            ("names: {x: a}", ":3: names: class `x` (a), expected every number from 0 to 0 once"),
            ("names: {0: a, 2: c}", ":3: names: class `2` (c), expected every number from 0 to 1 once"),
            ("names: {0: a, 00: c}", ":3: names: class `00` (c), expected every number from 0 to 1 once"),
            ("names: [a]\nnc: 2", ":3: names: 1 of them, but nc says 2 classes: correct one, or remove nc"),
            ("names: [a]\nnc: two", ":4: nc: `two`, expected a number of classes from 1 to 100000"),
            (
                "names: [a]\nformat: cocoa",
                ":4: format: `cocoa`, expected one of yolo, coco, voc, visdrone; did you mean `coco`?",
            ),
            ("nc: 0", ":3: nc: `0`, expected a number of classes from 1 to 100000"),
            ("names: []", ":3: names: at least one class is needed"),
            ("names: [a\nx: y", ":4: cannot read `x: y`: illegal placement of ':' indicator"),
            (
                "names: [a]\nnames: [b]",
                ":4: cannot read `names: [b]`: duplicate mapping key `names` is not allowed here",
            ),
        ];
        for (rest, expected) in cases {
            assert_eq!(with(rest), format!("data.yaml{expected}"));
        }
        let train = message("train: 5\nval: b\nnames: [x]");
        assert!(train.contains(":1: cannot read `train: 5`: invalid type: integer `5`, expected a folder"), "{train}");
        assert_eq!(message("- train"), "data.yaml:1: cannot read `- train`: expected mapping start");
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = format!("{:#}", DataYaml::read(Path::new("/nowhere/data.yaml")).unwrap_err());
        let start = "cannot read /nowhere/data.yaml: data= takes the path of a YOLO data.yaml: No such file";
        assert!(missing.starts_with(start), "{missing}");
        let json = DataYaml::read(Path::new("a.json")).unwrap_err().to_string();
        assert_eq!(json, "a.json is one json: write a data.yaml that names one for `train` and one for `val`");
    }
}
