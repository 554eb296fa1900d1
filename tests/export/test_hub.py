import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from sagan_tf import load_run
from sagan_tf.errors import UserError
from sagan_tf.export.hub import _describe_others
from sagan_tf.export.onnx import open_onnx


@pytest.mark.slow
def test_a_folder_for_the_hub_has_metadata_and_runs(workdir, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    pytest.importorskip("tf2onnx")
    shutil.copytree(workdir, tmp_path / "digits")
    run = load_run(tmp_path / "digits")
    record = {"scores": {"frechet_own": 2.5}, "protocol": {"extractor": "own"}}
    path = tmp_path / "digits" / "evaluation" / "000012.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([record]))
    folder = run.export(format="hub")
    assert folder == tmp_path / "digits" / "export" / "hub"
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.datasets is None
    (result,) = card.data.eval_results
    assert (result.metric_name, result.metric_value) == ("frechet_own by own", 2.5)
    assert "| frechet_own | own | 2.5 |" in card.text
    inputs = {"latents": np.asarray(run.sampler.latents(2))}
    images = open_onnx(folder / "onnx" / "generator.onnx")(inputs)["images"]
    np.testing.assert_allclose(images, run.generator(inputs["latents"]), atol=1e-4)
    (code,) = re.findall(r"```python\n(import numpy.*?)```", card.text, re.DOTALL)
    shown: dict = {}
    exec(code.replace("DIR", str(folder)), shown)
    assert shown["pixels"].shape == (16, 32, 32, 1)
    np.testing.assert_allclose(
        load_run(folder).generate(2).astype(int), run.generate(2), atol=1
    )


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated"])
def test_the_card_draws_the_latents_of_the_run(distribution, workdir):
    run = load_run(workdir)
    run.config = dataclasses.replace(run.config, latent_distribution=distribution)
    run.sampler.num_classes = 3
    code = _describe_others(run).partition("```python")[2].partition("```")[0]
    lines = [
        line for line in code.splitlines() if line.startswith(("latents", "labels"))
    ]
    shown = {"np": np}
    exec("\n".join(lines), shown)
    latents = shown["latents"]
    assert latents.shape == (16, run.generator.latent_dim)
    assert latents.dtype == np.float32
    largest = {"normal": 6, "uniform": 1, "truncated": 2}[distribution]
    assert largest / 2 < np.abs(latents).max() <= largest
    assert shown["labels"].tolist() == [*[0, 1, 2] * 5, 0]
    assert '{"latents": latents, "labels": labels}' in code


def test_another_format_is_refused(workdir):
    with pytest.raises(UserError, match="no export format 'gguf'. There are"):
        load_run(workdir).export(format="gguf")
