//! The reference pages of the four kinds, docs/{loss,augmentation,scheduler,exporter}.md, name all that an author can
//! meet: every field and function of the SDK's sources and of the C header, and every name that the trainer hands out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
};

use tch::{Device, Kind, Tensor};
use trainer::{
    loss::{LossChain, LossParameters, LossPoint, Objects},
    model::{Anchors, RawPredictions},
    progress::RunProgress,
    registry::Registry,
    validate::{Outcome, ap::Evaluator},
};
use trainer_sdk::{Loss, LossContext, Predictions, Result, Targets, Terms};

#[allow(dead_code)] // it reads constants, too
#[path = "../sdk/abi/tests/contract/c_parser.rs"]
mod c_parser;

/// A page, the sources of the SDK that it covers, and the structs of the header.
type Page = (&'static str, &'static [&'static str], &'static str);

const PAGES: [Page; 4] = [
    ("loss", &["loss", "ready"], "loss_context loss_table fields_table thunk parameters_table init"),
    (
        "augmentation",
        &["augmentation", "sample", "layers", "rng", "ready"],
        "augment_context augmentation_table sample_info sample_table layers_table object pixels",
    ),
    ("scheduler", &["scheduler", "ready"], "scheduler_table progress metric rates"),
    ("exporter", &["exporter", "model", "ready"], "exporter_table export_context model_table tensor_data"),
];

/// Structs that belong to no kind alone, or are nothing but an object and its table: docs/c.md.
const SHARED: &str = "str sink extension factory host plugin_root tensor_info value tensor_table log_table \
    options_table fields parameters sample model";

/// What authors do not call.
const INNER: [&str; 3] = ["new", "raw", "from_raw"];

fn read(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Those of `names` that a page has nowhere in code type.
fn missing(page: &str, names: &BTreeSet<String>) -> Vec<String> {
    let text = page.replace("```", "").replace("``", "`");
    let code: String = text.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(" ");
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '/').collect();
    names.iter().filter(|name| !words.contains(name.as_str())).cloned().collect()
}

/// Public fields and functions of a source, and the functions of its traits.
fn public(source: &str) -> BTreeSet<String> {
    let (mut names, mut in_trait) = (BTreeSet::new(), false);
    for line in source.lines() {
        in_trait = (in_trait || line.starts_with("pub trait ")) && line != "}";
        let said = line.trim_start().strip_prefix("pub ").or_else(|| line.strip_prefix("    ").filter(|_| in_trait));
        let Some(said) = said.map(|said| said.strip_prefix("const ").unwrap_or(said)) else { continue };
        let function = said.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next());
        let field = said.split_once(": ").map(|(name, _)| name).filter(|name| !name.contains(' '));
        names.extend(function.or(field).map(str::to_owned));
    }
    names.retain(|name| !INNER.contains(&name.as_str()));
    names
}

/// A link that notes every name it can see.
struct Notes(Arc<Mutex<BTreeSet<String>>>);

impl Loss for Notes {
    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, _: &LossContext) -> Result<()> {
        self.0.lock().unwrap().extend([preds.0.names(), targets.0.names(), terms.names()].into_iter().flatten());
        Ok(())
    }
}

/// The fields and terms of a chain.
fn of_a_chain() -> BTreeSet<String> {
    let names = Arc::new(Mutex::new(BTreeSet::new()));
    let detection = Registry::built_in().loss("detection", "{}").unwrap();
    let links = vec![("detection".into(), detection), ("notes".into(), Box::new(Notes(Arc::clone(&names))) as _)];
    let parameters = LossParameters::new(Kind::Float, Device::Cpu, true);
    let zeros = |size: &[i64], kind| Tensor::zeros(size, (kind, Device::Cpu));
    let (distribution, scores) = (zeros(&[1, 21, 64], Kind::Float), zeros(&[1, 21, 2], Kind::Float));
    let (classes, boxes) = (zeros(&[1, 1], Kind::Int64), zeros(&[1, 1, 4], Kind::Float));
    let objects = Objects { classes, boxes, valid: zeros(&[1, 1], Kind::Bool) };
    let anchors = Anchors::new(32, 32, Kind::Float, Device::Cpu);
    let at = LossPoint { size: (32, 32), image_ids: &[0], ..LossPoint::default() };
    LossChain::new(links, BTreeMap::new(), parameters)
        .evaluate(&RawPredictions { distribution, scores }, &anchors, &objects, at)
        .unwrap();
    let names = names.lock().unwrap().clone();
    assert!(names.len() > 14, "{names:?}");
    names
}

/// The figures of a finished epoch.
fn of_an_epoch() -> BTreeSet<String> {
    let terms = vec![("TERM".to_owned(), 0.0)];
    let (figures, losses) = (Evaluator::new(1).figures(1), terms.clone());
    let outcome = Outcome { figures, losses, detections: Vec::new(), skipped: Vec::new(), seconds: 0.0 };
    let mut progress = RunProgress::default();
    progress.epoch_done(&terms, &outcome);
    progress.figures.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn pages_name_every_field_and_function() {
    let structs: BTreeMap<_, _> = c_parser::structs(&read("sdk/include/trainer_plugin.h")).into_iter().collect();
    let mut known: BTreeSet<_> = SHARED.split(' ').map(|name| format!("trainer_{name}")).collect();
    for (page, sources, in_c) in PAGES {
        let mut names: BTreeSet<_> =
            sources.iter().flat_map(|name| public(&read(&format!("sdk/src/{name}.rs")))).collect();
        for name in in_c.split(' ').map(|name| format!("trainer_{name}")) {
            let fields = structs.get(&name).unwrap_or_else(|| panic!("the header has no {name}"));
            names.extend(fields.iter().map(|(field, _)| field.clone()));
            known.insert(name);
        }
        names.extend(match page {
            "loss" => of_a_chain(),
            "scheduler" => of_an_epoch(),
            _ => BTreeSet::new(),
        });
        let missing = missing(&read(&format!("docs/{page}.md")), &names);
        assert!(missing.is_empty(), "docs/{page}.md does not say what these are: {}", missing.join(", "));
    }
    let new: Vec<_> = structs.keys().filter(|name| !known.contains(*name)).collect();
    assert!(new.is_empty(), "structs of the header that belong to no page: {new:?}; add them to PAGES or SHARED");
}

#[test]
fn what_is_not_named_is_found() {
    let source = "pub struct A {\n    pub b: u32,\n    c: u32,\n}\npub trait D {\n    fn e(&self);\n}\nfn f() {}";
    let names = public(&format!("{source}\nimpl A {{\n    pub const fn g<T>(t: T) {{}}\n    pub fn new() {{}}\n}}"));
    assert_eq!(names.iter().collect::<Vec<_>>(), ["b", "e", "g"]);
    assert_eq!(missing("`b`, `bb` e ``g(`x`)``\n```rust\n```\n", &names), ["e"]);
}
