import numpy as np
import pytest
from PIL import Image

from sagan_tf.errors import UserError
from sagan_tf.report.plot import write_plot
from tests.report.runs import write_run

pytest.importorskip("matplotlib")


def test_a_plot_of_two_groups(tmp_path):
    runs = [
        write_run(tmp_path / "a0", seed=0),
        write_run(tmp_path / "a1", offset=1.0, seed=1),
        write_run(tmp_path / "b", offset=5.0, width=8),
    ]
    path = write_plot(runs, tmp_path / "new" / "plot.png")
    with Image.open(path) as picture:
        whole = np.asarray(picture.convert("RGB"))
    assert whole.shape[1] == 2000  # two columns of 5 inches at 200 dots per inch
    for color in ((0, 114, 178), (213, 94, 0)):  # of the two groups
        assert (whole == color).all(-1).sum() > 1000
    # The band of the first group: its color with a fifth of the weight.
    assert (np.abs(whole.astype(int) - (204, 227, 240)).max(-1) <= 3).sum() > 300
    path = write_plot(runs, tmp_path / "score.png", ["fid"])
    with Image.open(path) as picture:
        score = np.asarray(picture.convert("RGB"))
    assert (score == 128).all(-1).sum() > 500  # the line of held-out real images
    path = write_plot(runs, tmp_path / "loss.png", ["generator_loss"], "hours")
    with Image.open(path) as picture:
        assert picture.size == (1000, 640)


def test_a_single_row_is_a_point(tmp_path):
    run = write_run(tmp_path / "a", rows=1, scores=())
    path = write_plot([run], tmp_path / "plot.png", ["generator_loss"])
    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("RGB"))
    assert (shown == (0, 114, 178)).all(-1).sum() > 100


def test_what_cannot_be_plotted_is_refused(tmp_path):
    run = write_run(tmp_path / "a")
    with pytest.raises(UserError, match="FILE.png, FILE.pdf, FILE.svg. Received: x"):
        write_plot([run], "x.jpg")
    with pytest.raises(UserError, match="no column 'loss'.*generator_loss"):
        write_plot([run], tmp_path / "x.png", ["loss"])
    (run / "logs" / "metrics.csv").write_text("step,generator_loss\n50,1\n")
    with pytest.raises(UserError, match="no times.*--x=steps"):
        write_plot([run], tmp_path / "x.png", x="hours")
    assert not (tmp_path / "x.png").exists()
