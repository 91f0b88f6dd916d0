//! Torchvision's networks: counts, names, heads, and what is refused.

use gatefold_engine::params::Spec;
use gatefold_engine::tensor::Shape;

use super::*;

fn config(net: &str, size: usize, classes: usize) -> NetConfig {
    NetConfig { net: net.into(), size, classes, dropout: 0.2, ..NetConfig::default() }
}

fn recorded(config: &NetConfig, training: bool) -> Result<(Tape, Recorded)> {
    let mut tape = Tape::new();
    let pictures = tape.input(Shape::new(2, config.size, config.size, 4));
    let net = record(&mut tape, pictures, config, training)?;
    Ok((tape, net))
}

fn torchvisions() -> impl Iterator<Item = &'static Net> {
    NETS.iter().filter(|net| net.torchvision)
}

/// Entries of PyTorch's `state_dict`: each batch-norm also counts its batches.
fn keys(spec: &Spec) -> usize {
    spec.parameters.len() + spec.states.len() + norms(spec)
}

fn norms(spec: &Spec) -> usize {
    spec.states.iter().filter(|(_, state)| state.name.ends_with("running_mean")).count()
}

#[test]
fn counts_are_torchvisions() {
    for (net, size, training, entries, parameters, batch_norms) in [
        ("resnet18", 64, true, 122, 11_689_512, 20),
        ("resnet34", 64, true, 218, 21_797_672, 36),
        ("resnet50", 64, true, 320, 25_557_032, 53),
        ("resnet101", 64, true, 626, 44_549_160, 104),
        ("wide_resnet50_2", 64, true, 320, 68_883_240, 53),
        ("densenet121", 64, true, 727, 7_978_856, 121),
        ("densenet169", 64, true, 1015, 14_149_480, 169),
        ("densenet201", 64, true, 1207, 20_013_928, 201),
        ("inception_v3", 299, true, 580, 27_161_264, 96),
        ("inception_v3", 299, false, 566, 23_834_568, 94),
    ] {
        let (tape, _) = recorded(&config(net, size, 1000), training).unwrap();
        let spec = tape.spec();
        assert_eq!((keys(spec), spec.parameter_count(), norms(spec)), (entries, parameters, batch_norms), "{net}");
    }
}

#[test]
fn all_take_their_smallest_pictures_and_two_classes_make_one_logit() {
    for net in torchvisions() {
        for (classes, outputs) in [(2, 1), (3, 3)] {
            let config = config(net.name, net.smallest, classes);
            for training in [true, false] {
                let (tape, recorded) = recorded(&config, training).unwrap();
                assert_eq!(recorded.logits.shape, Shape::matrix(2, outputs), "{}", net.name);
                let names: Vec<_> = tape.names().iter().map(|(name, _)| name).collect();
                assert_eq!(names.last(), Some(&&recorded.default_layer), "{}", net.name);
            }
        }
        assert_eq!(recorded(&config(net.name, net.smallest - 1, 3), true).err().unwrap().exit_code(), 2);
    }
}

#[test]
fn maps_at_native_size_are_the_published_ones() {
    let map = |net: &str, size: usize, layer: &str| {
        let (tape, _) = recorded(&config(net, size, 1000), false).unwrap();
        let Shape { h, w, c, .. } = tape.named(layer).unwrap().shape;
        (h, w, c)
    };
    assert_eq!(map("resnet18", 224, "layer4.1"), (7, 7, 512));
    assert_eq!(map("resnet50", 224, "layer1.2"), (56, 56, 256));
    assert_eq!(map("resnet50", 224, "layer4.2"), (7, 7, 2048));
    assert_eq!(map("densenet121", 224, "features.denseblock2"), (28, 28, 512));
    assert_eq!(map("densenet169", 224, "features.transition3"), (7, 7, 640));
    assert_eq!(map("densenet169", 224, "features"), (7, 7, 1664));
    assert_eq!(map("inception_v3", 299, "Mixed_5d"), (35, 35, 288));
    assert_eq!(map("inception_v3", 299, "Mixed_6e"), (17, 17, 768));
    assert_eq!(map("inception_v3", 299, "Mixed_7c"), (8, 8, 2048));
}

#[test]
fn the_flatten_head_stands_on_the_same_trunk() {
    for net in torchvisions() {
        let linear = config(net.name, 96, 15);
        let flatten = NetConfig { head: Head::Flatten, ..linear.clone() };
        let (linear, _) = recorded(&linear, false).unwrap();
        let (flatten, net) = recorded(&flatten, false).unwrap();
        assert_eq!(net.logits.shape, Shape::matrix(2, 15));
        let (all, trunk) = (&flatten.spec().parameters, linear.spec().parameters.len() - 2);
        assert_eq!(all[..trunk], linear.spec().parameters[..trunk]);
        let names: Vec<_> = all[trunk..].iter().map(|(_, p)| p.name.as_str()).collect();
        assert_eq!(names, ["head.fc1.weight", "head.fc1.bias", "head.fc2.weight", "head.fc2.bias"]);
        let map = flatten.named(&net.default_layer).unwrap().shape;
        assert_eq!(all[trunk].1.disk_shape(), [128, map.h * map.w * map.c]);
        assert_eq!(all[trunk + 2].1.disk_shape(), [15, 128]);
    }
}

#[test]
fn a_head_on_layers_ends_the_network_behind_the_last_of_them() {
    for net in torchvisions() {
        let whole = config(net.name, 96, 15);
        let (whole_tape, _) = recorded(&whole, false).unwrap();
        let usual = Head::usual(net.name).unwrap();
        for head in [usual.clone(), Head::Layers(usual.layers()[..1].to_vec())] {
            let cut = NetConfig { head: head.clone(), ..whole.clone() };
            let (tape, recorded) = recorded(&cut, true).unwrap();
            let last = head.layers().last().unwrap();
            assert_eq!((&recorded.default_layer, tape.names().last().map(|(name, _)| name)), (last, Some(last)));
            assert!(recorded.auxiliary.is_none() && recorded.logits.shape == Shape::matrix(2, 15));
            // The trunk is the start of the whole one, and the head stands on a mean for each channel.
            let (all, trunk) = (&tape.spec().parameters, tape.spec().parameters.len() - 4);
            assert_eq!(all[..trunk], whole_tape.spec().parameters[..trunk]);
            let names: Vec<_> = all[trunk..].iter().map(|(_, p)| p.name.as_str()).collect();
            assert_eq!(names, ["head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"]);
            let channels: usize = head.layers().iter().map(|name| tape.named(name).unwrap().shape.c).sum();
            assert_eq!(all[trunk + 2].1.disk_shape(), [15, channels]);
        }
    }
}

#[test]
fn the_auxiliary_head_comes_last_and_only_in_training_with_room() {
    let record = |size, training| recorded(&config("inception_v3", size, 15), training).unwrap();
    let (tape, net) = record(299, true);
    assert_eq!(net.auxiliary.unwrap().shape, Shape::matrix(2, 15));
    assert!(net.notes.is_empty());
    let is_auxiliary: Vec<_> = tape.spec().parameters.iter().map(|(_, p)| p.name.starts_with("AuxLogits.")).collect();
    assert!(is_auxiliary.is_sorted() && is_auxiliary.iter().filter(|&&a| a).count() == 8);
    let (_, net) = record(298, true);
    assert!(net.auxiliary.is_none() && net.notes[0].contains("299"), "{:?}", net.notes);
    let (inference, net) = record(299, false);
    assert!(net.auxiliary.is_none() && net.notes.is_empty());
    let trunk = inference.spec().parameters.len();
    assert_eq!(inference.spec().parameters[..], tape.spec().parameters[..trunk]);

    // It would be nearly all that is trained, and change nothing of what answers.
    let frozen =
        |layer: &str| forward::spec_frozen(&config("inception_v3", 299, 15), Some(&Freeze::from(layer.to_owned())));
    for (layer, parameters) in [("trunk", trunk), ("Mixed_6e", trunk), ("Mixed_6d", trunk + 8)] {
        assert_eq!(frozen(layer).unwrap().parameters.len(), parameters, "{layer}");
    }
}

#[test]
fn what_a_network_does_not_have_is_refused() {
    let refused = |config: NetConfig| {
        let error = recorded(&config, true).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    for net in ["prognet", "small"] {
        let text = refused(NetConfig { head: Head::Flatten, ..config(net, 96, 5) });
        assert!(text.contains(net) && text.contains("resnet50"), "{text}");
    }
    let layers = |name: &str| NetConfig { head: name.parse().unwrap(), ..config("resnet18", 64, 5) };
    let text = refused(layers("layer2.0,layer31"));
    assert!(text.contains("--head layer31") && text.contains("did you mean layer3.1?"), "{text}");
    assert!(refused(layers("lineer")).contains("did you mean linear?"));
    // A layer within a block is none that a network could end with.
    let inner = Head::Layers(vec!["features.denseblock1.denselayer2".into()]);
    assert!(refused(NetConfig { head: inner, ..config("densenet121", 64, 5) }).contains("neither such a head"));
    assert!(refused(NetConfig { batch_norm: false, ..config("resnet18", 64, 5) }).contains("batch-norm"));
    let text = refused(NetConfig { stochastic_depth: 0.2, ..config("densenet121", 64, 5) });
    assert!(text.contains("no residual branches") && text.contains("resnet18"), "{text}");
    assert!(refused(config("resnet", 64, 5)).contains("inception_v3"));
}

#[test]
fn a_configuration_without_a_head_has_the_linear_one() {
    let text = r#"{"net": "small", "size": 48, "classes": 2, "dropout": 0.0, "batch_norm": true}"#;
    let config: NetConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.head, Head::Linear);
    assert_eq!("flatten".parse(), Ok(Head::Flatten));
    let layers = Head::Layers(vec!["layer2.1".into(), "layer3.0".into()]);
    assert_eq!("layer2.1, layer3.0".parse(), Ok(layers.clone()));
    assert_eq!(layers.to_string().parse(), Ok(layers));
    for bad in ["", "layer2.1,", "layer2.1,layer2.1"] {
        assert!(bad.parse::<Head>().is_err(), "{bad}");
    }
}

#[test]
fn stochastic_depth_drops_each_branch_in_training_alone() {
    let drops = |stochastic_depth, training| {
        let (tape, _) = recorded(&NetConfig { stochastic_depth, ..config("resnet18", 64, 5) }, training).unwrap();
        tape.launches().iter().filter(|launch| launch.op == "dropout" && launch.pass == "forward").count()
    };
    // Eight branches, even the first a little.
    assert_eq!([drops(0.2, true), drops(0.2, false), drops(0.0, true)], [8, 0, 0]);
}
