//! The largest tensors of a tape, by names that people know.

use std::collections::{HashMap, HashSet};

use gatefold_engine::params::Arena;
use gatefold_engine::tape::{Access, Home, Tape};
use gatefold_engine::tensor::Tensor;
use serde::Serialize;

/// A tensor that takes memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LargeTensor {
    /// The name of the layer or the parameter, or the launch that makes it and, in brackets, the layer that it belongs to.
    pub what: String,
    /// Batch, height, width, channels.
    pub shape: [usize; 4],
    pub bytes: u64,
}

/// The `count` largest tensors with storage of their own or a place in a long-lived buffer, largest first.
pub fn largest_tensors(tape: &Tape, count: usize) -> Vec<LargeTensor> {
    let labels = Labels::new(tape);
    let mut seen = HashSet::new();
    let mut tensors: Vec<_> = tape
        .roots()
        .filter(|&tensor| match tape.home(tensor) {
            // A part of a long-lived buffer can go by several handles.
            Home::Arena(arena, offset) => seen.insert((arena, offset, tensor.shape.len())),
            _ => true,
        })
        .collect();
    // The sort is stable: of equals the first recorded comes first.
    tensors.sort_by_key(|&tensor| std::cmp::Reverse(tape.bytes(tensor)));
    let tensors = tensors.into_iter().take(count).map(|tensor| {
        let shape = tensor.shape;
        LargeTensor {
            what: labels.of(tape, tensor),
            shape: [shape.n, shape.h, shape.w, shape.c],
            bytes: tape.bytes(tensor),
        }
    });
    tensors.collect()
}

struct Labels<'a> {
    /// Names of values that own their storage.
    named: HashMap<usize, &'a str>,
    /// First launch that writes each value's storage.
    first_write: HashMap<usize, usize>,
    /// First launch that reads it.
    first_read: HashMap<usize, usize>,
    /// Each named layer and the launch that makes it, in order.
    made: Vec<(usize, &'a str)>,
    /// What each gradient is the gradient of.
    gradients: HashMap<usize, usize>,
}

impl<'a> Labels<'a> {
    fn new(tape: &'a Tape) -> Self {
        let (mut first_write, mut first_read, mut makers) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (time, launch) in tape.launches().iter().enumerate() {
            for &(tensor, access) in launch.operands() {
                let root = tape.root(tensor);
                let first = if access == Access::Write { &mut first_write } else { &mut first_read };
                first.entry(root).or_insert(time);
                if access == Access::Write {
                    makers.entry(tensor.id).or_insert(time);
                }
            }
        }
        // What never exists is still what some gradient is the gradient of, and its launch stores the last of such values.
        for (value, root) in tape.fused() {
            if let Some(&time) = first_write.get(&root) {
                first_write.insert(value, time);
            }
        }
        // Of several names for one storage the first one stays.
        let named = tape.names().iter().rev().map(|(name, tensor)| (tape.root(*tensor), name.as_str())).collect();
        let makers = |tensor: &Tensor| makers.get(&tensor.id).copied();
        let mut made: Vec<_> =
            tape.names().iter().filter_map(|(name, tensor)| Some((makers(tensor)?, name.as_str()))).collect();
        made.sort_unstable();
        let gradients = tape.gradients().map(|(of, gradient)| (gradient, of)).collect();
        Self { named, first_write, first_read, made, gradients }
    }

    fn of(&self, tape: &Tape, tensor: Tensor) -> String {
        let id = tensor.id;
        if let Some(name) = self.named.get(&id) {
            return (*name).to_owned();
        }
        if let Home::Arena(arena, offset) = tape.home(tensor) {
            return match arena {
                Arena::Parameters => parameter(tape, tensor, offset),
                Arena::Gradients => match self.gradients.get(&id) {
                    Some(&of) => format!("gradient of {}", self.of(tape, tape.whole(of))),
                    None => "all gradients together".into(),
                },
                Arena::Moment1 => "all first moments together".into(),
                Arena::Moment2 => "all second moments together".into(),
                Arena::State => "running statistics".into(),
            };
        }
        if let Some(&of) = self.gradients.get(&id) {
            return format!("gradient of {}", self.of(tape, tape.whole(of)));
        }
        if tape.home(tensor) == Home::Input {
            let reader = self.first_read.get(&id).map_or("nobody", |&time| tape.launches()[time].op);
            return format!("what the host writes for {reader}");
        }
        let Some(&time) = self.first_write.get(&id) else { return "nothing writes it".into() };
        let launch = &tape.launches()[time];
        // Scratch of a backward pass belongs to the layer whose gradient comes in.
        let roots = launch.operands().iter().map(|&(tensor, _)| tape.root(tensor));
        let of = roots.filter_map(|root| self.gradients.get(&root)).next();
        let layer = self.layer(id).or_else(|| self.layer(*of?));
        layer.map_or_else(|| launch.label(), |name| format!("{} ({name})", launch.label()))
    }

    /// The layer that a value is a part of: what is computed before a named layer on the way to it.
    fn layer(&self, id: usize) -> Option<&'a str> {
        let time = self.first_write.get(&id)?;
        let named = self.named.get(&id).copied();
        named.or_else(|| self.made.iter().find(|(maker, _)| maker >= time).map(|(_, name)| *name))
    }
}

fn parameter(tape: &Tape, tensor: Tensor, offset: usize) -> String {
    let mut parameters = tape.spec().parameters.iter();
    let found = parameters.find(|(place, spec)| *place == offset && spec.shape == tensor.shape);
    found.map_or_else(|| "all parameters together".into(), |(_, spec)| spec.name.clone())
}
