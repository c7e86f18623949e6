//! Fills `trainer.augmentation/1` from the trait.

use super::instance::{self, exclusive, shared};
use crate::{
    AugmentContext, Augmentation, Rng, Sample,
    abi::{self, AugmentationTable, Opaque, Sink, Status, Str},
};

type Create = unsafe extern "C" fn(Str, *mut Opaque, Sink) -> Status;

pub(super) const fn table(create: Create) -> AugmentationTable {
    AugmentationTable { create, destroy: instance::destroy::<dyn Augmentation>, ready, partners, apply }
}

unsafe extern "C" fn ready(instance: Opaque, run: Str, error: Sink) -> Status {
    // SAFETY: all pointers live for the call; the host calls this before it shares the instance.
    unsafe {
        exclusive::<dyn Augmentation>(instance, error, |augmentation| {
            augmentation.ready(&serde_json::from_slice(run.as_bytes())?)
        })
    }
}

unsafe extern "C" fn partners(instance: Opaque) -> u32 {
    let (mut count, mut unheard) = (0, Vec::new()); // after a panic there are none: this function has no other answer
    // SAFETY: the instance is one that `create` made.
    unsafe {
        shared::<dyn Augmentation>(instance, Sink::to(&mut unheard), |augmentation| {
            count = u32::try_from(augmentation.partners())?;
            Ok(())
        });
    }
    count
}

unsafe extern "C" fn apply(
    instance: Opaque,
    sample: abi::Sample,
    partners: *const abi::Sample,
    num_partners: usize,
    cx: *const abi::AugmentContext,
    error: Sink,
) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        shared::<dyn Augmentation>(instance, error, |augmentation| {
            let handles = if num_partners == 0 { &[] } else { std::slice::from_raw_parts(partners, num_partners) };
            let mut partners: Vec<_> = handles.iter().map(|&handle| Sample::from_raw(handle)).collect();
            let cx = &*cx;
            let mut rng = Rng::from_seed(cx.seed);
            let (epoch, epochs) = (cx.epoch as usize, cx.epochs as usize);
            let mut cx = AugmentContext { rng: &mut rng, epoch, epochs, imgsz: cx.imgsz };
            augmentation.apply(&mut Sample::from_raw(sample), &mut partners, &mut cx)
        })
    }
}
