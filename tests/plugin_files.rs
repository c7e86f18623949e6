//! `trainer plugin list`, `info` and `trust`, and the keys `plugin_policy` and `plugins_lock`: a trainer with a home, a
//! folder of plugins and nothing else, and what it says of them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::run::built;

/// A trainer in a folder of its own, so that no plugins lie beside it; `~` stands for the place in what it says.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let target = built("trainer").parent().unwrap().to_owned();
        let place = Self { dir: tempfile::tempdir_in(&target).unwrap() };
        for name in ["bin", "plugins"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        for name in ["trainer", "trainer-probe"] {
            fs::hard_link(target.join(name), place.path("bin").join(name)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// Puts a library of the build into the place.
    fn put(&self, library: &str, name: &str) -> &Self {
        fs::write(self.path(name), fs::read(built(library)).unwrap()).unwrap();
        self
    }

    /// Exit code, standard output, and standard error without its head `error: `.
    fn run(&self, words: &str) -> (i32, String, String) {
        let mut command = Command::new(self.path("bin/trainer"));
        command.args(words.split_whitespace()).current_dir(self.dir.path()).env_clear();
        command.env("HOME", self.path("home")).env("TRAINER_PLUGIN_PATH", self.path("plugins"));
        command.env("OMP_NUM_THREADS", "1");
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap().replace(self.path("").to_str().unwrap(), "~/");
            text.trim_end().trim_start_matches("error: ").to_owned()
        };
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The document that a command writes.
    fn json(&self, words: &str) -> Value {
        let (code, out, err) = self.run(&format!("{words} --json"));
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        serde_json::from_str(&out).unwrap()
    }

    /// Status, code and file of each plugin's component.
    fn listed(&self, words: &str) -> Vec<[String; 3]> {
        let document = self.json(&format!("plugin list {words}"));
        let rows = document["components"].as_array().unwrap().iter().filter(|row| row["file"] != Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        rows.map(|row| [text(&row["status"]), text(&row["code"]), text(&row["file"])]).collect()
    }
}

/// One row as [`Place::listed`] gives it.
fn row(status: &str, code: &str, file: &str) -> [String; 3] {
    [status, code, file].map(str::to_owned)
}

#[test]
fn list_shows_built_ins_where_there_is_nothing_else() {
    let place = Place::new();
    let (code, out, err) = place.run("plugin list");
    assert_eq!((code, err.as_str()), (0, ""));
    let version = env!("CARGO_PKG_VERSION");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "kind          name         version  status  file");
    assert_eq!(lines[1], format!("augmentation  bgr          {version}    ok      built in"));
    let places =
        "\nno plugins in\n  ~/bin\n  ~/plugins\n  ~/home/.local/share/trainer/plugins\n  ~/lib/trainer/plugins";
    assert!(out.ends_with(places), "{out}");
    assert!(!place.run("plugin list --builtin").1.contains("no plugins"));
    assert!(!place.path("home").exists(), "a list makes no folder");
}

#[test]
fn list_says_what_would_become_of_each_file() {
    let place = Place::new();
    place.put("liblabel_smooth.so", "plugins/a.so").put("liblabel_smooth.so", "plugins/b.so");
    fs::write(place.path("plugins/torn.so"), "\x7fELF and no more").unwrap();
    let all = [
        row("untrusted", "not-trusted", "~/plugins/a.so"),
        row("untrusted", "not-trusted", "~/plugins/b.so"),
        row("untrusted", "not-trusted", "~/plugins/torn.so"),
    ];
    assert_eq!(place.listed(""), all);
    let off = [
        row("ok", "-", "~/plugins/a.so"),
        row("shadowed", "-", "~/plugins/b.so"),
        row("incompatible", "not-elf", "~/plugins/torn.so"),
    ];
    assert_eq!(place.listed("--policy off"), off);
    let (_, out, _) = place.run("plugin list --policy off");
    let reason =
        "\n\nloss label_smooth of ~/plugins/b.so is shadowed: ~/plugins/a.so has that name and comes first\n\n";
    assert!(out.contains(reason), "{out}");

    place.run("plugin trust a.so");
    assert_eq!(place.listed("")[..2], [off[0].clone(), off[1].clone()], "trust is in the bytes");
    fs::set_permissions(place.path("plugins/a.so"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(place.listed("--policy off")[0], row("untrusted", "world-writable", "~/plugins/a.so"));
    assert!(!place.path("home/.cache").exists(), "nothing was copied or tried out");
}

#[test]
fn info_of_a_file_shows_where_it_stands_and_its_options() {
    let place = Place::new();
    place.put("liblabel_smooth.so", "mine.so");
    let (code, out, err) = place.run("plugin info ./mine.so");
    assert_eq!((code, err.as_str()), (0, ""));
    let abi = trainer_sdk::abi::VERSION;
    for line in [
        &format!(
            "plugin label_smooth {}\n  status    ok\n  file      ~/mine.so\n  sha256    ",
            env!("CARGO_PKG_VERSION")
        ),
        "\n  trust     not in plugins.lock\n  licence   MIT OR Apache-2.0\n",
        &format!("\n  abi       {abi}, this trainer's own\n  compiler  rustc 1."),
        "\n\nloss label_smooth: spreads part of each class target over all classes\n",
        "\n  option   type    default  range   meaning\n  epsilon  number  0.05     0 to 1  Share of each",
        "\n  label_smoothing=… stands for label_smooth.epsilon=…\n",
        "\n  on the command line\n    trainer data=data.yaml --plugin ~/mine.so label_smooth.epsilon=0.05\n",
        "\n    [[loss]]\n    use = \"label_smooth\"\n    epsilon = 0.05",
    ] {
        assert!(out.contains(line), "{line}\nis not in\n{out}");
    }
    place.run("plugin trust mine.so");
    let document = place.json("plugin info mine.so");
    let plugin = &document["plugin"];
    assert_eq!((&plugin["trust"], &plugin["status"]), (&"trusted".into(), &"ok".into()));
    assert_eq!((&plugin["abi"]["relation"], &plugin["abi"]["theirs"]), (&"same".into(), &abi.into()));
    let option = &document["components"][0]["options"][0];
    assert_eq!(
        (&option["key"], &option["type"], &option["default"]),
        (&"epsilon".into(), &"number".into(), &"0.05".into())
    );
    assert_eq!(document["components"][0]["aliases"]["label_smoothing"], "epsilon");
}

#[test]
fn info_finds_components_and_ids_by_name() {
    let place = Place::new();
    place.put("liblabel_smooth.so", "plugins/x.so");
    let (_, out, _) = place.run("plugin info label_smooth");
    assert!(out.contains("\n  status    untrusted: plugin ~/plugins/x.so is not trusted (sha256 "), "{out}");
    assert!(out.contains("\n  its options are known once it may be tried out\n"), "nothing of it ran: {out}");
    let (_, out, _) = place.run("plugin info cosine");
    assert!(out.starts_with("built-in scheduler cosine: "), "{out}");
    assert!(out.contains("    trainer data=data.yaml schedule=cosine cosine."), "{out}");
    assert_eq!(place.json("plugin info mosaic")["plugin"], Value::Null);
    let unknown = "no component or plugin is called `label_smoth`; did you mean `label_smooth`?; `trainer plugin list` \
                   shows all, and a file is named by its path";
    assert_eq!(place.run("plugin info label_smoth"), (1, String::new(), unknown.into()));
    let missing = "plugin ./no.so not found; looked for it in the working directory";
    let (code, _, err) = place.run("plugin info ./no.so");
    assert!(code == 2 && err.starts_with(missing), "{err}");
    fs::write(place.path("text.so"), "text").unwrap();
    let (code, _, err) = place.run("plugin info text.so");
    assert!(code == 2 && err.starts_with("~/text.so is not a dynamic library: "), "{err}");
}

#[test]
fn trust_is_given_and_taken_back() {
    let place = Place::new();
    place.put("liblabel_smooth.so", "plugins/a.so").put("libpanicky.so", "b.so");
    let (code, out, _) = place.run("plugin trust a.so b.so");
    let version = env!("CARGO_PKG_VERSION");
    assert!(code == 0 && out.starts_with("trusted       version  sha256        file\nlabel_smooth  "), "{out}");
    assert!(out.ends_with("~/b.so\n\nin ~/home/.config/trainer/plugins.lock"), "{out}");
    let text = fs::read_to_string(place.path("home/.config/trainer/plugins.lock")).unwrap();
    assert!(
        text.starts_with(&format!("[[plugin]]\nid = \"label_smooth\"\nversion = \"{version}\"\nsha256 = \"")),
        "{text}"
    );

    let removed = place.json("plugin trust --remove label_smooth");
    assert_eq!(removed["removed"][0]["id"], "label_smooth");
    let (code, _, err) = place.run("plugin trust --remove a.so");
    assert_eq!(
        (code, err.as_str()),
        (1, "a.so is not trusted; ~/home/.config/trainer/plugins.lock holds panicky (~/b.so)")
    );
    assert_eq!(place.run("plugin trust --remove b.so").0, 0, "by path");

    fs::write(place.path("text.so"), "text").unwrap();
    assert_eq!(place.run("plugin trust a.so missing.so --lock own.lock").0, 2);
    assert!(!place.path("own.lock").exists(), "all are found before one is entered");
    let (code, out, err) = place.run("plugin trust text.so --lock own.lock");
    assert!(code == 2 && out.is_empty() && err.starts_with("~/text.so is not a dynamic library: "), "{err}");
    assert!(!place.path("own.lock").exists());
    let own = place.json("plugin trust b.so --lock own.lock");
    assert_eq!((&own["lock"], &own["trusted"][0]["id"]), (&"own.lock".into(), &"panicky".into()));
    assert!(Path::new(&place.path("own.lock")).is_file());
}

#[test]
fn a_run_loads_under_the_policy_and_lock_file_that_it_names() {
    let place = Place::new();
    place.put("liblabel_smooth.so", "mine.so");
    let (code, _, err) = place.run("info --plugin mine.so");
    let known = err.lines().any(|line| line.contains("plugin label_smooth is not trusted (sha256 "));
    assert!(code == 0 && known, "a file that is named is loaded with a warning: {err}");
    let line = err.lines().find(|line| line.contains("INFO")).unwrap();
    assert!(line.contains("plugin label_smooth 0.1.0: loss label_smooth; sha256 "), "{line}");
    assert!(line.contains(", loaded in ") && line.ends_with(" ms from ~/mine.so"), "{line}");
    assert!(!place.run("info --plugin mine.so plugin_policy=off").2.contains("WARN"));

    let (code, _, err) = place.run("info --plugin mine.so plugin_policy=lock plugins_lock=own.lock");
    assert!(code == 2 && err.starts_with("plugin ~/mine.so is not trusted (sha256 "), "{err}");
    assert!(err.contains("only plugins in own.lock are loaded from here"), "{err}");
    place.run("plugin trust mine.so --lock own.lock");
    let (code, _, err) = place.run("info plugin_policy=lock plugins_lock=own.lock --plugin mine.so");
    assert!(code == 0 && !err.contains("WARN"), "{err}");
    fs::write(place.path("run.toml"), "plugins = ['mine.so']\nplugin_policy = 'lock'\n").unwrap();
    let (code, _, err) = place.run("info --config run.toml");
    assert!(code == 2 && err.starts_with("run.toml:1: plugin ~/mine.so is not trusted "), "{err}");
    assert_eq!(place.run("info --config run.toml plugins_lock=own.lock").0, 0);
    let unknown = "plugin_policy=strict: unknown variant `strict`, expected one of `off`, `warn`, `lock`, `signed`";
    assert_eq!(place.run("info plugin_policy=strict"), (1, String::new(), unknown.into()));
}

#[test]
fn completions_know_the_verbs() {
    let (code, out, _) = Place::new().run("completions bash");
    assert!(code == 0 && out.contains("plugin") && out.contains("complete -F _trainer"), "{out}");
}

#[test]
fn the_doctor_names_what_is_refused_or_hidden() {
    let place = Place::new();
    place.put("liblabel_smooth.so", "bin/a.so").put("liblabel_smooth.so", "bin/b.so");
    place.put("libfocal.so", "plugins/c.so");
    let (code, out, err) = place.run("doctor device=cpu --require plugins");
    let hidden = "loss label_smooth of ~/bin/b.so is shadowed: ~/bin/a.so has that name and comes first";
    let told = format!("required plugins: {hidden}; plugin ~/plugins/c.so ");
    assert!(code == 1 && err.starts_with(&told), "{err}");
    assert!(out.contains("\nplugins      loss label_smooth\n"), "{out}");
    assert!(out.contains(&format!("\nwarning      {hidden}\nwarning      plugin ~/plugins/c.so ")), "{out}");
}
