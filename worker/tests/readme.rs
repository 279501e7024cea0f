//! The slide in the README is the source.
#![allow(clippy::unwrap_used)]

#[test]
fn the_slide_in_the_readme_is_the_source() {
    let readme = include_str!("../../README.md");
    let slide = readme
        .split_once("```rust\n")
        .unwrap()
        .1
        .split_once("\n```")
        .unwrap()
        .0;
    assert!(
        include_str!("../src/services.rs").contains(slide),
        "{slide}"
    );
    for arrow in [
        "redis://redis",
        "http://rng",
        "http://hasher",
        "fn get_random_bytes",
        "fn hash_bytes",
    ] {
        assert!(slide.contains(arrow), "{arrow}");
    }
    assert!(slide.lines().count() <= 20, "too long for a slide");
}
