"""The autoencoder, the VAE and the beta-VAE."""
