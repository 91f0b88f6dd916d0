//! What is computed again instead of kept changes no bit, and takes less memory.

use gatefold::train::Config;
use gatefold::train::step::TrainingStep;
use gatefold_engine::params::Arena;
use gatefold_engine::plan::Allocation;

use super::training::Training;

#[test]
fn computing_again_gives_the_same_bits_in_less_memory() {
    for (net, accumulate) in [("prognet", 1), ("prognet", 2), ("resnet18", 1), ("densenet121", 1)] {
        let config = Config { net: net.into(), size: 32, batch: 2, dropout: 0.3, accumulate, ..Config::default() };
        let net_config = config.net_config(3);
        let mut keeping = TrainingStep::record_keeping(&config, &net_config, 2).unwrap();
        keeping.tape.fuse();
        let again = TrainingStep::record(&config, &net_config, 2).unwrap();
        let launches = [&keeping, &again].map(|step| step.tape.launches().len());
        assert!(launches[0] < launches[1], "{net}: nothing is computed again");
        let slots = [&keeping, &again].map(|step| Allocation::new(&step.tape, true).memory().slots);
        assert!(slots[1] <= slots[0], "{net}: {slots:?} bytes");

        let [kept, made] = [keeping, again].map(|step| {
            let mut training = Training::of(step, &config);
            training.write(0..2);
            let losses: Vec<u32> = (1..3).map(|step| training.step(step, 7).to_bits()).collect();
            let words = [Arena::Parameters, Arena::State, Arena::Gradients].map(|arena| training.read(arena));
            (losses, words.map(|words| words.iter().map(|word| word.to_bits()).collect::<Vec<_>>()))
        });
        assert!(kept == made, "{net}, {accumulate} batches a step: other bits");
    }
}
