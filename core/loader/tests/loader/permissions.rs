//! Files that others could have written.

use std::{fs, os::unix};

use trainer_loader::Policy;

use crate::place::Place;

const ALL: [Policy; 4] = [Policy::Off, Policy::Warn, Policy::Lock, Policy::Signed];

#[test]
fn world_writable_is_refused_under_every_policy() {
    for policy in ALL {
        let place = Place::new(policy);
        place.mode("x.so", 0o666);
        assert_eq!(
            place.refusal("x.so", "world-writable"),
            "plugin ~/x.so can be changed by every user; run `chmod o-w ~/x.so`"
        );
        place.write("open/y.so", "");
        place.mode("open", 0o777);
        assert_eq!(
            place.refusal("open/y.so", "world-writable-folder"),
            "plugin ~/open/y.so can be replaced by every user, through a folder above it; run `chmod o-w ~/open`"
        );
    }
    let place = Place::empty(Policy::Off);
    place.write("open/y.so", fs::read(crate::place::built("librogue.so")).unwrap());
    place.mode("open", 0o1777);
    assert!(place.load("open/y.so").is_ok(), "the sticky bit keeps others from replacing it");
}

/// Off says nothing, warn says it, lock and signed refuse.
fn assert_graded(place: &mut Place, name: &str, code: &str, message: &str) {
    for policy in [Policy::Lock, Policy::Signed] {
        place.options.policy = Some(policy);
        assert_eq!(place.refusal(name, code), message);
    }
    place.options.policy = Some(Policy::Warn);
    trainer_loader::trust(&place.path(name), &place.options).unwrap();
    let id = message.replace("plugin ~/open/x.so", "plugin rogue").replace("plugin ~/x.so", "plugin rogue");
    assert_eq!(place.warnings(name), [format!("{id} [{code}]")]);
    place.options.policy = Some(Policy::Off);
    assert!(place.warnings(name).is_empty());
}

#[test]
fn group_writable_is_graded() {
    let mut place = Place::new(Policy::Lock);
    place.mode("x.so", 0o664);
    let message = "plugin ~/x.so can be changed by its group; run `chmod g-w ~/x.so`";
    assert_graded(&mut place, "x.so", "group-writable", message);

    let mut place = Place::new(Policy::Lock);
    place.write("open/x.so", fs::read(place.path("x.so")).unwrap());
    place.mode("open", 0o770);
    let message = "plugin ~/open/x.so can be replaced by a group, through a folder above it; run `chmod g-w ~/open`";
    assert_graded(&mut place, "open/x.so", "group-writable-folder", message);
}

#[test]
fn foreign_owner_is_graded() {
    let mut place = Place::new(Policy::Lock);
    if unix::fs::chown(place.path("x.so"), Some(54321), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let message = "plugin ~/x.so belongs to user 54321, who is neither root nor you; check it, then run \
                   `chown 0 ~/x.so` as root";
    assert_graded(&mut place, "x.so", "foreign-owner", message);
}

#[test]
fn paths_in_commands_are_quoted() {
    let place = Place::empty(Policy::Off);
    place.write("my plugins/x.so", "");
    place.mode("my plugins/x.so", 0o666);
    let message = place.refusal("my plugins/x.so", "world-writable");
    assert!(message.ends_with("run `chmod o-w '~/my plugins/x.so'`"), "{message}");
}

#[test]
fn other_kinds_of_file_are_refused_unread() {
    let place = Place::empty(Policy::Off);
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe.so")).status().unwrap();
    assert!(made.success());
    fs::create_dir(place.path("folder.so")).unwrap();
    for name in ["pipe.so", "folder.so"] {
        let message = format!("plugin ~/{name} is not a regular file; give the .so file itself");
        assert_eq!(place.refusal(name, "not-regular-file"), message);
    }
    let message = place.refusal("none.so", "unreadable");
    assert_eq!(message, "plugin ~/none.so cannot be read: No such file or directory (os error 2)");
}
