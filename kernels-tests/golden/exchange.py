#!/usr/bin/env python3
"""Weights to and fro: what torchvision saves, gatefold loads, and the other way round, with the same logits.

    pip install torch torchvision safetensors pillow
    python exchange.py all --gatefold target/release/gatefold     # all networks, both ways, in a temporary folder
    python exchange.py make DIR                                   # torch-side files and a picture to try by hand
    python exchange.py check FILE PICTURE --logits L.json         # an exported file: strict load, and the same logits?

`L.json` is what `gatefold predict --weights FILE PICTURE --json` printed. PICTURE is a square of the side that the weights
ask for, so that no two programs' resizing is compared. Every network also runs in float64: the distance of torch's own
float32 logits from that is printed beside gatefold's.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

NETS = ["resnet18", "resnet50", "densenet121", "densenet169", "inception_v3"]
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)
# Side of the square that a picture becomes, and of its centre that the network sees.
SIZES = {"inception_v3": (342, 299)}
# Of the largest logit. f32 sums over thousands of terms, 20 to 170 layers deep, in another order.
TOLERANCE = 1e-4


def network(name, classes, aux=True):
    more = {"aux_logits": aux, "init_weights": False} if name == "inception_v3" else {}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **more)


def made(name, classes, seed=1):
    """A network whose running statistics are those of some made-up pictures, as if it had been trained."""
    torch.manual_seed(seed)
    net = network(name, classes)
    net.train()
    size = SIZES.get(name, (0, 96))[1]
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 0.5
                module.weight.uniform_(0.8, 1.2)
                module.bias.normal_(0, 0.1)
        for _ in range(4):
            net(torch.randn(4, 3, size, size))
    return net.eval()


def picture(side, seed=7):
    """Coarse patches and fine noise."""
    draw = random.Random(seed)
    patches = [[[draw.randrange(180) for _ in range(3)] for _ in range(9)] for _ in range(9)]
    image = Image.new("RGB", (side, side))
    for y in range(side):
        for x in range(side):
            patch = patches[9 * y // side][9 * x // side]
            image.putpixel((x, y), tuple(value + draw.randrange(70) for value in patch))
    return image


def tensor(image, size, mean, std, dtype):
    side = image.size[0]
    edge = (side - size) // 2
    image = image.crop((edge, edge, edge + size, edge + size))
    values = torch.tensor(list(image.tobytes()), dtype=dtype).reshape(1, size, size, 3).permute(0, 3, 1, 2) / 255
    shape = (1, 3, 1, 1)
    return (values - torch.tensor(mean, dtype=dtype).reshape(shape)) / torch.tensor(std, dtype=dtype).reshape(shape)


def logits(net, image, size, mean, std):
    """In float64 and in float32."""
    both = []
    for dtype in [torch.float64, torch.float32]:
        with torch.no_grad():
            both.append(net.to(dtype)(tensor(image, size, mean, std, dtype))[0].double())
    return both


def compare(title, truth, single, ours):
    ours = torch.tensor(ours, dtype=torch.float64)
    scale = truth.abs().max().item()
    error, torchs = ((value - truth).abs().max().item() for value in (ours, single))
    print(f"{title:34} largest logit {scale:8.4f}, largest difference {error:.2e} (torch f32: {torchs:.2e})", flush=True)
    if not error <= TOLERANCE * max(scale, 1e-3):
        sys.exit(f"{title}: the logits differ")


def contiguous(state):
    return {name: value.contiguous() for name, value in state.items()}


def old_densenet(state):
    """The names of torchvision's oldest files."""
    def old(name):
        for part in ["norm", "conv"]:
            for number in "12":
                if "denselayer" in name:
                    name = name.replace(f".{part}{number}.", f".{part}.{number}.")
        return name
    return {old(name): value for name, value in state.items()}


def variants(name, net):
    """The same weights as different people save them."""
    state = contiguous(net.state_dict())
    yield "as torchvision saves it", state
    if name == "resnet18":
        yield "without num_batches_tracked", {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")}
        yield "with DataParallel's prefix", {f"module.{n}": v for n, v in state.items()}
    if name == "densenet121":
        yield "with DenseNet's old names", old_densenet(state)
    if name == "inception_v3":
        yield "without AuxLogits", {n: v for n, v in state.items() if not n.startswith("AuxLogits")}


def make(folder, nets, classes):
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in nets:
        net = made(name, classes)
        for number, (title, state) in enumerate(variants(name, net)):
            file = folder / f"{name}-{number}.safetensors"
            save_file(state, file, metadata={"format": "pt"})
            files.append((name, title, file, net))
        side, _ = SIZES.get(name, (256, 224))
        picture(side).save(folder / f"{side}.png")
    torch.save(network("resnet18", classes).state_dict(), folder / "pickle.pth")
    return files


def header(file):
    with safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()["gatefold"])


def check(file, image, ours, title="exported"):
    """An exported file loads strictly and gives the same logits."""
    about = header(file)
    state = load_file(file)
    outputs = 1 if about["net"]["classes"] == 2 else about["net"]["classes"]
    aux = any(name.startswith("AuxLogits") for name in state)
    net = network(about["net"]["net"], outputs, aux)
    net.load_state_dict(state, strict=True)
    truth, single = logits(net.eval(), image, about["net"]["size"], about["mean"], about["std"])
    compare(title, truth, single, ours)


def everything(gatefold, folder, nets, classes):
    def run(*arguments):
        done = subprocess.run([gatefold, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{arguments}: {done.stderr}")
        return done.stdout

    for name, title, file, net in make(folder, nets, classes):
        side, size = SIZES.get(name, (256, 224))
        shown = folder / f"{side}.png"
        image = Image.open(shown)
        ours = json.loads(run("predict", "--weights", file, "--net", name, shown, "--json"))[0]["logits"]
        normal = HALF if name == "inception_v3" else IMAGENET
        compare(f"{name} {title}", *logits(net, image, size, *normal), ours)

        out, again = file.with_suffix(".out"), file.with_suffix(".again")
        run("export", file, "--net", name, "--out", out)
        ours = json.loads(run("predict", "--weights", out, shown, "--json"))[0]["logits"]
        check(out, image, ours, f"{name} exported")
        run("export", out, "--out", again)
        if out.read_bytes() != again.read_bytes():
            sys.exit(f"{name}: imported and exported again, the bytes differ")
        saved = net.float().state_dict()
        for key, value in load_file(out).items():
            if not key.endswith("num_batches_tracked") and not torch.equal(value, saved[key]):
                sys.exit(f"{name}: {key} came back changed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(dest="what", required=True)
    full = sub.add_parser("all")
    full.add_argument("--gatefold", required=True)
    files = sub.add_parser("make")
    files.add_argument("folder", type=Path)
    for each in [full, files]:
        each.add_argument("--nets", default=",".join(NETS), help="separated by commas")
        each.add_argument("--classes", type=int, default=1000)
    one = sub.add_parser("check")
    one.add_argument("file", type=Path)
    one.add_argument("picture", type=Path)
    one.add_argument("--logits", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "check":
        check(given.file, Image.open(given.picture), json.loads(given.logits.read_text())[0]["logits"])
    elif given.what == "make":
        make(given.folder, given.nets.split(","), given.classes)
    else:
        with tempfile.TemporaryDirectory() as folder:
            everything(given.gatefold, Path(folder), given.nets.split(","), given.classes)


if __name__ == "__main__":
    main()
