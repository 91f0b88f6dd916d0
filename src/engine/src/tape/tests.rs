use std::sync::Arc;

use super::*;
use crate::gpu::{BufferPool, Gpu, GpuOptions};
use crate::ops::relu::relu;
use crate::params::ParameterStore;
use crate::plan::Plan;

#[test]
fn what_kernels_cannot_count_is_refused_by_its_shape() {
    let most = Shape::new(1 << 16, 1 << 8, 1 << 6, 3);
    let mut tape = Tape::new();
    let x = tape.input(Shape::vector(4));
    tape.require_grad(x);
    let y = relu(&mut tape, x);
    tape.scratch(most);
    let seed = tape.input(y.shape);
    tape.backward(&[(y, seed)]).unwrap();
    // The first one is named, whatever it is for, and however much larger the next.
    for shape in [most.with_c(256), Shape::new(1 << 40, 1 << 30, 1, 1)] {
        tape.scratch(shape);
        let text = format!("{} has more than 4294967295 elements", most.with_c(256));
        assert!(tape.check_sizes().unwrap_err().to_string().contains(&text));
    }
    let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).unwrap());
    let store = ParameterStore::new(&gpu, tape.spec(), false).unwrap();
    let error = Plan::new(&gpu, &tape, &store, &BufferPool::default()).err().unwrap();
    assert!(matches!(error, Error::Run(text) if text.contains(&most.with_c(256).to_string())));
}
