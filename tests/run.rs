//! A run of the real binary in a directory of its own.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Command};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// A command line, and the directory it runs in: a small data set in `data`, nothing else.
pub struct Run {
    dir: TempDir,
    /// The binary.
    pub trainer: PathBuf,
    /// The words after its name.
    pub words: Vec<String>,
}

impl Run {
    pub fn new() -> Self {
        let run = Self { dir: tempfile::tempdir().unwrap(), trainer: built("trainer"), words: Vec::new() }
            .write("data/data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n")
            .keys("data=data/data.yaml imgsz=32 epochs=1 batch=2 workers=0");
        ["train/a", "train/b", "train/c", "train/d", "val/e", "val/f"].into_iter().fold(run, |run, name| {
            let run = run.write(&format!("data/labels/{name}.txt"), "0 0.5 0.5 0.5 0.5\n1 0.3 0.4 0.2 0.2\n");
            run.write(&format!("data/images/{name}.png"), png())
        })
    }

    /// Adds words to the command line.
    pub fn keys(mut self, words: &str) -> Self {
        self.words.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    pub fn write(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub fn remove(self, name: &str) -> Self {
        fs::remove_dir_all(self.path(name)).unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every file of the directory with its content, and every folder; but nothing of the home folder, where caches are.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                if entry.path() == self.path("home") {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    files.insert(entry.path(), Vec::new());
                    dirs.push(entry.path());
                } else {
                    files.insert(entry.path(), fs::read(entry.path()).unwrap());
                }
            }
        }
        files
    }

    /// Runs and compares the exit code. Returns the message where it is an error, the whole of standard error where it
    /// is 0; `~` stands for the directory, `BIN` for the trainer's own.
    pub fn expect(&self, code: i32) -> String {
        let before = self.files();
        let output = Command::new(&self.trainer)
            .args(&self.words)
            .current_dir(&self.dir)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("home/cache"))
            .env("OMP_NUM_THREADS", "1")
            .env("RUST_BACKTRACE", "1") // asked for, and still none is shown
            .envs(env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path))) // libtorch, outside the checkout
            .output()
            .unwrap();
        let bin = self.trainer.parent().unwrap();
        let places = [(bin, "BIN"), (&bin.with_file_name("lib"), "BIN/../lib"), (self.dir.path(), "~")];
        let stderr = places.iter().fold(String::from_utf8(output.stderr).unwrap(), |text, (path, name)| {
            text.replace(path.to_str().unwrap(), name)
        });
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(!stderr.contains('\x1b') && !stderr.contains("backtrace"), "{stderr}");

        let after = self.files();
        assert!(before.iter().all(|file| after.get(file.0) == Some(file.1)), "a file was changed\n{stderr}");
        if code == 0 {
            return stderr;
        }
        let has_started = stderr.contains("run directory ");
        assert!(has_started || before == after, "something was left behind\n{stderr}");
        assert!(output.stdout.is_empty(), "{stderr}");
        let (log, message) = stderr.trim_end().rsplit_once('\n').unwrap_or(("", stderr.trim_end()));
        assert!(!log.contains("\nerror") && !log.starts_with("error") && !log.contains("panicked"), "{stderr}");
        message.strip_prefix("error: ").unwrap_or_else(|| panic!("the last line is no error\n{stderr}")).to_owned()
    }
}

/// A file that the workspace's build put beside this test or above it.
pub fn built(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap().canonicalize().unwrap();
    let found = test.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: cargo build --release --workspace"))
}

/// A picture of 64 x 64.
pub fn png() -> Vec<u8> {
    let noise = |x: u32, y: u32| Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x * x + y) as u8]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(64, 64, noise).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
