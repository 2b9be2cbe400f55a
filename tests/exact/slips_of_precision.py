"""Slips of the pen in the evaluation of detectors, and the row that must notice each."""

import torch


def boxes_are_given_by_two_corners(patch):
    from pendio.detection import metrics

    patch.setattr(metrics, "_corner_and_sides", lambda boxes: boxes.tolist())


def numbers_begin_at_zero(patch):
    from pendio.detection import metrics

    original = metrics._records

    def records(outcome):
        return tuple([{**row, "id": row["id"] - 1} for row in rows] for rows in original(outcome))

    patch.setattr(metrics, "_records", records)


def crowds_are_objects(patch):
    from pendio.detection import metrics

    original = metrics._records

    def records(outcome):
        truth, found = original(outcome)
        return [{**row, "iscrowd": 0} for row in truth], found

    patch.setattr(metrics, "_records", records)


def areas_are_those_of_boxes(patch):
    from pendio.detection import metrics

    original = metrics._records

    def records(outcome):
        truth, found = original(outcome)
        return [{**row, "area": row["bbox"][2] * row["bbox"][3]} for row in truth], found

    patch.setattr(metrics, "_records", records)


def ten_detections_count(patch):
    from pendio.detection import metrics

    patch.setattr(metrics, "MOST", 2)


def absent_classes_count_as_nothing(patch):
    from pendio.detection import metrics

    patch.setattr(metrics, "_mean", lambda values: float(values.clamp(min=0).mean()))


def only_half_an_overlap_is_asked_for(patch):
    from pendio.detection.metrics import AveragePrecision

    original = AveragePrecision.summary
    patch.setattr(AveragePrecision, "summary", lambda self: {**original(self), "map": original(self)["map50"]})


def precision_is_not_the_best_from_there_on(patch):
    from pendio.detection import errors

    def precision_at(hits, positives):
        right = hits.double().cumsum(0)
        precision = right / torch.arange(1, len(hits) + 1)
        places = torch.searchsorted(right / max(1, positives), torch.linspace(0, 1, 101).double())
        return float(torch.cat([precision, torch.zeros(1).double()])[places].mean())

    patch.setattr(errors, "precision_at", precision_at)


def a_mended_box_is_counted_twice(patch):
    from pendio.detection import errors

    patch.setattr(errors, "_first_claims", lambda mistakes, claims: claims)


def the_mended_box_stays(patch):
    from pendio.detection import errors

    patch.setattr(errors, "_CLAIMING", ("class",))
    original = errors.find_mistakes
    localised = list(errors.KINDS).index("localisation")

    def find(*arguments):
        found = original(*arguments)
        return found._replace(missed=found.missed & False, kind=found.kind.masked_fill(found.kind == localised, 99))

    patch.setattr(errors, "find_mistakes", find)


def a_crowd_is_found_once(patch):
    from pendio.detection import errors
    from pendio.detection.matching import match

    def without(outcome, iou=0.5, **options):
        matches = match(outcome, iou, **options)
        return matches._replace(truth=torch.where(matches.ignored, -1, matches.truth), ignored=matches.ignored & False)

    patch.setattr(errors, "match", without)


SABOTAGE = {
    boxes_are_given_by_two_corners: "coco-protocol",
    numbers_begin_at_zero: "coco-protocol",
    crowds_are_objects: "coco-protocol",
    areas_are_those_of_boxes: "coco-protocol",
    ten_detections_count: "coco-protocol",
    absent_classes_count_as_nothing: "coco-protocol",
    only_half_an_overlap_is_asked_for: "average-precision-overlaps",
    precision_is_not_the_best_from_there_on: "error-budget-base",
    a_crowd_is_found_once: "error-budget-base",
    a_mended_box_is_counted_twice: "error-budget-once",
    the_mended_box_stays: "error-budget",
}
