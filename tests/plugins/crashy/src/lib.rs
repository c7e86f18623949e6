//! A loss and an augmentation that end the process as their options say: the fixture of tests/crash.rs.
#![allow(unsafe_code)] // one write to where nothing is

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{
    AugmentContext, Augmentation, Loss, LossContext, Predictions, Result, Sample, Targets, Terms, export_plugin,
};

#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum How {
    #[default]
    Not,
    Null,
    Abort,
    Exit,
    Overflow,
    Thread,
    Aside,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Crashy {
    /// How it ends the process.
    how: How,
    /// The epoch in which it does.
    epoch: usize,
}

impl Loss for Crashy {
    fn terms(&mut self, _: &mut Terms, _: &Predictions, _: &Targets, cx: &LossContext) -> Result<()> {
        if cx.epoch == self.epoch {
            end(self.how);
        }
        Ok(())
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct CrashyPixels {
    /// How it ends the process.
    how: How,
}

impl Augmentation for CrashyPixels {
    fn apply(&self, _: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        end(self.how);
        Ok(())
    }
}

#[inline(never)]
fn end(how: How) {
    let nothing = std::hint::black_box(std::ptr::null_mut::<u8>());
    match how {
        How::Not => {}
        // SAFETY: there is none; that is what the test is about.
        How::Null => unsafe { nothing.write_volatile(0) }, // dereferences
        How::Abort => std::process::abort(),               // aborts
        How::Exit => std::process::exit(0),
        How::Overflow => drop(deeper(0)),
        How::Thread => drop(std::thread::spawn(|| end(How::Null)).join()),
        How::Aside => drop(std::thread::spawn(|| end(How::Exit)).join()),
    }
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { deeper(depth + 1) + room[0] }
}

export_plugin! {
    loss "crashy" "ends the process in terms": Crashy;
    augmentation "crashy_pixels" "ends the process in apply": CrashyPixels
}
