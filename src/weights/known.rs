//! Weights of others that are known to fit our networks.

use super::hub::Name;
use crate::{Error, Result};

/// Weights that a network can start from.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub net: &'static str,
    /// On the Hugging Face Hub.
    pub repo: &'static str,
    /// As timm states it.
    pub licence: &'static str,
    pub megabytes: u32,
    /// What its authors report on ImageNet's validation set, in percent, where they do.
    pub top1: Option<f32>,
}

impl Known {
    pub fn name(&self) -> Name {
        Name { repo: self.repo.to_owned(), revision: "main".to_owned() }
    }
}

const fn known(
    net: &'static str,
    repo: &'static str,
    licence: &'static str,
    megabytes: u32,
    top1: Option<f32>,
) -> Known {
    Known { net, repo, licence, megabytes, top1 }
}

const BSD: &str = "BSD-3-Clause";
const APACHE: &str = "Apache-2.0";

/// Weights of ImageNet that timm keeps on the Hub: torchvision's first and second, GluonCV's, TensorFlow's, and timm's own (`ra`). The
/// scores are torchvision's (<https://docs.pytorch.org/vision/stable/models.html>). The first one of a network is what `--pretrained`
/// takes.
pub const KNOWN: &[Known] = &[
    known("resnet18", "timm/resnet18.tv_in1k", BSD, 47, Some(69.758)),
    known("resnet18", "timm/resnet18.gluon_in1k", APACHE, 47, None),
    known("resnet34", "timm/resnet34.tv_in1k", BSD, 87, Some(73.314)),
    known("resnet50", "timm/resnet50.tv_in1k", BSD, 102, Some(76.13)),
    known("resnet50", "timm/resnet50.tv2_in1k", BSD, 102, Some(80.858)),
    known("resnet50", "timm/resnet50.a1_in1k", APACHE, 102, None),
    known("resnet50", "timm/resnet50.gluon_in1k", APACHE, 102, None),
    known("resnet101", "timm/resnet101.tv_in1k", BSD, 179, Some(77.374)),
    known("resnet101", "timm/resnet101.tv2_in1k", BSD, 179, Some(81.886)),
    known("wide_resnet50_2", "timm/wide_resnet50_2.tv_in1k", BSD, 276, Some(78.468)),
    known("wide_resnet50_2", "timm/wide_resnet50_2.tv2_in1k", BSD, 276, Some(81.602)),
    known("densenet121", "timm/densenet121.tv_in1k", APACHE, 32, Some(74.434)),
    known("densenet121", "timm/densenet121.ra_in1k", APACHE, 32, None),
    known("densenet169", "timm/densenet169.tv_in1k", APACHE, 57, Some(75.6)),
    known("densenet201", "timm/densenet201.tv_in1k", APACHE, 81, Some(76.896)),
    known("inception_v3", "timm/inception_v3.tv_in1k", APACHE, 95, Some(77.294)),
    known("inception_v3", "timm/inception_v3.gluon_in1k", APACHE, 95, None),
    known("inception_v3", "timm/inception_v3.tf_in1k", APACHE, 95, None),
];

/// What `--pretrained` takes for a network.
///
/// # Errors
/// [`Error::Input`] with the networks that have weights, if this one has none.
pub fn usual(net: &str) -> Result<&'static Known> {
    KNOWN.iter().find(|known| known.net == net).ok_or_else(|| {
        let mut nets: Vec<&str> = KNOWN.iter().map(|known| known.net).collect();
        // Those of one network stand together.
        nets.dedup();
        let nets = nets.join(", ");
        Error::input(format!("--pretrained: no weights are published for {net}; these have some: {nets}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_torchvisions_networks_has_weights_by_a_name_that_can_be_one() {
        for net in crate::nets::NETS {
            assert_eq!(usual(net.name).is_ok(), net.torchvision, "{}", net.name);
        }
        let told = usual("small").unwrap_err().to_string();
        assert!(told.ends_with("densenet121, densenet169, densenet201, inception_v3"), "{told}");
        for known in KNOWN {
            assert_eq!(Name::parse(known.repo), Some(known.name()));
        }
    }
}
