"""Generative adversarial networks: a generator and a discriminator as two players of one game."""
