"""Small sets of annotated images for tests."""

import json

import numpy as np
from PIL import Image

from ..conftest import picture

SIZE = (40, 30)


def put(folder, *names, size=SIZE, start=0):
    """Pictures of these names, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, start):
        picture(number, size).save(folder / name)
    return [folder / name for name in names]


def coco(folder, **changes):
    """A COCO set: three images, four objects, categories 3 and 7; what is given replaces a list."""
    put(folder / "images", "a.png", "b.png", "c.png")
    content = {
        "images": [
            {"id": number, "file_name": name, "width": 40, "height": 30}
            for number, name in ((10, "a.png"), (11, "b.png"), (12, "c.png"))
        ],
        "categories": [{"id": 7, "name": "owl"}, {"id": 3, "name": "cat"}],
        "annotations": [
            annotation(1, 10, 3, [1, 2, 10, 12]), annotation(2, 10, 7, [20.5, 3.25, 10.5, 20]),
            annotation(3, 11, 7, [0, 0, 40, 30]), annotation(4, 11, 3, [5, 5, 6, 7]),
        ],
    }  # fmt: skip
    path = folder / "instances.json"
    path.write_text(json.dumps(content | changes))
    return path


def annotation(identity, image, category, box, **more):
    return {"id": identity, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0} | more


def xml(*objects, name="a.png", size=SIZE, before=""):
    """An annotation of Pascal VOC; an object is a name, four corners and perhaps whether it is difficult."""
    parts = [
        f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2, *difficult in objects
        for difficult in [difficult[0] if difficult else 0]
    ]
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{before}<annotation><filename>{name}</filename>{sides}{''.join(parts)}</annotation>"


def voc(folder, **files):
    """A Pascal VOC set: an XML text for each stem; the pictures are made."""
    (folder / "Annotations").mkdir(parents=True)
    put(folder / "JPEGImages", *(f"{stem}.png" for stem in files))
    for stem, text in files.items():
        (folder / "Annotations" / f"{stem}.xml").write_text(text)
    return folder


def yolo(folder, names=("cat", "owl"), **labels):
    """A YOLO set: the text of the labels for each stem, or None for no file."""
    put(folder / "images", *(f"{stem}.png" for stem in labels))
    (folder / "labels").mkdir()
    for stem, text in labels.items():
        if text is not None:
            (folder / "labels" / f"{stem}.txt").write_text(text)
    if names:
        (folder / "classes.txt").write_text("\n".join(names))
    return folder


def masks(folder, arrays, names=None, mode="L", size=SIZE):
    """A set of masks: an array of class numbers for each stem."""
    put(folder / "images", *(f"{stem}.png" for stem in arrays), size=size)
    (folder / "masks").mkdir()
    for stem, array in arrays.items():
        image = Image.fromarray(np.asarray(array, dtype=np.uint8))
        if mode == "P":
            image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        image.save(folder / "masks" / f"{stem}.png")
    if names:
        (folder / "classes.txt").write_text("\n".join(names))
    return folder


def kinds(annotations):
    return {finding.kind for finding in annotations.findings}


def everything(annotations):
    """What is where, in plain numbers, by image."""
    return {
        (image.split, image.key): (image.boxes.tolist(), [annotations.classes[label] for label in image.labels.tolist()],
                                   image.crowd.tolist())
        for image in annotations.images
    }  # fmt: skip
