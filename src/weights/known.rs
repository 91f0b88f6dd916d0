//! Weights of others that are known to fit our networks.

use super::hub::Name;

/// Weights that a network can start from.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub net: &'static str,
    /// On the Hugging Face Hub.
    pub repo: &'static str,
    pub licence: &'static str,
    pub megabytes: u32,
    /// What its authors report on ImageNet's validation set, in percent.
    pub top1: f32,
}

impl Known {
    pub fn name(&self) -> Name {
        Name { repo: self.repo.to_owned(), revision: "main".to_owned() }
    }
}

const fn torchvision(net: &'static str, repo: &'static str, megabytes: u32, top1: f32) -> Known {
    Known { net, repo, licence: "BSD-3-Clause", megabytes, top1 }
}

/// torchvision's weights of ImageNet (`IMAGENET1K_V1`), as timm keeps them on the Hub. The scores are torchvision's
/// (<https://docs.pytorch.org/vision/stable/models.html>). The first one of a network is what `--pretrained` takes.
pub const KNOWN: &[Known] = &[
    torchvision("resnet18", "timm/resnet18.tv_in1k", 47, 69.758),
    torchvision("resnet50", "timm/resnet50.tv_in1k", 102, 76.13),
    torchvision("densenet121", "timm/densenet121.tv_in1k", 32, 74.434),
    torchvision("densenet169", "timm/densenet169.tv_in1k", 57, 75.6),
    torchvision("inception_v3", "timm/inception_v3.tv_in1k", 95, 77.294),
];

/// What `--pretrained` takes for a network; `None` if there is nothing.
pub fn usual(net: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.net == net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_torchvisions_networks_has_weights_by_a_name_that_can_be_one() {
        for net in crate::nets::NETS {
            assert_eq!(usual(net.name).is_some(), net.torchvision, "{}", net.name);
        }
        for known in KNOWN {
            assert_eq!(Name::parse(known.repo), Some(known.name()));
        }
    }
}
