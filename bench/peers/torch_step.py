"""Times PyTorch on the training steps and the single ops that Gatefold's bench times. Prints one JSON object.

    python3 bench/peers/torch_step.py step resnet50 --batch 64 --size 224
    python3 bench/peers/torch_step.py ops

On an NVIDIA GPU a step is timed in three modes: strict f32 (TF32 off), PyTorch's defaults (TF32 in convolutions), and mixed
precision (f16 autocast with a gradient scaler, channels last). On a processor: f32, and f32 with channels last.

Needs torch, and torchvision for all networks but prognet.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import time

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("torch_step.py: PyTorch is not installed; try: pip install torch torchvision")

FILTERS = (32, 32, 64, 64, 128, 128, 128)


class ProgNet(nn.Module):
    """Seven times convolution, ReLU and pooling, with batch-norm and dropout taking turns; two dense layers."""

    def __init__(self, size, classes):
        super().__init__()
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for number, (inputs, outputs) in enumerate(zip((3,) + FILTERS, FILTERS)):
            self.convolutions.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            if number % 2 == 0:
                self.norms.append(nn.BatchNorm2d(outputs))
        self.dropout = nn.Dropout(0.2)
        cells = max(size >> len(FILTERS), 1)
        self.fc1, self.fc2 = nn.Linear(cells * cells * 128, 100), nn.Linear(100, classes)

    def forward(self, x):
        for number, convolution in enumerate(self.convolutions):
            x = torch.relu(convolution(x))
            if x.shape[2] >= 2:
                x = nn.functional.max_pool2d(x, 2)
            x = self.norms[number // 2](x) if number % 2 == 0 else self.dropout(x)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def network(name, size, classes):
    if name == "prognet":
        return ProgNet(size, classes)
    try:
        import torchvision
    except ImportError:
        sys.exit(f"torch_step.py: {name} needs torchvision; try: pip install torchvision")
    if name not in ("resnet18", "resnet50", "densenet121", "densenet169", "inception_v3"):
        sys.exit(f"torch_step.py: there is no network {name} here")
    more = {"aux_logits": True, "init_weights": True} if name == "inception_v3" else {}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **more)


def synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def strict_f32():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def step_times(options, device, mode):
    """First step in seconds, then wall and processor times of the others."""
    # PyTorch's own defaults: TF32 in convolutions, not in products of matrices.
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    if mode == "strict f32":
        strict_f32()
    mixed, channels_last = mode.startswith("mixed"), "channels last" in mode
    torch.manual_seed(1)
    synchronise(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = network(options.net, options.size, options.classes).to(device, memory_format=layout).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler(device.type, enabled=mixed)
    pictures = torch.rand(options.batch, 3, options.size, options.size, device=device) * 4 - 2
    pictures = pictures.to(memory_format=layout)
    labels = torch.arange(options.batch, device=device) % options.classes
    cross_entropy = nn.CrossEntropyLoss()
    wall, cpu, first = [], [], 0.0
    for number in range(options.steps + 1):
        begin, processor = time.perf_counter(), time.process_time()
        adam.zero_grad()
        with torch.autocast(device.type, torch.float16) if mixed else contextlib.nullcontext():
            answer = model(pictures)
            if options.net == "inception_v3":
                loss = cross_entropy(answer.logits, labels) + 0.4 * cross_entropy(answer.aux_logits, labels)
            else:
                loss = cross_entropy(answer, labels)
        scaler.scale(loss).backward()
        scaler.step(adam)
        scaler.update()
        loss.item()
        synchronise(device)
        if number == 0:
            first = time.perf_counter() - start
        else:
            wall.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - processor)
    return first, wall, cpu


def steps(options, device):
    cuda = device.type == "cuda"
    modes = ["strict f32", "default", "mixed, channels last"] if cuda else ["f32", "f32, channels last"]
    rows = []
    for mode in modes:
        first, wall, cpu = step_times(options, device, mode)
        middle = statistics.median(wall)
        rows.append({
            "network": options.net,
            "batch": options.batch,
            "size": options.size,
            "precision": mode,
            "images_per_second": options.batch / middle,
            "step_ms": middle * 1e3,
            "cpu_ms_per_step": None if cuda else statistics.median(cpu) * 1e3,
            "first_step_s": first,
            "peak_bytes": torch.cuda.max_memory_allocated() if cuda else None,
            "steps": options.steps,
        })
    return {"steps": rows}


def timed(device, seconds, prepare, run):
    """Prepares outside of the clock and runs inside, after two warm-ups."""
    wall, cpu, begin = [], [], None
    for number in range(10**9):
        prepared = prepare()
        synchronise(device)
        if number == 2:
            begin = time.perf_counter()
        start, processor = time.perf_counter(), time.process_time()
        result = run(*prepared)
        synchronise(device)
        if begin is not None:
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - processor)
            if len(wall) >= 3 and time.perf_counter() - begin >= seconds:
                break
        del result
    return wall, cpu


def passes(case, device):
    """For each pass what is prepared and what is timed; each gradient is asked for by itself."""
    batch, channels = case["batch"], case["in"]
    shape = (batch, channels) if case["op"] == "dense" else (batch, channels, case["size"], case["size"])
    x = torch.rand(shape, device=device) * 2 - 1

    def leaf(tensor):
        return tensor.detach().clone().requires_grad_()

    if case["op"] in ("dense", "conv2d"):
        if case["op"] == "dense":
            weight = torch.rand(channels, case["out"], device=device) * 2 - 1
            forward = torch.matmul
        else:
            weight = torch.rand(case["out"], channels, case["kernel"], case["kernel"], device=device) * 2 - 1

            def forward(x, weight):
                return nn.functional.conv2d(x, weight, stride=case["stride"], padding=case["padding"])

        def of_x():
            x_leaf = leaf(x)
            y = forward(x_leaf, weight)
            return y, torch.ones_like(y)

        def of_weight():
            weight_leaf = leaf(weight)
            y = forward(x, weight_leaf)
            return y, torch.ones_like(y)

        yield "forward", lambda: (leaf(x), leaf(weight)), forward
        yield "grad_input", of_x, lambda y, dy: y.backward(dy)
        yield "grad_weight", of_weight, lambda y, dy: y.backward(dy)
        return
    if case["op"] == "batch_norm":
        forward = nn.BatchNorm2d(channels).to(device)
    elif case["op"] == "max_pool":
        forward = nn.MaxPool2d(case["kernel"], case["stride"], case["padding"])
    else:
        forward = torch.relu

    def prepared():
        y = forward(leaf(x))
        return y, torch.ones_like(y)

    yield "forward", lambda: (leaf(x),), forward
    yield "backward", prepared, lambda y, dy: y.backward(dy)


def ops(options, device):
    strict_f32()
    lines = []
    for case in json.loads(options.cases.read_text()):
        if options.only and options.only not in case["name"]:
            continue
        for name, prepare, run in passes(case, device):
            wall, cpu = timed(device, options.seconds, prepare, run)
            lines.append({
                "name": case["name"],
                "pass": name,
                "median_ms": statistics.median(wall) * 1e3,
                "best_ms": min(wall) * 1e3,
                "cpu_ms": None if device.type == "cuda" else statistics.median(cpu) * 1e3,
                "runs": len(wall),
            })
    return {"ops": lines}


def main():
    parser = argparse.ArgumentParser(description="Times PyTorch beside Gatefold")
    parser.add_argument("--device", help="cuda or cpu; cuda if there is one", default=None)
    commands = parser.add_subparsers(required=True)
    step = commands.add_parser("step", help="whole training steps")
    step.add_argument("net")
    step.add_argument("--batch", type=int, default=32)
    step.add_argument("--size", type=int, default=128)
    step.add_argument("--classes", type=int, default=5)
    step.add_argument("--steps", type=int, default=5, help="timed steps, after the first")
    step.set_defaults(run=steps)
    single = commands.add_parser("ops", help="single ops, each pass by itself")
    single.add_argument("--cases", type=pathlib.Path, default=pathlib.Path(__file__).with_name("cases.json"))
    single.add_argument("--only", help="only cases with this in their name")
    single.add_argument("--seconds", type=float, default=2.0, help="time for each pass")
    single.set_defaults(run=ops)
    options = parser.parse_args()
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"processor, {torch.get_num_threads()} threads"
    report = {"peer": f"torch {torch.__version__}", "device": name} | options.run(options, device)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
