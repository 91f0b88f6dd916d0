//! What readers of weights files give.

use std::borrow::Cow;

use safetensors::Dtype;

/// A tensor as it lies in a file, little endian.
pub(super) struct Entry<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub data: Cow<'a, [u8]>,
}
