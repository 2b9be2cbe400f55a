"""Networks that see where things are."""

from pathlib import Path

from pendio.data.inputs import named_image
from pendio.pictures.png import image_png
from pendio.recipes import network, train
from pendio.runs.page import Picture, Section, Table
from pendio.runs.run import Run
from pendio.segmentation.heatmaps import heatmap, overlay
from pendio.tour.stop import picture

__all__ = ["seeing"]


def seeing(out: Path) -> Section:
    """A classifier says where it sees an espresso; a U-Net and a YOLOv3-tiny learn to find digits on photographs."""
    classifier = network("efficientnet-lite0")
    coffee = named_image("coffee")
    found = heatmap(classifier, coffee, "espresso")
    masks = train("segment", data="scenes", epochs=1, steps=250, progress=False, out=str(out / "scenes-masks"))
    boxes = train("detect", data="scenes", epochs=1, steps=80, progress=False, out=str(out / "scenes-boxes"))
    rows = [
        ("U-Net", "mean intersection over union", _best(masks, "val_miou")),
        ("YOLOv3-tiny", "mean average precision at an overlap of 0.5", _best(boxes, "val_map50")),
    ]
    return Section(
        "See where",
        text="With its dense layers turned into convolutions, a classifier takes an image of any size and says where it "
        f"sees what: here the espresso, most of all at {found.peak[0]}, {found.peak[1]}. From scratch, in half a minute "
        "each, a U-Net begins to learn to which digit each pixel belongs, and a YOLOv3-tiny to draw boxes around them; in "
        "the four and five minutes of the manual they come far.",
        code="pendio predict efficientnet-lite0 coffee --heatmap espresso\npendio train segment --data scenes\n"
        "pendio train detect --data scenes\npendio predict tour/scenes-boxes IMAGE_OR_FOLDER_OR_VIDEO",
        tables=[Table(("network", "measured on held-out scenes", "reached"), rows)],
        pictures=[
            Picture(image_png(overlay(coffee, found.map)), "Where EfficientNet-Lite0 sees an espresso."),
            picture(masks, "middle", "Held-out scenes, their masks, and what the U-Net says."),
            picture(boxes, "typical", "Held-out scenes, their boxes, and what the detector says."),
        ],
    )  # fmt: skip


def _best(run: Run, metric: str) -> float:
    return max(float(record[metric]) for record in run.history())
