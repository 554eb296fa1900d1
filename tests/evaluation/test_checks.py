import numpy as np
import pytest

from sagan_tf.config import Config
from sagan_tf.errors import UserError
from sagan_tf.evaluation import find_images, find_real_images, outline, possible_metrics
from sagan_tf.evaluation.checks import Outline

CONFIG = Config(dataset="digits", image_size=32, channels=1)


def make_outline(labels=None, count=None, flag="--num_images", name="fake"):
    def take(number):
        return None if labels is None else np.asarray(labels)[:number]

    return Outline(name, len(labels) if count is None else count, take, flag)


REAL = make_outline(np.arange(100) % 3, flag="--num_real", name="real")


def refusal(metric, fake, real=REAL, has_probabilities=True):
    with pytest.raises(UserError) as error:
        possible_metrics([metric], real, fake, has_probabilities)
    return str(error.value)


def test_the_number_of_images_that_would_do_is_named():
    fake = make_outline(count=3)
    assert refusal("precision_recall", fake) == (
        "precision_recall needs 4 images or more. fake: 3. Give --num_images=4 or more"
    )
    real = make_outline(count=5, flag="--num_real", name="real")
    assert refusal("density_coverage", make_outline(count=9), real) == (
        "density_coverage needs 6 images or more. real: 5. Give --num_real=6 or more"
    )
    # A file has no more images than it has.
    fake = make_outline(count=3, flag=None)
    assert "fake: 3. Take more images" in refusal("precision_recall", fake)


def test_the_number_of_images_with_enough_of_each_class_is_named():
    labels = [0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 2, 1, 1]
    message = refusal("intra_frechet", make_outline(labels, count=4))
    assert "needs 2 images of each class. fake has fewer of 2" in message
    count = int(message.split("--num_images=")[1].split()[0])
    assert np.bincount(labels[:count]).min() >= 2
    enough = make_outline(labels, count=count)
    assert possible_metrics(["intra_frechet"], REAL, enough, False)
    # All there are is not enough.
    message = refusal("intra_frechet", make_outline([0, 1, 0, 1], count=4))
    assert message.endswith("fake has fewer of 2. Take more images")
    # A class that only generated images have.
    message = refusal("intra_frechet", make_outline(np.arange(100) % 4))
    assert "real has fewer of 3" in message


def test_missing_labels_and_probabilities_are_named():
    message = refusal("intra_frechet", make_outline(count=50))
    assert message == "intra_frechet needs class labels, and fake has none"
    message = refusal("class_score", make_outline(count=50), has_probabilities=False)
    assert "needs an extractor with class probabilities" in message


def test_metrics_that_remain_are_returned_and_the_others_warned_of(caplog):
    names = ["frechet", "class_score", "intra_frechet", "kernel"]
    fake = make_outline(count=5)
    assert possible_metrics(names, REAL, fake, True) == ("frechet", "kernel")
    said = [record.getMessage() for record in caplog.records]
    assert [text.split()[2] for text in said] == ["class_score", "intra_frechet"]
    with pytest.raises(UserError, match="class_score needs.*; intra_frechet needs"):
        possible_metrics(["class_score", "intra_frechet"], REAL, fake, True)


def test_outlines_are_known_without_decoding(monkeypatch, tmp_path):
    from PIL import Image

    real, _ = find_real_images("train", CONFIG, 300, 10)
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 32, 32, 1), np.uint8))
    for name in ("x", "y"):
        (tmp_path / "folder" / name).mkdir(parents=True)
        Image.new("L", (32, 32)).save(tmp_path / "folder" / name / "1.png")
    folder = find_images(str(tmp_path / "folder"), CONFIG, 10)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("decoded"))
    assert outline(real, "--num_real").num_images == 300
    own = outline(folder, "--num_images")
    assert own.num_images == 2 and own.labels(2).tolist() == [0, 1]
    own = outline(find_images(str(tmp_path / "a.npz"), CONFIG), "--num_images")
    assert (own.num_images, own.flag) == (4, None)
