//! Means of the loss terms over an epoch, summed on the device.

use anyhow::{Result, bail};
use tch::{Kind, Tensor};

/// Sums by name.
#[derive(Debug, Default)]
pub struct Means {
    sums: Vec<(String, Tensor)>,
    count: usize,
}

impl Means {
    /// Adds the terms of one batch.
    ///
    /// # Errors
    /// If a term is no scalar.
    pub fn add(&mut self, terms: &[(String, Tensor)]) -> Result<()> {
        self.count += 1;
        for (name, term) in terms {
            let term = term.f_to_kind(Kind::Double)?;
            match self.sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = sum.f_add(&term)?,
                None => self.sums.push((name.clone(), term)),
            }
        }
        Ok(())
    }

    /// The means; waits for the device.
    ///
    /// # Errors
    /// If a mean is not finite: the message names all terms.
    pub fn finish(&self) -> Result<Vec<(String, f64)>> {
        let mean = |(name, sum): &(String, Tensor)| Ok((name.clone(), f64::try_from(sum)? / self.count as f64));
        finite(self.sums.iter().map(mean).collect::<Result<_>>()?)
    }
}

/// Passes terms on if all of them are finite.
///
/// # Errors
/// A message that shows all terms.
pub fn finite(terms: Vec<(String, f64)>) -> Result<Vec<(String, f64)>> {
    if terms.iter().all(|(_, value)| value.is_finite()) {
        return Ok(terms);
    }
    let shown: Vec<String> = terms.iter().map(|(name, value)| format!("{name}={value}")).collect();
    bail!("the loss is not finite any more ({}); a lower lr0 or a longer warm-up may help", shown.join(", "))
}
