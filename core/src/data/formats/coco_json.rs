//! The parts of a COCO json that detection needs; everything else is passed over as it is read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A file of instances.
#[derive(Deserialize)]
pub(super) struct Instances {
    pub images: Vec<Image>,
    pub annotations: Vec<Annotation>,
    pub categories: Vec<Category>,
}

/// A file of instances read for its categories alone.
#[derive(Deserialize)]
pub(super) struct Categories {
    pub categories: Vec<Category>,
}

#[derive(Deserialize)]
pub(super) struct Image {
    pub id: Id,
    pub file_name: String,
    pub width: Option<f64>,
    pub height: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Annotation {
    pub image_id: Id,
    pub category_id: Id,
    /// Left, top, width, height.
    pub bbox: [f64; 4],
    #[serde(default)]
    pub iscrowd: Flag,
    #[serde(default)]
    pub ignore: Flag,
    #[serde(default)]
    pub segmentation: Outline,
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub id: Id,
    pub name: String,
}

/// Numbers in COCO itself; some tools write text.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(untagged, expecting = "an id is a whole number or text")]
pub(super) enum Id {
    Number(i64),
    Text(Box<str>),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.escape_debug().take(30).try_for_each(|character| write!(f, "{character}")),
        }
    }
}

/// 0, 1, false or true.
#[derive(Default)]
pub(super) struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("0 or 1")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
        Ok(Flag(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Flag, E> {
        Ok(Flag(value != 0))
    }
}

/// The polygons of an object; a run-length mask leaves none.
#[derive(Default)]
pub(super) struct Outline(pub Vec<Vec<f32>>);

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of polygons or a run-length mask")
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
        let mut polygons = Vec::new();
        while let Some(polygon) = list.next_element()? {
            polygons.push(polygon);
        }
        Ok(Outline(polygons))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Outline::default())
    }
}
