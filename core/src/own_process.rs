//! For tests of what holds for a whole process: each runs in one of its own.

use std::{env, process::Command};

/// Runs `test`, the body of the test of that full name (`torch::context::tests::…`), in another process.
pub fn run(name: &str, test: impl FnOnce()) {
    const NAME: &str = "TRAINER_TEST_IN_ITS_OWN_PROCESS";
    if env::var(NAME).is_ok_and(|running| running == name) {
        return test();
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--nocapture"]).env(NAME, name).output().unwrap();
    let [told, failed] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && told.contains("1 passed"), "{told}{failed}");
}
