"""What each ingredient of a recipe gains: the ablation of accuracy.md. Python's own library is enough.

    gatefold import covers.csv --group release --size 64 --seed 1 --out DATA
    python bench/ablation.py DATA OUT [--gatefold PROGRAM] [--seeds 1,2,3] [--only NAME,NAME]

Trains ProgNet for 16 epochs with the defaults of `gatefold train`, then with one thing changed at a time, each with several seeds on
the same split, at low priority. A run that is there is not repeated, so the command goes on where it was stopped. It ends with a
table: mean and deviation over the seeds of accuracy and loss on the test set, of the best epoch on the validation set, and processor
time against the first row's (who else uses the machine counts in it a little).
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
from pathlib import Path

COMMON = ["--net", "prognet", "--batch", "32", "--epochs", "16", "--no-tune", "--no-tensorboard"]
INGREDIENTS = {
    "defaults": [],
    "no smoothing": ["--label-smoothing", "0"],
    "no dropout": ["--dropout", "0"],
    "dropout 0.4": ["--dropout", "0.4"],
    "no augmentation": ["--augment", "none"],
    "crop": ["--augment", "flip,crop=0.3"],
    "rotation": ["--augment", "flip,shift=0.1,rotate=10"],
    "colour": ["--augment", "flip,shift=0.1,colour=0.3"],
    "erasing": ["--augment", "flip,shift=0.1,erase=0.5"],
    "RandAugment": ["--augment", "flip,shift=0.1,randaugment=0.3"],
    "mixup": ["--augment", "flip,shift=0.1,mixup=0.2"],
    "CutMix": ["--augment", "flip,shift=0.1,cutmix=1"],
    "EMA": ["--ema", "0.99"],
    "average of 5": ["--average", "5"],
    "decay on weights only": ["--decay", "weights"],
    "decay 0.3": ["--weight-decay", "0.3"],
    "clipping": ["--clip", "1"],
    "SGD": ["--optimizer", "sgd"],
}


def train(program, data, run, options):
    """Processor seconds of a run, which is made if it is not there."""
    spent = run / "ablation.json"
    if not spent.exists():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shutil.rmtree(run, ignore_errors=True)
        command = list(map(str, [program, "train", data, *COMMON, *options, "--out", run]))
        print(*command, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.nice(19))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
        spent.write_text(json.dumps({"seconds": seconds}))
    return json.loads(spent.read_text())["seconds"]


def scores(run):
    """Test accuracy and loss, and the best validation accuracy."""
    test = json.loads((run / "test.json").read_text())
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    best = max(line["val_accuracy"] for line in lines if line.get("val_accuracy") is not None)
    return test["accuracy"], test["loss"], best


def spread(values):
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--gatefold", default="gatefold")
    arguments.add_argument("--seeds", default="1,2,3")
    arguments.add_argument("--only", help="some of: " + ", ".join(INGREDIENTS))
    given = arguments.parse_args()
    seeds = given.seeds.split(",")
    names = given.only.split(",") if given.only else list(INGREDIENTS)
    for name in names:
        if name not in INGREDIENTS:
            arguments.error(f"--only {name}: there is no such ingredient; there are: {', '.join(INGREDIENTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    # One seed of all before the next one, so that what there is can be compared at any time.
    runs, seconds = {name: [] for name in names}, {name: [] for name in names}
    for seed in seeds:
        for name in names:
            run = given.out / f"{name.replace(' ', '-')}-{seed}"
            seconds[name].append(train(given.gatefold, given.data, run, [*INGREDIENTS[name], "--seed", seed]))
            runs[name].append(run)
    print("| ingredient | options | test | loss | validation, best epoch | processor time |")
    print("|---|---|---|---|---|---|")
    for name in names:
        test, loss, best = map(spread, zip(*map(scores, runs[name])))
        percent = ["{:.1f} ± {:.1f} %".format(*(100 * value for value in of)) for of in (test, best)]
        time = statistics.mean(seconds[name]) / statistics.mean(seconds[names[0]])
        options = " ".join(INGREDIENTS[name])
        print(f"| {name} | `{options}` | {percent[0]} | {loss[0]:.3f} ± {loss[1]:.3f} | {percent[1]} | {time:.2f} |")


if __name__ == "__main__":
    main()
