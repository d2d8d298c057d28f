"""Results of a study that never was, for the tests of its report."""

EVIL = (
  "<script>alert('x')</script>\"|`[a](http://evil.example)\u202e\udcff\n# b"
)
NAMES = ["cat", EVIL]
GATE = {
  "generator": "vqvae",
  "seed": 0,
  "count": 1000,
  "label_agreement": 0.9,
  "distinct": 1.0,
  "duplicate_ids": None,
  "training_ids": None,
  "nearest_pixels": {
    "median": 5.0,
    "p1": 3.0,
    "held_out_median": 6.0,
    "held_out_p1": 4.0,
    "share_closer": 0.25,
  },
  "nearest_features": None,
  "precision": 0.5,
  "recall": 0.5,
  "density": 1.0,
  "coverage": 0.5,
  "kid": 0.01,
  "frechet_distance_judge_features": 1.5,
  "held_out": {"precision": 0.75, "recall": 0.1, "density": 0.9, "kid": 0.02},
  "dropped": {"label": 3, "copy": 1},
  "seconds": 2.0,
}
# Accuracy in percent of each seed.
SCORES = {
  "real": (90.0, 91.0, 92.0),
  "classical": (95.0, 96.0, 95.0),
  "repeated": (90.5, 91.0, 92.5),
  "vqvae": (88.0, 89.2, 90.1),
  "real+vqvae": (92.0, 93.1, 93.9),
  "classical+vqvae": (95.4, 96.2, 94.8),
}


def result(arm, seed, percent, **changes):
  generator = arm.rpartition("+")[2] if "vqvae" in arm else ""
  return {
    "arm": arm,
    "generator": generator,
    "multiplier": 10.0 if generator or arm == "repeated" else 0.0,
    "judge": "simple",
    "seed": seed,
    "split": "test",
    "accuracy": percent / 100,
    "balanced_accuracy": percent / 100,
    "auroc": 0.99,
    "recall": [0.9, 0.8 + seed / 100],
    "seconds": 10.0 + seed,
  } | changes


def results(scores=SCORES, **changes):
  return [
    result(arm, seed, percent, **changes)
    for arm, of_arm in scores.items()
    for seed, percent in enumerate(of_arm)
  ]


def swept():
  """Two more multipliers of the primary arm."""
  found = results()
  for multiplier, percent in ((1.0, 60), (50.0, 70)):
    found += results(
      {"classical+vqvae": (percent, percent + 1, percent + 3)},
      multiplier=multiplier,
    )
  return found
