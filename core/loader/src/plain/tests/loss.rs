//! examples/c_loss: numbers, gradients, state, refusals, handles.

use std::{fs, sync::LazyLock};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use trainer_abi::{LossTable, PLAIN_ROOT};
use trainer_sdk::{
    Dtype, Init, Loss, LossContext, ParameterMap, Predictions, Result, Targets, Tensor, Terms,
    parameter_store::{self, ParameterStore},
    store,
    testing::{assert_close, bools, tensor},
};

use super::{
    build::{example, root, start},
    host::{CALLS_LEFT, GRADIENTS, HELD, Kept},
};
use crate::{
    Manifest,
    guest::{Factory, Instance},
};

/// Logits of one image with two anchors, the first of them assigned, and three classes.
const LOGITS: [f64; 6] = [2.0, -1.0, 0.5, 3.0, -3.0, 1.0];

fn made(options: &str) -> Result<Box<dyn Loss>> {
    static FACTORY: LazyLock<Factory<LossTable>> = LazyLock::new(|| start(&example("c_loss", "confidence.so").1).0);
    Ok(Box::new(Instance::make(&FACTORY, options)?))
}

struct NoParameters;

impl ParameterStore for NoParameters {
    fn get(&mut self, name: &str, _size: &[i64], _init: Init) -> Result<Tensor> {
        anyhow::bail!("no parameter {name}")
    }
}

struct Batch {
    targets: Kept,
    terms: Kept,
}

impl Batch {
    fn new() -> Self {
        let scores = tensor(&[0.0, 0.9, 0.0, 0.0, 0.0, 0.0], &[1, 2, 3]);
        let foreground = bools(&[true, false], &[1, 2]);
        let tensors = vec![("scores", scores), ("foreground", foreground), ("normaliser", tensor(&[2.0], &[]))];
        Self { targets: Kept { tensors, ..Kept::default() }, terms: Kept::default() }
    }

    fn run(
        &mut self,
        logits: Tensor,
        pass: impl FnOnce(&mut Targets, &mut Terms, &LossContext) -> Result<()>,
    ) -> Result<()> {
        let (mut predictions, mut none) = (Kept { tensors: vec![("scores", logits)], ..Kept::default() }, NoParameters);
        let parameters: ParameterMap = parameter_store::view(&mut none);
        let predictions = Predictions(store::view(&mut predictions));
        let cx = LossContext {
            epoch: 0,
            epochs: 1,
            step: 0,
            height: 64,
            width: 64,
            num_classes: 3,
            image_ids: &[7],
            is_training: true,
            predictions,
            parameters,
        };
        pass(&mut Targets(store::view(&mut self.targets)), &mut Terms(store::view(&mut self.terms)), &cx)
    }

    fn terms(&mut self, loss: &mut dyn Loss, logits: &Tensor) -> Result<()> {
        self.run(logits.clone(), |targets, terms, cx| loss.terms(terms, &cx.predictions, targets, cx))
    }
}

/// The term and its gradient by the logits.
fn confidence(loss: &mut dyn Loss, logits: &[f64]) -> (f64, Vec<f64>) {
    let mut batch = Batch::new();
    batch.terms(loss, &tensor(logits, &[1, 2, 3])).unwrap();
    (batch.terms.tensors[0].1.to_vec().unwrap()[0], batch.terms.gradients[0].to_vec().unwrap())
}

#[test]
fn the_file_holds_manifest_and_root() {
    let (_dir, file) = example("c_loss", "confidence.so");
    let bytes = fs::read(&file).unwrap();
    let manifest = Manifest::read(&file, &bytes).unwrap();
    assert_eq!((&*manifest.id, &*manifest.panic, &*manifest.target), ("c_loss", "none", trainer_sdk::export::TARGET));
    assert_eq!((&*manifest.components[0].kind, &*manifest.components[0].name), ("loss", "confidence"));
    assert!(manifest.rustc.starts_with("C compiler "), "{}", manifest.rustc);
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let exported: Vec<_> = elf.dynamic_symbols().filter(|it| it.is_definition()).map(|it| it.name().unwrap()).collect();
    assert_eq!(exported, ["trainer_manifest", PLAIN_ROOT]);
    let section = elf.section_by_name(trainer_abi::MANIFEST_SECTION).unwrap().data().unwrap();
    // SAFETY: the library stays in memory.
    assert_eq!(section, unsafe { (root(&file).unwrap().unwrap().meta)().as_bytes() });
}

#[test]
fn defaults_of_the_schema_are_those_of_the_code() {
    let (_, schema) = start::<LossTable>(&example("c_loss", "confidence.so").1);
    let default = |name: &str| schema["properties"][name]["default"].clone();
    let written =
        serde_json::json!({ "epsilon": default("epsilon"), "weight": default("weight"), "ramp": default("ramp") });
    let (mut plain, mut explicit) = (made("{}").unwrap(), made(&written.to_string()).unwrap());
    assert_eq!(confidence(&mut *plain, &LOGITS), confidence(&mut *explicit, &LOGITS));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn targets_are_smoothed_on_assigned_anchors() {
    let (mut loss, mut batch) = (made(r#"{"epsilon": 0.3}"#).unwrap(), Batch::new());
    batch.run(tensor(&LOGITS, &[1, 2, 3]), |targets, _, cx| loss.targets(targets, cx)).unwrap();
    let scores = &batch.targets.tensors.iter().find(|(name, _)| *name == "scores").unwrap().1;
    assert_close(&scores.to_vec().unwrap(), &[0.09, 0.72, 0.09, 0.0, 0.0, 0.0], 1e-15);
    assert_eq!(HELD.get(), 0);
}

#[test]
fn the_term_is_the_formula_and_its_gradient_the_difference_quotient() {
    let mut loss = made(r#"{"weight": 0.5}"#).unwrap();
    let (value, gradient) = confidence(&mut *loss, &LOGITS);
    let divergence = |z: f64| {
        let p = 1.0 / (1.0 + (-z).exp());
        std::f64::consts::LN_2 + p * p.ln() + (1.0 - p) * (1.0 - p).ln()
    };
    assert_close(&[value], &[0.5 / 2.0 * LOGITS[..3].iter().copied().map(divergence).sum::<f64>()], 1e-14);
    for (i, slope) in gradient.into_iter().enumerate() {
        let mut at = |step: f64| {
            let mut moved = LOGITS;
            moved[i] += step;
            confidence(&mut *loss, &moved).0
        };
        assert_close(&[slope], &[(at(1e-5) - at(-1e-5)) / 2e-5], 1e-9);
    }
    assert_eq!(confidence(&mut *loss, &[800.0, -800.0, 0.0, 0.0, 0.0, 0.0]).0, 0.25 * 2.0 * std::f64::consts::LN_2);
}

#[test]
fn value_and_gradient_have_the_type_of_the_scores() {
    let (mut loss, mut batch) = (made("{}").unwrap(), Batch::new());
    batch.terms(&mut *loss, &tensor(&LOGITS, &[1, 2, 3]).to_dtype(Dtype::F32).unwrap()).unwrap();
    assert_eq!((batch.terms.tensors[0].1.dtype(), batch.terms.gradients[0].dtype()), (Dtype::F32, Dtype::F32));
    assert_eq!((batch.terms.tensors[0].1.size(), batch.terms.gradients[0].size()), (vec![], vec![1, 2, 3]));
}

#[test]
fn state_goes_on_where_it_was_saved() {
    let options = r#"{"weight": 1, "ramp": 4}"#;
    let mut loss = made(options).unwrap();
    let full = confidence(&mut *made(r#"{"weight": 1}"#).unwrap(), &LOGITS).0;
    for share in [0.25, 0.5] {
        assert_close(&[confidence(&mut *loss, &LOGITS).0], &[share * full], 1e-15);
    }
    GRADIENTS.set(false);
    assert_close(&[confidence(&mut *loss, &LOGITS).0], &[0.75 * full], 1e-15); // validation does not count
    GRADIENTS.set(true);
    let state = loss.save().unwrap();
    assert_eq!(state, [2, 0, 0, 0, 0, 0, 0, 0]);
    let mut resumed = made(options).unwrap();
    resumed.load(&state).unwrap();
    assert_eq!(resumed.save().unwrap(), state);
    assert_close(&[confidence(&mut *resumed, &LOGITS).0], &[0.75 * full], 1e-15);
    let refused = resumed.load(b"nonsense!").unwrap_err().to_string();
    assert!(refused.ends_with("failed in `load`: a state of this loss has 8 bytes; this is none"), "{refused}");
    assert_eq!(resumed.save().unwrap(), [3, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn bad_options_are_refused_by_name() {
    let megabyte = format!("{{\"epsilon\": \"{}\"}}", "x".repeat(1 << 20));
    for (options, wanted) in [
        (r#"{"epsilon": "much"}"#, "option `epsilon` must be a number"),
        (r#"{"epsilon": 1.5}"#, "option `epsilon` must be in 0 to 1"),
        (r#"{"weight": -1}"#, "option `weight` must be 0 or more"),
        (r#"{"ramp": 0.5}"#, "option `ramp` must be a whole number"),
        (r#"{"ramp": -1}"#, "option `ramp` must be 0 or more"),
        ("\u{1}\u{2}nonsense", "option `epsilon` must be a number"),
        (&megabyte, "option `epsilon` must be a number"),
    ] {
        let refused = made(options).err().unwrap().to_string();
        assert_eq!(refused, format!("plugin example.so refuses the options: {wanted}"));
    }
}

#[test]
fn no_failing_call_leaks_a_handle() {
    let mut loss = made("{}").unwrap();
    let logits = tensor(&LOGITS, &[1, 2, 3]);
    let mut passes: [(&str, Box<dyn FnMut(&mut dyn Loss) -> Result<()>>); 2] = [
        ("targets", Box::new(|loss| Batch::new().run(logits.clone(), |targets, _, cx| loss.targets(targets, cx)))),
        ("terms", Box::new(|loss| Batch::new().terms(loss, &logits))),
    ];
    for (name, pass) in &mut passes {
        let mut calls = 0;
        loop {
            CALLS_LEFT.set(calls);
            let outcome = pass(&mut *loss);
            CALLS_LEFT.set(usize::MAX);
            assert_eq!(HELD.get(), 0, "{name} keeps handles when call {calls} fails");
            match outcome {
                Ok(()) => break,
                Err(reason) => assert!(reason.to_string().ends_with("no call is left"), "{reason}"),
            }
            calls += 1;
        }
        assert!(calls >= 5, "{name} makes only {calls} calls");
    }
}
