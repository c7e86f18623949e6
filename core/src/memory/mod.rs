//! Memory: a batch of any size trains within what there is. The planner measures a step and picks micro-batches and
//! recomputation that fit a budget; what runs out of memory all the same is told from other failures here.

mod bytes;
mod guard;
mod options;
mod plan;
mod planner;
mod probe;
mod process;

pub use bytes::Bytes;
pub use guard::{guarded, is_guarded};
pub use options::{BatchSize, Care, Checkpointing, Normaliser};
pub use plan::{Decision, Plan, Subject, decide};
pub use planner::{Choice, Cost, Demand, Level, Measure, choose};
pub use process::{Limit, Peaks};

/// What libtorch, its allocators and the libraries below it say when memory is out.
const SAYINGS: [&str; 5] = [
    "out of memory",
    "DefaultCPUAllocator: not enough memory",
    "DefaultCPUAllocator: can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
];

/// Memory is out, and there is nothing left that the trainer could do.
#[derive(Debug, thiserror::Error)]
#[error(
    "{when}: {reason}; take a smaller imgsz or model, set gradient_checkpointing=True, or give more memory (memory_budget, \
     where one is set)"
)]
pub struct OutOfMemory {
    when: String,
    reason: String,
}

impl OutOfMemory {
    /// The end of a run: what was tried, and the error that came of it.
    #[must_use]
    pub fn new(when: impl Into<String>, error: &anyhow::Error) -> Self {
        Self { when: when.into(), reason: reason(error).unwrap_or_else(|| error.to_string()) }
    }
}

/// Whether an error says that memory is out, on whatever device.
#[must_use]
pub fn is_out_of_memory(error: &anyhow::Error) -> bool {
    reason(error).is_some()
}

/// An error as it is, but one that says that memory is out together with what may be changed.
#[must_use]
pub fn advise(error: anyhow::Error) -> anyhow::Error {
    match is_out_of_memory(&error) && !error.is::<OutOfMemory>() {
        true => OutOfMemory::new("out of memory", &error).into(),
        false => error,
    }
}

/// Whether a text says that memory is out.
fn says_so(text: &str) -> bool {
    SAYINGS.iter().any(|saying| text.contains(saying))
}

/// The first line that says so, without what tch puts around it.
fn reason(error: &anyhow::Error) -> Option<String> {
    let text = error.chain().map(ToString::to_string).find(|text| says_so(text))?;
    let line = text.lines().find(|line| says_so(line))?;
    Some(line.trim_start_matches("Internal torch error: ").trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};
    use tch::{Device, Kind, TchError, Tensor};

    use super::*;
    use crate::torch::{Arg, Cpu, Operator};

    #[test]
    fn errors_of_all_allocators_are_known() {
        for text in [
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 22.00 GiB",
            "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ] {
            let error = anyhow::Error::new(TchError::Torch(format!("{text}\nframe #0: c10::Error")));
            assert!(is_out_of_memory(&error.context("loss detection")), "{text}");
        }
        assert!(!is_out_of_memory(&anyhow!("the size of tensor a (3) must match the size of tensor b (4)")));
    }

    #[test]
    fn what_our_allocator_says_is_known_from_tch_and_from_operators() {
        let tensor = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        Cpu.fail(1);
        let of_tch = anyhow::Error::new(tensor.f_add(&tensor).unwrap_err());
        let add = Operator::find("aten::add", "Tensor").unwrap();
        Cpu.fail(1);
        let of_operator = add.one(&[Arg::Tensor(&tensor), Arg::Tensor(&tensor)]).unwrap_err();
        Cpu.fail(1);
        let of_number = guarded(|| Ok(tensor.f_add_scalar(1.0)?)).unwrap_err(); // a panic of tch
        for (error, bytes) in [(of_tch, 16), (of_operator, 16), (of_number, 8)] {
            let wanted = format!("CPU out of memory: an allocation of {bytes} bytes was made to fail");
            assert_eq!(reason(&error).unwrap(), wanted);
        }
    }

    #[test]
    fn other_panics_go_on() {
        let panic = std::panic::catch_unwind(|| guarded::<()>(|| panic!("index 3 out of range"))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"index 3 out of range"));
        assert_eq!(guarded(|| Err::<(), _>(anyhow!("disk full"))).unwrap_err().to_string(), "disk full");
    }

    #[test]
    fn advice_is_given_once_and_to_nothing_else() {
        let error =
            || Err::<(), _>(TchError::Torch("CUDA out of memory. Tried.\nframe #0".into())).context("x").unwrap_err();
        let wanted = "out of memory: CUDA out of memory. Tried; take a smaller imgsz or model, set \
            gradient_checkpointing=True, or give more memory (memory_budget, where one is set)";
        let advised = advise(error());
        assert_eq!(format!("{advised:#}"), wanted);
        assert_eq!(format!("{:#}", advise(advised)), wanted);
        assert_eq!(format!("{:#}", advise(anyhow!("disk full").context("saving"))), "saving: disk full");
    }
}
