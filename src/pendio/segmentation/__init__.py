"""Seeing what each pixel belongs to: fully convolutional networks and U-Nets."""
