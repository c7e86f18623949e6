//! Registration: built-ins and plugins alike submit a [`Component`] to `inventory`, under a kind and a name.

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Augmentation, Exporter, Loss, Scheduler};

/// A part that can take a socket: its name, its options and how it is made.
pub struct Component {
    /// The name in run files and on the command line, unique within its kind.
    pub name: &'static str,
    /// One sentence on what it does.
    pub doc: &'static str,
    /// Keys that stand for one of its options: `("label_smoothing", "epsilon")`.
    pub aliases: &'static [(&'static str, &'static str)],
    /// The JSON Schema of its options, defaults and ranges included.
    pub schema: fn() -> serde_json::Value,
    /// Makes an instance.
    pub maker: Maker,
}

inventory::collect!(Component);

/// Makes an instance from options as JSON text; keys that are left out take their defaults.
#[derive(Clone, Copy)]
pub enum Maker {
    /// Changes samples.
    Augmentation(fn(&str) -> Result<Box<dyn Augmentation>>),
    /// Sets learning rates.
    Scheduler(fn(&str) -> Result<Box<dyn Scheduler>>),
    /// Takes part in the loss.
    Loss(fn(&str) -> Result<Box<dyn Loss>>),
    /// Writes models in another format.
    Exporter(fn(&str) -> Result<Box<dyn Exporter>>),
}

/// The lower-case constructors that [`component!`](crate::component!) calls with the kind's name.
impl Maker {
    /// A maker of augmentations.
    #[must_use]
    pub const fn augmentation<T: Augmentation + DeserializeOwned + 'static>() -> Self {
        Self::Augmentation(|json| Ok(Box::new(parse::<T>(json)?)))
    }

    /// A maker of schedulers.
    #[must_use]
    pub const fn scheduler<T: Scheduler + DeserializeOwned + 'static>() -> Self {
        Self::Scheduler(|json| Ok(Box::new(parse::<T>(json)?)))
    }

    /// A maker of losses.
    #[must_use]
    pub const fn loss<T: Loss + DeserializeOwned + 'static>() -> Self {
        Self::Loss(|json| Ok(Box::new(parse::<T>(json)?)))
    }

    /// A maker of exporters.
    #[must_use]
    pub const fn exporter<T: Exporter + DeserializeOwned + 'static>() -> Self {
        Self::Exporter(|json| Ok(Box::new(parse::<T>(json)?)))
    }

    /// The kind's name, as in run files and manifests.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Augmentation(_) => "augmentation",
            Self::Scheduler(_) => "scheduler",
            Self::Loss(_) => "loss",
            Self::Exporter(_) => "exporter",
        }
    }
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).context("cannot take these options")
}

/// The JSON Schema of an options struct.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// All components of this binary (a plugin sees its own, the trainer its built-ins), sorted by kind and name.
#[must_use]
pub fn all() -> Vec<&'static Component> {
    let mut components: Vec<_> = inventory::iter::<Component>.into_iter().collect();
    components.sort_by_key(|component| (component.maker.kind(), component.name));
    components
}

/// Registers components: `kind "name" "what it does": Type`, with aliases for keys, separated by semicolons.
///
/// The type's fields are its options; it implements the trait of its kind, `Deserialize` and `JsonSchema`.
#[macro_export]
macro_rules! component {
    ($($kind:ident $name:literal $doc:literal : $type:ty $(, alias $key:literal = $option:literal)*);+ $(;)?) => {
        $($crate::inventory::submit! {
            $crate::component::Component {
                name: $name,
                doc: $doc,
                aliases: &[$(($key, $option)),*],
                schema: $crate::component::schema_of::<$type>,
                maker: $crate::component::Maker::$kind::<$type>(),
            }
        })+
    };
}
