//! Numbers that `golden/networks.py` computes the same way, from a name and a place; `golden/README.md` has them in words.

use gatefold_engine::params::Spec;

/// Numbers of one name.
pub struct Stream {
    key: u32,
}

impl Stream {
    /// FNV-1a of `seed/name`.
    pub fn new(seed: i32, name: &str) -> Self {
        let hash = |key: u32, byte: u8| (key ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        Self { key: format!("{seed}/{name}").bytes().fold(0x811c_9dc5, hash) }
    }

    /// A number in [-1, 1).
    pub fn signed(&self, place: usize) -> f32 {
        (mix(mix(place as u32).wrapping_add(self.key)) >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn mix(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
    let x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// A parameter or a running statistic, in PyTorch's layout.
pub fn value(seed: i32, name: &str, shape: &[usize]) -> Vec<f32> {
    let stream = Stream::new(seed, name);
    let fan_in: usize = shape[1..].iter().product();
    let bound = (if shape.len() == 4 { 6.0 } else { 3.0 } / fan_in as f64).sqrt() as f32;
    let value = |s: f32| match name.rsplit('.').next() {
        _ if shape.len() > 1 => bound * s,
        Some("running_var") => 1.0 + 0.5 * s,
        Some("running_mean") => 0.25 * s,
        Some("bias") => 0.5 + 0.25 * s,
        _ => 1.0 + 0.25 * s,
    };
    (0..shape.iter().product()).map(|place| value(stream.signed(place))).collect()
}

/// All parameters and all running statistics, as they lie in the long-lived buffers.
pub fn weights(seed: i32, spec: &Spec) -> [Vec<f32>; 2] {
    let mut words = [vec![0.0; spec.parameter_words()], vec![0.0; spec.state_words()]];
    for (offset, parameter) in &spec.parameters {
        let memory = parameter.from_disk(&value(seed, &parameter.name, &parameter.disk_shape()));
        words[0][*offset..offset + memory.len()].copy_from_slice(&memory);
    }
    for (offset, state) in &spec.states {
        words[1][*offset..offset + state.len].copy_from_slice(&value(seed, &state.name, &[state.len]));
    }
    words
}
