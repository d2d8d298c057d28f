"""Measures generated digits: are they legible and new, and do they teach?

Trains a small CNN on all training images of MNIST and counts how many generated
digits it assigns to the class that was asked for. Counts equal images. Compares
each digit with the nearest training image, beside real digits that the
generator has not seen. Then trains the same CNN on the generated digits alone
and measures its accuracy on the test images of MNIST.

  python sample.py --workdir=runs/mnist5k --num-images=1000 --out=out
  python benchmarks/quality.py --images=out --data-dir=DIR

DIR contains the mnist of TFDS; with a network connection it is prepared there
if it is missing.
"""

import dataclasses

import numpy as np
import tyro
from digits import load_mnist, mnist_classifier, train_classifier

from vqvae_jax.config import Config
from vqvae_jax.data import load_data
from vqvae_jax.study.generators import read_set
from vqvae_jax.study.quality import nearest

# Number of unseen real digits that are compared with the training images.
UNSEEN = 500


@dataclasses.dataclass(frozen=True)
class Options:
  # Output folders of sample.py.
  images: tuple[str, ...] = ("out",)
  # Folder in which the mnist of TFDS is prepared.
  data_dir: str | None = None
  # The data set that the generator was trained on, for nearest images.
  trained_on: str = "mnist5k"
  # Steps of the classifier that is trained on real digits.
  classifier_steps: int = 3000
  # Steps of the CNN that is trained on the generated digits alone.
  steps: int = 1500
  # Seed of both trainings.
  seed: int = 0


def main():
  options = tyro.cli(Options, description=__doc__)
  mnist = load_mnist(options.data_dir)
  trained_on = load_data(
    Config(dataset=options.trained_on, data_dir=options.data_dir),
    ("train", "test"),
  )
  classify = mnist_classifier(mnist, options.classifier_steps, options.seed)
  for folder in options.images:
    print(folder, flush=True)
    report(folder, options, classify, trained_on, mnist["test"])


def report(folder, options, classify, trained_on, test):
  """Prints the figures of one folder."""
  generated = read_set(folder)
  images, labels = generated.images, generated.labels
  agree = classify(images) == labels
  by_class = [f"{agree[labels == c].mean():.2f}" for c in range(10)]
  print(f"agreement={agree.mean():.4f} by class: {' '.join(by_class)}")
  distinct = len({image.tobytes() for image in images}) / len(images)
  print(f"distinct={distinct:.4f} of {len(images)} images")
  training = trained_on["train"].images
  ours = nearest(images, training).distance
  unseen = nearest(trained_on["test"].images[:UNSEEN], training).distance
  print(
    f"nearest_training_image: median distance {np.median(ours):.2f}, of "
    f"unseen real digits {np.median(unseen):.2f}; 1st percentile "
    f"{np.percentile(ours, 1):.2f} and {np.percentile(unseen, 1):.2f}",
    flush=True,
  )
  taught = train_classifier([generated], options.steps, options.seed)
  accuracy = (taught(test.images) == test.labels).mean()
  print(
    f"taught_accuracy={accuracy:.4f}: a CNN trained on the {len(images)} "
    f"generated digits alone, on {len(test)} real test digits"
  )


if __name__ == "__main__":
  main()
