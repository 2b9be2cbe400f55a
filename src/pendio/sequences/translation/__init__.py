"""From one text to another: an encoder reads the source, and a decoder that asks it writes the target."""
