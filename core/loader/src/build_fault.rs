//! Ways of building a plugin that cannot work in this trainer.

use thiserror::Error;

use crate::{Manifest, file::FILE_LIMIT, machine};

/// A way of building that cannot work in this trainer. Each message reads after the file's name.
#[derive(Debug, Error)]
pub enum BuildFault {
    /// More bytes than any plugin has.
    #[error("has {size} bytes, a plugin has at most {FILE_LIMIT}; put large data into files of its own")]
    TooLarge {
        /// Its size.
        size: u64,
    },
    /// Another processor.
    #[error(
        "is built for {theirs}, this trainer runs on {}; rebuild it for {}",
        machine::OURS,
        trainer_sdk::export::TARGET
    )]
    OtherMachine {
        /// The file's machine.
        theirs: String,
    },
    /// An executable or an object file.
    #[error("is {kind}, not a shared library; a plugin's Cargo.toml says `crate-type = [\"cdylib\"]`")]
    NotShared {
        /// What it is.
        kind: &'static str,
    },
    /// A manifest beyond all measure.
    #[error("has a manifest of {size} bytes, the limit is {}; shorten its texts", Manifest::LIMIT)]
    ManifestTooLarge {
        /// The manifest's size.
        size: u64,
    },
    /// Another target triple.
    #[error(
        "is built for target {theirs}, this trainer for {}; rebuild it with `--target {}`",
        trainer_sdk::export::TARGET,
        trainer_sdk::export::TARGET
    )]
    OtherTarget {
        /// The target in its manifest.
        theirs: String,
    },
    /// Its panics would end the trainer.
    #[error(
        "is built with panic=abort, so that a panic in it would end the training; take `panic = \"abort\"` out of its Cargo.toml"
    )]
    PanicAbort,
    /// A second libtorch or CUDA runtime inside.
    #[error(
        "contains a libtorch or CUDA runtime of its own (it defines {symbol}); a plugin reaches the trainer's through trainer_sdk::Tensor"
    )]
    BundlesTorch {
        /// One of the symbols.
        symbol: String,
    },
    /// It would bring libtorch or a CUDA runtime along.
    #[error("links {library}; a plugin links no libtorch and reaches the trainer's through trainer_sdk::Tensor")]
    LinksTorch {
        /// The library it names.
        library: String,
    },
    /// Operators that record no gradient.
    #[error(
        "calls {symbol}, which bypasses autograd: gradients would be lost without a word; call the operator through trainer_sdk::Tensor"
    )]
    AotiSymbol {
        /// The symbol.
        symbol: String,
    },
    /// libtorch's C++ interface, which changes from release to release.
    #[error(
        "calls {symbol} of libtorch's C++ interface, which differs from release to release; call operators through trainer_sdk::Tensor"
    )]
    TorchSymbol {
        /// The symbol.
        symbol: String,
    },
    /// Data on the stack could be run.
    #[error("asks for an executable stack; link it with `-z noexecstack`")]
    ExecutableStack,
    /// Its code is rewritten when it is loaded.
    #[error("rewrites its own code when it is loaded (text relocations); compile all of it with -fPIC")]
    TextRelocations,
    /// It needs a newer C library.
    #[error("needs glibc {theirs}, this machine has {ours}; build it on a system with glibc {ours} or older")]
    Glibc {
        /// The newest version it names.
        theirs: Version,
        /// The machine's.
        ours: Version,
    },
}

impl BuildFault {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "file-too-large",
            Self::OtherMachine { .. } => "other-machine",
            Self::NotShared { .. } => "not-shared-library",
            Self::ManifestTooLarge { .. } => "manifest-too-large",
            Self::OtherTarget { .. } => "other-target",
            Self::PanicAbort => "panic-abort",
            Self::BundlesTorch { .. } => "bundles-libtorch",
            Self::LinksTorch { .. } => "links-libtorch",
            Self::AotiSymbol { .. } => "aoti-symbol",
            Self::TorchSymbol { .. } => "torch-symbol",
            Self::ExecutableStack => "executable-stack",
            Self::TextRelocations => "text-relocations",
            Self::Glibc { .. } => "glibc-too-old",
        }
    }
}

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
