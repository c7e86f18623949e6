//! The copy that is loaded, and the folder it lies in.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use trainer_loader::Policy;

use crate::place::Place;

#[test]
fn the_copy_is_the_users_alone_and_holds_the_bytes() {
    let place = Place::new(Policy::Off);
    let plugin = place.load("x.so").unwrap();
    assert_eq!(plugin.path, place.path("x.so"), "the user knows the file, not the copy");
    let copy = place.path(&format!("cache/plugins/{}/x.so", plugin.sha256));
    assert!(fs::read(&copy).unwrap() == fs::read(place.path("x.so")).unwrap());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&copy), mode(copy.parent().unwrap()), mode(&place.path("cache/plugins"))), (0o500, 0o700, 0o700));
    assert_eq!(mode(&place.path("cache/probes")), 0o700);
    let loaded = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(loaded.contains(copy.to_str().unwrap()), "the copy is what is mapped");
    assert!(!loaded.contains(place.path("x.so").to_str().unwrap()), "and nothing else");
}

#[test]
fn a_copy_that_differs_is_written_again() {
    let place = Place::new(Policy::Off);
    let sha256 = place.inspect("x.so").sha256.unwrap();
    let copy = format!("cache/plugins/{sha256}/x.so");
    let whole = fs::read(place.path("x.so")).unwrap();
    let mut same_length = whole.clone();
    same_length[whole.len() / 2] ^= 1;
    for wrong in [b"short".to_vec(), same_length] {
        let _ = fs::remove_file(place.path(&copy)); // in place, it would change what is mapped
        place.write(&copy, wrong);
        place.mode("cache", 0o700);
        place.mode("cache/plugins", 0o700);
        place.mode(&format!("cache/plugins/{sha256}"), 0o700);
        place.load("x.so").unwrap();
        assert!(fs::read(place.path(&copy)).unwrap() == whole);
    }
    fs::remove_file(place.path(&copy)).unwrap();
    let elsewhere = place.write("elsewhere.so", &whole);
    symlink(&elsewhere, place.path(&copy)).unwrap();
    place.load("x.so").unwrap();
    assert!(fs::symlink_metadata(place.path(&copy)).unwrap().is_file(), "a link is replaced");
}

#[test]
fn folders_that_others_can_change_are_refused() {
    let place = Place::new(Policy::Off);
    place.load("x.so").unwrap();
    place.mode("cache/plugins", 0o755);
    assert_eq!(
        place.refusal("x.so", "cache-unsafe"),
        "plugin ~/x.so cannot be copied into ~/cache/plugins: others have rights on it; run `chmod 700 ~/cache/plugins`"
    );
    place.mode("cache/plugins", 0o700);
    place.mode("cache", 0o775);
    assert_eq!(
        place.refusal("x.so", "cache-unsafe"),
        "plugin ~/x.so cannot be copied into ~/cache: others have rights on it; run `chmod go-w ~/cache`"
    );
}

#[test]
fn folders_that_are_links_or_somebody_elses_are_refused() {
    let place = Place::new(Policy::Off);
    fs::create_dir(place.path("cache")).unwrap();
    fs::create_dir(place.path("other")).unwrap();
    place.mode("cache", 0o700);
    symlink(place.path("other"), place.path("cache/plugins")).unwrap();
    assert_eq!(
        place.refusal("x.so", "cache-unsafe"),
        "plugin ~/x.so cannot be copied into ~/cache/plugins: it is no folder; remove it with `rm ~/cache/plugins`"
    );
    fs::remove_file(place.path("cache/plugins")).unwrap();
    if std::os::unix::fs::chown(place.path("cache"), Some(54321), None).is_err() {
        eprintln!("skipped: only root can give a folder away");
        return;
    }
    assert_eq!(
        place.refusal("x.so", "cache-unsafe"),
        "plugin ~/x.so cannot be copied into ~/cache: it belongs to user 54321, not to you; \
         set XDG_CACHE_HOME to a folder of yours"
    );
}

#[test]
fn a_folder_that_cannot_be_made() {
    let place = Place::new(Policy::Off);
    place.write("cache", "a file in its place");
    let message = place.refusal("x.so", "cache-unwritable");
    assert!(message.starts_with("plugin ~/x.so cannot be copied into ~/cache: "), "{message}");
    assert!(message.ends_with("; make room, or set XDG_CACHE_HOME to a folder that you can write"), "{message}");
}
