//! The rules of the house that no compiler checks. Each message says which rule is broken, and where.

use std::{collections::BTreeSet, fs, path::Path};

use trainer_sdk::component;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const ROOMS: [&str; 6] = ["sdk", "core", "plugins", "tests", "examples", "scripts"];

/// The only files and folders with unsafe code: both ends of the plugin boundary, the calls into libtorch and libc, loops
/// for one kind of processor, and plugins that are there to crash.
const UNSAFE: [&str; 44] = [
    "core/loader/src/conformance.rs",
    "core/loader/src/guest.rs",
    "core/loader/src/host.rs",
    "core/loader/src/kinds/",
    "core/loader/src/no_tensors.rs",
    "core/loader/src/open.rs",
    "core/loader/src/option_table.rs",
    "core/loader/src/plain",
    "core/loader/src/system.rs",
    "core/src/allocator.rs",
    "core/src/crash.rs",
    "core/src/data/loader/buffers.rs",
    "core/src/plugin/check/faulty.rs",
    "core/src/plugin/check/host.rs",
    "core/src/plugin/check/usage.rs",
    "core/src/process.rs",
    "core/src/torch/allocator.rs",
    "core/src/torch/attention.rs",
    "core/src/torch/autocast.rs",
    "core/src/torch/context.rs",
    "core/src/torch/conv.rs",
    "core/src/torch/cuda/",
    "core/src/torch/libraries.rs",
    "core/src/torch/memory.rs",
    "core/src/torch/operator.rs",
    "core/src/torch/region.rs",
    "core/src/torch/table.rs",
    "sdk/abi/src/",
    "sdk/image/src/interpolate.rs",
    "sdk/src/export/",
    "sdk/src/fields.rs",
    "sdk/src/layers.rs",
    "sdk/src/model.rs",
    "sdk/src/model_store.rs",
    "sdk/src/parameter_store.rs",
    "sdk/src/sample.rs",
    "sdk/src/sample_store.rs",
    "sdk/src/scheduler.rs",
    "sdk/src/store.rs",
    "sdk/src/tensor",
    "sdk/src/testing/",
    "tests/abi/",
    "tests/plugins/crashy/src/lib.rs",
    "tests/plugins/rogue/src/lib.rs",
];

/// Every top-level key of the command line: a promise to users, so it comes in here on purpose and never leaves.
const KEYS: &str = "data fraction single_cls workers cache cache_dir rect model weights imgsz optimizer lr0 momentum weight_decay nbs schedule epochs \
    batch multi_scale amp gradient_checkpointing device attention deterministic threads wait seed patience box cls dfl project name exist_ok plots conf iou max_det \
    on_error format out plugin_policy plugins_lock";

const BUILT_IN: &str = "augmentation bgr, augmentation blur, augmentation clahe, augmentation copy_paste, \
    augmentation cutmix, augmentation flip, augmentation gray, augmentation hsv, augmentation letterbox, \
    augmentation median_blur, augmentation mixup, augmentation mosaic, augmentation perspective, exporter safetensors, loss detection, scheduler cosine, scheduler linear, scheduler staged";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of a folder of the checkout, sorted: their paths, and whether they are folders.
fn entries(folder: &str) -> Vec<(String, bool)> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).into_iter().flatten().flatten();
    let path = |entry: &fs::DirEntry| format!("{folder}/{}", entry.file_name().to_string_lossy());
    let mut paths: Vec<_> = entries.map(|entry| (path(&entry), entry.path().is_dir())).collect();
    paths.sort();
    paths
}

/// The paths and texts of all sources below the folders, by the suffixes of their names.
fn sources(folders: &[&str], suffixes: &[&str]) -> Vec<(String, String)> {
    let below = |(path, is_dir): (String, bool)| match is_dir {
        true => sources(&[&path], suffixes),
        false if suffixes.iter().any(|suffix| path.ends_with(suffix)) => vec![(path.clone(), read(&path))],
        false => Vec::new(),
    };
    folders.iter().flat_map(|folder| entries(folder)).flat_map(below).collect()
}

/// The names of the plugins that ship: their folders in plugins/.
fn plugins() -> Vec<String> {
    entries("plugins").iter().filter(|entry| entry.1).map(|entry| entry.0.replace("plugins/", "")).collect()
}

/// The lines without comments, each after its place.
fn code(path: &str, text: &str) -> Vec<String> {
    let placed = |(number, line): (i32, &str)| format!("{path}:{number}: {}", line.split("//").next().unwrap().trim());
    (1..).zip(text.lines()).map(placed).collect()
}

#[test]
fn sources_open_with_their_purpose_and_stay_short() {
    for (path, text) in sources(&ROOMS, &[".rs", ".cpp", ".h", ".py"]) {
        assert!(!path.ends_with(".rs") || text.starts_with("//! "), "{path}: it must open with `//!` and its purpose");
        let lines = text.lines().count();
        assert!(lines <= 500, "{path}: {lines} lines; a source has at most 500: split it by noun");
    }
}

#[test]
fn unsafe_code_lives_in_named_files_only() {
    let forms = ["{", "fn", "impl", "extern"].map(|what| ["unsafe", what].join(" "));
    for (path, text) in
        sources(&ROOMS, &[".rs"]).iter().filter(|(path, _)| !UNSAFE.iter().any(|named| path.starts_with(named)))
    {
        let found = code(path, text).into_iter().find(|line| forms.iter().any(|form| line.contains(form)));
        assert_eq!(found, None, "unsafe code in a file that tests/tidy.rs does not name");
    }
}

#[test]
fn sdk_loader_and_plugins_know_neither_trainer_nor_libtorch() {
    let lock = read("Cargo.lock");
    let package = |name: &str| lock.split("[[package]]").find(|it| it.contains(&format!("\nname = \"{name}\"\n")));
    for start in plugins().iter().map(String::as_str).chain(["trainer-sdk", "trainer-loader"]) {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(name) = open.pop() {
            let is_free = !["trainer", "tch", "torch-sys"].contains(&name);
            assert!(is_free, "Cargo.lock: {start} depends on {name}, by itself or through others; it must not");
            let text = package(name).unwrap_or_else(|| panic!("Cargo.lock: no package {name}"));
            let list = text.split_once("dependencies = [").map_or("", |(_, list)| list);
            let names = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.split([' ', '"']).next());
            open.extend(names.filter(|name| seen.insert(*name)));
        }
    }
}

#[test]
fn core_names_no_shipped_plugin() {
    for (path, text) in sources(&["core/src", "core/loader/src"], &[".rs"]) {
        let text = if path.ends_with("tests.rs") { "" } else { text.split("#[cfg(test)]").next().unwrap() };
        let found = code(&path, text).into_iter().find(|line| plugins().iter().any(|plugin| line.contains(plugin)));
        assert_eq!(found, None, "the core names a shipped plugin");
    }
}

#[test]
fn documents_are_there_short_and_true() {
    let readmes = plugins().into_iter().map(|plugin| (format!("plugins/{plugin}/README.md"), 31));
    for (path, limit) in readmes.chain([("README.md".into(), 120), ("ARCHITECTURE.md".into(), 150)]) {
        let lines = read(&path).lines().count();
        assert!(lines < limit, "{path}: {lines} lines; it has to stay under {limit}");
    }
    let source = read("plugins/label_smooth/src/lib.rs");
    let (_, plugin) = source.split("#[cfg(test)]").next().unwrap().split_once("\n\n").unwrap();
    assert!(read("README.md").contains(plugin.trim()), "README.md: its plugin is no longer label_smooth's lib.rs");
}

#[test]
fn built_in_components_and_keys_are_those_listed_here() {
    let _links_the_trainer = trainer::registry::Registry::built_in();
    let names: Vec<_> = component::all().iter().map(|it| format!("{} {}", it.maker.kind(), it.name)).collect();
    assert_eq!(names.join(", "), BUILT_IN, "the built-in components differ from the list in tests/tidy.rs");
    assert_eq!(trainer::settings::KEYS.map(|(key, _)| key).join(" "), KEYS, "the keys of the command line differ");
}
