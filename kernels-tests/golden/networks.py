#!/usr/bin/env python3
"""Makes the truth about ResNet, DenseNet and Inception-v3 from torchvision's own classes.

    pip install torch torchvision numpy safetensors
    python networks.py                  # networks.safetensors and torchvision-names.txt
    python networks.py --check          # makes both in memory and compares
    python networks.py --full resnet50  # full/resnet50.safetensors: the same at full width
                                        # [--size 64] [--batch 8] [--classes 1000] [--steps 10] [--seed 1]

The small variants have fewer blocks or narrower layers and are otherwise what torchvision's classes make of them. Every
number is computed in float64 and stored as float32; a float32 run beside it shows how near an f32 engine can come.

Pictures, parameters and running statistics are not stored: both sides compute them from their names (`signed` below,
README.md in words). README.md lists the tensors. Layouts are PyTorch's: NCHW, OIHW, [out, in].
"""

import argparse
import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import nn
from torchvision import models
from torchvision.models import inception
from torchvision.models.densenet import DenseNet
from torchvision.models.inception import BasicConv2d, Inception3
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

HERE = Path(__file__).resolve().parent
AUXILIARY_WEIGHT, HIDDEN = 0.4, 128
# Adam's steps. The deep networks take such short ones that few ReLUs change sides on the way: each that does so elsewhere in
# f32 than in f64 leads to another path.
LONG, SHORT = 1e-3, 1e-5
# Cells across of the pictures' coarse part.
CELLS = 6


# --- numbers that both sides compute ------------------------------------------------------------


def mix(x):
    """A bijection of 32-bit words that leaves no trace of their order (multiply and shift)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def signed(name, places):
    """For each place a number in [-1, 1) that float32 holds exactly. FNV-1a of the name, then `mix`."""
    key = 0x811C9DC5
    for byte in name.encode():
        key = (key ^ byte) * 0x01000193 & 0xFFFFFFFF
    with np.errstate(over="ignore"):
        words = mix(mix(places.astype(np.uint32)) + np.uint32(key))
    return (words >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def pictures(seed, batch, size):
    """Squares of colour, and half as much noise."""
    n, c, y, x = np.indices((batch, 3, size, size))
    coarse = ((n * 3 + c) * CELLS + y * CELLS // size) * CELLS + x * CELLS // size
    fine = ((n * 3 + c) * size + y) * size + x
    return torch.from_numpy(signed(f"{seed}/coarse", coarse) + np.float32(0.5) * signed(f"{seed}/fine", fine))


def value(seed, name, shape):
    """A parameter or running statistic."""
    s = signed(f"{seed}/{name}", np.arange(np.prod(shape, dtype=int)).reshape(shape))
    if len(shape) > 1:
        # He's variance for convolutions, half of it for linear layers.
        bound = np.float32(np.sqrt((6.0 if len(shape) == 4 else 3.0) / np.prod(shape[1:])))
        return torch.from_numpy(bound * s)
    if name.endswith("running_var"):
        return torch.from_numpy(np.float32(1) + np.float32(0.5) * s)
    if name.endswith("running_mean"):
        middle = 0
    elif name.endswith("bias"):
        # Above 0, or channels are dead; below 1, or all pass and the next batch-norm takes the bias away: its gradient is 0.
        middle = 0.5
    else:
        middle = 1
    return torch.from_numpy(np.float32(middle) + np.float32(0.25) * s)


# --- small variants -----------------------------------------------------------------------------


class NarrowResNet(ResNet):
    """torchvision's blocks and forward pass with another width."""

    def __init__(self, block, layers, width, outputs):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, width, 1, 1, 64
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage, blocks in enumerate(layers):
            layer = self._make_layer(block, width << stage, blocks, stride=2 if stage else 1)
            setattr(self, f"layer{stage + 1}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear((width << 3) * block.expansion, outputs)


class FlattenHead(nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(features, HIDDEN), nn.Linear(HIDDEN, outputs)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class FlattenDenseNet(DenseNet):
    """DenseNet's trunk under the flatten head."""

    def __init__(self, cells, num_classes, **options):
        super().__init__(num_classes=num_classes, **options)
        self.head = FlattenHead(self.classifier.in_features * cells * cells, num_classes)
        del self.classifier

    def forward(self, x):
        return self.head(F.relu(self.features(x)))


def small_inception(divisor, outputs, aux):
    """Every width divided."""

    class Conv(BasicConv2d):
        def __init__(self, inputs, channels, **options):
            super().__init__(inputs if inputs == 3 else inputs // divisor, channels // divisor, **options)

    names = ["InceptionA", "InceptionB", "InceptionC", "InceptionD", "InceptionE", "InceptionAux"]
    blocks = [Conv] + [partial(getattr(inception, name), conv_block=Conv) for name in names]
    net = Inception3(outputs, aux_logits=aux, inception_blocks=blocks, init_weights=False, dropout=0.0)
    net.fc = nn.Linear(2048 // divisor, outputs)
    if aux:
        net.AuxLogits.fc = nn.Linear(768 // divisor, outputs)
    return net


def dense(growth, init, outputs):
    blocks = (2, 3, 2, 2)
    return DenseNet(growth_rate=growth, block_config=blocks, num_init_features=init, num_classes=outputs)


def dense_flatten(outputs):
    """Odd numbers of channels: 5, 17, 7, 25, ..."""
    options = {"growth_rate": 6, "block_config": (2, 3, 2, 2), "num_init_features": 5}
    return FlattenDenseNet(2, outputs, **options)


# Name: seed, picture size, batch, Adam's rate, logits, network. The seeds keep clear of near ties in the first step (MARGIN).
SMALL = {
    "resnet_basic": (6, 40, 6, LONG, 1, lambda n: NarrowResNet(BasicBlock, [1, 1, 1, 1], 6, n)),
    "resnet_bottleneck": (2, 40, 6, LONG, 5, lambda n: NarrowResNet(Bottleneck, [1, 2, 1, 1], 4, n)),
    "densenet": (4, 64, 6, LONG, 5, lambda n: dense(8, 16, n)),
    "densenet_flatten": (4, 64, 6, LONG, 3, dense_flatten),
    "inception": (7, 75, 8, SHORT, 5, lambda n: small_inception(16, n, aux=False)),
    "inception_aux": (114, 299, 4, SHORT, 5, lambda n: small_inception(16, n, aux=True)),
}

FULL = {
    "resnet18": models.resnet18,
    "resnet34": models.resnet34,
    "resnet50": models.resnet50,
    "resnet101": models.resnet101,
    "wide_resnet50_2": models.wide_resnet50_2,
    "densenet121": models.densenet121,
    "densenet169": models.densenet169,
    "densenet201": models.densenet201,
    "inception_v3": partial(models.inception_v3, init_weights=False, dropout=0.0),
}


# --- how near a choice is to flipping -----------------------------------------------------------

# Where a ReLU's input and zero, or two candidates of a max-pool window, are closer than this, f32 rounding may choose the
# other side, and the gradients differ for no fault of the engine.
MARGIN = 2.5e-6


@contextlib.contextmanager
def watch(margins):
    """Notes in `margins` the smallest distance of every ReLU and max-pool under it."""
    relu, max_pool = F.relu, F.max_pool2d

    def watched_relu(x, inplace=False):
        margins.append(x.detach().abs().min().item())
        return relu(x)

    def watched_max_pool(x, kernel_size, stride=None, padding=0, *rest, **options):
        rows = F.pad(x.detach(), (padding,) * 4, value=-1e9).flatten(0, 1).unsqueeze(1)
        top = F.unfold(rows, kernel_size, stride=stride).topk(2, dim=1).values
        gap = (top[:, 0] - top[:, 1])[top[:, 0] > 0]
        # Exactly equal are outputs of nothing but zeros; then the first wins, everywhere.
        margins.append(gap[gap > 0].min().item())
        return max_pool(x, kernel_size, stride, padding, *rest, **options)

    F.relu, F.max_pool2d = watched_relu, watched_max_pool
    try:
        yield
    finally:
        F.relu, F.max_pool2d = relu, max_pool


# --- the runs -----------------------------------------------------------------------------------


def fill(net, seed):
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(value(seed, name, tuple(tensor.shape)))


def loss_of(logits, labels):
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits.flatten(), labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)


def run(net, seed, size, batch, outputs, dtype, rate, steps, margins=None):
    """Inference, one training step, and more of them, all on one batch."""
    net = net.to(dtype)
    fill(net, seed)
    x = pictures(seed, batch, size).to(dtype)
    labels = torch.arange(batch) % max(outputs, 2)
    out, losses = {}, []
    with torch.no_grad():
        out["eval_logits"] = net.eval()(x)
    net.train()
    adam = torch.optim.Adam(net.parameters(), lr=rate, betas=(0.9, 0.999), eps=1e-8)
    for step in range(steps):
        adam.zero_grad()
        with watch(margins) if margins is not None and step == 0 else contextlib.nullcontext():
            logits = net(x)
        logits, aux = logits if isinstance(logits, tuple) else (logits, None)
        loss = loss_of(logits, labels)
        losses.append(loss.detach().clone())
        if aux is not None:
            loss = loss + AUXILIARY_WEIGHT * loss_of(aux, labels)
        loss.backward()
        if step == 0:
            out["logits"] = logits.detach().clone()
            if aux is not None:
                out["auxiliary"] = aux.detach().clone()
            for name, parameter in net.named_parameters():
                out[f"grad/{name}"] = parameter.grad.clone()
            for name, buffer in net.named_buffers():
                if buffer.is_floating_point():
                    out[f"state/{name}"] = buffer.clone()
        adam.step()
    out["losses"] = torch.stack(losses)
    for name, parameter in net.named_parameters():
        out[f"change/{name}"] = parameter.detach() - value(seed, name, tuple(parameter.shape)).to(dtype)
    return out


def truth(case, make, seed, size, batch, outputs, rate, steps):
    """The float64 results; says how far the float32 run is from them."""
    margins = []
    out = run(make(), seed, size, batch, outputs, torch.float64, rate, steps, margins)
    single = run(make(), seed, size, batch, outputs, torch.float32, rate, steps)
    kinds = {}
    for name, tensor in out.items():
        error = ((single[name].double() - tensor).norm() / tensor.norm().clamp_min(1e-30)).item()
        kinds.setdefault(name.split("/")[0], []).append((error, name))
    print(f"{case}: margin {min(margins):.1e}, losses {out['losses'][0]:.4f} to {out['losses'][-1]:.4f}")
    print("  ||f32 - f64|| / ||f64|| of each kind of tensor: median, worst")
    tensors = {f"{case}/{name}": tensor.to(torch.float32) for name, tensor in out.items()}
    for kind, errors in kinds.items():
        errors.sort()
        (median, _), (worst, name) = errors[len(errors) // 2], errors[-1]
        print(f"    {kind:13} {median:.1e} {worst:.1e}  {name}", flush=True)
        tensors[f"{case}/f32/{kind}"] = torch.tensor([median, worst])
    for name, tensor in tensors.items():
        assert tensor.isfinite().all(), name
    tensors[f"{case}/rate"] = torch.tensor(rate)
    tensors[f"{case}/setup"] = torch.tensor([seed, size, batch, outputs, steps], dtype=torch.int32)
    return tensors, min(margins)


def names():
    """Each floating-point entry of the state dicts for 1000 classes: name and shape."""
    lines = []
    for net, make in FULL.items():
        lines.append(f"# {net}")
        for name, tensor in make(weights=None).state_dict().items():
            if tensor.is_floating_point():
                lines.append(f"{name} {'x'.join(map(str, tensor.shape))}")
    return ("\n".join(lines) + "\n").encode()


def small():
    tensors = {}
    for case, (seed, size, batch, rate, outputs, make) in SMALL.items():
        results, margin = truth(case, partial(make, outputs), seed, size, batch, outputs, rate, 10)
        assert margin > MARGIN, f"{case}: margin {margin:.1e}, choose another seed"
        tensors |= results
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def truths(data):
    """What must come out the same on another machine: not how far its float32 is off."""
    return {name: tensor.numpy().tobytes() for name, tensor in load(data).items() if "/f32/" not in name}


def full(arguments):
    net, folder = arguments.full, Path(os.environ.get("GATEFOLD_GOLDEN_FULL", HERE / "full"))
    size = arguments.size or (107 if net == "inception_v3" else 64)
    options = {"weights": None, "num_classes": arguments.classes}
    if net == "inception_v3":
        options["aux_logits"] = size >= 299
    outputs = arguments.classes
    tensors, _ = truth(net, partial(FULL[net], **options), arguments.seed, size, arguments.batch, outputs, SHORT, arguments.steps)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{net}.safetensors"
    path.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
    print(f"{path}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--full", choices=FULL)
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.full:
        return full(arguments)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    same = True
    for name, data, view in [("torchvision-names.txt", names(), bytes), ("networks.safetensors", small(), truths)]:
        path = HERE / name
        if arguments.check:
            equal = view(path.read_bytes()) == view(data)
            print(f"{name}: {'the same numbers' if equal else 'NOT the same numbers'}")
            same &= equal
        else:
            path.write_bytes(data)
            print(f"{name}: {len(data)} bytes, torch {torch.__version__}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
