"""Scores the pictures of a folder against good ones, and prints the hottest place of each.

python score_folder.py BACKBONE GOOD_FOLDER NEW_FOLDER
"""

import sys
from pathlib import Path

import numpy as np

import nagl


def main(backbone: str, good: str, new: str) -> None:
    # A file that `nagl enroll` wrote takes the place of the bank: nagl.Detector("part.safetensors", backbone).
    bank = nagl.enroll(good, backbone=backbone)
    detector = nagl.Detector(bank)
    pictures = sorted(path for path in Path(new).iterdir() if path.is_file())
    for picture, seen in zip(pictures, detector.detect(pictures)):
        y, x = np.unravel_index(seen.map.argmax(), seen.map.shape)
        print(f"{picture}  {seen.image_score:.4f}  hottest at {x}, {y}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: score_folder.py BACKBONE GOOD_FOLDER NEW_FOLDER")
    try:
        main(*sys.argv[1:])
    except nagl.Error as error:
        sys.exit(str(error))
