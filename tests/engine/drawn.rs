//! A tape drawn from bytes: any bytes give one. The fuzz target `tape` includes this file.

use gatefold_engine::ops::add::add;
use gatefold_engine::ops::avg_pool::avg_pool;
use gatefold_engine::ops::batch_norm::{BatchNorm, batch_norm_relu};
use gatefold_engine::ops::concat::concat;
use gatefold_engine::ops::conv2d::conv2d;
use gatefold_engine::ops::dropout::dropout;
use gatefold_engine::ops::max_pool::max_pool;
use gatefold_engine::ops::relu::relu;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::{Init, Layout, ParameterSpec, StateSpec};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

/// At most so many ops, and channels of a map.
const OPS: usize = 24;
const CHANNELS: usize = 24;

/// A tape with its gradients.
pub struct Drawn {
    pub tape: Tape,
    pub input: Tensor,
    /// The upstream gradient.
    pub seed: Tensor,
    /// The values of the forward pass, the last one first.
    pub values: Vec<Tensor>,
}

fn parameter(tape: &mut Tape, shape: Shape, layout: Layout) -> Tensor {
    let name = format!("p{}", tape.spec().parameters.len());
    tape.parameter(ParameterSpec { name, shape, layout, init: Init::Normal { std: 0.3 } })
}

/// Two bytes choose an op and what it is applied to.
pub fn drawn(bytes: &[u8]) -> Drawn {
    let mut tape = Tape::new();
    let input = tape.input(Shape::new(2, 8, 8, 4));
    tape.require_grad(input);
    let mut values = vec![input];
    for two in bytes.chunks_exact(2).take(OPS) {
        let x = values[usize::from(two[1]) % values.len()];
        let other = values[usize::from(two[1] / 7) % values.len()];
        let channels = 1 + usize::from(two[0] / 8) % CHANNELS;
        // What does not fit is left out.
        let y = match two[0] % 8 {
            0 => Ok(relu(&mut tape, x)),
            1 => add(&mut tape, x, other),
            2 if x.shape.c + other.shape.c > 4 * CHANNELS => continue,
            2 => concat(&mut tape, &[x, other]),
            3 if x.shape.h < 2 => continue,
            3 => max_pool(&mut tape, x, Window::square(2, 2, 0)),
            4 => avg_pool(&mut tape, x, Window::square(3, 1, 1), true),
            5 => dropout(&mut tape, x, 0.25),
            6 => {
                let side = 1 + 2 * usize::from(two[0] / 64 % 2);
                let shape = Shape::new(side, side, x.shape.c, channels);
                let weight = parameter(&mut tape, shape, Layout::Conv { cin: x.shape.c });
                conv2d(&mut tape, x, weight, None, Window::square(side, 1, side / 2))
            }
            _ => {
                let vector = Shape::vector(x.shape.c);
                let [gamma, beta] = [0; 2].map(|_| parameter(&mut tape, vector, Layout::Vector));
                let number = tape.spec().states.len();
                let [running_mean, running_var] = ["mean", "var"]
                    .map(|part| tape.state(StateSpec { name: format!("{part}{number}"), len: x.shape.c, init: 1.0 }));
                let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
                batch_norm_relu(&mut tape, x, &norm, true)
            }
        };
        if let Ok(y) = y {
            values.insert(0, y);
        }
    }
    let last = values[0];
    let seed = tape.input(last.shape);
    tape.backward(&[(last, seed)]).expect("every op has a gradient");
    Drawn { tape, input, seed, values }
}
