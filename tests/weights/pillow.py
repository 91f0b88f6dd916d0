"""Writes pillow.bin, which src/data/picture/fit.rs compares with: a picture brought to squares as torchvision's `Resize` and `CenterCrop` do,
which call Pillow.

In a virtual environment with Pillow: python pillow.py pillow.bin
"""
import sys
from PIL import Image

WIDTH, HEIGHT = 31, 23
picture = Image.new("RGB", (WIDTH, HEIGHT))
picture.putdata([tuple((x * (37 + 20 * c) + y * 91 + x * y * (c + 3)) % 256 for c in range(3)) for y in range(HEIGHT) for x in range(WIDTH)])
with open(sys.argv[1], "wb") as out:
    for turned in (picture, picture.transpose(Image.Transpose.TRANSPOSE)):
        for size in (12, 29):
            for rule in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
                w, h = turned.size
                w, h = (size, int(size * h / w)) if w <= h else (int(size * w / h), size)
                left, top = int(round((w - size) / 2.0)), int(round((h - size) / 2.0))
                out.write(turned.resize((w, h), rule).crop((left, top, left + size, top + size)).tobytes())
