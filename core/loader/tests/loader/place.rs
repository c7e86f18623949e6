//! A folder with a plugin in it, and a cache, a lock file and keys of its own.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use trainer_loader::{Found, Inspected, LoadError, LoadOptions, Plugin, Policy, Provenance};

pub struct Place {
    dir: TempDir,
    pub options: LoadOptions,
}

impl Place {
    /// Files with a policy; `x.so` is the fixture plugin.
    pub fn new(policy: Policy) -> Self {
        let place = Self::empty(policy);
        place.write("x.so", fs::read(built("librogue.so")).unwrap());
        place
    }

    pub fn empty(policy: Policy) -> Self {
        trainer_loader::install_no_tensors();
        let dir = tempfile::tempdir().unwrap();
        let path = |name| Some(dir.path().canonicalize().unwrap().join(name));
        let probe = Some(env!("CARGO_BIN_EXE_trainer-probe").into());
        let (lock, keys, cache) = (path("config/plugins.lock"), path("keys"), path("cache"));
        let options = LoadOptions { policy: Some(policy), lock, keys, cache, probe };
        Self { dir, options }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        self.mode(name, 0o644);
        path
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn found(&self, name: &str) -> Found {
        Found { path: self.path(name), provenance: Provenance::Explicit }
    }

    pub fn load(&self, name: &str) -> Result<Plugin, LoadError> {
        trainer_loader::load(&self.found(name), &self.options)
    }

    pub fn inspect(&self, name: &str) -> Inspected {
        trainer_loader::inspect(&self.found(name), &self.options)
    }

    /// Text of the loader, with `~` for the folder.
    pub fn short(&self, text: &str) -> String {
        text.replace(self.path("").to_str().unwrap(), "~/")
    }

    /// The message of the refusal, apart from its code, which is compared.
    pub fn refusal(&self, name: &str, code: &str) -> String {
        self.message(&self.load(name).err().unwrap_or_else(|| panic!("{name} was loaded")), code)
    }

    pub fn message(&self, error: &LoadError, code: &str) -> String {
        let text = self.short(&error.to_string());
        assert_eq!(error.code(), code, "{text}");
        text.strip_suffix(&format!(" [{code}]")).unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// The warnings of a plugin that is loaded.
    pub fn warnings(&self, name: &str) -> Vec<String> {
        let plugin = self.load(name).unwrap();
        assert_eq!(plugin.components.len(), 1);
        plugin.warnings.iter().map(|line| self.short(line)).collect()
    }

    /// Compiles C with the system's compiler.
    pub fn cc(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let (file, out) = (self.write(&format!("{name}.c"), source), self.path(name));
        let output = Command::new("cc").arg("-o").arg(&out).arg(file).args(flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.mode(name, 0o755);
        out
    }

    /// Sets the program that tries plugins out to one that sets ROGUE first, and counts its runs in `probed`.
    pub fn rogue(&mut self, what: &str) {
        let (real, count) = (env!("CARGO_BIN_EXE_trainer-probe"), self.path("probed"));
        let script = format!("#!/bin/sh\necho >> '{}'\nROGUE={what} exec '{real}' \"$@\"\n", count.display());
        self.options.probe = Some(self.write("probe.sh", script));
        self.mode("probe.sh", 0o755);
    }

    /// How often the program of [`rogue`](Self::rogue) has run.
    pub fn probed(&self) -> usize {
        fs::read_to_string(self.path("probed")).unwrap_or_default().lines().count()
    }

    /// The only file in a folder of the cache.
    pub fn only_file(&self, folder: &str) -> PathBuf {
        let mut files = fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let file = files.next().unwrap();
        assert!(files.next().is_none(), "{folder} holds one file");
        file
    }
}

/// A file that the workspace's build put beside this test or above it.
pub fn built(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap().canonicalize().unwrap();
    let found = test.ancestors().skip(1).take(2).map(|dir: &Path| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: cargo build --release --workspace"))
}
