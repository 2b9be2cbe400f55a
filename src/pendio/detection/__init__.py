"""Seeing what is where: YOLOv3, feature pyramids, and regions that are proposed first."""
