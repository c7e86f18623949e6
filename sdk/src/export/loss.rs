//! Fills `trainer.loss/1` from the trait.

use super::instance::{self, exclusive};
use crate::{
    FieldMap, Loss, LossContext, ParameterMap, Predictions, Targets, Terms,
    abi::{self, Fields, LossTable, Opaque, Sink, Status, Str},
};

type Create = unsafe extern "C" fn(Str, *mut Opaque, Sink) -> Status;

pub(super) const fn table(create: Create) -> LossTable {
    LossTable {
        create,
        destroy: instance::destroy::<dyn Loss>,
        ready: instance::ready::<dyn Loss>,
        targets,
        terms,
        save: instance::save::<dyn Loss>,
        load: instance::load::<dyn Loss>,
    }
}

unsafe fn context<'a>(raw: *const abi::LossContext) -> LossContext<'a> {
    // SAFETY: the host passes a context that lives for the call.
    unsafe {
        let raw = &*raw;
        let image_ids = match raw.num_images {
            0 => &[],
            n => std::slice::from_raw_parts(raw.image_ids, n as usize),
        };
        LossContext {
            epoch: raw.epoch as usize,
            epochs: raw.epochs as usize,
            step: raw.step as usize,
            height: raw.height as usize,
            width: raw.width as usize,
            num_classes: raw.num_classes as usize,
            image_ids,
            is_training: raw.is_training != 0,
            predictions: Predictions(FieldMap::from_raw(raw.predictions)),
            parameters: ParameterMap::from_raw(raw.parameters),
        }
    }
}

unsafe extern "C" fn targets(instance: Opaque, fields: Fields, at: *const abi::LossContext, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        exclusive::<dyn Loss>(instance, error, |loss| {
            loss.targets(&mut Targets(FieldMap::from_raw(fields)), &context(at))
        })
    }
}

unsafe extern "C" fn terms(
    instance: Opaque,
    terms: Fields,
    predictions: Fields,
    targets: Fields,
    at: *const abi::LossContext,
    error: Sink,
) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        exclusive::<dyn Loss>(instance, error, |loss| {
            loss.terms(
                &mut Terms(FieldMap::from_raw(terms)),
                &Predictions(FieldMap::from_raw(predictions)),
                &Targets(FieldMap::from_raw(targets)),
                &context(at),
            )
        })
    }
}
