"""Selective search: time on one core over the size of a photograph, and how many objects of ``scenes`` it finds.

Run: OMP_NUM_THREADS=1 python benchmarks/proposals.py
"""

import time

import torch
import torchvision.transforms.v2.functional as V
from skimage import data

from pendio.data.annotations.scenes import DIGITS, scene
from pendio.detection.proposals.recall import recall_of
from pendio.detection.proposals.selective_search import propose

SIZES = ((125, 94), (250, 188), (500, 375))
MODES = ("single", "fast")
SCENES = 40


def main():
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1)
    propose(photograph[:, :64, :64], "single")
    print(f"{'pixels':>9} {'mode':>7} {'ms':>6} {'regions':>8} {'boxes':>6}")
    for width, height in SIZES:
        image = V.resize(photograph, [height, width], antialias=True)
        for mode in MODES:
            began = time.process_time()
            found = propose(image, mode)
            spent = 1000 * (time.process_time() - began)
            print(f"{width}×{height:<5} {mode:>7} {spent:6.0f} {found.regions:8} {len(found.boxes):6}")
    scenes = [scene(number, "val") for number in range(SCENES)]
    boxes, labels = [one.boxes for one in scenes], [one.labels for one in scenes]
    for mode in MODES:
        began = time.process_time()
        proposals = [propose(one.image, mode).boxes for one in scenes]
        spent = 1000 * (time.process_time() - began) / SCENES
        found = recall_of(proposals, boxes, labels, len(DIGITS), (10, 50, 100, 200, 1000))
        print(f"\nscenes, {mode}: {spent:.0f} ms an image, {sum(map(len, proposals)) / SCENES:.0f} boxes")
        print("  of each image  " + " ".join(f"{count:6}" for count in found.counts))
        rows = {"recall at 0.5": found.recall50, "recall at 0.7": found.recall70, "overlap": found.overlap}
        for name, values in rows.items():
            print(f"  {name:14} " + " ".join(f"{value:6.3f}" for value in values))


if __name__ == "__main__":
    main()
