"""From logits to tokens: sampling, beam search, and text as it comes."""
