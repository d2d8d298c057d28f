"""The flags that people need first, as the short help explains them.

A line without an explanation is a heading.
"""

_DATASET = (
  "--dataset",
  "mnist5k, a TFDS name (mnist, cifar10, ...), folder:DIR, npz:FILE or "
  "tfds-dir:DIR",
)
_IMAGE_SIZE = ("--image-size", "resize the shorter side, crop the centre")

TRAIN = (
  ("data", ""),
  _DATASET,
  _IMAGE_SIZE,
  ("--channels", "1 is grey, 3 is colour; by default as the data"),
  ("--augment", "how to vary images: none, affine, weak or flip"),
  ("--num-train-images", "learn from this many images only"),
  ("run", ""),
  ("--workdir", "run folder; by default in runs/"),
  ("--model", "or ae, vae, beta_vae, dcgan"),
  ("--stage", "or one stage only: tokenizer, prior"),
  ("--seed", "another number: other splits and weights"),
  ("--batch-size", "images in a step"),
  ("--dtype", "or bfloat16, for TPUs and recent GPUs"),
  ("length and size", ""),
  ("--tokenizer.steps", "raise it to train a finished run further"),
  ("--prior.steps", "the same for the prior"),
  ("--tokenizer.stride", "pixels per id along each side: 2, 4, 8, ..."),
  ("--tokenizer.codebook-size", "number of codes"),
  (
    "--tokenizer.quantizer",
    "or vq, simvq, residual, product, fsq, lfq, gumbel",
  ),
  ("--prior.kind", "or pixelcnn, maskgit"),
)

SAMPLE = (
  ("where", ""),
  ("--workdir", "run folder of train.py"),
  ("--out", "folder for the images, new or empty"),
  ("--format", "or npz, tfds"),
  ("what", ""),
  ("--num-images", "number of images"),
  ("--labels", "or as-data, fill-minority, or classes: cat,dog"),
  ("--seed", "another number: other images"),
  (
    "--mode",
    "prior makes new images; perturb, mix and inpaint vary training images; "
    "walk is for VAEs; reconstruct shows what the model keeps of an image",
  ),
  ("how", ""),
  (
    "--guidance",
    "higher is more typical of the class and less varied; 0 is off, by "
    "default 0.3",
  ),
  ("--temperature", "below 1 is safer, above 1 is wilder"),
  ("--top-k", "draw among the k likeliest ids only"),
  ("--top-p", "draw among the likeliest ids of this share"),
  ("job", ""),
  ("--resume", "check what is there, make what is missing"),
  ("--verify", "only check what is there"),
  ("--worker", "share of this process, such as 0/4 up to 3/4"),
)

STUDY = (
  ("data", ""),
  _DATASET,
  _IMAGE_SIZE,
  ("--num-real", "real images to start from; 0 takes all"),
  ("study", ""),
  ("--out", "folder of the study"),
  ("--quick", "everything shorter"),
  ("--generators", "what makes images, separated with spaces"),
  ("--num-synthetic", "generated images of each generator"),
  ("--seeds", "how often the comparison is repeated"),
  ("--classifiers", "classifiers that compare"),
  ("--filter", "leave out generated images that look wrong"),
  ("--test", "use the test images; --no-test puts that off"),
  ("length", ""),
  ("--tokenizer.steps", "steps of the VQ-VAE"),
  ("--prior.steps", "steps of the prior"),
  ("--baseline.steps", "steps of the other generators"),
  ("--classifier-steps", "steps of each classifier"),
)
