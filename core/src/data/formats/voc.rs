//! Pascal VOC: one XML file an image, boxes in pixels by their corners, classes by name.
//!
//! Corners are taken as edges, as labelling tools write them. PASCAL's own files (`<database>The VOC…`) count pixels
//! from 1 and name the first and last pixel of a box: there, 1 is taken from left and top.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use trainer_image::Size;

use super::place::{Placed, place};
use super::text::{self, brief, number, short};
use super::yolo::swap_folder;
use super::{LabelFile, Labels, label_file};
use crate::near::near;

/// Elements nested deeper are no annotation.
const MAX_DEPTH: usize = 64;

const EDGES: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// The XML file of `image`: in the folder `Annotations` that stands for its folder `JPEGImages` or `images` (with or
/// without the folders below), or beside the image. Where there is none, the first place.
pub fn label_path(image: &Path) -> PathBuf {
    let mut places = Vec::with_capacity(5);
    for folder in ["JPEGImages", "images"] {
        let Some(root) = image.ancestors().skip(1).find(|path| path.ends_with(folder)).and_then(Path::parent) else {
            continue;
        };
        places.push(swap_folder(image, folder, "Annotations", "xml"));
        places.extend(image.file_name().map(|name| root.join("Annotations").join(name).with_extension("xml")));
    }
    places.push(image.with_extension("xml"));
    let at = places.iter().position(|place| place.exists()).unwrap_or(0);
    places.swap_remove(at)
}

/// The names of all classes that the files of these images use, sorted.
///
/// # Errors
/// None of them names any.
pub fn class_names(images: &[PathBuf]) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for image in images {
        let annotation = text::read(&label_path(image)).ok().flatten().and_then(|bytes| read(&bytes).ok());
        names.extend(annotation.into_iter().flat_map(|it| it.objects).filter_map(|object| object.name));
    }
    if names.is_empty() {
        let example = images.first().map(|image| label_path(image)).unwrap_or_default();
        bail!("no class in any XML file such as {}", example.display());
    }
    Ok(names.into_iter().collect())
}

/// The XML files of a data set.
pub(super) struct Voc<'a> {
    classes: HashMap<&'a str, u32>,
}

impl<'a> Voc<'a> {
    pub fn new(names: &'a [String]) -> Self {
        Self { classes: (0..).zip(names).map(|(class, name)| (name.as_str(), class)).collect() }
    }

    /// As [`Labels::of`], of the file's bytes.
    pub fn parse(&self, file: &Path, bytes: &[u8], size: Size) -> Result<LabelFile, String> {
        let annotation = match read(bytes) {
            Ok(annotation) => annotation,
            Err((line, message)) => return Ok(LabelFile::refused(file, line, message)),
        };
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        if let [Some(w), Some(h)] = annotation.size
            && w > 0.0
            && h > 0.0
            && (w, h) != (width, height)
        {
            return Err(format!("{} says {w}x{h} pixels, the image has {width}x{height}", file.display()));
        }
        let mut found = LabelFile::default();
        for object in &annotation.objects {
            found.add(file, object.line, self.place(object, annotation.counts_from_one, size));
        }
        Ok(found)
    }

    fn place(&self, object: &Labelled, counts_from_one: bool, size: Size) -> Result<Placed, String> {
        let Some(name) = &object.name else { return Err("an object without a <name>".to_owned()) };
        let class = self.classes.get(name.as_str()).ok_or_else(|| {
            format!("class `{}` is not among the names{}", short(name), near(name, self.classes.keys().copied()))
        })?;
        let mut edges = [0.0; 4];
        for ((edge, text), tag) in edges.iter_mut().zip(&object.edges).zip(EDGES) {
            let Some(text) = text else { return Err(format!("an object without <{tag}> in its <bndbox>")) };
            *edge = number(text).map_err(|reason| format!("<{tag}> {reason}"))?;
        }
        for (low, high, first, last) in [(0, 2, "xmin", "xmax"), (1, 3, "ymin", "ymax")] {
            if edges[low] > edges[high] {
                return Err(format!("{first} {} is larger than {last} {}", edges[low], edges[high]));
            }
            if edges[low] == edges[high] {
                return Ok(Placed::Empty);
            }
            edges[low] -= f64::from(u8::from(counts_from_one));
        }
        let placed = place(*class, edges, Vec::new(), size)?;
        Ok(placed.with(|placed| placed.crowd = object.is_difficult)) // neither learnt nor missed, as PASCAL scores it
    }
}

impl Labels for Voc<'_> {
    fn of(&self, image: &Path, size: Size) -> Result<Option<LabelFile>, String> {
        let file = label_path(image);
        label_file(&file, |bytes| self.parse(&file, bytes, size))
    }
}

/// What a file says.
#[derive(Default)]
struct Annotation {
    counts_from_one: bool,
    /// Width and height.
    size: [Option<f64>; 2],
    objects: Vec<Labelled>,
}

#[derive(Default)]
struct Labelled {
    line: usize,
    name: Option<String>,
    is_difficult: bool,
    edges: [Option<String>; 4],
}

impl Annotation {
    /// Takes in the text of the element at `path`.
    fn take(&mut self, path: &[String], text: &str) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (&path[..], self.objects.last_mut()) {
            (["annotation", "source", "database"], _) => self.counts_from_one = text.starts_with("The VOC"),
            (["annotation", "size", "width"], _) => self.size[0] = text.parse().ok(),
            (["annotation", "size", "height"], _) => self.size[1] = text.parse().ok(),
            (["annotation", "object", "name"], Some(object)) => {
                object.name = Some(text.to_owned()).filter(|name| !name.is_empty());
            }
            (["annotation", "object", "difficult"], Some(object)) => {
                object.is_difficult = text == "1" || text.eq_ignore_ascii_case("true");
            }
            (["annotation", "object", "bndbox", tag], Some(object)) => {
                if let Some(edge) = EDGES.iter().position(|edge| edge == tag) {
                    object.edges[edge] = Some(text.to_owned());
                }
            }
            _ => {}
        }
    }
}

/// Reads a file; an error is the line and what is wrong there.
fn read(bytes: &[u8]) -> Result<Annotation, (usize, String)> {
    let line_at = |position: u64| 1 + bytes.iter().take(position as usize).filter(|&&byte| byte == b'\n').count();
    let source =
        str::from_utf8(bytes).map_err(|error| (line_at(error.valid_up_to() as u64), "not UTF-8 text".into()))?;
    let mut reader = Reader::from_str(source);
    let mut annotation = Annotation::default();
    let (mut path, mut text) = (Vec::<String>::new(), String::new());
    let (mut line, mut counted, mut has_root) = (1, 0, false);
    loop {
        let event = reader.read_event();
        let position = (reader.buffer_position() as usize).min(bytes.len());
        line += bytes[counted.min(position)..position].iter().filter(|&&byte| byte == b'\n').count();
        counted = counted.max(position);
        match event
            .map_err(|error| (line_at(reader.error_position()), format!("not XML: {}", brief(&error.to_string()))))?
        {
            Event::Start(tag) => {
                path.push(tag.name().as_ref().to_owned());
                has_root = true;
                text.clear();
                if path.len() > MAX_DEPTH {
                    return Err((line, format!("elements nested deeper than {MAX_DEPTH}")));
                }
                if path.len() == 1 && path[0] != "annotation" {
                    return Err((line, format!("<{}>, expected <annotation>", short(&path[0]))));
                }
                if path.len() == 2 && path[1] == "object" {
                    annotation.objects.push(Labelled { line, ..Labelled::default() });
                }
            }
            Event::End(_) => {
                annotation.take(&path, text.trim());
                path.pop();
                text.clear();
            }
            Event::Text(content) => text.push_str(&content.xml10_content()),
            Event::CData(content) => text.push_str(&content.xml10_content()),
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(character)) => text.push(character),
                _ => text.push_str(resolve_xml_entity(&name).unwrap_or_default()),
            },
            Event::Eof if !path.is_empty() => {
                return Err((line, format!("cut off inside <{}>", short(&path.join("/")))));
            }
            Event::Eof if !has_root => return Err((0, "no <annotation> in the file".into())),
            Event::Eof => return Ok(annotation),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use trainer_image::{Bbox, Object};

    use super::*;

    const SIZE: Size = Size::new(100, 80);

    fn parse(text: &str) -> Result<LabelFile, String> {
        let names = ["cat".to_owned(), "a & b".to_owned()];
        Voc::new(&names).parse(Path::new("a.xml"), text.as_bytes(), SIZE)
    }

    fn object(name: &str, [x1, y1, x2, y2]: [&str; 4], more: &str) -> String {
        let edges = format!("<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>");
        format!("<object>\n<name>{name}</name><bndbox>{edges}</bndbox>{more}</object>\n")
    }

    fn annotation(inner: &str) -> String {
        format!("<?xml version=\"1.0\"?>\r\n<annotation>\n{inner}</annotation>\n")
    }

    /// The message about the only object, which stands on line 3.
    fn problem(object: &str) -> String {
        let found = parse(&annotation(object)).unwrap();
        assert_eq!((found.problems.len(), found.objects.len()), (1, 0), "{object}");
        found.problems[0].to_string()
    }

    #[test]
    fn corners_are_edges_except_in_pascals_own_files() {
        let part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>";
        let text = annotation(
            &[
                "<size><width>100</width><height>80</height><depth>3</depth></size>",
                &object("cat", ["1", "2.5", "30", "40"], part),
                &object(" a &amp; b ", ["5", "6", "100", "80"], "<difficult>1</difficult>"),
            ]
            .concat(),
        );
        let found = parse(&text).unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let crowd = |bbox| Object { crowd: true, ..Object::new(1, bbox) };
        let expected = [Object::new(0, Bbox::new(1.0, 2.5, 30.0, 40.0)), crowd(Bbox::new(5.0, 6.0, 100.0, 80.0))];
        assert_eq!(found.objects, expected);
        let own = text.replace("<size>", "<source><database>The VOC2007 Database</database></source><size>");
        assert_eq!(parse(&own).unwrap().objects[1].bbox, Bbox::new(4.0, 5.0, 100.0, 80.0));
    }

    #[test]
    fn boxes_without_area_and_repeated_ones_are_counted() {
        let flat = object("cat", ["7", "2", "7", "40"], "");
        let hair = object("cat", ["7", "2", "7.000000001", "40"], "");
        let twice = object("cat", ["7", "2", "9", "40"], "").repeat(2);
        let cut = object("cat", ["-7", "2", "9", "40"], "");
        let found = parse(&annotation(&[flat, hair, twice, cut].concat())).unwrap();
        assert_eq!((found.objects.len(), found.num_empty, found.num_duplicates, found.num_cut), (2, 2, 1, 1));
        assert!(parse("<annotation/>").unwrap().objects.is_empty(), "a background");
    }

    #[test]
    fn refused_objects_say_what_is_wrong() {
        let edges = ["1", "2", "3", "4"];
        let cases = [
            (object("cats", edges, ""), "class `cats` is not among the names; did you mean `cat`?"),
            (object("", edges, ""), "an object without a <name>"),
            (object("cat", ["1", "2", "x", "4"], ""), "<xmax> `x` is not a finite number"),
            (object("cat", ["1,5", "2", "3", "4"], ""), "<xmin> `1,5` is not a finite number: decimals take a dot"),
            (object("cat", ["1", "2", "NaN", "4"], ""), "<xmax> `NaN` is not a finite number"),
            (object("cat", ["5", "2", "3", "4"], ""), "xmin 5 is larger than xmax 3"),
            (object("cat", ["1", "9", "3", "4"], ""), "ymin 9 is larger than ymax 4"),
            (
                object("cat", ["100", "2", "130", "4"], ""),
                "the box from (100, 2) to (130, 4) lies outside the image of 100x80 pixels",
            ),
            (object("cat", edges, "").replace("xmin", "x1"), "an object without <xmin> in its <bndbox>"),
        ];
        for (text, expected) in cases {
            assert_eq!(problem(&text), format!("a.xml:3: {expected}"));
        }
    }

    #[test]
    fn files_that_are_no_annotation_are_refused_with_their_line() {
        let message = |text: &str| parse(text).unwrap().problems[0].to_string();
        assert_eq!(message(""), "a.xml: no <annotation> in the file");
        assert_eq!(message("hello"), "a.xml: no <annotation> in the file");
        assert_eq!(message("\n<html></html>"), "a.xml:2: <html>, expected <annotation>");
        assert_eq!(message("<annotation>\n<object>\n"), "a.xml:3: cut off inside <annotation/object>");
        assert!(message("<annotation>\n</object>").starts_with("a.xml:2: not XML: "), "{}", message("<a>\n</b>"));
        let deep = format!("<annotation>{}", "<a>".repeat(1_000_000));
        assert_eq!(message(&deep), "a.xml:1: elements nested deeper than 64");
        let latin = Voc::new(&[]).parse(Path::new("a.xml"), b"<annotation>\n\xe9", SIZE).unwrap();
        assert_eq!(latin.problems[0].to_string(), "a.xml:2: not UTF-8 text");
        let wrong_size = parse(&annotation("<size><width>640</width><height>480</height></size>"));
        assert_eq!(wrong_size.unwrap_err(), "a.xml says 640x480 pixels, the image has 100x80");
        for (width, height) in [("0", "0"), ("0", "480"), ("640", "0"), ("640", "?"), ("100", "80")] {
            let size = format!("<size><width>{width}</width><height>{height}</height></size>");
            assert_eq!(parse(&annotation(&size)), Ok(LabelFile::default()), "tools write 0: {width}x{height}");
        }
    }

    #[test]
    fn files_are_found_in_annotations_or_beside_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let write = |name: &str| {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), annotation(&object("zebra", ["1", "2", "3", "4"], ""))).unwrap();
        };
        assert_eq!(label_path(&path("JPEGImages/a.jpg")), path("Annotations/a.xml"), "the first place");
        for (image, xml) in [
            ("one/JPEGImages/a.jpg", "one/Annotations/a.xml"),
            ("two/images/train/a.b.jpg", "two/Annotations/a.b.xml"),
            ("three/images/train/a.jpg", "three/Annotations/train/a.xml"),
            ("four/train/a.jpg", "four/train/a.xml"),
        ] {
            write(xml);
            assert_eq!(label_path(&path(image)), path(xml));
            assert_eq!(class_names(&[path("none.jpg"), path(image)]).unwrap(), ["zebra"]);
        }
        let message = class_names(&[PathBuf::from("/nowhere/a.jpg")]).unwrap_err().to_string();
        assert_eq!(message, "no class in any XML file such as /nowhere/a.xml");
    }
}
