"""One style in one pass: image-transformation networks trained by perceptual losses."""
