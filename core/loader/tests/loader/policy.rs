//! Trust: the lock file, signatures, and what is said where neither is asked for.

use std::{fs, os::unix::fs::PermissionsExt as _};

use trainer_loader::{
    CacheFault, LoadError, LoadOptions, Policy, PolicyFault, Provenance, Trust, trust, trusted, untrust,
};

use crate::place::Place;

#[test]
fn the_default_depends_on_how_a_file_was_found() {
    assert_eq!(Policy::default_for(Provenance::Explicit), Policy::Warn);
    assert_eq!(Policy::default_for(Provenance::Searched), Policy::Lock);
}

#[test]
fn a_policy_by_name() {
    for (name, policy) in
        [("off", Policy::Off), ("warn", Policy::Warn), ("lock", Policy::Lock), ("signed", Policy::Signed)]
    {
        assert_eq!(name.parse(), Ok(policy));
        assert_eq!(serde_json::to_value(policy).unwrap(), name);
    }
    let unknown = "unknown policy `strict`; known are off, warn, lock, signed";
    assert_eq!("strict".parse::<Policy>(), Err(unknown.into()));
}

/// The first 12 digits of a file's hash.
fn hash(place: &Place, name: &str) -> String {
    place.inspect(name).sha256.unwrap()[..12].to_owned()
}

#[test]
fn lock_loads_what_is_trusted_only() {
    let place = Place::new(Policy::Lock);
    let now = hash(&place, "x.so");
    assert_eq!(
        place.refusal("x.so", "not-trusted"),
        format!(
            "plugin ~/x.so is not trusted (sha256 {now}): only plugins in ~/config/plugins.lock are loaded from here; \
             see where it comes from, then run `trainer plugin trust ~/x.so`"
        )
    );
    let entry = trust(&place.path("x.so"), &place.options).unwrap();
    assert_eq!((entry.id.as_str(), entry.version.as_str()), ("rogue", env!("CARGO_PKG_VERSION")));
    assert_eq!((&entry.path, &entry.sha256[..12]), (&place.path("x.so"), now.as_str()));
    assert!(place.warnings("x.so").is_empty());

    let mut bytes = fs::read(place.path("x.so")).unwrap();
    place.write("copy.so", &bytes);
    assert!(place.load("copy.so").is_ok(), "trust is in the bytes, wherever they lie");
    bytes.push(0);
    place.write("x.so", &bytes);
    assert_eq!(
        place.refusal("x.so", "changed-since-trusted"),
        format!(
            "plugin ~/x.so has changed since it was trusted (sha256 {now} then, {} now); if that was meant, run \
             `trainer plugin trust ~/x.so`",
            hash(&place, "x.so")
        )
    );
    trust(&place.path("x.so"), &place.options).unwrap();
    assert!(place.load("x.so").is_ok());
    assert_eq!(trusted(&place.path("config/plugins.lock")).unwrap().len(), 1, "one entry a path");
}

#[test]
fn warn_says_what_lock_would_refuse() {
    let place = Place::new(Policy::Warn);
    let now = hash(&place, "x.so");
    let unknown = format!(
        "plugin rogue is not trusted (sha256 {now}); `trainer plugin trust ~/x.so` says that it is and that it must not \
         change"
    );
    assert_eq!(place.warnings("x.so"), [unknown]);
    trust(&place.path("x.so"), &place.options).unwrap();
    assert!(place.warnings("x.so").is_empty());
    let mut bytes = fs::read(place.path("x.so")).unwrap();
    bytes.push(0);
    place.write("x.so", bytes);
    let changed = format!(
        "plugin rogue has changed since it was trusted (sha256 {now} then, {} now); if that was meant, run \
         `trainer plugin trust ~/x.so`",
        hash(&place, "x.so")
    );
    assert_eq!(place.warnings("x.so"), [changed]);
}

#[test]
fn trust_is_written_whole_and_taken_back() {
    let place = Place::new(Policy::Lock);
    let lock = place.path("config/plugins.lock");
    assert_eq!(trusted(&lock).unwrap(), []);
    let first = trust(&place.path("x.so"), &place.options).unwrap();
    assert_eq!(lock.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&lock).unwrap();
    assert!(text.starts_with("[[plugin]]\nid = \"rogue\"\nversion = "), "{text}");
    place.write("y.so", fs::read(crate::place::built("libpanicky.so")).unwrap());
    let second = trust(&place.path("y.so"), &place.options).unwrap();
    assert_eq!(trusted(&lock).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(place.inspect("y.so").trust, Trust::Trusted);

    assert_eq!(untrust("none", &place.options).unwrap(), []);
    assert_eq!(untrust("rogue", &place.options).unwrap(), [first], "by id");
    assert_eq!(untrust(place.path("y.so").to_str().unwrap(), &place.options).unwrap(), [second], "by path");
    assert_eq!(place.inspect("y.so").trust, Trust::Unknown);
    let left = fs::read_dir(place.path("config")).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the lock file");
}

#[test]
fn what_no_policy_loads_is_not_trusted() {
    let place = Place::empty(Policy::Lock);
    place.write("x.so", "text");
    assert_eq!(trust(&place.path("x.so"), &place.options).unwrap_err().code(), "not-elf");
    place.mode("x.so", 0o666);
    assert_eq!(trust(&place.path("x.so"), &place.options).unwrap_err().code(), "world-writable");
    assert!(!place.path("config").exists());
}

#[test]
fn lock_file_is_damaged_unsafe_or_unwritable() {
    let place = Place::new(Policy::Lock);
    for text in ["[[plugin]]\nid = 1\n", "\u{1}", "[[plugins]]\n"] {
        place.write("config/plugins.lock", text);
        let message = place.refusal("x.so", "lock-file-damaged");
        assert!(message.starts_with("plugin ~/x.so cannot be looked up in ~/config/plugins.lock: "), "{message}");
        assert!(message.ends_with("; correct that file, or remove it and trust your plugins again"), "{message}");
    }
    place.write("config/plugins.lock", "");
    place.mode("config/plugins.lock", 0o664);
    assert_eq!(
        place.refusal("x.so", "lock-file-unsafe"),
        "plugin ~/x.so cannot be looked up, since ~/config/plugins.lock can be changed by its group; \
         run `chmod g-w ~/config/plugins.lock`"
    );
    let place = Place::new(Policy::Lock);
    place.write("config", "a file in its place");
    let error = trust(&place.path("x.so"), &place.options).unwrap_err();
    let message = place.message(&error, "lock-file-unwritable");
    let start = "plugin ~/x.so cannot be entered into ~/config/plugins.lock: ";
    assert!(message.starts_with(start) && message.ends_with("; make that file writable for you"), "{message}");
}

/// Keys made for this test alone, and what the first signed: the bytes of [`SIGNED`].
const KEY: &str = "RWR0cmFpbmVyQYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
const OTHER_KEY: &str = "RWR0cmFpbmVyQoE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
const SIGNED: &str = "a signed file\n";
const SIGNATURE: &str = "untrusted comment: signature\n\
    RUR0cmFpbmVyQX84CE1Gv47n1HJbNNOj9/TSqvy2+E756WGmeXSvNB2+hIZcl2qENKTI2P2Lq17dl21Pmkddg5y+iMBxDs2TkAE=\n\
    trusted comment: test\n\
    uHqXhjUl5OVHvHDVeqlyLjXYLRwL+fEx1vgD0UJephz3QpvfClnqNgiGwuKbCRYPlNJx0t5gu3BE0HWpt8BZDw==\n";

#[test]
fn signed_loads_what_a_known_key_signed() {
    let place = Place::empty(Policy::Signed);
    place.write("x.so", SIGNED);
    assert_eq!(
        place.refusal("x.so", "no-signature"),
        "plugin ~/x.so has no signature: ~/x.so.minisig is missing; ask its author for it, or sign it with \
         `minisign -Sm ~/x.so`"
    );
    place.write("x.so.minisig", SIGNATURE);
    let unknown = |known| {
        format!(
            "plugin ~/x.so is signed with a key that is not among the {known} in ~/keys; put the author's public key \
             there as NAME.pub if you trust it"
        )
    };
    assert_eq!(place.refusal("x.so", "unknown-key"), unknown(0));
    place.write("keys/other.pub", OTHER_KEY);
    assert_eq!(place.refusal("x.so", "unknown-key"), unknown(1));
    place.write("keys/author.pub", format!("untrusted comment: minisign public key\n{KEY}\n"));
    place.refusal("x.so", "not-elf"); // the signature is good, and the next step has its say

    place.write("x.so", "a changed file");
    assert_eq!(
        place.refusal("x.so", "bad-signature"),
        "plugin ~/x.so does not match its signature ~/x.so.minisig: The signature verification failed; \
         one of the two was changed, get both again"
    );
    place.write("x.so.minisig", "no signature");
    let message = place.refusal("x.so", "bad-signature");
    assert!(message.starts_with("plugin ~/x.so does not match its signature ~/x.so.minisig: "), "{message}");
}

#[test]
fn a_key_that_is_none_or_not_the_users() {
    let place = Place::empty(Policy::Signed);
    place.write("x.so", SIGNED);
    place.write("x.so.minisig", SIGNATURE);
    place.write("keys/author.pub", "no key");
    let message = place.refusal("x.so", "bad-key");
    let start = "plugin ~/x.so cannot be checked: the key ~/keys/author.pub is no minisign public key: ";
    assert!(message.starts_with(start) && message.ends_with("; correct or remove it"), "{message}");
    place.write("keys/author.pub", KEY);
    place.mode("keys/author.pub", 0o664);
    assert_eq!(
        place.refusal("x.so", "bad-key"),
        "plugin ~/x.so cannot be checked: the key ~/keys/author.pub can be changed by its group; \
         run `chmod g-w ~/keys/author.pub`"
    );
}

#[test]
fn the_users_own_files_are_the_default() {
    let lock = LoadOptions::default().lock_file().unwrap();
    assert!(lock.ends_with("trainer/plugins.lock"), "{}", lock.display());
}

#[test]
fn without_a_home_there_is_neither_lock_file_nor_cache() {
    let path = || "x.so".into();
    let lock = LoadError::Policy { path: path(), reason: PolicyFault::NoHome };
    assert_eq!(
        lock.to_string(),
        "plugin x.so cannot be looked up: this process has no home folder; set HOME or XDG_CONFIG_HOME [no-home-folder]"
    );
    let cache = LoadError::Cache { path: path(), reason: CacheFault::NoHome };
    assert_eq!(
        cache.to_string(),
        "plugin x.so cannot be copied: this process has no cache folder; set HOME or XDG_CACHE_HOME [no-cache-folder]"
    );
}
