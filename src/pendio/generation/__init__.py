"""Generation: autoencoders, VAE, GAN, flows and diffusion, their latent spaces, and how good what they make is."""
