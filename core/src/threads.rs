//! Threads: how many compute (`threads`), and how they wait for one another at the end of each parallel loop (`wait`).
//!
//! OpenMP reads its waiting from the environment as it is loaded, which is before `main`. So the process starts itself once
//! more, in place, where the run asks for another policy than the one it woke up with.

use std::{
    env,
    ffi::OsString,
    fmt,
    os::unix::process::CommandExt as _,
    process::{self, Command},
};

use serde::{Deserialize, Serialize};

use crate::doctor::machine::{busy_cores, cores};

/// How threads wait for one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// In a loop of some milliseconds, then asleep: least delay, while nobody else wants the processor. What OpenMP does by
    /// itself.
    Active,
    /// Asleep: the processor is free for others at once, and for the thread that is waited for.
    Passive,
    /// As the environment says; where it says nothing, by the load at the start.
    #[default]
    Auto,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Auto => "auto",
        })
    }
}

/// What libgomp reads; the first has precedence.
const SPIN: &str = "GOMP_SPINCOUNT";
const POLICY: &str = "OMP_WAIT_POLICY";
const THREADS: &str = "OMP_NUM_THREADS";

/// Rounds of the loop for each policy. libgomp's own are 300,000, some 3 ms.
const ROUNDS: [(Wait, &str); 2] = [(Wait::Active, "300000"), (Wait::Passive, "0")];

/// Holds the process's number after it has started itself once more, so that it does not do so forever. It keeps its
/// number; the processes that it starts have others.
const RESTARTED: &str = "TRAINER_RESTARTED";

/// Threads and waiting, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// Threads that compute where `threads` is not given.
    pub compute: usize,
    /// What in the environment sets them.
    pub limited_by: Option<String>,
    /// How they wait under `wait=auto`, and why.
    pub wait: String,
}

/// Starts this process once more, in place, where `wait` asks for another policy than the present one. Arguments,
/// directory, number, descriptors, ignored signals: all stay. Where that cannot be done, the work goes on as it is.
///
/// To be called before anything else is done.
pub fn restart(wait: Wait, threads: Option<usize>) {
    let number = process::id().to_string();
    let threads = threads.unwrap_or_else(default_count);
    if threads == 1 || env::var_os(RESTARTED).is_some_and(|restarted| *restarted == *number) {
        return;
    }
    let present = present(&|name| env::var_os(name));
    let target = target(wait, present, || is_crowded(threads, busy_cores()));
    if target == present.unwrap_or(Wait::Active) {
        return;
    }
    let Some((_, rounds)) = ROUNDS.iter().find(|(policy, _)| *policy == target) else { return };
    let Ok(trainer) = env::current_exe() else { return };
    let mut words = env::args_os();
    let mut command = Command::new(trainer);
    command.arg0(words.next().unwrap_or_default()).args(words);
    command.env(RESTARTED, number).env(SPIN, rounds).env(POLICY, target.to_string());
    let error = command.exec(); // returns only where it fails
    tracing::warn!("wait={wait}: the trainer cannot start itself again: {error}");
}

/// Lets so many threads compute; without a number, [`default_count`].
pub fn compute_with(threads: Option<usize>) {
    let threads = threads.unwrap_or_else(default_count);
    if threads != usize::try_from(tch::get_num_threads()).unwrap_or(0) {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }
}

/// As many as libtorch takes by itself (the environment's number, else one a core of the machine), but no more than this
/// process has cores, which a container may limit. The environment's number stands.
#[must_use]
pub fn default_count() -> usize {
    let own = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    if env::var_os(THREADS).is_some() { own } else { own.min(cores()) }
}

/// What holds where nothing is asked for, as others keep `busy` cores busy.
#[must_use]
pub fn describe(busy: Option<f64>) -> Described {
    let compute = default_count();
    let variable = |name: &str| env::var_os(name);
    let limited_by = variable(THREADS).map(|number| format!("{THREADS}={}", number.to_string_lossy()));
    let present = present(&variable);
    let target = target(Wait::Auto, present, || is_crowded(compute, busy));
    let why = match (present, target) {
        (Some(_), _) => "the environment says so",
        (None, Wait::Passive) => "other processes want the processor",
        (None, _) => "the processor is free",
    };
    let wait = if compute == 1 { "one thread waits for nobody".to_owned() } else { format!("{target}: {why}") };
    Described { compute, limited_by, wait }
}

/// The policy that the environment asks for.
fn present(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Wait> {
    let text = |name| variable(name).map(|value| value.to_string_lossy().trim().to_lowercase());
    let by_rounds = text(SPIN).map(|rounds| if rounds == "0" { Wait::Passive } else { Wait::Active });
    by_rounds.or_else(|| match text(POLICY)?.as_str() {
        "passive" => Some(Wait::Passive),
        "active" => Some(Wait::Active),
        _ => None,
    })
}

/// The policy that is meant: active or passive.
fn target(wait: Wait, present: Option<Wait>, is_crowded: impl FnOnce() -> bool) -> Wait {
    match (wait, present) {
        (Wait::Auto, Some(present)) => present,
        (Wait::Auto, None) if is_crowded() => Wait::Passive,
        (Wait::Auto, None) => Wait::Active,
        (named, _) => named,
    }
}

/// Whether so many threads would share cores with what others keep busy.
fn is_crowded(threads: usize, busy: Option<f64>) -> bool {
    const SHARED: f64 = 0.5; // cores; less is the noise of a desktop
    busy.is_some_and(|busy| busy + threads as f64 >= cores() as f64 + SHARED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_process;

    #[test]
    fn so_many_threads_compute_as_are_asked_for() {
        own_process::run("threads::tests::so_many_threads_compute_as_are_asked_for", || {
            compute_with(Some(3));
            assert_eq!(tch::get_num_threads(), 3);
            compute_with(Some(1));
            assert_eq!((tch::get_num_threads(), describe(None).compute), (1, 1));
        });
    }

    fn of(environment: &[(&str, &str)]) -> Option<Wait> {
        present(&|name| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_environment_is_read_as_libgomp_reads_it() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(POLICY, "PASSIVE")]), Some(Wait::Passive));
        assert_eq!(of(&[(POLICY, " active ")]), Some(Wait::Active));
        assert_eq!(of(&[(POLICY, "else")]), None);
        assert_eq!(of(&[(SPIN, "0")]), Some(Wait::Passive));
        assert_eq!(of(&[(SPIN, "1000"), (POLICY, "passive")]), Some(Wait::Active), "rounds have precedence");
    }

    #[test]
    fn auto_yields_to_the_environment_and_then_to_the_load() {
        let crowded = || true;
        assert_eq!(target(Wait::Auto, None, crowded), Wait::Passive);
        assert_eq!(target(Wait::Auto, None, || false), Wait::Active);
        assert_eq!(target(Wait::Auto, Some(Wait::Active), crowded), Wait::Active);
        assert_eq!(target(Wait::Active, Some(Wait::Passive), crowded), Wait::Active, "what is asked for stands");
        assert_eq!(target(Wait::Passive, None, || false), Wait::Passive);
    }

    #[test]
    fn cores_are_shared_where_threads_and_others_are_more() {
        let all = cores();
        assert!(is_crowded(all, Some(1.0)) && is_crowded(all, Some(0.5)) && is_crowded(all + 1, Some(0.0)));
        assert!(!is_crowded(all, Some(0.3)) && !is_crowded(1, Some(0.4)) && !is_crowded(all, None));
    }
}
