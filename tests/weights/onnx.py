"""Holds an exported network against what Gatefold answers, in onnxruntime.

In a virtual environment with onnx, onnxruntime and Pillow:

    gatefold export RUN --format onnx --with-preprocessing --with-cam --out net.onnx
    gatefold predict RUN IMAGE... --json > answers.json
    gatefold explain RUN IMAGE... --out maps --json > maps.json     (optional)
    python onnx.py net.onnx answers.json

Prints the largest differences, and ends with exit code 1 if a class differs or a probability is off by more than 1e-3.
"""
import json, sys
sys.path = [p for p in sys.path if not p.endswith("tests/weights")]  # This file is called as the package is.
import numpy as np, onnx, onnxruntime
from PIL import Image, ImageOps

model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
pixels_in = session.get_inputs()[0].name == "pixels"
print(f"{sys.argv[1]}: {len(model.graph.node)} nodes, {[i.name for i in session.get_inputs()]} -> {[o.name for o in session.get_outputs()]}")

worst_logit = worst = 0.0
wrong = 0
for row in json.load(open(sys.argv[2])):
    picture = ImageOps.exif_transpose(Image.open(row["path"])).convert("RGB")
    if pixels_in:
        image = {"pixels": np.asarray(picture)[None]}
    else:
        side = metadata["picture_size"]
        assert picture.size == (side, side), "without the graph's own preprocessing the pictures must be squares of the network's size"
        edge = round((side - metadata["size"]) / 2)  # Halves to the even neighbour, as torchvision cuts.
        square = np.asarray(picture, np.float32)[edge : edge + metadata["size"], edge : edge + metadata["size"]] / 255
        image = {"image": ((square - metadata["mean"]) / metadata["std"]).astype(np.float32).transpose(2, 0, 1)[None]}
    logits, probabilities = session.run(["logits", "probabilities"], image)
    expected = np.asarray(row["logits"])
    worst_logit = max(worst_logit, float(np.linalg.norm(logits[0] - expected) / np.linalg.norm(expected)))
    label = metadata["labels"][int(probabilities[0].argmax())]
    wrong += label != row["label"]
    worst = max(worst, abs(float(probabilities[0].max()) - row["probability"]))
print(f"largest difference: logits {worst_logit:.1e} in norm, probability {worst:.1e}; other classes: {wrong}")
sys.exit(wrong > 0 or worst > 1e-3)
