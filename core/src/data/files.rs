//! The image files of a split: folders searched, lists read, all sorted.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walkdir::{DirEntry, WalkDir};

use super::yaml::{DataYaml, Split};

/// Suffixes of files that are taken for images. Some we cannot decode; those are reported, never passed over.
const IMAGE_SUFFIXES: [&str; 14] =
    ["avif", "bmp", "dng", "gif", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"];

/// All images of `split`, sorted by path; a file that is listed twice stands twice.
///
/// # Errors
/// A folder or list that is missing or has no images; the message names file, line, key and path.
pub fn image_files(yaml: &DataYaml, split: Split) -> Result<Vec<PathBuf>> {
    let places = yaml.places(split)?;
    let key = || split_key(yaml, split);
    let mut files = Vec::new();
    for place in &places.paths {
        files.extend(files_at(&locate(&yaml.root, place), &yaml.root).with_context(key)?);
    }
    if files.is_empty() {
        bail!("{}: no images in {}: looked for {}", key(), places.paths.join(", "), IMAGE_SUFFIXES.join(", "));
    }
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(files)
}

/// Where the images of `split` are named: file, line and key.
pub(super) fn split_key(yaml: &DataYaml, split: Split) -> String {
    let line = yaml.places(split).map_or(0, |places| places.line);
    let line = if line > 0 { format!(":{line}") } else { String::new() };
    format!("{}{line}: {split}", yaml.file.display())
}

/// `place` relative to `root`. `../images` that is not there is tried as `images`: exports often have it wrong.
pub(super) fn locate(root: &Path, place: &str) -> PathBuf {
    let path = root.join(place.strip_prefix("./").unwrap_or(place));
    match place.strip_prefix("../") {
        Some(inside) if !path.exists() && root.join(inside).exists() => root.join(inside),
        _ => path,
    }
}

fn files_at(path: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    if path.is_dir() {
        return search(path);
    }
    let is_list = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("txt"));
    ensure!(path.exists(), "{} does not exist: correct it, or `path` ({})", path.display(), root.display());
    ensure!(is_list, "{} is neither a folder nor a .txt list of images", path.display());
    read_list(path, root)
}

/// The images below `folder`, at any depth; hidden files (`._photo.jpg`) are none.
fn search(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).into_iter().filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry.context("cannot search for images")?;
        if !entry.file_type().is_dir() && is_image(entry.path()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn is_image(path: &Path) -> bool {
    let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    IMAGE_SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known))
}

/// One image a line: absolute, or relative to the list, else to the root, else to the working directory.
///
/// A line without a suffix is the name of an image of Pascal VOC, looked up among all images of the data set.
fn read_list(list: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let mut by_stem = None;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let files = lines.map(|line| {
        let path = Path::new(line.strip_prefix("./").unwrap_or(line));
        let places = [folder.join(path), root.join(path), path.to_path_buf()];
        let found = places.iter().find(|place| place.exists());
        match found {
            None if !is_image(path) => {
                let known = by_stem.get_or_insert_with(|| images_by_stem(list, root)).get(line);
                known.unwrap_or(&places[0]).clone()
            }
            found => found.unwrap_or(&places[0]).clone(),
        }
    });
    Ok(files.collect())
}

/// The images of a Pascal VOC data set by their names without suffix: those below `JPEGImages`, else `images`, beside
/// the folder `ImageSets` that holds `list`, or below `root`.
fn images_by_stem(list: &Path, root: &Path) -> HashMap<String, PathBuf> {
    let sets = list.ancestors().find(|folder| folder.ends_with("ImageSets"));
    let root = sets.and_then(Path::parent).unwrap_or(root);
    let folder = ["JPEGImages", "images"].map(|name| root.join(name)).into_iter().find(|folder| folder.is_dir());
    let files = folder.and_then(|folder| search(&folder).ok()).unwrap_or_default();
    let stem = |file: PathBuf| Some((file.file_stem()?.to_str()?.to_owned(), file));
    files.into_iter().filter_map(stem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data set of empty files, and a data.yaml of the given text.
    fn data(files: &[&str], yaml: &str) -> (tempfile::TempDir, DataYaml) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(dir.path().join("data.yaml"), format!("{yaml}\nnames: [x]")).unwrap();
        let yaml = DataYaml::read(&dir.path().join("data.yaml")).unwrap();
        (dir, yaml)
    }

    fn names(yaml: &DataYaml, split: Split) -> Vec<String> {
        let relative = |path: &PathBuf| path.strip_prefix(&yaml.root).unwrap().to_string_lossy().into_owned();
        image_files(yaml, split).unwrap().iter().map(relative).collect()
    }

    #[test]
    fn folders_are_searched_and_sorted() {
        let files = ["a/b/2.JPG", "a/10.png", "a/b-c/1.webp", "a/notes.txt", "a/._1.jpg", "c/x.tiff", "a/noext"];
        let (_dir, yaml) = data(&files, "train: ./a\nval: [c, ../a/b]");
        assert_eq!(names(&yaml, Split::Train), ["a/10.png", "a/b-c/1.webp", "a/b/2.JPG"]);
        assert_eq!(names(&yaml, Split::Val), ["a/b/2.JPG", "c/x.tiff"], "../a/b is found as a/b");
    }

    #[test]
    fn lists_are_read() {
        let (dir, yaml) = data(&["lists/near.jpg", "far/1.jpg"], "train: lists/t.txt\nval: [lists/t.txt, far]");
        let absolute = dir.path().join("far/1.jpg");
        let text = format!("\u{feff}./near.jpg\r\n\r\nfar/1.jpg\r\n{}\r\nmissing.jpg", absolute.display());
        std::fs::write(dir.path().join("lists/t.txt"), text).unwrap();
        let expected = ["far/1.jpg", "far/1.jpg", "lists/missing.jpg", "lists/near.jpg"];
        assert_eq!(names(&yaml, Split::Train), expected, "a missing file is the scan's business");
        assert_eq!(names(&yaml, Split::Val).len(), 5);
    }

    #[test]
    fn names_without_suffix_are_looked_up() {
        let files = ["ImageSets/Main/train.txt", "images/train/one.jpg", "images/val/two.b.png", "labels/one.txt"];
        let (dir, yaml) = data(&files, "train: ImageSets/Main/train.txt\nval: images");
        std::fs::write(dir.path().join(files[0]), "one\ntwo.b\nthree\n").unwrap();
        let expected = ["ImageSets/Main/three", "images/train/one.jpg", "images/val/two.b.png"];
        assert_eq!(names(&yaml, Split::Train), expected);
    }

    #[test]
    fn a_place_above_the_root_is_taken_where_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for folder in ["both", "above", "root/both", "root/inside"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (place, expected) in [
            ("../above", "../above"),
            ("../both", "../both"),
            ("../inside", "inside"),
            ("../nowhere", "../nowhere"),
            ("./inside", "inside"),
            ("nowhere", "nowhere"),
        ] {
            assert_eq!(locate(&root, place), root.join(expected), "{place}");
        }
    }

    #[test]
    fn what_cannot_be_searched_is_named() {
        let (dir, yaml) = data(&["images/a.jpg", "list.txt"], "train: images\nval: list.txt");
        let root = dir.path().display();
        let message = |split| format!("{:#}", image_files(&yaml, split).unwrap_err());
        std::os::unix::fs::symlink(dir.path().join("images"), dir.path().join("images/again")).unwrap();
        let start = format!("{root}/data.yaml:1: train: cannot search for images: File system loop found");
        assert!(message(Split::Train).starts_with(&start), "{}", message(Split::Train));
        std::fs::write(dir.path().join("list.txt"), b"caf\xe9.jpg").unwrap();
        let start = format!("{root}/data.yaml:2: val: cannot read {root}/list.txt: stream did not contain valid UTF-8");
        assert_eq!(message(Split::Val), start);
        let no_test = format!("{root}/data.yaml: no `test`: add it, or use another split");
        assert_eq!(message(Split::Test), no_test);

        let (dir, _) = data(&["V-train/annotations/a.txt", "V-val/annotations/a.txt"], "train: .\nval: .");
        std::fs::remove_file(dir.path().join("data.yaml")).unwrap();
        let yaml = DataYaml::read(dir.path()).unwrap();
        let root = dir.path().display();
        let missing = format!("{root}: train: {root}/V-train/images does not exist: correct it, or `path` ({root})");
        assert_eq!(format!("{:#}", image_files(&yaml, Split::Train).unwrap_err()), missing, "no line in a folder");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (dir, yaml) = data(&["empty/notes.txt", "odd.zip"], "train: images/train\nval: empty\ntest: odd.zip");
        let root = dir.path().display();
        let message = |split| format!("{:#}", image_files(&yaml, split).unwrap_err());
        let missing =
            format!("{root}/data.yaml:1: train: {root}/images/train does not exist: correct it, or `path` ({root})");
        assert_eq!(message(Split::Train), missing);
        let empty = format!("{root}/data.yaml:2: val: no images in empty: looked for avif, bmp, dng");
        assert!(message(Split::Val).starts_with(&empty), "{}", message(Split::Val));
        let neither = format!("{root}/data.yaml:3: test: {root}/odd.zip is neither a folder nor a .txt list of images");
        assert_eq!(message(Split::Test), neither);
    }
}
