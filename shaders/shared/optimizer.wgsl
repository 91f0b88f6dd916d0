#define_import_path gatefold::optimizer

// Whether gradients of this norm are numbers. If not, the loss's factor was too large, and the step changes nothing. The norm's bits are
// looked at, since compilers may take comparisons with infinity for impossible.
fn is_finite(norm: f32) -> bool {
    return (bitcast<u32>(norm) & 0x7f800000u) != 0x7f800000u;
}

// What gradients are multiplied by so that their norm is at most this.
fn clip(norm: f32, max_norm: f32) -> f32 {
    return min(1.0, max_norm / (norm + 1e-6));
}

// The block of 64 parameters that a vector of four lies in.
fn block(first_block: u32, item: u32) -> u32 {
    return first_block + item / 16u;
}

// Whether the bit of a block is set in its word.
fn is_spared(word: u32, block: u32) -> bool {
    return ((word >> (block % 32u)) & 1u) == 1u;
}
