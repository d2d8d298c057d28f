"""The VQ-VAE and its prior."""
