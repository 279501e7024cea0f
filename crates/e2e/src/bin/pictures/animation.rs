//! Animated PNGs of pictures with few colours.

use std::collections::HashMap;

use png::{BitDepth, BlendOp, ColorType, Compression, Encoder, Filter};

/// How often it plays, before it rests on the last frame.
const PLAYS: u32 = 3;

/// The palette index of an unchanged pixel.
const TRANSPARENT: u8 = 0;

/// Four frames per second; the first one stays for a second, the last one for two.
pub(crate) fn encode(width: u32, height: u32, frames: &[Vec<[u8; 3]>]) -> Vec<u8> {
    let (palette, frames) = with_palette(frames);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_trns(&[0][..]);
    encoder.set_compression(Compression::High);
    encoder.set_filter(Filter::NoFilter);
    let count = u32::try_from(frames.len()).unwrap();
    encoder.set_animated(count, PLAYS).unwrap();
    encoder.set_blend_op(BlendOp::Over).unwrap();
    let mut writer = encoder.write_header().unwrap();
    let mut before = vec![TRANSPARENT; frames[0].len()];
    for (frame, number) in frames.into_iter().zip(1..) {
        let quarters = match number {
            1 => 4,
            _ if number == count => 8,
            _ => 1,
        };
        writer.set_frame_delay(quarters, 4).unwrap();
        let new = |(&pixel, &before)| if pixel == before { TRANSPARENT } else { pixel };
        let changes: Vec<u8> = frame.iter().zip(&before).map(new).collect();
        writer.write_image_data(&changes).unwrap();
        before = frame;
    }
    writer.finish().unwrap();
    bytes
}

/// The palette, and the frames as indices. Similar colours share an entry.
fn with_palette(frames: &[Vec<[u8; 3]>]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut palette = vec![[0; 3]]; // `TRANSPARENT`
    let mut indices = HashMap::new();
    let mut index = |colour: &[u8; 3]| {
        let similar = colour.map(|channel| channel >> 4);
        *indices.entry(similar).or_insert_with(|| {
            palette.push(*colour);
            u8::try_from(palette.len() - 1).expect("at most 255 colours")
        })
    };
    let indexed = |frame: &Vec<_>| frame.iter().map(&mut index).collect();
    let frames = frames.iter().map(indexed).collect();
    (palette.concat(), frames)
}
