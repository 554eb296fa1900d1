import json
import shutil

import numpy as np
import pytest

from sagan_tf import load_run
from sagan_tf.errors import UserError
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
    np.testing.assert_allclose(
        load_run(folder).generate(2).astype(int), run.generate(2), atol=1
    )


def test_another_format_is_refused(workdir):
    with pytest.raises(UserError, match="no export format 'gguf'. There are"):
        load_run(workdir).export(format="gguf")
