"""Heat maps by pytorch-grad-cam, and holes filled in by its ROAD. README.md says what is in the file.

    pip install torch torchvision numpy safetensors grad-cam
    python cam.py            # cam.safetensors
    python cam.py --check    # makes it in memory and compares; exit code 1 if they differ

Weights and pictures are computed from their names, here and in tests/networks/cam.rs (`networks.py`).
"""

import argparse
import inspect
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytorch_grad_cam
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, grad_cam_plusplus
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget, ClassifierOutputTarget
from safetensors.torch import load, save
from torch import nn
from torchvision import models

from networks import fill, signed

HERE = Path(__file__).resolve().parent
PICTURES, COARSE = 2, 7
MEAN, DEVIATION = 0.5, 0.25


class Small(nn.Module):
    """src/nets/small.rs."""

    def __init__(self, outputs):
        super().__init__()
        inputs = 3
        for number, filters in enumerate([16, 32, 64, 64], 1):
            setattr(self, f"conv{number}", nn.Conv2d(inputs, filters, 3, padding=1))
            setattr(self, f"bn{number}", nn.BatchNorm2d(filters))
            setattr(self, f"relu{number}", nn.ReLU())
            inputs = filters
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x):
        for n in range(1, 5):
            x = getattr(self, f"relu{n}")(getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(x)))
            if n < 4:
                x = nn.functional.max_pool2d(x, 2)
        return self.fc(x.mean((2, 3)))


class ProgNet(nn.Module):
    """src/nets/prognet.rs."""

    def __init__(self, size, outputs):
        super().__init__()
        inputs = 3
        for number, filters in enumerate([32, 32, 64, 64, 128, 128, 128], 1):
            setattr(self, f"conv{number}", nn.Conv2d(inputs, filters, 3, padding=1))
            setattr(self, f"relu{number}", nn.ReLU())
            if number % 2:
                setattr(self, f"bn{number}", nn.BatchNorm2d(filters))
            inputs, size = filters, max(size // 2, 1)
        self.fc1, self.fc2 = nn.Linear(inputs * size * size, 100), nn.Linear(100, outputs)

    def forward(self, x):
        for n in range(1, 8):
            x = getattr(self, f"relu{n}")(getattr(self, f"conv{n}")(x))
            if x.shape[2] > 1:
                x = nn.functional.max_pool2d(x, 2)
            if n % 2:
                x = getattr(self, f"bn{n}")(x)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def without_eps():
    """GradCAMPlusPlus without the 1e-6 that it adds to its denominator."""
    source = textwrap.dedent(inspect.getsource(grad_cam_plusplus.GradCAMPlusPlus))
    assert "eps = 0.000001" in source
    space = {"np": np, "BaseCAM": pytorch_grad_cam.base_cam.BaseCAM}
    exec(source.replace("eps = 0.000001", "eps = 0").replace("super(GradCAMPlusPlus, self)", "super()"), space)
    return space["GradCAMPlusPlus"]


class EvenScoreCAM(ScoreCAM):
    """Upsamples as Score-CAM's authors do, pixel centres aligned, where the library aligns the corners."""

    def get_cam_weights(self, *arguments):
        aligned = torch.nn.UpsamplingBilinear2d
        torch.nn.UpsamplingBilinear2d = lambda size: nn.Upsample(size=size, mode="bilinear", align_corners=False)
        try:
            return super().get_cam_weights(*arguments)
        finally:
            torch.nn.UpsamplingBilinear2d = aligned


METHODS = {
    "grad-cam": GradCAM,
    "grad-cam++": without_eps(),
    "grad-cam++ as it is": GradCAMPlusPlus,
    "hirescam": HiResCAM,
    "layercam": LayerCAM,
    "score-cam": EvenScoreCAM,
    "score-cam as it is": ScoreCAM,
}

# Name: seed, picture size, outputs, network, the module whose output is the layer, our name for the layer.
CASES = {
    "small": (1, 48, 5, lambda: Small(5), lambda net: net.relu3, "conv3"),
    "prognet": (2, 64, 1, lambda: ProgNet(64, 1), lambda net: net.relu4, "conv4"),
    "resnet18": (3, 64, 5, lambda: models.resnet18(num_classes=5), lambda net: net.layer3[1], "layer3.1"),
}
CLASSES = (0, 1)


def pictures(seed, size):
    """Bytes, three parts squares of colour to one part noise."""
    n, y, x, c = np.indices((PICTURES, size, size, 3))
    byte = lambda name, places: ((signed(f"{seed}/{name}", places) + 1) * 128).astype(np.int64)
    coarse = ((n * COARSE + y * COARSE // size) * COARSE + x * COARSE // size) * 3 + c
    return (3 * byte("coarse", coarse) + byte("fine", ((n * size + y) * size + x) * 3 + c)) // 4


def maps():
    out = {}
    for case, (seed, size, outputs, make, module, layer) in CASES.items():
        net = make().double().eval()
        fill(net, seed)
        x = torch.from_numpy(pictures(seed, size)).permute(0, 3, 1, 2).double()
        x = (x / 255 - MEAN) / DEVIATION
        out[f"{case}/logits"] = net(x).detach()
        for name, make_cam in METHODS.items():
            if case == "resnet18" and name.startswith("score-cam"):
                continue
            cam = make_cam(model=net, target_layers=[module(net)])
            for label in CLASSES:
                target = (BinaryClassifierOutputTarget if outputs == 1 else ClassifierOutputTarget)(label)
                targets = [target] * PICTURES
                scaled = cam(input_tensor=x, targets=targets)
                hooks = cam.activations_and_grads
                gradients = hooks.gradients[0].numpy() if hooks.gradients else None
                raw = cam.get_cam_image(x, module(net), targets, hooks.activations[0].numpy(), gradients, False)
                raw = np.maximum(raw, 0)
                print(f"{case} {layer} {name} class {label}: {raw.shape}, up to {raw.max():.3g}", flush=True)
                assert all(one.max() > 0 for one in raw) or "++" in name, f"{case}: a map without evidence compares nothing"
                out[f"{case}/{name}/{label}/map"] = torch.from_numpy(raw)
                if label == CLASSES[-1]:
                    out[f"{case}/{name}/{label}/scaled"] = torch.from_numpy(scaled[:1])
            cam.activations_and_grads.release()
    return out


def holes():
    out = {}
    y, x, c = np.indices((23, 18, 3))
    picture = signed("0/hole", (y * 18 + x) * 3 + c)
    scattered = signed("0/missing", y[..., 0] * 18 + x[..., 0]) < 0.4
    hole = (abs(y[..., 0] - 9) < 8) & (x[..., 0] > 5)
    for name, missing in {"scattered": scattered, "hole": hole}.items():
        image = torch.from_numpy(picture).permute(2, 0, 1)
        filled = NoisyLinearImputer(noise=0)(image, torch.from_numpy((~missing).astype(np.float64)))
        out[f"impute/{name}/missing"] = torch.from_numpy(missing.astype(np.float32))
        out[f"impute/{name}/filled"] = filled.permute(1, 2, 0)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tensors = {name: tensor.float().contiguous() for name, tensor in (maps() | holes()).items()}
    path = HERE / "cam.safetensors"
    if not arguments.check:
        path.write_bytes(save(tensors))
        print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes, torch {torch.__version__}")
        return
    old = load(path.read_bytes())
    near = lambda name: (old[name] - tensors[name]).norm() <= 1e-6 * old[name].norm()
    same = old.keys() == tensors.keys() and all(near(name) for name in old)
    print(f"{path.name}: {'the same numbers' if same else 'NOT the same numbers'}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
