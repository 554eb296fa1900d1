"""Run directories as training writes them, without any training."""

import json

import numpy as np

from sagan_tf.config import Config
from sagan_tf.visualization import save_image_grid

COLUMNS = (
    *("step", "images_per_second", "training_seconds", "elapsed_seconds"),
    *("generator_loss", "discriminator_loss", "generator/attention_8x8/gamma"),
)
PROTOCOL = {"extractor": "classifier", "num_fake": 500}
YARDSTICKS = {
    "held_out": {"images": "test", "num_images": 9, "scores": {"fid": 2.0}},
    "noise": {"images": "noise", "num_images": 9, "scores": {"fid": 400.0}},
}


def write_run(
    folder,
    offset=0.0,
    rows=4,
    scores=(300.0, 100.0),
    seconds=36,
    data="0a",
    init_from=None,
    **settings,
):
    """Writes a run whose losses in row k are k + offset and 2 * (k + offset).

    A row is of 50 steps, which have taken some seconds.
    """
    config = Config(dataset="digits", image_size=32, channels=1, **settings)
    logs = folder / "logs"
    logs.mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json())
    lines = [COLUMNS]
    for k in range(1, rows + 1):
        loss = k + offset
        speed = 50 * config.batch_size / seconds
        times = (seconds * k, 2 * seconds * k)
        lines.append((50 * k, speed, *times, loss, 2 * loss, 0.01 * k))
    (logs / "metrics.csv").write_text(
        "".join(",".join(map(str, line)) + "\n" for line in lines)
    )
    protocol = '"' + json.dumps(PROTOCOL).replace('"', '""') + '"'
    evaluated = [f"{100 * k},fid,{s},{protocol}" for k, s in enumerate(scores)]
    (logs / "evaluation.csv").write_text(
        "\n".join(["step,metric,score,protocol", *evaluated, ""])
    )
    (logs / "yardsticks.json").write_text(json.dumps(YARDSTICKS))
    (folder / "data.json").write_text(json.dumps({"num_images": 9, "sha256": data}))
    start = {"step": 0, "time": "2026-01-02T03:04:05+00:00", "processor": "<b>P</b>"}
    start |= {"init_from": init_from, "devices": ["no", "text"]}
    (logs / "starts.jsonl").write_text(json.dumps(start) + "\n")
    for step in (100, 200):
        images = np.full((4, 32, 32, 1), step, np.uint8)
        save_image_grid(images, folder / "samples" / f"{step:06d}.png", 2)
    return folder
