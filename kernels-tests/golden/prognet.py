#!/usr/bin/env python3
"""Makes prognet.safetensors, the PyTorch truth that the engine is held against.

    pip install torch safetensors
    python prognet.py            # writes prognet.safetensors beside this script
    python prognet.py --check    # makes it again in memory and compares it byte for byte

Every number is computed in float64 and stored as float32; a float32 run of the same steps is
made beside it, and its distance from the truth is printed: no f32 engine should be expected to
come nearer than that. Inputs and initial parameters come from Python's own generator (the same
in every version) rounded to float32, so both runs start from the same bits.

README.md beside this script lists the tensors. Layouts are PyTorch's: NCHW, OIHW, [out, in].
"""

import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save

OUT = Path(__file__).resolve().with_name("prognet.safetensors")
FILTERS = [8, 8, 16, 16]
SIZE, BATCH, HIDDEN, STEPS, LR = 32, 4, 20, 10, 1e-3
SEEDS = {"binary": 105, "classes5": 118, "batchnorm": 3, "pool": 4}
# Where two candidates of a max-pool window, or a ReLU's input and zero, are closer than this, f32 rounding
# may choose the other side and the gradients differ for no fault of the engine. The seeds keep clear of it.
MARGIN = 3e-5


class Draw:
    """Normal numbers from the standard library, rounded to float32."""

    def __init__(self, seed):
        self.source = random.Random(seed)

    def normal(self, *shape, mean=0.0, std=1.0):
        count = 1
        for size in shape:
            count *= size
        values = [self.source.gauss(mean, std) for _ in range(count)]
        return torch.tensor(values, dtype=torch.float64).to(torch.float32).reshape(shape)


# --- the network ------------------------------------------------------------------------------


def parameters(draw, outputs):
    """He-scaled weights and small biases, in the network's order."""
    params, channels = {}, 3
    for i, filters in enumerate(FILTERS, start=1):
        std = (2.0 / (channels * 9)) ** 0.5
        params[f"conv{i}.weight"] = draw.normal(filters, channels, 3, 3, std=std)
        params[f"conv{i}.bias"] = draw.normal(filters, std=0.1)
        channels = filters
    features = channels * (SIZE // 2 ** len(FILTERS)) ** 2
    for name, rows, columns in [("fc1", HIDDEN, features), ("fc2", outputs, HIDDEN)]:
        params[f"{name}.weight"] = draw.normal(rows, columns, std=(2.0 / columns) ** 0.5)
        params[f"{name}.bias"] = draw.normal(rows, std=0.1)
    return params


def forward(params, x, margins=None):
    """Logits. With a list for `margins`, notes how far each choice (ReLU, max-pool) is from flipping."""
    for i in range(1, len(FILTERS) + 1):
        x = F.conv2d(x, params[f"conv{i}.weight"], params[f"conv{i}.bias"], padding=1)
        if margins is not None:
            margins.append(choice_margin(x))
        x = F.max_pool2d(F.relu(x), 2)
    x = F.linear(x.flatten(1), params["fc1.weight"], params["fc1.bias"])
    if margins is not None:
        margins.append(x.detach().abs().min().item())
    return F.linear(F.relu(x), params["fc2.weight"], params["fc2.bias"])


def choice_margin(x):
    """For each 2x2 window: the largest value's distance from zero and, where it passes, from the second."""
    windows = F.unfold(x.detach().flatten(0, 1).unsqueeze(1), 2, stride=2)
    top = windows.topk(2, dim=1).values
    positive = top[:, 0] > 0
    gap = (top[:, 0] - top[:, 1])[positive]
    return min(top[:, 0].abs().min().item(), gap.min().item())


def train(initial, x, loss_of, optimizer, dtype):
    """One pass with gradients, then ten optimiser steps on the same batch."""
    params = {k: v.to(dtype, copy=True).requires_grad_(True) for k, v in initial.items()}
    x = x.to(dtype)
    out, margins, losses = {}, [], []
    opt = optimizer(list(params.values()))
    for step in range(STEPS):
        opt.zero_grad()
        logits = forward(params, x, margins)
        loss = loss_of(logits)
        loss.backward()
        losses.append(loss.detach())
        if step == 0:
            out["logits"] = logits.detach().clone()
            out["loss"] = loss.detach().clone()
            for k, p in params.items():
                assert p.grad.abs().max() > 0, f"{k} gets no gradient: choose another seed"
                out[f"grad/{k}"] = p.grad.clone()
        opt.step()
    out["losses10"] = torch.stack(losses)
    for k, p in params.items():
        out[f"adam10/{k}"] = p.detach().clone()
    return out, min(margins)


def truth(case, initial, x, loss_of, optimizer):
    """The float64 results; says how far the float32 run is from them."""
    out, margin = train(initial, x, loss_of, optimizer, torch.float64)
    assert margin > MARGIN, f"{case}: margin {margin:.1e}, choose another seed"
    single, _ = train(initial, x, loss_of, optimizer, torch.float32)
    worst = {}
    for k, v in out.items():
        kind = k.split("/")[0]
        error = ((single[k].double() - v).norm() / v.norm().clamp_min(1e-30)).item()
        worst[kind] = max(worst.get(kind, 0.0), error)
    far = "  ".join(f"{k} {v:.1e}" for k, v in worst.items())
    print(f"{case}: margin {margin:.1e}; f32 run, ||out - ref|| / ||ref||: {far}")
    return out


def adam(params):
    return torch.optim.Adam(params, lr=LR, betas=(0.9, 0.999), eps=1e-8)


def adamw(params):
    return torch.optim.AdamW(params, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)


def networks(out):
    draw = Draw(SEEDS["binary"])
    x, initial = draw.normal(BATCH, 3, SIZE, SIZE), parameters(draw, 1)
    labels = torch.tensor([1, 0, 0, 1], dtype=torch.int32)

    def binary_loss(logits):
        return F.binary_cross_entropy_with_logits(logits.flatten(), labels.to(logits.dtype))

    put(out, "binary", {"input": x, "labels": labels})
    put(out, "binary/param", initial)
    put(out, "binary", truth("binary", initial, x, binary_loss, adam))

    draw = Draw(SEEDS["classes5"])
    x, initial = draw.normal(BATCH, 3, SIZE, SIZE), parameters(draw, 5)
    labels = torch.tensor([3, 0, 4, 1], dtype=torch.int32)
    weights = torch.tensor([0.5, 1.0, 2.0, 1.25, 0.75], dtype=torch.float32)

    def class_loss(logits):
        return F.cross_entropy(logits, labels.long(), weight=weights.to(logits.dtype), label_smoothing=0.1)

    put(out, "classes5", {"input": x, "labels": labels, "class_weights": weights})
    put(out, "classes5/param", initial)
    put(out, "classes5", truth("classes5", initial, x, class_loss, adam))
    decayed = truth("adamw", initial, x, class_loss, adamw)
    put(out, "adamw", {k: v for k, v in decayed.items() if k.startswith(("adam10/", "losses10"))})


# --- single operations --------------------------------------------------------------------------


def batchnorm(out):
    draw = Draw(SEEDS["batchnorm"])
    start = {
        "x": draw.normal(3, 5, 4, 6, mean=0.7, std=1.8),
        "weight": draw.normal(5, mean=1.0, std=0.3),
        "bias": draw.normal(5, std=0.3),
        "running_mean": draw.normal(5, std=0.5),
        "running_var": draw.normal(5).abs() + 0.5,
        "upstream": draw.normal(3, 5, 4, 6),
    }
    put(out, "batchnorm", start)
    layer = torch.nn.BatchNorm2d(5, eps=1e-5, momentum=0.1, dtype=torch.float64)
    with torch.no_grad():
        for k in ["weight", "bias", "running_mean", "running_var"]:
            getattr(layer, k).copy_(start[k])
    x = start["x"].double().requires_grad_(True)
    y = layer(x)
    (y * start["upstream"].double()).sum().backward()
    result = {"y": y.detach(), "dx": x.grad, "dweight": layer.weight.grad, "dbias": layer.bias.grad}
    result["running_mean_after"] = layer.running_mean.clone()
    result["running_var_after"] = layer.running_var.clone()
    result["y_eval"] = layer.eval()(x).detach()
    put(out, "batchnorm", result)


def pool(out):
    draw = Draw(SEEDS["pool"])
    x, upstream = draw.normal(2, 3, 7, 6), draw.normal(2, 3, 4, 3)
    put(out, "pool", {"x": x, "upstream": upstream})
    padded = F.pad(x, (1, 1, 1, 1), value=-1e9).flatten(0, 1).unsqueeze(1)
    top = F.unfold(padded, 3, stride=2).topk(2, dim=1).values
    assert (top[:, 0] - top[:, 1]).min() > 1e-3, "a max-pool tie: choose another seed"
    layers = {
        "avg_counted": torch.nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=True),
        "avg_uncounted": torch.nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
        "max": torch.nn.MaxPool2d(3, stride=2, padding=1),
    }
    for name, layer in layers.items():
        leaf = x.double().requires_grad_(True)
        y = layer(leaf)
        (y * upstream.double()).sum().backward()
        put(out, f"pool/{name}", {"y": y.detach(), "dx": leaf.grad})


# --- the file -------------------------------------------------------------------------------------


def put(out, prefix, tensors):
    for k, v in tensors.items():
        name = f"{prefix}/{k}"
        assert name not in out, name
        assert v.isfinite().all(), name
        out[name] = v.detach().clone()


def encode(tensors):
    """safetensors bytes: float32 and int32, no metadata (its order in the file would not be fixed)."""
    kinds = {torch.int32: torch.int32, torch.float32: torch.float32, torch.float64: torch.float32}
    return save({k: v.to(kinds[v.dtype]).contiguous() for k, v in tensors.items()})


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    out = {}
    networks(out)
    batchnorm(out)
    pool(out)
    data = encode(out)
    if sys.argv[1:] == ["--check"]:
        same = OUT.read_bytes() == data
        print(f"{OUT.name}: {'the same bytes' if same else 'NOT the same bytes'}")
        sys.exit(0 if same else 1)
    OUT.write_bytes(data)
    print(f"{OUT.name}: {len(out)} tensors, {len(data)} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    main()
