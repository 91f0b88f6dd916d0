//! Training steps whose feature maps are kept in 16 bits.

use gatefold::train::step::{Seed, TrainingStep};
use gatefold::train::{Augmentation, Config, Needs, Precision};
use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::params::Arena;
use gatefold_engine::plan::{Allocation, Choice, choose};

use super::gpu;
use super::training::Training;

fn config(net: &str, precision: Precision) -> Config {
    Config { net: net.into(), size: 32, batch: 4, dropout: 0.0, precision, ..Config::default() }
}

fn rms(words: &[f32]) -> f64 {
    words.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn half_precision_halves_what_feature_maps_take() {
    for net in ["prognet", "resnet18", "densenet121"] {
        let slots = [Precision::F32, Precision::Mixed].map(|precision| {
            let config = Config { size: 128, ..config(net, precision) };
            let step = TrainingStep::record(&config, &config.net_config(5), config.batch).unwrap();
            Allocation::new(&step.tape, true).memory().slots
        });
        // Sums that are split and statistics stay in full.
        assert!(10 * slots[1] < 7 * slots[0], "{net}: {slots:?} bytes");
    }
}

/// One step of each precision from the same weights. Rounding moves a maximum of a window or the sign of a number that is almost
/// zero here and there, and batch-norms over few pixels make more of it; each op by itself is held to 0.4 % by `kernels-tests`.
#[test]
fn the_gradient_is_that_of_full_precision_but_for_rounding() {
    if !gpu().adapter().f16 {
        return;
    }
    for net in ["prognet", "resnet18"] {
        let [full, mixed] = [Precision::F32, Precision::Mixed].map(|precision| {
            let mut training = Training::new(&Config { size: 64, batch: 8, ..config(net, precision) }, 3);
            training.write(0..8);
            let factor = if precision == Precision::Mixed { 1024.0 } else { 1.0 };
            for &Seed { value: seed, part, .. } in &training.recorded.seeds {
                training.plan.write(seed, &[part * factor]).unwrap();
            }
            training.write_scaled_step(0, 1, 1.0 / factor);
            let results = training.plan.run().unwrap();
            let norm = results.get(training.recorded.grad_norm).unwrap()[0];
            let loss = results.get(training.recorded.loss).unwrap()[0];
            (loss, norm, training.read(Arena::Gradients).into_iter().map(|g| g / factor).collect::<Vec<_>>())
        });
        let error: Vec<f32> = full.2.iter().zip(&mixed.2).map(|(a, b)| a - b).collect();
        let error = rms(&error) / rms(&full.2);
        assert!(error > 0.0 && error < 0.25, "{net}: gradients differ by {error}");
        assert!((full.0 / mixed.0 - 1.0).abs() < 0.01, "{net}: losses {} and {}", full.0, mixed.0);
        assert!((full.1 / mixed.1 - 1.0).abs() < 0.05, "{net}: norms {} and {}", full.1, mixed.1);
    }
}

#[test]
fn training_on_matrix_units_goes_as_it_goes_without() {
    if gpu().adapter().cooperative_matrix.is_none() {
        return;
    }
    let augment = Augmentation::default();
    let config = Config { batch: 8, augment, ..config("small", Precision::Mixed) };
    // Of the kernels for this network's convolutions, number 2 is the one with matrices; the last one is plain.
    let losses = [2, usize::MAX].map(|number| {
        let recorded = TrainingStep::record(&config, &config.net_config(3), config.batch).unwrap();
        let with_matrices = recorded.tape.launches().iter().filter(|launch| {
            let kernel = choose(&recorded.tape, launch, gpu().adapter(), Choice::Number(number)).unwrap();
            kernel.needs.cooperative.is_some()
        });
        // Four layers, three passes; the first layer's input has no gradient.
        assert_eq!(with_matrices.count(), if number == 2 { 11 } else { 0 });
        let mut training = Training::with_choice(recorded, &config, Choice::Number(number));
        training.write(0..8);
        for &Seed { value: seed, part, .. } in &training.recorded.seeds {
            training.plan.write(seed, &[part * 1024.0]).unwrap();
        }
        let losses: Vec<f32> = (0..12)
            .map(|step| {
                training.write_scaled_step(step, 1, 1.0 / 1024.0);
                training.plan.run().unwrap().get(training.recorded.loss).unwrap()[0]
            })
            .collect();
        losses
    });
    let [matrices, plain] = losses;
    assert!(matrices[11] < 0.7 * matrices[0], "losses {matrices:?} {plain:?}");
    for (a, b) in matrices.iter().zip(&plain) {
        assert!((a / b - 1.0).abs() < 0.02, "losses {matrices:?} and {plain:?}");
    }
}

#[test]
fn an_adapter_without_halves_is_said_in_one_line() {
    let config = config("prognet", Precision::Mixed);
    let adapter = AdapterSummary { f16: false, ..gpu().adapter().clone() };
    let said = Needs::of(&config, &config.net_config(5), &adapter).unwrap_err();
    assert_eq!(said.exit_code(), 2);
    let said = said.to_string();
    assert!(said.starts_with("--precision mixed: ") && said.contains("--adapter") && !said.contains('\n'), "{said}");
}

#[test]
fn a_gradient_beyond_half_precision_changes_nothing() {
    if !gpu().adapter().f16 {
        return;
    }
    let mut training = Training::new(&config("prognet", Precision::Mixed), 3);
    training.write(0..4);
    let arenas = [Arena::Parameters, Arena::Moment1, Arena::Moment2];
    let before = arenas.map(|arena| training.read(arena));
    for &Seed { value: seed, .. } in &training.recorded.seeds {
        training.plan.write(seed, &[1e12_f32]).unwrap();
    }
    training.write_scaled_step(0, 1, 1e-12);
    let norm = training.plan.run().unwrap().get(training.recorded.grad_norm).unwrap()[0];
    assert!(!norm.is_finite(), "a norm of {norm}");
    assert!(arenas.map(|arena| training.read(arena)) == before);
}
