//! What a user can get wrong, each told by the real binary in one message with the exit code of its kind: 1 for what
//! was asked for, 2 for a plugin. Nothing that was written before is lost, and a start that fails leaves nothing behind.

use std::{fs, io::ErrorKind, path::Path};

use crate::run::{Run, built, png};

/// A picture whose header and end are right, and whose pixels cannot be decoded.
fn damaged_png() -> Vec<u8> {
    let mut bytes = png();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0);
    bytes
}

/// The message about the only wrong row, the second of a label file.
fn label_message(row: &str) -> String {
    let run = Run::new().write("data/labels/train/b.txt", format!("0 0.5 0.5 0.5 0.5\n{row}\n"));
    let message = run.expect(1);
    message.strip_prefix("data/labels/train/b.txt:2: ").unwrap_or_else(|| panic!("{message}")).to_owned()
}

#[test]
fn good_input_trains() {
    let run = Run::new();
    let stderr = run.expect(0);
    assert!(stderr.contains("train: 4 images, 8 objects"), "{stderr}");
    let warnings: Vec<_> = stderr.lines().filter_map(|line| line.split_once("WARN ")).map(|(_, text)| text).collect();
    let idle = "copy_paste=0.1 cannot act: it cuts objects out along their polygons, and 0 of the 8 training objects have \
        one; give labels with polygons, or copy_paste=0";
    assert_eq!(warnings, [idle]);
    assert_eq!(run.read("runs/train/train/metrics.jsonl").lines().count(), 2, "a line for step 0, one for the epoch");
}

#[test]
fn data_yaml_is_missing() {
    assert_eq!(
        Run::new().keys("data=nowhere.yaml").expect(1),
        "cannot read nowhere.yaml: data= takes the path of a YOLO data.yaml: No such file or directory (os error 2)"
    );
    let bare = Run::new().keys("data=data/images").expect(1);
    assert!(bare.starts_with("data/images is a folder without a data.yaml, and not one of COCO (anno"), "{bare}");
}

#[test]
fn data_yaml_is_malformed() {
    let message = |text: &str| Run::new().write("data/data.yaml", text).expect(1);
    assert_eq!(message("train: ["), "data/data.yaml:1: cannot read `train: [`: unclosed bracket '['");
    assert_eq!(
        message("train: images/train\nnames: [cat]\n"),
        "data/data.yaml: no `val`: add the folder (or .txt list) of its images, e.g. `val: images/val`"
    );
    assert_eq!(
        message("train: images/train\nval: images/val\nnames: [cat]\nnc: 2\n"),
        "data/data.yaml:3: names: 1 of them, but nc says 2 classes: correct one, or remove nc"
    );
    assert!(message("\u{0}\u{1}").starts_with("data/data.yaml:1: cannot read"), "not text");
}

#[test]
fn image_folder_is_missing() {
    assert_eq!(
        Run::new().remove("data/images/train").expect(1),
        "data/data.yaml:2: train: data/images/train does not exist: correct it, or `path` (data)"
    );
    assert_eq!(
        Run::new().remove("data/images/val").expect(1),
        "data/data.yaml:3: val: data/images/val does not exist: correct it, or `path` (data)"
    );
}

#[test]
fn label_folder_is_missing() {
    assert_eq!(
        Run::new().remove("data/labels").expect(1),
        "data/data.yaml:2: train: none of the 4 images has a label file such as data/labels/train/a.txt"
    );
}

#[test]
fn label_has_wrong_columns() {
    assert_eq!(
        label_message("0 0.5 0.5 0.5"),
        "4 columns, expected 5 (class, centre x, centre y, width, height) \
         or a polygon (class, then x y of 3 points or more)"
    );
}

#[test]
fn label_class_is_out_of_range() {
    assert_eq!(label_message("2 0.5 0.5 0.5 0.5"), "class 2 is not in the data set, whose names end at 1");
    assert_eq!(label_message("-1 0.5 0.5 0.5 0.5"), "class `-1` is not a whole number from 0 on");
}

#[test]
fn label_coordinates_are_outside() {
    let outside = "is outside 0 to 1: positions and sizes are fractions of the image's width and height";
    assert_eq!(label_message("0 32 0.5 0.5 0.5"), format!("centre x 32 {outside}"));
    assert_eq!(label_message("0 0.1 0.1 0.9 0.1 0.9 1.5"), format!("y 1.5 {outside}"));
}

#[test]
fn unreadable_images_are_left_out_counted_and_named() {
    let whole = png();
    let cut_off = &whole[..whole.len() / 2];
    let run = Run::new()
        .write("data/images/train/b.png", "no image")
        .write("data/images/train/d.png", damaged_png())
        .write("data/images/val/f.png", cut_off);
    let stderr = run.expect(0);
    for line in [
        " WARN train: 1 of 4 images left out: unreadable\n",
        " WARN data/images/train/b.png: not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)\n",
        " WARN val: 1 of 2 images left out: unreadable\n",
        " WARN data/images/val/f.png: the file is cut off: the end of its image data is missing\n",
        " WARN image data/images/train/d.png left out (1 so far): ",
        "trained in ",
    ] {
        assert_eq!(stderr.matches(line).count(), 1, "{line}\n{stderr}");
    }
    let d = stderr.lines().find(|line| line.contains("d.png")).unwrap();
    assert_eq!(d.matches("CRC error").count(), 1, "a decoder's reason stands once: {d}");
}

#[test]
fn no_training_image_can_be_decoded() {
    let run = ["a", "b", "c", "d"]
        .into_iter()
        .fold(Run::new(), |run, name| run.write(&format!("data/images/train/{name}.png"), damaged_png()));
    assert_eq!(run.expect(1), "none of the training images can be decoded; the warnings above say why");
    assert!(!run.path("runs/train/train/weights/last.safetensors").exists());
}

#[test]
fn unknown_key_gets_the_near_name() {
    assert_eq!(Run::new().keys("epoch=3").expect(1), "unknown key `epoch`; did you mean `epochs`?");
    assert_eq!(Run::new().keys("--lr 0.1").expect(1), "unknown key `lr`; did you mean `lr0`?");
}

#[test]
fn unknown_key_in_a_run_file_gets_line_and_near_name() {
    let message = |name: &str, text: &str| Run::new().write(name, text).keys(&format!("--config {name}")).expect(1);
    let toml = message("run.toml", "[train]\nbatch = 2\nepoch = 1\n");
    assert!(toml.starts_with("run.toml:3: unknown field `epoch`, expected one of `epochs`, `batch`"), "{toml}");
    assert!(toml.ends_with("; did you mean `epochs`?"), "{toml}");
    let yaml = message("run.yaml", "train:\n  batch: 2\n  epoch: 1\n");
    assert!(yaml.starts_with("run.yaml:3: unknown field `epoch`, expected one of epochs, batch"), "{yaml}");
    assert!(yaml.ends_with("; did you mean `epochs`?"), "{yaml}");
}

#[test]
fn value_in_a_run_file_gets_its_line() {
    let run = |text: &str| Run::new().write("run.toml", text).keys("--config run.toml");
    assert_eq!(
        run("[train]\nseed = \"x\"\n").expect(1),
        "run.toml:2: cannot read `seed = \"x\"`: invalid type: string \"x\", expected u64"
    );
    assert_eq!(run("[optimizer]\n\nlr0 = -1.0\n").expect(1), "run.toml:3: lr0=-1 must be a number from 0 up");
    assert_eq!(
        run("[optimizer]\n\nlr0 = -1.0\n").keys("lr0=-2").expect(1),
        "lr0=-2 must be a number from 0 up",
        "the command line's value is not the file's"
    );
    assert_eq!(
        run("[[loss]]\nuse = \"detectoin\"\n").expect(1),
        "run.toml:2: unknown loss `detectoin`, known are detection; did you mean `detection`?"
    );
}

#[test]
fn value_is_of_the_wrong_type() {
    assert_eq!(Run::new().keys("epochs=ten").expect(1), "epochs=ten: not a number");
    assert_eq!(Run::new().keys("exist_ok=maybe").expect(1), "exist_ok=maybe: neither True nor False");
    assert_eq!(
        Run::new().keys("yolo12n").expect(1),
        "`yolo12n` is neither a verb nor key=value; `trainer --help` shows both"
    );
}

#[test]
fn unknown_model() {
    assert_eq!(
        Run::new().keys("model=yolo11n").expect(1),
        "unknown model `yolo11n`; known are yolo12n, yolo12s, yolo12m, yolo12l, yolo12x"
    );
}

#[test]
fn imgsz_is_no_multiple_of_32() {
    assert_eq!(Run::new().keys("imgsz=100").expect(1), "imgsz=100 is not a multiple of 32; take imgsz=128");
    assert_eq!(Run::new().keys("imgsz=0").expect(1), "imgsz=0 is not a multiple of 32; take imgsz=32");
}

#[test]
fn batch_is_0() {
    assert_eq!(Run::new().keys("batch=0").expect(1), "batch=0 trains nothing; give at least batch=1");
}

#[test]
fn plugin_is_missing() {
    assert_eq!(
        Run::new().keys("--plugin nowhere.so").expect(2),
        "plugin nowhere.so not found; looked for it in the working directory, BIN, \
         ~/home/.local/share/trainer/plugins, BIN/../lib/trainer/plugins [not-found]"
    );
    let run = Run::new().write("run.toml", "\nplugins = [\"/nowhere/x.so\"]\n").keys("--config run.toml");
    let message = "run.toml:2: plugin /nowhere/x.so not found; looked for it in /nowhere/x.so [not-found]";
    assert_eq!(run.expect(2), message);
}

#[test]
fn plugin_is_no_library() {
    let reason = "is not a dynamic library: it does not begin as an ELF file does; \
                  build the plugin with `cargo build --release` and give the .so file [not-elf]";
    assert_eq!(Run::new().keys("--plugin data/data.yaml").expect(2), format!("~/data/data.yaml {reason}"));
    assert_eq!(Run::new().write("x.so", "").keys("--plugin x.so").expect(2), format!("~/x.so {reason}"));
    let whole = fs::read(built("liblabel_smooth.so")).unwrap();
    let cut_off = Run::new().write("x.so", &whole[..whole.len() / 2]).keys("--plugin x.so").expect(2);
    assert!(cut_off.starts_with("~/x.so is not a dynamic library: "), "{cut_off}");
}

#[test]
fn plugin_is_an_ordinary_library() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"));
    let libm = Path::new(libc.unwrap()).with_file_name("libm.so.6");
    let message = Run::new().keys(&format!("--plugin {}", libm.display())).expect(2);
    assert_eq!(
        message,
        format!(
            "{} is a library but no Trainer plugin: it has no .trainer.manifest section; \
             a plugin ends in `export_plugin! {{ … }}` [no-manifest]",
            libm.canonicalize().unwrap().display()
        )
    );
}

#[test]
fn plugin_is_for_another_abi_major() {
    let mut bytes = fs::read(built("liblabel_smooth.so")).unwrap();
    let abi = br#""abi":"1."#;
    let places: Vec<usize> = (0..bytes.len() - abi.len()).filter(|&at| bytes[at..].starts_with(abi)).collect();
    assert!(!places.is_empty(), "the manifest names its ABI");
    places.iter().for_each(|at| bytes[at + abi.len() - 2] = b'2');
    let message = Run::new().write("libnext.so", bytes).keys("--plugin next.so").expect(2);
    let version = trainer_sdk::abi::VERSION;
    let next = format!("2{}", &version[1..]);
    assert_eq!(
        message,
        format!(
            "plugin ~/libnext.so was built for plugin ABI {next}, this trainer has {version}: \
             the major versions must be equal; rebuild it with the trainer-sdk of this trainer [abi-major]"
        )
    );
}

#[test]
fn plugin_option_is_unknown() {
    let known = "unknown option `label_smooth.epsilom`, loss label_smooth has epsilon; did you mean `epsilon`?";
    assert_eq!(Run::new().keys("--plugin label_smooth.so label_smooth.epsilom=0.1").expect(1), known);
    let file = "plugins = [\"label_smooth.so\"]\n[[loss]]\nuse = \"detection\"\n\
                [[loss]]\nuse = \"label_smooth\"\nepsilom = 0.1\n";
    let run = Run::new().write("run.toml", file).keys("--config run.toml");
    assert_eq!(run.expect(1), format!("run.toml:6: {known}"));
}

#[test]
fn plugin_option_is_out_of_range() {
    let range = "option `label_smooth.epsilon`: 2 is greater than the maximum of 1.0";
    let message = |words: &str| Run::new().keys(words).expect(1);
    assert_eq!(message("--plugin label_smooth.so label_smooth.epsilon=2"), range);
    assert_eq!(message("label_smoothing=2"), range);
    assert_eq!(
        message("--plugin label_smooth.so label_smooth.epsilon=much"),
        "option `label_smooth.epsilon`: \"much\" is not of type \"number\""
    );
}

#[test]
fn option_of_a_component_that_takes_no_part() {
    assert_eq!(
        Run::new().keys("label_smooth.epsilon=0.1").expect(1),
        "label_smooth.epsilon=0.1: label_smooth takes no part in this run, a plugin joins it by --plugin FILE.so"
    );
    assert_eq!(
        Run::new().keys("mosaik.prob=1").expect(1),
        "mosaik.prob=1: mosaik takes no part in this run, a plugin joins it by --plugin FILE.so; \
         did you mean `mosaic`?"
    );
}

#[test]
fn alias_loads_its_plugin() {
    let run = Run::new().keys("label_smoothing=0.2");
    let stderr = run.expect(0);
    assert!(stderr.contains("BIN/liblabel_smooth.so"), "{stderr}");
    let saved = run.read("runs/train/train/run.toml");
    assert!(saved.contains("use = \"label_smooth\"\nepsilon = 0.2\n"), "{saved}");
}

#[test]
fn alias_without_a_plugin_in_reach() {
    let mut run = Run::new().keys("label_smoothing=0.2");
    fs::create_dir(run.path("bin")).unwrap();
    let alone = run.path("bin/trainer");
    match fs::hard_link(&run.trainer, &alone) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            fs::copy(&run.trainer, &alone).unwrap();
        }
        linked => linked.unwrap(),
    }
    run.trainer = alone;
    assert_eq!(
        run.expect(1),
        "unknown key `label_smoothing`, and no plugin in BIN, ~/home/.local/share/trainer/plugins, \
         BIN/../lib/trainer/plugins claims it; name its plugin by --plugin FILE.so"
    );
}

/// The message of a panic of the fixture plugin, apart from its line.
fn assert_panic(message: &str, entry: &str) {
    let start = format!(
        "loss panicky: plugin BIN/libpanicky.so failed in `{entry}`: panicked at tests/plugins/panicky/src/lib.rs:"
    );
    let end = format!(": told to panic in {entry}");
    assert!(message.starts_with(&start) && message.ends_with(&end), "{message}");
}

#[test]
fn plugin_panics_when_constructed() {
    let message = Run::new().keys("--plugin panicky.so panicky.at=create").expect(2);
    assert_panic(&message, "create");
}

#[test]
fn plugin_panics_in_targets() {
    let run = Run::new().keys("epochs=2 --plugin panicky.so panicky.at=targets panicky.step=1");
    assert_panic(&run.expect(2), "targets");
    let dir = "runs/train/train";
    assert!(run.read(&format!("{dir}/run.toml")).contains("at = \"targets\"\n"));
    let metrics = run.read(&format!("{dir}/metrics.jsonl"));
    let lines: Vec<serde_json::Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["step"]), (1, &0.into()), "the step before");
}

#[test]
fn plugin_that_panics_later_leaves_the_epochs_before() {
    let run = Run::new().keys("epochs=2 --plugin panicky.so panicky.at=terms panicky.step=3");
    assert_panic(&run.expect(2), "terms");
    let dir = "runs/train/train";
    assert_eq!(run.read(&format!("{dir}/results.csv")).lines().count(), 2, "the header and the first epoch");
    let weights = run.path(&format!("{dir}/weights/last.safetensors"));
    let (tensors, card) = trainer::checkpoint::read(&weights).unwrap();
    assert!(!tensors.is_empty() && card.unwrap().epoch == 1);
}

#[test]
fn earlier_runs_stay_as_they_were() {
    let mut run = Run::new().keys("name=first exist_ok=True");
    run.expect(0);
    let words = run.words.clone();
    let earlier = run.files();
    for (wrong, code) in
        [("imgsz=33", 1), ("weights=none", 1), ("--plugin nowhere.so", 2), ("--plugin panicky.so panicky.at=create", 2)]
    {
        run.words = words.clone();
        run = run.keys(wrong);
        run.expect(code);
        assert!(run.files() == earlier, "{wrong}");
    }
    run.words = words;
    let run = run.keys("exist_ok=False --plugin panicky.so panicky.at=targets");
    assert_panic(&run.expect(2), "targets");
    assert!(run.path("runs/train/first2/run.toml").exists());
}
