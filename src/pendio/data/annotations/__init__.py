"""Images with boxes and masks: COCO, Pascal VOC, YOLO and PNG masks; made scenes; joint augmentation."""
