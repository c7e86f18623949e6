//! An amount of memory as people write it: `8GiB`, `512 MB`, `6000000000`.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Units and their bytes; those that a text ends with are looked for in this order.
const UNITS: [(&str, f64); 8] = [
    ("KIB", 1024.0),
    ("MIB", 1048576.0),
    ("GIB", 1073741824.0),
    ("TIB", 1099511627776.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

/// A number of bytes, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let upper = text.trim().to_uppercase();
        let unit = UNITS.iter().find(|(unit, _)| upper.ends_with(unit));
        let (unit, factor) = unit.copied().unwrap_or(("", 1.0));
        let number = upper.trim_end_matches(unit).trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let form = "give bytes, or a number with MiB or GiB (powers of 1024), MB or GB (of 1000), such as 8GiB";
        let bytes = number.with_context(|| format!("`{text}` is no amount of memory: {form}"))? * factor;
        ensure!(bytes >= 1.0, "`{text}` is less than one byte: {form}");
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Bytes {
    /// `1.5 GiB`, `340 MiB`: rounded, in powers of 1024.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 as f64 / 1048576.0;
        match mib {
            1024.0.. => write!(f, "{:.1} GiB", mib / 1024.0),
            10.0.. => write!(f, "{mib:.0} MiB"),
            _ => write!(f, "{mib:.1} MiB"),
        }
    }
}

impl Serialize for Bytes {
    /// A number: exact.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected an amount of memory such as 8GiB")]
        enum Given {
            Number(f64),
            Text(String),
        }
        let text = match Given::deserialize(deserializer)? {
            Given::Number(number) => number.to_string(),
            Given::Text(text) => text,
        };
        text.parse().map_err(|reason: anyhow::Error| D::Error::custom(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let bytes = |text: &str| text.parse::<Bytes>().unwrap().0;
        assert_eq!(["8GiB", "8 gib", " 8GIB "].map(bytes), [8 << 30; 3]);
        assert_eq!(["1.5MiB", "2KiB", "1TiB"].map(bytes), [3 << 19, 2048, 1 << 40]);
        assert_eq!(
            ["6GB", "0.5MB", "3kb", "7B", "6000000000"].map(bytes),
            [6_000_000_000, 500_000, 3000, 7, 6_000_000_000]
        );
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let message = |text: &str| text.parse::<Bytes>().unwrap_err().to_string();
        let form = "give bytes, or a number with MiB or GiB (powers of 1024), MB or GB (of 1000), such as 8GiB";
        for text in ["lots", "", "GiB", "nan", "inf", "8 GiBs", "8.0.0GiB", "1e400"] {
            assert_eq!(message(text), format!("`{text}` is no amount of memory: {form}"));
        }
        for text in ["0", "-1", "-8GiB", "0.5"] {
            assert_eq!(message(text), format!("`{text}` is less than one byte: {form}"));
        }
    }

    #[test]
    fn amounts_are_shown_short_and_saved_exactly() {
        let shown = |bytes| Bytes(bytes).to_string();
        assert_eq!(
            [6_442_450_944, 5_905_580_032, 356_515_840, 1_572_864].map(shown),
            ["6.0 GiB", "5.5 GiB", "340 MiB", "1.5 MiB"]
        );
        let read = |json: &str| serde_json::from_str::<Bytes>(json);
        assert_eq!(read("\"6GiB\"").unwrap(), Bytes(6 << 30));
        assert_eq!(read(&serde_json::to_string(&Bytes(6_442_450_945)).unwrap()).unwrap(), Bytes(6_442_450_945));
        assert!(read("true").unwrap_err().to_string().contains("expected an amount of memory such as 8GiB"));
    }
}
