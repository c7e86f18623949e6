//! What a run file says about memory.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Whether the trainer cares for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Care {
    /// Plans micro-batches within the budget, and repeats a step that ran out of memory with smaller ones.
    #[default]
    Auto,
    /// Neither: running out of memory ends the run.
    Off,
}

/// Over what the loss terms of a batch that runs in parts are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normaliser {
    /// Over each micro-batch for itself.
    #[default]
    Micro,
    /// Over the whole batch, for which it goes through the network twice.
    Batch,
}

/// Images at once: a number, or as many as fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// `-1` or `auto`: as many as fit into memory.
    Auto,
    /// So many.
    Images(usize),
}

impl BatchSize {
    /// The number where there is one.
    #[must_use]
    pub fn images(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Images(images) => Some(images),
        }
    }

    /// The number where there is one, else `otherwise`.
    #[must_use]
    pub fn or(self, otherwise: usize) -> usize {
        self.images().unwrap_or(otherwise)
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Images(images) => images.fmt(f),
        }
    }
}

impl Serialize for BatchSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_i64(-1),
            Self::Images(images) => images.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Given::deserialize(deserializer)? {
            Given::Number(-1) => Ok(Self::Auto),
            Given::Text(text) if text.eq_ignore_ascii_case("auto") => Ok(Self::Auto),
            Given::Number(images) if images >= 0 => Ok(Self::Images(images as usize)),
            given => Err(D::Error::custom(format!("{given} is no batch size: give a number from 1 up, or auto (-1)"))),
        }
    }
}

/// Whether blocks are computed again in the backward instead of being kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checkpointing {
    /// Where the plan is faster with it, or fits only so.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Serialize for Checkpointing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            on_or_off => serializer.serialize_bool(*on_or_off == Self::On),
        }
    }
}

impl<'de> Deserialize<'de> for Checkpointing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Given::deserialize(deserializer)? {
            Given::Switch(true) => Ok(Self::On),
            Given::Switch(false) => Ok(Self::Off),
            Given::Text(text) if text.eq_ignore_ascii_case("auto") => Ok(Self::Auto),
            given => Err(D::Error::custom(format!("{given} is neither True, False nor auto"))),
        }
    }
}

/// What users write for options that take words and numbers.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, a word, true or false")]
enum Given {
    Switch(bool),
    Number(i64),
    Decimal(f64),
    Text(String),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => on.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(json: &str) -> Result<T, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn batch_sizes_are_numbers_or_auto() {
        assert_eq!(["-1", "\"auto\"", "\"AUTO\""].map(|json| read::<BatchSize>(json).unwrap()), [BatchSize::Auto; 3]);
        assert_eq!(read("256"), Ok(BatchSize::Images(256)));
        for (json, shown) in [("-2", "-2"), ("\"abc\"", "`abc`"), ("1.5", "1.5"), ("true", "true")] {
            let message = read::<BatchSize>(json).unwrap_err();
            assert!(
                message.starts_with(&format!("{shown} is no batch size: give a number from 1 up, or auto")),
                "{message}"
            );
        }
        let saved = [BatchSize::Auto, BatchSize::Images(7)].map(|size| serde_json::to_string(&size).unwrap());
        assert_eq!(saved, ["-1", "7"]);
        assert_eq!((BatchSize::Auto.or(16), BatchSize::Images(7).or(16)), (16, 7));
    }

    #[test]
    fn checkpointing_is_a_switch_or_auto() {
        let all = [Checkpointing::Auto, Checkpointing::On, Checkpointing::Off];
        let saved = all.map(|it| serde_json::to_string(&it).unwrap());
        assert_eq!(saved, ["\"auto\"", "true", "false"]);
        assert_eq!(saved.map(|json| read::<Checkpointing>(&json).unwrap()), all);
        let message = read::<Checkpointing>("\"some\"").unwrap_err();
        assert!(message.starts_with("`some` is neither True, False nor auto"), "{message}");
    }
}
