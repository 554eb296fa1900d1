import importlib.util

import numpy as np
import pytest
from PIL import Image
from sagan_tf.visualization.film import save_film

from sagan_tf.errors import UserError

FRAMES = [np.full((40, 30, 3), 60 * i, np.uint8) for i in range(4)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_loops_over_all_frames(channels, tmp_path):
    path = tmp_path / "new" / "film.gif"
    save_film([frame[..., :channels] for frame in FRAMES], path, frames_per_second=4)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.info["loop"] == 0
        assert film.size == (270, 360)  # nine times, to 256 and more
        for number in range(4):
            film.seek(number)
            assert film.info["duration"] == 250
            grey = np.asarray(film.convert("L"))
            assert abs(grey.astype(int) - 60 * number).max() <= 2


@pytest.mark.skipif(
    not importlib.util.find_spec("imageio_ffmpeg"),
    reason="needs imageio: pip install -r requirements-video.txt",
)
# imageio leaves its pipes to ffmpeg to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_mp4_has_all_frames(tmp_path):
    import imageio.v3

    save_film([frame[..., :1] for frame in FRAMES], tmp_path / "film.mp4")
    film = imageio.v3.imread(tmp_path / "film.mp4")
    assert film.shape == (4, 360, 270, 3)
    for number, frame in enumerate(film):
        assert abs(frame.mean() - 60 * number) < 4


def test_an_mp4_without_imageio_is_a_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="requirements-video.txt, or give FILE.gif"):
        save_film(FRAMES, tmp_path / "film.mp4")
