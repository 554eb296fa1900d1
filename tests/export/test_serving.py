import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import Sampler
from sagan_tf.errors import UserError
from sagan_tf.export import serving
from sagan_tf.export.serving import export_serving
from sagan_tf.models.resnet import ResNetGenerator


@pytest.fixture
def sampler():
    keras.utils.set_random_seed(0)
    return Sampler(ResNetGenerator(32, width=2, num_classes=3, attention="full"))


def test_versions_are_kept_and_warm_up_requests_are_served(sampler, tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    (tmp_path / "serving" / "digits" / "4").mkdir(parents=True)
    folder = export_serving(sampler, tmp_path / "serving", "digits", 12)
    config = (folder / "models.config").read_text()
    assert 'name: "digits"' in config and 'base_path: "/models/digits"' in config
    assert sorted(path.name for path in (folder / "digits").iterdir()) == ["12", "4"]
    model = tf.saved_model.load(str(folder / "digits" / "12"))
    path = folder / "digits/12/assets.extra/tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = logs.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "digits"
        signature = model.signatures[request.model_spec.signature_name]
        inputs = {name: tf.make_ndarray(x) for name, x in request.inputs.items()}
        images = signature(**{name: tf.constant(x) for name, x in inputs.items()})
        images = images["images"].numpy().astype(float)
        count = len(images)
        if request.model_spec.signature_name == "sample":
            assert np.abs(images - sampler.generate(count)).max() <= 1
        else:
            expected = sampler.generator(inputs["latents"], inputs["labels"])
            np.testing.assert_allclose(images, expected, atol=1e-5)
        seen.append((request.model_spec.signature_name, count))
    names = ("serving_default", "attention", "sample")
    assert seen == [(name, count) for count in (1, 8) for name in names]


def write_empty_model(_, path):
    (path / "saved_model.pb").touch()


def test_a_version_is_replaced_but_no_other_file(sampler, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    monkeypatch.setattr(serving, "export_saved_model", write_empty_model)
    for _ in range(2):
        export_serving(sampler, tmp_path, "digits", 4)
    notes = tmp_path / "digits" / "4" / "notes.txt"
    notes.touch()
    with pytest.raises(UserError, match=r"would replace them: notes\.txt\. Move"):
        export_serving(sampler, tmp_path, "digits", 4)
    assert notes.exists()


def test_a_second_model_stays_beside_the_first(sampler, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    monkeypatch.setattr(serving, "export_saved_model", write_empty_model)
    (tmp_path / "serving" / "photos").mkdir(parents=True)
    (tmp_path / "serving" / "photos" / "2024.jpg").touch()  # which is no model
    for name in ("digits", 'my "run"'):
        folder = export_serving(sampler, tmp_path / "serving", name, 4)
    config = (folder / "models.config").read_text()
    assert config.count("base_path") == 2
    assert 'name: "digits"' in config and 'base_path: "/models/my-run-"' in config
    text_format = pytest.importorskip("google.protobuf.text_format")
    module = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = text_format.Parse(config, module.ModelServerConfig())
    assert [each.name for each in parsed.model_config_list.config] == [
        *("digits", "my-run-")
    ]


def test_of_a_model_that_differs_no_folder_is_left(sampler, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")

    def fail(*_):
        raise UserError("SavedModel differs")

    monkeypatch.setattr(serving, "export_saved_model", fail)
    with pytest.raises(UserError, match="differs"):
        export_serving(sampler, tmp_path, "digits", 4)
    assert not list(tmp_path.iterdir())
