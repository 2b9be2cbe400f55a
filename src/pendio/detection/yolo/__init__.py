"""YOLO: scales and anchors, decoding, target assignment and losses."""
