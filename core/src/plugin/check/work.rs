//! Runs one check over components, in this process.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use trainer_loader::{Found, LoadError, conformance};

use super::{
    Done, host,
    list::{Check, Scope},
    outcome::{Outcome, Row},
    static_file,
    subject::{Subject, words},
    usage,
};
use crate::registry::Registry;

/// What is checked: a component by kind and name, or the file.
pub type Component = (String, String);

/// One check of one file, or of the built-in components.
pub struct Work<'a> {
    pub check: &'a Check,
    pub found: Option<&'a Found>,
    pub seed: u64,
    /// What the process has printed, where that is known.
    pub printed: Option<File>,
}

impl Work<'_> {
    /// Runs the check on each component, or once on the file, and tells `begin` and `end` of each.
    pub fn run(&self, components: &[Component], mut begin: impl FnMut(&str), mut end: impl FnMut(Row)) -> Result<()> {
        let start = Instant::now();
        let found = || self.found.context("this check looks at a file");
        if let Scope::File = self.check.scope {
            begin("");
            end(self.row("", start, static_file::check(found()?).map(|()| Done::Passed)));
            return Ok(());
        }
        begin("");
        let threads = usage::threads()?.len();
        host::watch();
        let mut registry = Registry::built_in();
        let mut loading = Duration::ZERO;
        if let Some(found) = self.found {
            // Tried out before, so that the time that loading takes is its own.
            let loaded = trainer_loader::try_out(found, &registry.load_options).map_err(Into::into).and_then(|_| {
                let start = Instant::now();
                registry.load_found(found)?;
                loading = start.elapsed();
                Ok(())
            });
            if let Err(error) = loaded {
                end(Row { outcome: Outcome::Refused, ..self.row("", start, Err(error)) });
                return Ok(());
            }
        }
        let mut printed = 0;
        let quiet = self.quiet(&mut printed, "while it was loaded");
        if quiet.is_err() && self.check.decides_loading() {
            end(self.row("", start, quiet.map(|()| Done::Passed)));
        }
        let plugin = registry.plugins().first();
        let Scope::Components(_, run) = self.check.scope else {
            let outcome = plugin.context("no plugin was loaded").and_then(conformance::abi);
            end(self.row("", start, outcome.map(|()| Done::Passed)));
            return Ok(());
        };
        for (kind, name) in components {
            let label = format!("{kind} {name}");
            begin(&label);
            let start = Instant::now();
            let subject = Subject {
                registry: &registry,
                plugin,
                threads,
                loading,
                kind: kind.clone(),
                name: name.clone(),
                seed: self.seed,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&subject)));
            let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("the trainer itself panicked in this check")));
            let outcome = outcome.and_then(|done| self.quiet(&mut printed, "in this check").map(|()| done));
            end(self.row(&label, start, outcome));
        }
        Ok(())
    }

    /// Fails if something was printed since the last time.
    fn quiet(&self, before: &mut u64, when: &str) -> Result<()> {
        let Some(printed) = &self.printed else { return Ok(()) };
        trainer_loader::flush_c_streams();
        let bytes = printed.metadata()?.len();
        let new = bytes - std::mem::replace(before, bytes);
        anyhow::ensure!(
            new == 0,
            "it wrote {new} bytes to standard output {when}, which belongs to the trainer's user; log instead (in Rust: \
             trainer_sdk::tracing)"
        );
        Ok(())
    }

    fn row(&self, component: &str, start: Instant, outcome: Result<Done>) -> Row {
        let mut trace = Vec::new();
        let (outcome, reason) = match outcome {
            Ok(Done::Traced(steps)) => {
                trace = steps;
                (Outcome::Passed, String::new())
            }
            Ok(Done::Passed) => (Outcome::Passed, String::new()),
            Ok(Done::Noted(what)) => (Outcome::Passed, what),
            Ok(Done::Skipped(why)) => (Outcome::Skipped, why),
            Err(error) if error.chain().any(|cause| cause.is::<LoadError>()) => (Outcome::Refused, words(&error)),
            Err(error) => (Outcome::Failed, words(&error)),
        };
        let milliseconds = start.elapsed().as_millis() as u64;
        Row { component: component.into(), outcome, milliseconds, reason, trace, ..Row::of(self.check) }
    }
}
