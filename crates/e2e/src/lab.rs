//! The commands of the labs, as their documentation has them.

use std::fs;

use crate::root;

/// The blocks of commands in a section of `docs/labs.md`, such as `K7`; panics when it has not so many.
#[track_caller]
pub fn blocks<const N: usize>(section: &str) -> [String; N] {
    let text = fs::read_to_string(root().join("docs/labs.md")).unwrap();
    let heading = format!("\n### {section}: ");
    let (_, text) = text.split_once(&heading).expect(section);
    let (text, _) = text.split_once("\n##").unwrap_or((text, ""));
    let blocks = text.split("\n```sh\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|block| block.split_once("```").unwrap().0.to_owned())
        .collect();
    blocks.try_into().expect(section)
}
