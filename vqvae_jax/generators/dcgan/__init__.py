"""The DCGAN."""
