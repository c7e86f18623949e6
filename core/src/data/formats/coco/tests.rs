//! Tests of COCO json on texts of few lines.

use serde_json::{Value, json};
use trainer_image::{Bbox, Object};

use super::*;

const SIZE: Size = Size::new(100, 80);

/// One image of 100 x 80, categories 7 (dog) and 3 (cat), and these annotations.
fn document(annotations: Value) -> Value {
    json!({
        "info": {"year": 2017},
        "images": [{"id": 30, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "dog", "supercategory": "animal"}, {"id": 3, "name": "cat"}],
    })
}

fn annotation(more: Value) -> Value {
    let mut whole = json!({"id": 1, "image_id": 30, "category_id": 7, "bbox": [10.0, 20.0, 30.5, 40.0]});
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    whole
}

fn coco(document: &Value) -> Coco {
    let mut coco = Coco::default();
    let instances = parse(document.to_string().as_bytes()).unwrap();
    coco.add(Path::new("a.json"), Path::new("images"), instances, &["cat".to_owned(), "dog".to_owned()]);
    coco
}

fn labels(annotations: Value) -> LabelFile {
    let coco = coco(&document(annotations));
    assert!(coco.problems.is_empty(), "{:?}", coco.problems);
    let found = coco.of(Path::new("images/a.jpg"), SIZE).unwrap().unwrap();
    assert_eq!(coco.of(Path::new("images/a.jpg"), SIZE), Ok(None), "handed out once");
    found
}

/// The message about the only annotation, its own or that of the whole file.
fn problem(annotation: Value) -> String {
    let coco = coco(&document(json!([annotation])));
    let found = coco.of(Path::new("images/a.jpg"), SIZE).unwrap().unwrap();
    assert!(found.objects.is_empty());
    coco.problems.iter().chain(&found.problems).map(ToString::to_string).collect()
}

fn error<T: DeserializeOwned>(text: &str) -> String {
    parse::<T>(text.as_bytes()).err().unwrap_or_default()
}

#[test]
fn annotations_become_objects() {
    let triangle = [10.0, 20.0, 40.5, 20.0, 40.5, 60.0];
    let far = [11.0, 61.0, 12.0, 61.0, 12.0, 59.0];
    let found = labels(json!([
        annotation(json!({"iscrowd": 0, "segmentation": [triangle]})),
        annotation(json!({"category_id": 3, "segmentation": [triangle, far]})),
        annotation(json!({"iscrowd": 1, "segmentation": {"counts": [1, 2, 3], "size": [80, 100]}})),
        annotation(json!({"ignore": true, "bbox": [0, 0, 5, 5], "segmentation": null})),
        annotation(json!({"segmentation": {"counts": "abc", "size": [80, 100]}, "area": 3.5, "extra": {"a": []}})),
    ]));
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let bbox = Bbox::new(10.0, 20.0, 40.5, 60.0);
    let polygon = vec![[10.0, 20.0], [40.5, 20.0], [40.5, 60.0]];
    assert_eq!(found.objects[0], Object { polygon, ..Object::new(1, bbox) });
    assert_eq!((found.objects[1].class, found.objects[1].polygon.len()), (0, 3 + 3 + 2));
    assert_eq!(found.objects[2], Object { crowd: true, ..Object::new(1, bbox) });
    assert_eq!(found.objects[3], Object { crowd: true, ..Object::new(1, Bbox::new(0.0, 0.0, 5.0, 5.0)) });
    assert_eq!(found.objects[4], Object::new(1, bbox));
}

#[test]
fn odd_annotations_are_counted() {
    let found = labels(json!([
        annotation(json!({})),
        annotation(json!({})),
        annotation(json!({"bbox": [10, 20, 0, 5]})),
        annotation(json!({"bbox": [-10, 20, 30, 500]})),
    ]));
    assert_eq!((found.objects.len(), found.num_duplicates, found.num_empty, found.num_cut), (2, 1, 1, 1));
    assert_eq!(found.objects[1].bbox, Bbox::new(0.0, 20.0, 20.0, 80.0));
}

#[test]
fn refused_annotations_say_where_they_are() {
    let negative = "neither may be negative";
    let cases = [
        (json!({"image_id": 31}), "image_id 31 is not among the images".to_owned()),
        (json!({"category_id": 4}), "category_id 4 is not among the categories".to_owned()),
        (json!({"bbox": [1, 2, -3, 4]}), format!("the bbox is -3 wide and 4 high, {negative}")),
        (json!({"bbox": [1, 2, 3, -4]}), format!("the bbox is 3 wide and -4 high, {negative}")),
        (
            json!({"bbox": [100, 2, 3, 4]}),
            "the box from (100, 2) to (103, 6) lies outside the image of 100x80 pixels".to_owned(),
        ),
        (
            json!({"segmentation": [[1, 2, 3, 4]]}),
            "segmentation[0] has 4 numbers, expected x y of 3 points or more".to_owned(),
        ),
        (
            json!({"segmentation": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7]]}),
            "segmentation[1] has 7 numbers, expected x y of 3 points or more".to_owned(),
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(problem(annotation(more)), format!("a.json: annotations[0]: {expected}"));
    }
    let mut renamed = document(json!([annotation(json!({}))]));
    renamed["categories"][0]["name"] = "dogs".into();
    let message = "a.json: annotations[0]: category `dogs` is not among the names; did you mean `dog`?";
    assert_eq!(coco(&renamed).problems[0].to_string(), message);
}

#[test]
fn an_image_that_is_listed_twice_is_refused() {
    let mut listed = document(json!([]));
    listed["images"] = json!([
        {"id": 30, "file_name": "b.jpg"},
        {"id": "31", "file_name": "a.jpg"},
        {"id": 30, "file_name": "c.jpg"},
        {"id": 31, "file_name": "a.jpg"},
    ]);
    let coco = coco(&listed);
    let problems: Vec<String> = coco.problems.iter().map(ToString::to_string).collect();
    let expected = ["images[2]: image 30 (c.jpg) is listed twice", "images[3]: image 31 (a.jpg) is listed twice"];
    assert_eq!(problems, expected.map(|problem| format!("a.json: {problem}")));
    assert_eq!(coco.paths(), ["images/a.jpg", "images/b.jpg"].map(PathBuf::from), "sorted");
}

#[test]
fn an_image_of_another_size_is_left_out() {
    let coco = coco(&document(json!([])));
    let reason = coco.of(Path::new("images/a.jpg"), Size::new(80, 100)).unwrap_err();
    assert_eq!(reason, "a.json says 100x80 pixels, the image has 80x100");
}

#[test]
fn files_that_are_none_say_where_they_break() {
    let whole = document(json!([annotation(json!({}))])).to_string();
    assert_eq!(error::<Instances>(""), "EOF while parsing a value at line 1 column 0");
    assert!(error::<Instances>(&whole[..whole.len() - 9]).starts_with("EOF while parsing"));
    assert_eq!(error::<Instances>(&format!("\u{feff}{whole}")), "", "a byte order mark is no harm");
    assert!(error::<Instances>(&format!("{whole} x")).starts_with("trailing characters at line 1 column"));
    assert!(error::<Instances>(&whole.replace("30.5", "NaN")).starts_with("expected value at line 1 column"));
    assert!(error::<Instances>(&whole.replace("30.5", "1e309")).starts_with("number out of range at line 1 column"));
    for key in ["images", "annotations", "categories", "image_id", "category_id", "bbox", "file_name", "name"] {
        let message = error::<Instances>(&whole.replace(&format!("\"{key}\""), "\"other\""));
        assert!(message.starts_with(&format!("missing field `{key}` at line 1 column")), "{message}");
    }
    let message = error::<Instances>(&whole.replace("[10.0,20.0,30.5,40.0]", "[10,20,30]"));
    assert!(message.starts_with("invalid length 3, expected an array of length 4 at line 1"), "{message}");
    let message = error::<Instances>(&whole.replace("\"image_id\":30", "\"image_id\":3.5"));
    assert!(message.starts_with("an id is a whole number or text at line 1"), "{message}");
    assert_eq!(error::<Instances>(&"[".repeat(1_000_000)), "recursion limit exceeded at line 1 column 128");
}

#[test]
fn names_go_by_id_and_stand_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.json");
    let mut with_twin = document(json!([]));
    with_twin["categories"].as_array_mut().unwrap().push(json!({"id": 0, "name": "dog"}));
    std::fs::write(&file, with_twin.to_string()).unwrap();
    assert_eq!(category_names(&file).unwrap(), ["dog", "cat"]);
    std::fs::write(&file, r#"{"categories": []}"#).unwrap();
    let message = format!("{}: no categories: `categories` is empty", file.display());
    assert_eq!(category_names(&file).unwrap_err().to_string(), message);
    assert!(category_names(dir.path()).unwrap_err().to_string().ends_with("is a folder, expected a COCO json"));
    let missing = format!("{:#}", category_names(Path::new("/nowhere/a.json")).unwrap_err());
    assert!(missing.starts_with("cannot read /nowhere/a.json: No such file"), "{missing}");
    std::fs::write(&file, "[]").unwrap();
    let message = format!("{}: invalid length 0, expected struct Categories", file.display());
    assert!(category_names(&file).unwrap_err().to_string().starts_with(&message));
    let unreadable = parse::<Categories>(BufReader::new(File::open(dir.path()).unwrap())).err();
    assert_eq!(unreadable.as_deref(), Some("Is a directory (os error 21)"), "without a place in the text");
}

#[test]
fn images_are_looked_for_in_the_usual_places() {
    let dir = tempfile::tempdir().unwrap();
    for (json, folder) in [
        ("a/annotations/instances_train2017.json", "a/images/train2017"),
        ("b/annotations/instances_train2017.json", "b/train2017"),
        ("c/train/_annotations.coco.json", "c/train"),
        ("d/train.json", "d/images"),
        ("e/annotations/val.json", "e/images"),
    ] {
        let folder = dir.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("x.jpg"), "").unwrap();
        assert_eq!(image_folder(&dir.path().join(json), "x.jpg").unwrap(), folder, "{json}");
    }
    let message = image_folder(Path::new("n/annotations/val.json"), "x.jpg").unwrap_err().to_string();
    let tried = "n/annotations, n/images/val, n/val, n/annotations/images, n/images";
    assert!(
        message.starts_with(&format!("n/annotations/val.json: its image x.jpg is in none of {tried}: write their"))
    );
}
