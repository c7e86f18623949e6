//! Memory: budgets as users give them, and runs of the real binary that have too little of it.

use std::{collections::BTreeMap, env, path::Path, process::Command};

use anyhow::Result;
use tch::{Device, Kind, Tensor};
use trainer::{
    batch::Part,
    data::loader::{RawBatch, SampleInfo},
    loss::{LossChain, LossParameters, LossPoint},
    memory::{Care, Normaliser, Peaks},
    model::{Network, Scale, Yolo12},
    registry::Registry,
    step::Step,
    torch::{Allocator as _, Cpu, from_sdk, to_sdk},
    train::learn,
};
use trainer_sdk::{Loss, LossContext, Matrix, Predictions, Size, Targets, Terms};

use crate::run::Run;

#[test]
fn what_is_no_budget_is_refused() {
    let form = "give bytes, or a number with MiB or GiB (powers of 1024), MB or GB (of 1000), such as 8GiB";
    let message = |keys: &str| Run::new().keys(keys).expect(1);
    assert_eq!(message("memory_budget=lots"), format!("memory_budget=lots: `lots` is no amount of memory: {form}"));
    assert_eq!(message("memory_budget=0"), format!("memory_budget=0: `0` is less than one byte: {form}"));
    assert_eq!(message("memory_budget=-8GiB"), format!("memory_budget=-8GiB: `-8GiB` is less than one byte: {form}"));
    let run = Run::new().write("run.toml", "[train]\nmemory_budget = \"6 GiBs\"\n").keys("--config run.toml");
    let wanted =
        format!("run.toml:2: cannot read `memory_budget = \"6 GiBs\"`: `6 GiBs` is no amount of memory: {form}");
    assert_eq!(run.expect(1), wanted);
}

#[test]
fn a_budget_below_the_weights_is_refused() {
    let message = Run::new().keys("memory_budget=10MiB").expect(1);
    let (start, end) = ("10 MiB of memory are too little: the program itself takes ", "; give a larger memory_budget");
    assert!(message.starts_with(start) && message.ends_with(end), "{message}");
    let weights = "and the weights of yolo12n with gradients, average and the optimizer's state 59 MiB";
    assert!(message.contains(weights), "2.5 million parameters of 4 bytes, six times: {message}");
    let larger = Run::new().keys("memory_budget=10MiB model=yolo12s").expect(1);
    assert!(larger.ends_with("; give a larger memory_budget or take a smaller model"), "{larger}");
}

#[test]
fn what_is_no_batch_size_is_refused() {
    let form = "is no batch size: give a number from 1 up, or auto (-1)";
    let message = |keys: &str| Run::new().keys(keys).expect(1);
    assert_eq!(message("batch=-2"), format!("batch=-2: -2 {form}"));
    assert_eq!(message("batch=abc"), format!("batch=abc: `abc` {form}"));
    assert_eq!(message("batch=1.5"), format!("batch=1.5: 1.5 {form}"));
    let auto_and_off = "batch=auto needs memory=auto, and this run has memory=off; leave one of them out";
    assert_eq!(message("batch=-1 memory=off"), auto_and_off);
    let budget_and_off = "memory_budget needs memory=auto, and this run has memory=off; leave one of them out";
    assert_eq!(message("memory_budget=8GiB memory=off"), budget_and_off);
}

#[test]
fn switches_of_memory_take_their_words_only() {
    let message = |keys: &str| Run::new().keys(keys).expect(1);
    let checkpointing = "gradient_checkpointing=some: `some` is neither True, False nor auto";
    assert_eq!(message("gradient_checkpointing=some"), checkpointing);
    let care = "memory=lean: unknown variant `lean`, expected `auto` or `off`";
    assert_eq!(message("memory=lean"), care);
    let normaliser = "normaliser=all: unknown variant `all`, expected `micro` or `batch`";
    assert_eq!(message("normaliser=all"), normaliser);
}

/// The `[train.plan]` of a run file.
fn plan(run: &Run, dir: &str) -> toml::Table {
    let file: toml::Table = run.read(&format!("runs/train/{dir}/run.toml")).parse().unwrap();
    file["train"]["plan"].as_table().unwrap().clone()
}

/// The run file of a run with other values in its plan.
fn replanned(run: &Run, dir: &str, values: &[(&str, i64)]) -> String {
    let mut file: toml::Table = run.read(&format!("runs/train/{dir}/run.toml")).parse().unwrap();
    let plan = file["train"]["plan"].as_table_mut().unwrap();
    values.iter().for_each(|(key, value)| drop(plan.insert((*key).to_owned(), (*value).into())));
    file["train"]["name"] = "again".into();
    file.to_string()
}

/// Bytes such as `12.5 MiB`, as the plan's table shows them.
fn bytes(number: &str, unit: &str) -> f64 {
    number.parse::<f64>().unwrap() * if unit == "GiB" { (1u64 << 30) as f64 } else { (1u64 << 20) as f64 }
}

#[test]
fn a_batch_that_does_not_fit_is_run_in_parts() {
    let large = "imgsz=320 batch=4 nbs=4 plots=False gradient_checkpointing=False optimizer=SGD";
    let run = Run::new().keys(large).keys("memory_budget=64GiB");
    let told = run.expect(0);
    assert!(told.contains("memory plan: batches of 4 at once, without gradient checkpointing, "), "{told}");
    let whole = plan(&run, "train");
    assert_eq!(whole["micro_batch"].as_integer(), Some(4));
    let row = told.lines().find_map(|line| line.split_once("> off")).unwrap_or_else(|| panic!("{told}")).1;
    let row = row.split_whitespace().collect::<Vec<_>>();
    let per_image = bytes(row[2], row[3]);
    let predicted = whole["predicted"].as_integer().unwrap() as f64;
    assert!(predicted > 4.0 * per_image && per_image > 20e6, "{predicted} {per_image}");

    // From its own run file it takes the plan that is there, and says nothing of measuring.
    let again = Run::new().keys(large).keys("--config again.toml").write("again.toml", replanned(&run, "train", &[]));
    let told = again.expect(0);
    assert!(told.contains("memory plan of the run file: batches of 4 at once") && !told.contains("an image"), "{told}");
    let weights =
        |run: &Run, dir: &str| std::fs::read(run.path(&format!("runs/train/{dir}/weights/last.safetensors"))).unwrap();
    assert!(weights(&run, "train") == weights(&again, "again"), "the same run");

    // With room for 2.4 images it runs out of memory at once, and goes on as a run in parts of two would.
    let limit = (predicted - 1.6 * per_image) as i64;
    let short = Run::new()
        .keys(large)
        .keys("--config again.toml")
        .write("again.toml", replanned(&run, "train", &[("limit", limit)]));
    let told = short.expect(0);
    let line = "out of memory at step 0 with 4 images at once: the step is repeated with 2, and so are those to come \
        (halving 1; the run is no longer the one that more memory would give to the bit)";
    assert_eq!(told.matches(line).count(), 1, "{told}");
    assert!(told.contains("; 2 images at once, memory ran out 1 times"), "{told}");
    let planned = [("limit", limit), ("micro_batch", 2)];
    let halves =
        Run::new().keys(large).keys("--config again.toml").write("again.toml", replanned(&run, "train", &planned));
    let told = halves.expect(0);
    assert!(told.contains("batches of 4 in 2 parts of at most 2 images") && !told.contains("out of memory"), "{told}");
    assert!(weights(&short, "again") == weights(&halves, "again"), "to the bit");
    assert!(weights(&short, "again") != weights(&run, "train"), "parts have statistics of their own");

    // Another budget is another plan.
    let other = Run::new()
        .keys(large)
        .keys("--config again.toml memory_budget=60GiB")
        .write("again.toml", replanned(&run, "train", &[]));
    let told = other.expect(0);
    assert!(
        told.contains("the memory plan of the run file is for another run (yolo12n for 2 classes at 320 px, "),
        "{told}"
    );

    // A budget that has room for 2.4 images is planned for.
    let outside = (64u64 << 30) - whole["limit"].as_integer().unwrap() as u64;
    let budget = outside as f64 + limit as f64;
    let tight = Run::new().keys(large).keys(&format!("memory_budget={budget}"));
    let told = tight.expect(0);
    assert!(
        told.contains("memory plan: batches of 4 in 2 parts of at most 2 images, ") && !told.contains("out of memory"),
        "{told}"
    );
}

#[test]
fn an_automatic_batch_is_found_and_saved() {
    let run = Run::new().keys("imgsz=64 batch=auto plots=False");
    let told = run.expect(0);
    assert!(told.contains("batch=auto without memory_budget: planning with "), "{told}");
    assert!(told.contains(", 60 % of what is free") && told.contains("memory plan: batches of 4 at once"), "{told}");
    let file: toml::Table = run.read("runs/train/train/run.toml").parse().unwrap();
    assert_eq!(file["train"]["batch"].as_integer(), Some(4), "no more than there are images");
    assert!(file["train"]["memory_budget"].as_integer().unwrap() > 100_000_000);
    let line = run.read("runs/train/train/metrics.jsonl").lines().last().unwrap().to_owned();
    let peaks = &serde_json::from_str::<serde_json::Value>(&line).unwrap()["peak_bytes"];
    assert!(peaks["tensors"].as_u64().unwrap() > 50_000_000, "{peaks}");
    assert!(peaks["process"].as_u64() > peaks["tensors"].as_u64(), "{peaks}");
}

#[test]
fn large_blocks_are_used_again_and_never_more_than_were_in_use() {
    if !is_alone("memory::large_blocks_are_used_again_and_never_more_than_were_in_use") {
        return; // other tests use memory, too
    }
    const MIB: i64 = 1 << 20;
    let make = |bytes: i64| Tensor::ones([bytes], (Kind::Uint8, Device::Cpu)); // written, so that the pages are there
    let first = make(40 * MIB);
    let place = first.data_ptr();
    drop(first);
    assert_eq!(make(40 * MIB - 1_000_000).data_ptr(), place, "rounded up they are of one size");
    assert_ne!(make(45 * MIB).data_ptr(), place);

    let resident = || Peaks::now(Device::Cpu).process.unwrap();
    Cpu.release_unused();
    let before = resident();
    let mut rng = trainer_sdk::Rng::from_key(&[7]);
    let mut held = Vec::new();
    let mut made = 0;
    for _ in 0..600 {
        let bytes = (MIB as f64 * rng.uniform(1.0, 25.0)) as i64;
        while !held.is_empty() && (held.len() >= 24 || rng.below(3) == 0) {
            held.swap_remove(rng.below(held.len()));
        }
        made += bytes;
        held.push(make(bytes));
    }
    let (used, grown) = (Cpu.peak(), resident() - before);
    assert!(made > 6000 * MIB && used < 700 << 20, "{made} {used}");
    assert!(grown < used + (8 << 20), "{grown} bytes more in the process, {used} in use at a time");
    drop(held);
    assert!(Cpu.allocated() < MIB as u64 && used > 200 << 20, "{used}");
}

/// A term of random size.
struct Noise;

impl Loss for Noise {
    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, _: &Targets, _: &LossContext) -> Result<()> {
        let scores = from_sdk(&preds.scores()?);
        let factors = Tensor::f_rand_like(&scores)?;
        terms.set("noise", &to_sdk(&scores.f_mul(&factors)?.f_sum(None::<Kind>)?))
    }
}

/// Whether this is a process for one test alone; if not, runs it in one.
fn is_alone(test: &str) -> bool {
    if env::var_os("TRAINER_TEST_ALONE").is_some() {
        return true;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args(["--exact", test]).env("TRAINER_TEST_ALONE", "1").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

#[test]
fn a_repeated_step_draws_the_same_random_numbers() {
    if !is_alone("memory::a_repeated_step_draws_the_same_random_numbers") {
        return; // the generator is the process's, and other tests go on beside this one
    }
    let (size, path) = (Size::square(64), Path::new("a"));
    let sample = |id| SampleInfo { id, path: path.into(), original: size, to_input: Matrix::IDENTITY };
    let pixels = (0..4 * size.area() * 3).map(|i| (i * i % 251) as u8).collect::<Vec<_>>();
    let (objects, samples) = (Vec::new(), (0..4).map(sample).collect());
    let raw = RawBatch { pixels: pixels.into(), size, objects, samples, skipped: Vec::new() };
    let run = |micro_batch: usize, failing: u64| {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 2);
        let mut network = Network::new(description, 3, Kind::Float, Device::Cpu).unwrap();
        let detection = Registry::built_in().loss("detection", "{}").unwrap();
        let links: Vec<(String, Box<dyn Loss>)> =
            vec![("detection".into(), detection), ("noise".into(), Box::new(Noise))];
        let parameters = LossParameters::new(Kind::Float, Device::Cpu, true);
        let mut chain = LossChain::new(links, BTreeMap::new(), parameters);
        let mut step = Step::new(&network, micro_batch, Care::Auto, Normaliser::Micro).unwrap();
        tch::manual_seed(5);
        let start = Cpu.made();
        Cpu.fail(failing);
        let part = Part::whole(&raw, 64);
        let loss = step.gradients(&part, &mut network, &mut chain, LossPoint::default(), learn).unwrap();
        let gradients = network.tensors().filter(|(_, tensor)| tensor.requires_grad()).map(|(_, tensor)| tensor.grad());
        let next = Tensor::rand([4], (Kind::Float, Device::Cpu));
        (gradients.collect::<Vec<_>>(), loss.total, next, step.halvings, Cpu.made() - start)
    };
    let (gradients, total, next, halvings, _) = run(2, 0);
    let (.., all) = run(4, 0);
    let (repeated, total_again, next_again, halvings_again, _) = run(4, all - 100);
    assert_eq!((halvings, halvings_again), (0, 1));
    assert!(total.equal(&total_again) && next.equal(&next_again));
    assert!(gradients.iter().zip(&repeated).all(|(a, b)| a.equal(b)));
}
