import importlib.util

import numpy as np
import pytest
from PIL import Image

from sagan_tf.errors import UserError
from sagan_tf.visualization import save_image_grid
from sagan_tf.visualization.video import save_video, write_training_video

FRAMES = [np.full((40, 30, 3), 60 * i, np.uint8) for i in range(4)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_loops_over_all_frames(channels, tmp_path):
    path = tmp_path / "new" / "video.gif"
    save_video([frame[..., :channels] for frame in FRAMES], path, frames_per_second=4)
    with Image.open(path) as video:
        assert video.n_frames == 4 and video.info["loop"] == 0
        assert video.size == (270, 360)  # enlarged nine times, to at least 256 pixels
        for number in range(4):
            video.seek(number)
            assert video.info["duration"] == 250
            gray = np.asarray(video.convert("L"))
            assert abs(gray.astype(int) - 60 * number).max() <= 2


@pytest.mark.skipif(
    not importlib.util.find_spec("imageio_ffmpeg"),
    reason="needs imageio: pip install -r requirements-video.txt",
)
# imageio leaves its pipes to ffmpeg to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_mp4_has_all_frames(tmp_path):
    import imageio.v3

    save_video([frame[..., :1] for frame in FRAMES], tmp_path / "video.mp4")
    video = imageio.v3.imread(tmp_path / "video.mp4")
    assert video.shape == (4, 360, 270, 3)
    for number, frame in enumerate(video):
        assert abs(frame.mean() - 60 * number) < 4


def test_an_mp4_without_imageio_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = "unlike a GIF, needs imageio_ffmpeg: .*requirements-video.txt"
    with pytest.raises(UserError, match=message):
        save_video(FRAMES, tmp_path / "video.mp4")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_training_video_has_the_grids_in_order_of_steps(channels, tmp_path):
    samples = tmp_path / "samples"
    samples.mkdir()
    for step, gray in ((1000000, 120), (500, 60), (20, 0)):
        grid = np.full((40, 30, channels), gray, np.uint8)
        save_image_grid(grid[None], samples / f"{step:06d}.png")
    save_image_grid(grid[None], samples / "step000020_seed0.png")  # not a training grid
    written = write_training_video(tmp_path, frames_per_second=4)
    assert written == (tmp_path / "training.gif", 3, 20, 1000000)
    with Image.open(written.path) as video:
        grays, milliseconds = [], []
        for number in range(video.n_frames):
            video.seek(number)
            grays.append(np.asarray(video.convert("L"))[0, 0])
            milliseconds.append(video.info["duration"])
    np.testing.assert_allclose(grays, [0, 60, 120], atol=2)
    assert milliseconds == [250, 250, 1250]  # the last grid stays for a second
    assert write_training_video(tmp_path).path == tmp_path / "training_2.gif"
    given = write_training_video(tmp_path, tmp_path / "new" / "other.gif")
    assert given.path.exists() and given.path.name == "other.gif"


def test_a_training_video_needs_two_grids_and_a_video_file(tmp_path):
    with pytest.raises(UserError, match="needs two grids or more in .* It has 0"):
        write_training_video(tmp_path)
    (tmp_path / "samples").mkdir()
    for name in ("000500", "step000500_seed0"):
        save_image_grid(np.stack(FRAMES), tmp_path / "samples" / f"{name}.png")
    with pytest.raises(UserError, match="It has 1. Train longer.*--sample_interval"):
        write_training_video(tmp_path)
    with pytest.raises(UserError, match="takes FILE.gif or FILE.mp4. .*training.avi"):
        write_training_video(tmp_path, tmp_path / "training.avi")
    assert not list(tmp_path.glob("training*"))
