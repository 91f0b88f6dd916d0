"""Loads an exported folder as its users will: with timm, with the Hub's library, and with the lines that its card says.

In a virtual environment with timm, torch, onnxruntime and Pillow:

    gatefold export RUN --out model
    gatefold predict RUN IMAGE... --json > answers.json
    python hub.py model answers.json

Pictures that are squares of the network's own picture size need no resizing: for them timm's logits must agree to 1e-5 in norm. For
others timm resizes by its own rule, and the largest difference of a probability is printed. Ends with exit code 1 if logits differ,
weights do not load, the card cannot be read, or a line of it fails.
"""
import contextlib, io, json, os, re, shutil, sys, tempfile
sys.path = [p for p in sys.path if not p.endswith("tests/weights")]  # A file there is called as a package is.
import numpy as np, timm, torch
from huggingface_hub import ModelCard
from PIL import Image, ImageOps

folder, answers = os.path.abspath(sys.argv[1]), json.load(open(sys.argv[2]))
config = json.load(open(f"{folder}/config.json"))
cfg = config["pretrained_cfg"]
architecture, outputs = config["architecture"], config["num_classes"]

card = ModelCard.load(f"{folder}/README.md")
assert card.data.pipeline_tag == "image-classification" and card.data.license == "other", card.data
scores = {result.metric_type: result.metric_value for result in card.data.eval_results or []}
print(f"{folder}: {architecture}, {outputs} outputs, library {card.data.library_name}, tags {card.data.tags}, scores {scores}")
for score in scores.values():
    assert 0 <= score <= 1


def pictures():
    for row in answers:
        picture = ImageOps.exif_transpose(Image.open(row["path"])).convert("RGB")
        yield row, picture


failed = False
if card.data.library_name == "timm":
    assert architecture in timm.list_models()
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    # The other way to name a file.
    over = dict(file=f"{folder}/model.safetensors", num_classes=outputs, tag="gatefold", custom_load=False, hf_hub_id=None, url="")
    other = timm.create_model(architecture, pretrained=True, num_classes=outputs, pretrained_cfg_overlay=over).eval()
    data = timm.data.resolve_model_data_config(model)
    assert list(data["input_size"]) == cfg["input_size"] and data["interpolation"] == cfg["interpolation"], data
    assert model.num_features == config["num_features"] and list(model.pretrained_cfg["label_names"]) == config["label_names"]
    own = timm.create_model(architecture, pretrained=False).pretrained_cfg
    assert (own["first_conv"], own["classifier"]) == (cfg["first_conv"], cfg["classifier"]), own
    transform = timm.data.create_transform(**data)
    side = int(data["input_size"][1] / data["crop_pct"])
    logits_off = probability_off = 0.0
    exact = resized = others = 0
    with torch.inference_mode():
        for row, picture in pictures():
            image = transform(picture)[None]
            logits, expected = model(image)[0], torch.tensor(row["logits"])
            assert torch.equal(logits, other(image)[0])
            if picture.size == (side, side):
                exact += 1
                logits_off = max(logits_off, float((logits - expected).norm() / expected.norm()))
            else:
                resized += 1
                p = torch.stack([-logits[0], logits[0]]).sigmoid() if outputs == 1 else logits.softmax(0)
                probability_off = max(probability_off, abs(float(p[row["labels"].index(row["label"])]) - row["probability"]))
                others += config["label_names"][int(p.argmax())] != row["label"]
    print(f"timm: logits off by {logits_off:.1e} in norm on {exact} pictures; resized by timm, probability off by {probability_off:.1e}, {others} of {resized} other classes")
    failed |= logits_off > 1e-5

blocks = re.findall(r"^### (.*?)\n\n.*?^```python\n(.*?)^```", card.text, re.M | re.S)
assert blocks, "the card says no line of Python"
row, picture = next(pictures())
with tempfile.TemporaryDirectory() as here:
    for name in os.listdir(folder):
        shutil.copy(f"{folder}/{name}", here)
    picture.save(f"{here}/cover.jpg", format="png")
    os.chdir(here)
    for title, lines in blocks:
        told = io.StringIO()
        with contextlib.redirect_stdout(told), torch.inference_mode():
            exec(lines, {})
        print(f"card, {title}: {told.getvalue().strip()}   ({row['label']}, {row['probability']:.4f})")
        if "onnx" in title:
            failed |= told.getvalue().strip() != row["label"]
    os.chdir("/")
sys.exit(failed)
