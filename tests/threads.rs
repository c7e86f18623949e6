//! `wait` and `threads`: the process starts itself once more where OpenMP must wait in another way.

use std::process::{Command, Output};

use crate::run::{Run, built};

/// What OpenMP shows of itself each time it is loaded: its rounds of waiting. Then exit code and last line.
fn told(words: &str, environment: &[(&str, &str)]) -> (Vec<String>, i32, String) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{words} data='no where.yaml'")]).env_clear();
    command.env("TRAINER", built("trainer")).env("OMP_DISPLAY_ENV", "verbose").env("OMP_NUM_THREADS", "2");
    let Output { status, stderr, .. } = command.envs(environment.iter().copied()).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    let rounds = stderr.lines().filter_map(|line| line.trim().strip_prefix("GOMP_SPINCOUNT = "));
    let rounds = rounds.map(|rounds| rounds.trim_matches('\'').to_owned()).collect();
    (rounds, status.code().unwrap(), stderr.lines().last().unwrap().to_owned())
}

#[test]
fn it_starts_itself_once_with_the_same_words() {
    let (rounds, code, last) = told("exec $TRAINER wait=passive", &[]);
    assert_eq!((rounds, code), (vec!["300000".into(), "0".into()], 1), "{last}");
    assert!(last.starts_with("error: cannot read no where.yaml: "), "{last}");
}

#[test]
fn it_does_not_start_itself_where_it_waits_in_that_way_already() {
    for (words, environment, rounds) in [
        ("exec $TRAINER wait=active", &[][..], "300000"),
        ("exec $TRAINER wait=passive", &[("OMP_WAIT_POLICY", "passive")], "0"),
        ("exec $TRAINER", &[("OMP_WAIT_POLICY", "passive")], "0"),
        ("exec $TRAINER threads=1 wait=passive", &[], "300000"),
        ("exec $TRAINER wait=never", &[("GOMP_SPINCOUNT", "7")], "7"),
    ] {
        assert_eq!(told(words, environment).0, [rounds], "{words}");
    }
}

#[test]
fn what_is_asked_for_goes_before_the_environment() {
    let rounds = told("exec $TRAINER wait=active", &[("OMP_WAIT_POLICY", "passive")]).0;
    assert_eq!(rounds, ["0", "300000"]);
}

#[test]
fn it_never_starts_itself_twice() {
    let (rounds, code, _) = told("TRAINER_RESTARTED=$$ exec $TRAINER wait=passive", &[]);
    assert_eq!((rounds, code), (vec!["300000".into()], 1), "a mark with its own number");
    let (rounds, ..) = told("TRAINER_RESTARTED=1 exec $TRAINER wait=passive", &[]);
    assert_eq!(rounds, ["300000", "0"], "a mark that it has inherited");
}

#[test]
fn a_run_goes_through_in_the_same_directory() {
    let run = Run::new().write("run.toml", "[train]\nwait = 'passive'\nthreads = 2\n").keys("--config run.toml");
    run.expect(0);
    let saved = run.read("runs/train/train/run.toml");
    assert!(saved.contains("\nthreads = 2\nwait = \"passive\"\n"), "{saved}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let wait = Run::new().keys("wait=idle").expect(1);
    assert_eq!(wait, "wait=idle: unknown variant `idle`, expected one of `active`, `passive`, `auto`");
    assert_eq!(Run::new().keys("threads=0").expect(1), "threads=0 computes nothing; give at least threads=1");
    let run = Run::new().write("run.toml", "[train]\nwait = 'idle'\n").keys("--config run.toml");
    assert!(run.expect(1).starts_with("run.toml:2: cannot read `wait = 'idle'`: unknown variant `idle`"));
}
