"""Labels in a table beside the images."""

import itertools

import pytest
from folders import labelled, refused, said, splits_of, train_of, tree

from vqvae_jax.config import Config, StudyConfig
from vqvae_jax.data import labels_csv, load_data
from vqvae_jax.data.kinds import open_dataset
from vqvae_jax.errors import DataError

FILES = ("a.png", "b.png", "c.png", "sub/d.png")
LABELS = ("cat", "dog", "cat", "dog")
WANTED = dict(zip(FILES, LABELS, strict=True))


def table(rows, delimiter=",", end="\n"):
  return "".join(delimiter.join(row) + end for row in rows)


def rows(*, header=("file", "label"), files=FILES, labels=LABELS):
  return [header, *zip(files, labels, strict=True)]


def write(root, text, files=FILES, encoding="utf-8"):
  tree(root, *files)
  content = text if isinstance(text, bytes) else text.encode(encoding)
  (root / "labels.csv").write_bytes(content)
  return root, str(root / "labels.csv")


@pytest.mark.parametrize(
  ("delimiter", "end", "encoding"),
  [*itertools.product(",;\t|", ("\n", "\r\n", "\r"), ("utf-8", "utf-8-sig"))],
)
def test_tables_as_programs_write_them(tmp_path, delimiter, end, encoding):
  text = table(rows(), delimiter, end)
  root, flag = write(tmp_path, text, encoding=encoding)
  assert labelled(train_of(root, labels_csv=flag)) == WANTED


@pytest.mark.parametrize(
  "header",
  [
    ("File", "LABEL"),
    ("filename", "class"),
    ("Image Index", "Finding Labels"),
    ("image_id", "dx"),
    ("Path", "Diagnosis"),
    ("id", "target"),
    ("id_code", "category"),
    ("label", "file"),
  ],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_columns_by_their_usual_names(tmp_path, header, quote, capsys):
  content = rows(header=header)
  if header[0] == "label":
    content = [header, *(row[::-1] for row in content[1:])]
  content = [("extra", "1")[:1] + row + ("", "x, y") for row in content]
  text = "".join(
    ",".join(
      f'"{cell}"' if quote or "," in cell or not cell else cell for cell in row
    )
    + "\n"
    for row in content
  )
  root, flag = write(tmp_path, text)
  assert labelled(train_of(root, labels_csv=flag)) == WANTED
  (line,) = said(capsys)
  assert "2 classes from " in line and line.endswith(": cat, dog")
  assert repr(header[0]) in line and repr(header[1]) in line


@pytest.mark.parametrize(
  "files",
  [
    ("a", "b", "c", "d"),
    ("a", "b", "c", "sub/d"),
    ("./a.png", "b.png", "c.png", "d.png"),
    ("a.dcm", "b.DCM", "c.jpg", "sub\\d.dcm"),
    ("set/a.png", "set/b.png", "set/c.png", "set/sub/d.png"),
    ("old/x/a.png", "old/x/b.png", "old/x/c.png", "old/x/sub/d.png"),
    ("/home/x/a.png", "/home/x/b.png", "/home/x/c.png", "/home/x/sub/d.png"),
  ],
)
def test_files_as_tables_write_them(tmp_path, files):
  root, flag = write(tmp_path / "set", table(rows(files=files)))
  assert labelled(train_of(root, labels_csv=flag)) == WANTED


def test_columns_named_by_the_flag_and_a_relative_path(tmp_path, monkeypatch):
  text = "key;Target X;label\na;1;q\nb;0;q\nc;1;q\nd;0;q\n"
  root, flag = write(tmp_path / "a:b", text)
  monkeypatch.chdir(root)
  wanted = dict(zip(FILES, "1010", strict=True))
  for given in (f"{flag}:key,Target X", "labels.csv:KEY, target x"):
    assert labelled(train_of(root, labels_csv=given)) == wanted
  given = 'labels.csv:key,"Target X"'
  assert labelled(train_of(".", labels_csv=given)) == wanted


def test_integers_are_in_the_order_of_their_values(tmp_path):
  names = [f"{i}.png" for i in range(12)]
  labels = [str(i) for i in reversed(range(12))]
  root, flag = write(tmp_path, table(rows(files=names, labels=labels)), names)
  source = train_of(root, labels_csv=flag)
  assert source.class_names == tuple(str(i) for i in range(12))
  for file, label in zip(source.files, source.labels, strict=True):
    assert int(file.removesuffix(".png")) == 11 - label


def test_own_splits_and_groups(tmp_path):
  files = [
    f"{part}/p{i}_{j}.png"
    for part in ("train", "test")
    for i in range(4)
    for j in range(2)
  ]
  files = [f.replace("test/p", "test/q") for f in files]
  labels = ["ill" if "_0" in file else "well" for file in files]
  root, flag = write(tmp_path, table(rows(files=files, labels=labels)), files)
  assert splits_of(root, labels_csv=flag) == {
    part: {"ill": 4, "well": 4} for part in ("train", "test")
  }
  config = StudyConfig(
    dataset=f"folder:{root}",
    labels_csv=flag,
    group_regex=r"([pq]\d)_",
    num_real=0,
  ).run_config(0, "")
  data = load_data(config, ("train", "validation", "test"))
  assert data.spec.class_names == ("ill", "well")
  assert not set(data["train"].groups) & set(data["validation"].groups)


def test_the_digest_knows_the_labels(tmp_path):
  files = [f"{i}.png" for i in range(10)]
  digests = set()
  for labels in ("0101010101", "0101010110", "0101010101"):
    root, flag = write(tmp_path, table(rows(files=files, labels=labels)), files)
    config = Config(dataset=f"folder:{root}", labels_csv=flag)
    digests.add(load_data(config).spec.digest)
  assert len(digests) == 2


def test_more_rows_than_files_are_said(tmp_path, capsys):
  text = table(rows()) + "x.png,cat|dog\ny.png,emu\n"
  root, flag = write(tmp_path, text)
  assert train_of(root, labels_csv=flag).class_names == ("cat", "dog")
  assert said(capsys)[1] == (
    f"folder:{root}: 2 rows of {flag} name files that are not there (first: "
    "line 6, x.png)"
  )


BODY = table(rows())


@pytest.mark.parametrize(
  ("text", "match"),
  [
    (BODY.replace("b.png,dog\n", ""), r"1 of 4 images has no row .*: b.png\)"),
    ("file,label\na.png,cat\n", r"3 of 4 images have no row .*: b.png\)"),
    (
      "file,label\nzz,1\n",
      "no row of .* names an image.*has zz in line 2, and",
    ),
    ("file,label\n", "has no row below its column names"),
    ("", "is empty"),
    (
      BODY + "a,dog\n",
      r"1 row with another .*'cat' in line 2 and 'dog' in line 6",
    ),
    (BODY.replace("cat", ""), r"2 images have no label \(first: line 2, a.png"),
    (BODY.replace("dog", "NaN"), r"2 images have no label \(first: line 3"),
    (BODY.replace("b.png,dog", "b.png,x|y"), "1 image has several .*'x|y'"),
    (BODY.replace("b.png,dog", 'b.png,"dog, cat"'), "several .*line 3, b.png"),
    (
      BODY.replace("file,", "key,"),
      "no column that could be the file; its col",
    ),
    (BODY.replace("label", "Edema"), "no column that could be the label"),
    (
      "image,path,label\na,a,1\n",
      "more than one column that could be the file",
    ),
    (
      "file,class,target\na,a,1\n",
      "more than one .* be the label; its columns",
    ),
    (
      "file,label,label\na,a,1\n",
      "more than one column that could be the label",
    ),
    (BODY + "x\n", "line 6: it has 1 column, but the first line has 2"),
    (BODY.replace("dog", "dog, big"), "line 3: it has 3 columns"),
    (BODY + '"x,y\n', "is not a CSV table"),
    (BODY + f'"{"x" * 200_000}",1\n', "is not a CSV table: field larger"),
    (BODY + "\0,1\n", "is not a CSV table: it has zero bytes"),
    (
      BODY.replace("cat", '"c\nat"'),
      "whose name is not UTF-8 or has a control",
    ),
    (
      BODY.replace("cat", "k\xe4se").encode("latin-1"),
      "line 2: this is not UTF",
    ),
    (BODY.encode("utf-16"), "is in UTF-16"),
    (b"PK\x03\x04" + BODY.encode(), "is a spreadsheet"),
  ],
)
def test_what_is_refused(tmp_path, text, match):
  root, flag = write(tmp_path, text)
  assert "labels.csv" in refused(root, match, labels_csv=flag)


def test_a_name_that_several_files_have(tmp_path):
  text = "file,label\n1.png,cat\nb/1.png,dog\n"
  root, flag = write(tmp_path, text, ("a/1.png", "b/1.png"))
  refused(root, "line 2: 1.png could be a/1.png or b/1.png", labels_csv=flag)


def test_rows_of_another_folder_are_not_taken(tmp_path):
  # The images of old/test are not here; those of old/train have such names.
  text = "file,label\nold/train/1.png,cat\nold/test/1.png,cat\n"
  root, flag = write(tmp_path / "train", text, ("1.png",))
  refused(root, "no row of", labels_csv=flag)
  root, flag = write(tmp_path / "old" / "train", text, ("1.png",))
  assert labelled(train_of(root, labels_csv=flag)) == {"1.png": "cat"}


def test_a_class_of_test_alone(tmp_path):
  text = table(rows(files=("train/1", "train/2", "test/3"), labels="aab"))
  root, flag = write(
    tmp_path, text, ("train/1.png", "train/2.png", "test/3.png")
  )
  refused(
    root, "the test image test/3.png is 'b', a class that", labels_csv=flag
  )


def test_a_table_that_is_too_large_or_not_there(tmp_path, monkeypatch):
  root, flag = write(tmp_path, BODY)
  refused(root, "labels.csvx does not exist", labels_csv=f"{flag}x")
  refused(
    root, "two columns must follow the colon, as in", labels_csv=f"{flag}:file"
  )
  refused(
    root,
    "two columns must follow the colon, as in",
    labels_csv=f"{flag}:file,file",
  )
  refused(root, "has no column 'y'; its columns", labels_csv=f"{flag}:file,y")
  monkeypatch.setattr(labels_csv, "MAX_BYTES", 10)
  refused(root, "is larger than", labels_csv=flag)


@pytest.mark.parametrize(
  "name", ["mnist5k", "npz:x.npz", "tfds-dir:x", "mnist"]
)
def test_the_flag_is_for_folders(name):
  with pytest.raises(DataError, match="--labels-csv holds the labels of files"):
    open_dataset(name, labels_csv="labels.csv")


def test_a_table_beside_flat_images_is_pointed_at(tmp_path, capsys):
  for files in (("1.png", "2.png"), ("images/1.png", "images/2.png")):
    root, flag = write(tmp_path / str(len(files[0])), BODY, files)
    train_of(root)
    assert f"add --labels-csv={flag}" in said(capsys)[-1]


def test_files_of_one_name_in_many_folders(tmp_path):
  files = [f"train/p{i}/study1/view1.png" for i in range(4)]
  rows_ = [
    (f"CheX-small/{file}", label)
    for file, label in zip(files, "abab", strict=True)
  ]
  rows_ += [(f"CheX-small/valid/p{i}/study1/view1.png", "c") for i in range(4)]
  text = table([("Path", "label"), *rows_])
  wanted = dict(zip(files, "abab", strict=True))
  for name in ("CheX-small", "other"):
    root, flag = write(tmp_path / name, text, files)
    source = train_of(root, labels_csv=flag)
    assert labelled(source) == wanted
  # In a part of the set the names of its folders count.
  _, flag = write(tmp_path / "CheX-small", text, files)
  part = tmp_path / "CheX-small" / "train"
  assert train_of(part, labels_csv=flag).labels.tolist() == [0, 1, 0, 1]
  refused(root / "train", "no row of", labels_csv=flag)
