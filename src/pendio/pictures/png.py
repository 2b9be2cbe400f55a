"""Images as they are, pixel by pixel."""

import io

import torch
from PIL import Image
from torch import Tensor

__all__ = ["image_png"]


def image_png(image: Tensor) -> bytes:
    """An image ``(C, H, W)``, uint8 or in [0, 1], as a PNG file of its own size with 1 or 3 channels."""
    values = image if image.dtype == torch.uint8 else (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = values.permute(1, 2, 0).cpu().contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, format="PNG")
    return buffer.getvalue()
