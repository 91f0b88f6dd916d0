"""What a linear layer reaches on the maps of an Inception-v3's layers: the figures of accuracy.md, by PyTorch and NumPy.

    pip install torch torchvision safetensors numpy pillow
    python bench/layers.py covers.csv inception_v3.safetensors [--size 192] [--features FILE.npz]

The table has the columns path, genre and release. Splits are 70/15/15 by release. --features keeps what the layers make of the
covers, which takes most of the time (about a minute for 1,000 pictures on one core; each cover is shown six times).
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch import nn

LAYERS = ["Mixed_5d", "Mixed_6a", "Mixed_6c", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c"]
# The picture, its mirror image, and four random crops.
CENTRE, MIRRORED, CROPS = 0, 1, slice(2, 6)
DECAYS = (0.3, 1, 3, 10)


def view(image, number, size, draws):
    if number >= CROPS.start:
        width, height = image.size
        side = int(width * draws.uniform(0.55, 1.0) ** 0.5)
        x, y = draws.integers(0, width - side + 1), draws.integers(0, max(1, height - side + 1))
        image = image.crop((x, y, x + side, y + side))
    image = image.resize((size, size), Image.BICUBIC)
    if number == MIRRORED or number >= CROPS.start and draws.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    return (np.asarray(image, dtype=np.float32) / 255 - 0.5) / 0.5


def features(paths, weights, size):
    """Of each layer `views x covers x channels`: the means of its map."""
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    net.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()}, strict=False)
    net.eval()
    means = {}
    for name in LAYERS:
        getattr(net, name).register_forward_hook(lambda _, __, map, name=name: means.update({name: map.mean((2, 3))}))
    draws, all_views = np.random.default_rng(1), {name: [] for name in LAYERS}
    for number in range(CROPS.stop):
        of_view = {name: [] for name in LAYERS}
        for start in range(0, len(paths), 16):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + 16]]
            pixels = np.stack([view(image, number, size, draws) for image in images])
            with torch.no_grad():
                net(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())
            for name in LAYERS:
                of_view[name].append(means[name].numpy().astype(np.float16))
        for name in LAYERS:
            all_views[name].append(np.concatenate(of_view[name]))
        print(f"view {number + 1} of {CROPS.stop}", flush=True)
    return {name: np.stack(views) for name, views in all_views.items()}


def split(releases, seed):
    """Masks of training, validation and test."""
    unique = np.unique(releases)
    order = np.random.default_rng(seed).permutation(len(unique))
    place = dict(zip(unique[order], np.arange(len(unique)) / len(unique)))
    at = np.array([place[release] for release in releases])
    return at < 0.7, (at >= 0.7) & (at < 0.85), at >= 0.85


def scores(outputs, labels, parts):
    """Accuracy in percent on validation and test, then the same with the mirror image's answer added."""
    answers = (outputs[0], outputs[0] + outputs[1])
    return [100 * (answer[part].argmax(1) == labels[part]).mean() for answer in answers for part in parts]


def ridge(x, labels, parts, classes, decay):
    train, *others = parts
    seen = x[:, train].reshape(-1, x.shape[2])
    x = (x - seen.mean(0)) / (seen.std(0) + 1e-3)
    rows = x[:, train].reshape(-1, x.shape[2])
    wanted = np.tile(np.eye(classes, dtype=np.float32)[labels[train]] - 1 / classes, (len(x), 1))
    gram = rows.T @ rows + decay * len(rows) * np.eye(rows.shape[1], dtype=np.float32)
    return scores(x @ np.linalg.solve(gram, rows.T @ wanted), labels, others)


def head(crops, pictures, labels, parts, classes, seed, rate, decay, epochs=12, batch=32):
    """Batch-norm, dropout and a linear layer, as `--head` has them."""
    torch.manual_seed(seed)
    train, *others = (torch.from_numpy(np.where(part)[0]) for part in parts)
    crops, pictures, targets = torch.from_numpy(crops), torch.from_numpy(pictures), torch.from_numpy(labels)
    net = nn.Sequential(nn.BatchNorm1d(crops.shape[2]), nn.Dropout(0.5), nn.Linear(crops.shape[2], classes))
    steps = len(train) // batch
    adam = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=epochs * steps, pct_start=0.3)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(epochs):
        net.train()
        order = train[torch.randperm(len(train))]
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            adam.zero_grad()
            loss(net(crops[epoch % len(crops), rows]), targets[rows]).backward()
            adam.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        outputs = np.stack([net(picture).softmax(1).numpy() for picture in pictures])
    return scores(outputs, labels, [part.numpy() for part in others])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--features", type=Path)
    arguments = parser.parse_args()
    rows = list(csv.DictReader(arguments.table.open()))
    names = sorted({row["genre"] for row in rows})
    labels, releases = np.array([names.index(row["genre"]) for row in rows]), np.array([row["release"] for row in rows])
    kept = arguments.features
    if kept and kept.exists():
        maps = dict(np.load(kept))
    else:
        maps = features([arguments.table.parent / row["path"] for row in rows], arguments.weights, arguments.size)
        if kept:
            np.savez(kept, **maps)

    def of(layers, views):
        return np.concatenate([maps[name][views].astype(np.float32) for name in layers], 2)

    print("ridge, mean of 5 splits: validation, test, both with the mirror image")
    for layers in [[name] for name in LAYERS] + [["Mixed_6e", "Mixed_7b"], LAYERS[:-1]]:
        x = of(layers, slice(0, 2))
        for decay in DECAYS:
            all_splits = [ridge(x, labels, split(releases, seed), len(names), decay) for seed in range(1, 6)]
            print("+".join(layers), decay, np.round(np.mean(all_splits, 0), 1), flush=True)
    print("a head on the six, mean of 3 splits, after 12 epochs: validation, test, both with the mirror image")
    crops, pictures = of(LAYERS[:-1], CROPS), of(LAYERS[:-1], slice(0, 2))
    for rate, decay in [(1e-3, 2), (1e-3, 5), (3e-4, 5)]:
        runs = [head(crops, pictures, labels, split(releases, seed), len(names), seed, rate, decay) for seed in range(1, 4)]
        print(f"rate {rate}, decay {decay}:", np.round(np.mean(runs, 0), 1), flush=True)


if __name__ == "__main__":
    main()
