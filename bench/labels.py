#!/usr/bin/env python3
"""How well does `gatefold labels` find labels that were made wrong on purpose, beside cleanlab on the same probabilities?

    python bench/labels.py plant covers.csv --label genre --share 0.1 --out noisy.csv
    gatefold labels noisy.csv --out found
    python bench/labels.py score noisy.csv found

`plant` gives a share of the covers another class, drawn evenly from the others, and keeps the true one in the column `truth`.
`score` needs numpy and, for its second half, cleanlab (`pip install cleanlab`). It prints the precision among the first 50 of each
ranking, and the area under its ROC curve: how often a cover with a planted label stands before one without.
"""
import argparse
import csv
import random
import sys
from pathlib import Path

FIRST = 50


def plant(arguments):
    with open(arguments.table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    label, folder = arguments.label, arguments.table.resolve().parent
    classes = sorted({row[label] for row in rows})
    dice = random.Random(arguments.seed)
    for i in dice.sample(range(len(rows)), round(arguments.share * len(rows))):
        rows[i]["planted"] = dice.choice([name for name in classes if name != rows[i][label]])
    keep = [column for column in rows[0] if column in ("path", *arguments.keep)]
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([*keep, label, "truth"])
        for row in rows:
            row["path"] = str(folder / row["path"])
            out.writerow([*(row[column] for column in keep), row.get("planted", row[label]), row[label]])
    print(f"{arguments.out}: {sum('planted' in row for row in rows)} of {len(rows)} labels planted")


def area(suspicion, planted):
    """Mann and Whitney's, ties counting half."""
    import numpy as np

    order = np.argsort(suspicion, kind="stable")
    values, starts, counts = np.unique(suspicion[order], return_index=True, return_counts=True)
    ranks = np.empty(len(suspicion))
    ranks[order] = np.repeat(starts + (counts + 1) / 2, counts)
    ones = planted.sum()
    return (ranks[planted].sum() - ones * (ones + 1) / 2) / (ones * (len(planted) - ones))


def score(arguments):
    import numpy as np

    with open(arguments.table, newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        rows = list(table)
    label = [column for column in table.fieldnames if column != "truth"][-1]
    truth = {str(Path(row["path"])): (row[label], row["truth"]) for row in rows}
    with open(arguments.found / "out-of-fold.csv", newline="", encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    classes = [column[2:-1] for column in answers[0] if column.startswith("p(")]
    probabilities = np.array([[float(row[f"p({name})"]) for name in classes] for row in answers])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    given = np.array([classes.index(row["label"]) for row in answers])
    planted = np.array([len(set(truth[row["path"]])) > 1 for row in answers])
    print(f"{len(answers)} covers, {planted.sum()} planted; the networks agree with {np.mean(probabilities.argmax(1) == given):.1%} of the labels")

    def tell(name, suspicion, note=""):
        first = np.argsort(-suspicion, kind="stable")[:FIRST]
        print(f"{name:46} precision@{FIRST} {planted[first].mean():.2f}  AUROC {area(suspicion, planted):.4f}  {note}")

    place = {row["path"]: i for i, row in enumerate(answers)}
    ours = {}
    with open(arguments.found / "labels.csv", newline="", encoding="utf-8") as file:
        for rank, row in enumerate(csv.DictReader(file)):
            if row["path"] in place:
                ours[place[row["path"]]] = (rank, row)
    ranks = np.array([-float(ours[i][0]) for i in range(len(answers))])
    flagged = np.array([ours[i][1]["suspect"] == "yes" for i in range(len(answers))])
    right = [ours[i][1]["suggestion"] == truth[answers[i]["path"]][1] for i in np.flatnonzero(flagged & planted)]
    note = f"{flagged.sum()} suspects, {np.mean(planted[flagged]) if flagged.any() else 0:.2f} of them planted, {np.mean(right) if right else 0:.2f} of those with the true class suggested"
    tell("gatefold labels", ranks, note)

    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        sys.exit("cleanlab is not installed: nothing to compare with")
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        quality = get_label_quality_scores(given, probabilities, method=method)
        tell(f"cleanlab, {method}", -quality)
    for by in ("self_confidence", "normalized_margin"):
        # What it flags comes first, in its own order.
        issues = find_label_issues(given, probabilities, return_indices_ranked_by=by, n_jobs=1)
        suspicion = -get_label_quality_scores(given, probabilities, method=by)
        suspicion[issues] += 10
        tell(f"cleanlab, find_label_issues, {by}", suspicion, f"{len(issues)} issues, {planted[issues].mean() if len(issues) else 0:.2f} of them planted")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("plant")
    one.add_argument("table", type=Path)
    one.add_argument("--label", required=True)
    one.add_argument("--keep", nargs="*", default=[], help="other columns to keep, such as artist")
    one.add_argument("--share", type=float, default=0.1)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=plant)
    two = commands.add_parser("score")
    two.add_argument("table", type=Path)
    two.add_argument("found", type=Path)
    two.set_defaults(run=score)
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
