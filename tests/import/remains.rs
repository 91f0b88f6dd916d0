//! What is left of a class, and of an import that was broken off.

use std::fs;

use super::common::*;

#[test]
fn a_class_that_nothing_is_left_of_says_why() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    fs::create_dir_all(dir.path().join("Blues")).unwrap();
    // All of one class are in another one, too.
    for i in 0..3 {
        fs::copy(dir.path().join(format!("Jazz/00{i}.png")), dir.path().join(format!("Blues/{i}.png"))).unwrap();
    }
    refused(&options(dir.path()), &["class `Blues` has no cover left", "all its 3 are dropped", "--map \"Blues=\""]);
    let damaged = scratch();
    draw(damaged.path(), &[("Jazz", 9), ("Rock", 9)]);
    fs::create_dir_all(damaged.path().join("Blues")).unwrap();
    (0..3).for_each(|i| fs::write(damaged.path().join(format!("Blues/{i}.png")), "no picture").unwrap());
    refused(&options(damaged.path()), &["class `Blues` has no usable cover left", "repair its pictures"]);
}

#[test]
fn a_class_that_is_in_the_test_set_alone_is_refused() {
    let dir = scratch();
    draw(&dir.path().join("train"), &[("Jazz", 9), ("Rock", 9)]);
    draw(&dir.path().join("test"), &[("Jazz", 0), ("Rock", 0), ("Blues", 4)]);
    for i in 0..4 {
        save(500 + i, &dir.path().join(format!("test/Jazz/{i}.png")));
        save(600 + i, &dir.path().join(format!("test/Rock/{i}.png")));
    }
    refused(
        &options(dir.path()),
        &["class `Blues` has no cover in the train set", "--map \"Blues=\"", "--split 70,15,15"],
    );
}

#[test]
fn an_import_that_was_broken_off_is_no_folder_of_covers() {
    let dir = scratch();
    fs::create_dir_all(dir.path().join(".import/new")).unwrap();
    refused(&options(dir.path()), &["an import into it was broken off", "start the same import again"]);
}
