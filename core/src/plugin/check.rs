//! `trainer plugin check`: whether a plugin keeps the contract of its kinds.

mod augmentation;
mod cases;
mod child;
mod descriptors;
mod determinism;
mod exporter;
mod exports;
mod failures;
mod faults;
mod faulty;
mod gradients;
mod host;
mod instances;
mod list;
mod loads;
mod loss;
mod losses;
mod options;
mod outcome;
mod report;
mod runs;
mod samples;
mod scheduler;
mod schedules;
mod state;
mod static_file;
mod subject;
mod usage;
mod work;

use std::{
    iter,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use trainer_loader::{Found, LoadOptions, inspect};
use trainer_sdk::component;

use self::{
    list::{CHECKS, Check, Done, Scope},
    outcome::{Outcome, Row, printable},
    work::{Component, Work},
};
use crate::{near::near, report::print_result};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The plugin's file
    #[arg(required_unless_present = "builtin", conflicts_with = "builtin")]
    file: Option<PathBuf>,
    /// Check the built-in components
    #[arg(long)]
    builtin: bool,
    /// Run only this check, by number or name; may be repeated
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
    /// Check only the component of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    component: Vec<String>,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
    /// Write the report as JUnit, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Chooses what is random in the checks
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Seconds that a check may take on one component
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
    /// Run all checks in this process, for debuggers: the first crash ends it
    #[arg(long)]
    in_process: bool,
    /// Run this check as the child of another process
    #[arg(long, hide = true)]
    child: Option<u8>,
    /// A component, KIND/NAME, for the child
    #[arg(long, hide = true)]
    of: Vec<String>,
}

/// The exit code: 0 all passed, 1 a check failed (or the command line is wrong, and no check was run), 2 a check crashed or
/// the file was refused.
pub(super) fn check(args: &Args) -> Result<u8> {
    let found = args.file.as_ref().map(|file| trainer_loader::resolve(file, &trainer_loader::search_path()));
    let found = found.transpose()?;
    if let Some(number) = args.child {
        let check = CHECKS.iter().find(|check| check.number == number).context("there is no such check")?;
        let components = args.of.iter().filter_map(|it| it.split_once('/'));
        let components: Vec<Component> = components.map(|(kind, name)| (kind.into(), name.into())).collect();
        let work = Work { check, found: found.as_ref(), seed: args.seed, printed: None };
        child::serve(work, &components)?;
        return Ok(0);
    }
    let checks = chosen(&args.only)?;
    if let Some(folder) = args.junit.as_deref().and_then(Path::parent).filter(|it| !it.as_os_str().is_empty()) {
        ensure!(folder.is_dir(), "--junit: there is no folder {}; make it first", folder.display());
    }
    let components = components(found.as_ref(), &args.component)?;
    let run = |check: &Check| run(check, args, found.as_ref(), &components);
    let applying = checks.iter().filter(|check| !(args.builtin && check.needs_file()));
    let mut rows = in_order(applying, args.in_process, run)?;
    for row in &mut rows {
        (row.component, row.reason) = (printable(&row.component), printable(&row.reason));
    }
    let exit = rows.iter().map(|row| row.outcome.code()).max().unwrap_or(0);
    let subject =
        found.as_ref().map_or("built-in components".into(), |found| printable(&found.path.display().to_string()));
    match args.json {
        true => print_result(&report::json(&subject, &rows, exit).to_string()),
        false => report::print_table(&rows),
    }
    if let Some(path) = &args.junit {
        report::write_junit(path, &subject, &rows)?;
    }
    Ok(exit)
}

/// Runs the checks that say whether the file can be loaded at all, then the others side by side, or one by one; their rows
/// in the order of the checks.
fn in_order<'a>(
    checks: impl Iterator<Item = &'a Check>,
    one_by_one: bool,
    run: impl Fn(&Check) -> Result<Vec<Row>> + Sync,
) -> Result<Vec<Row>> {
    let (gates, others): (Vec<_>, Vec<_>) = checks.partition(|check| one_by_one || check.decides_loading());
    let mut rows: Vec<Row> = Vec::new();
    for check in gates {
        rows.extend(match rows.iter().find(|row| row.is_end()) {
            Some(end) => vec![in_vain(check, end)],
            None => run(check)?,
        });
    }
    if let Some(end) = rows.iter().find(|row| row.is_end()).cloned() {
        rows.extend(others.into_iter().map(|check| in_vain(check, &end)));
        return Ok(rows);
    }
    // Most of a check's time is that of its process to start.
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let (sender, done) = mpsc::channel();
    thread::scope(|scope| {
        for sender in vec![sender; workers] {
            let mine = iter::from_fn(|| others.get(next.fetch_add(1, Ordering::Relaxed)));
            let run = &run;
            scope.spawn(move || mine.for_each(|check| drop(sender.send(run(check)))));
        }
    });
    let mut others = done.into_iter().collect::<Result<Vec<_>>>()?.concat();
    others.sort_by_key(|row| row.number);
    rows.append(&mut others);
    Ok(rows)
}

/// Runs one check on the components that it applies to.
fn run(check: &Check, args: &Args, found: Option<&Found>, components: &[Component]) -> Result<Vec<Row>> {
    let mut applying = components.to_vec();
    if let Scope::Components(kinds, _) = check.scope {
        applying.retain(|(kind, _)| kinds.contains(&kind.as_str()));
        if applying.is_empty() && !components.is_empty() {
            return Ok(vec![skipped(check, &format!("there is no {}", kinds.join(" and no ")))]);
        }
    }
    if args.in_process {
        let mut rows = Vec::new();
        let work = Work { check, found, seed: args.seed, printed: None };
        work.run(&applying, |_| {}, |row| rows.push(Row { trace: Vec::new(), ..row }))?;
        return Ok(rows);
    }
    let subject = found.map_or("--builtin".into(), |found| found.path.clone().into_os_string());
    let words = ["--seed".into(), args.seed.to_string().into(), subject];
    let in_process = || child::run(check, &words, &applying, Duration::from_secs(args.timeout));
    let rows = in_process()?;
    if rows.iter().all(|row| row.trace.is_empty()) {
        return Ok(rows);
    }
    Ok(determinism::compare(rows, &in_process()?))
}

fn in_vain(check: &Check, end: &Row) -> Row {
    let what = if end.outcome == Outcome::Refused { "was refused" } else { "made the process crash" };
    skipped(check, &format!("the file {what} in check {}", end.number))
}

fn skipped(check: &Check, reason: &str) -> Row {
    Row { outcome: Outcome::Skipped, reason: reason.into(), ..Row::of(check) }
}

/// The checks of these numbers or names, in order; all if none are named.
fn chosen(only: &[String]) -> Result<Vec<Check>> {
    let is = |check: &Check, word: &String| check.name == word || check.number.to_string() == *word;
    if let Some(word) = only.iter().find(|word| !CHECKS.iter().any(|check| is(check, word))) {
        let names = CHECKS.iter().map(|check| format!("{} {}", check.number, check.name)).collect::<Vec<_>>();
        let near = near(word, CHECKS.iter().map(|check| check.name));
        bail!("--only {word}: there is no such check; there are {}{near}", names.join(", "));
    }
    Ok(CHECKS.into_iter().filter(|check| only.is_empty() || only.iter().any(|word| is(check, word))).collect())
}

/// The components of the file, read from its manifest, or the built-in ones; those of the names, if any.
fn components(found: Option<&Found>, names: &[String]) -> Result<Vec<Component>> {
    let mut all: Vec<Component> = match found {
        Some(found) => match inspect(found, &LoadOptions::default()).manifest {
            Some(manifest) => manifest.components.into_iter().map(|it| (it.kind, it.name)).collect(),
            None => return Ok(Vec::new()), // the first check refuses it, with the reason
        },
        None => component::all().iter().map(|it| (it.maker.kind().into(), it.name.into())).collect(),
    };
    if let Some(name) = names.iter().find(|name| !all.iter().any(|(_, known)| known == *name)) {
        let known: Vec<_> = all.iter().map(|(_, name)| name.as_str()).collect();
        bail!(
            "--component {name}: there is none of that name; there are {}{}",
            known.join(", "),
            near(name, known.iter().copied())
        );
    }
    all.retain(|(_, name)| names.is_empty() || names.contains(name));
    ensure!(found.is_some() || !all.is_empty(), "there are no built-in components");
    Ok(all)
}
