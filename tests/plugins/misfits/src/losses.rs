//! Losses.

use std::{process, thread};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, LossContext, Predictions, Result, Targets, Terms};

/// Losses without options that misbehave in pass 2.
macro_rules! losses {
    ($($name:ident($terms:ident, $preds:ident) $body:block)*) => {$(
        #[derive(Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {}

        impl Loss for $name {
            fn terms(&mut self, $terms: &mut Terms, $preds: &Predictions, _: &Targets, _: &LossContext) -> Result<()> {
                $body
            }
        }
    )*};
}

losses! {
    Nan(terms, _preds) {
        terms.set("cls", &terms.get("cls")?.mul_scalar(f64::NAN)?)
    }

    Vector(terms, preds) {
        terms.set("cls", &preds.scores()?)
    }

    Detached(terms, _preds) {
        terms.set("cls", &terms.get("cls")?.detach()?)
    }

    PanicsTerms(_terms, _preds) {
        panic!("told to panic")
    }

    Leaks(_terms, preds) {
        std::mem::forget(preds.scores()?);
        Ok(())
    }

    Syncs(terms, _preds) {
        let _ = terms.get("cls")?.item();
        Ok(())
    }

    Random(terms, _preds) {
        let factor = 1.0 + crate::some_number() as f64 / u64::MAX as f64;
        terms.set("cls", &terms.get("cls")?.mul_scalar(factor)?)
    }

    BadGradient(terms, preds) {
        let scores = preds.scores()?;
        let right = scores.detach()?.mul_scalar(2.0)?;
        let value = scores.mul(&scores)?.sum()?;
        terms.set_with_gradients("cls", &value, &[(&scores, &right.mul_scalar(2.0)?)])
    }

    Exits(_terms, _preds) {
        process::exit(0)
    }

    Aborts(_terms, _preds) {
        eprintln!("told to abort");
        process::abort()
    }

    Hangs(_terms, _preds) {
        loop {
            thread::park();
        }
    }
}
