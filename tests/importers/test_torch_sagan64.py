"""Parity with the reference implementation: golden numbers, and the code itself.

`golden/seed64_width8.npz` holds a checkpoint of the PyTorch networks at an eighth of
their width, their outputs in evaluation mode, and ten training steps.
"""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from sagan_tf import (
    Config,
    DCGANGenerator,
    SpectralNormalization,
    UserError,
    load_run,
    train,
)
from sagan_tf.importers import import_sagan64, torch_sagan64
from sagan_tf.importers.torch_sagan64 import variables_by_name

GOLDEN = Path(__file__).parents[1] / "golden"
SHARED = Path(__file__).parents[3] / "shared"
STEPS = 10


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN / "seed64_width8.npz"))


@pytest.fixture(scope="module")
def files(golden, tmp_path_factory):
    """The checkpoint as two .npz files, which need no PyTorch."""
    folder = tmp_path_factory.mktemp("checkpoint")
    for network in "GD":
        np.savez(folder / f"300_{network}.npz", **state_dict(golden, network))
    return {
        "generator": folder / "300_G.npz",
        "discriminator": folder / "300_D.npz",
    }


@pytest.fixture(scope="module")
def workdir(files, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "imported"
    import_sagan64(workdir, **files)
    return workdir


def state_dict(golden, network):
    prefix = f"{network}/"
    return {
        name.removeprefix(prefix): array
        for name, array in golden.items()
        if name.startswith(prefix)
    }


def to_torch(array):
    """Converts an array from Keras' layout to PyTorch's."""
    array = np.atleast_1d(array)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


def relative_error(actual, expected):
    difference = np.linalg.norm(np.ravel(actual) - np.ravel(expected))
    return difference / np.linalg.norm(expected)


def check_evaluation(trained, golden):
    """Checks images, logits and attention maps. 1e-4 was asked; 1e-6 is reached."""
    images, scores = trained.generator(golden["eval/z"], return_attention_scores=True)
    logits, more = trained.discriminator(
        golden["eval/image"], return_attention_scores=True
    )
    for actual, name in (
        (images, "eval/image"),
        (scores["attention_16x16"][:1], "eval/g_attention_16"),
        (scores["attention_32x32"][:, 500], "eval/g_attention_32_row_500"),
        (logits, "eval/logits"),
        (more["attention_8x8"][:1], "eval/d_attention_8"),
        (more["attention_4x4"], "eval/d_attention_4"),
    ):
        np.testing.assert_allclose(
            actual, golden[name], rtol=0, atol=1e-6, err_msg=name
        )


def test_evaluation_equals_the_reference(workdir, golden):
    check_evaluation(load_run(workdir), golden)


@pytest.mark.parametrize("width", [8, 64])
def test_a_pth_pair_gives_the_reference_numbers(width, tmp_path):
    pytest.importorskip("torch", reason="needs PyTorch")
    folder = GOLDEN if width == 8 else SHARED / "golden"
    if not folder.exists():
        pytest.skip(f"{folder} is missing")
    name = f"seed64_width{width}"
    import_sagan64(tmp_path, folder / f"{name}_G.pth", folder / f"{name}_D.pth")
    trained = load_run(tmp_path)
    assert trained.config.width == width
    check_evaluation(trained, np.load(folder / f"{name}.npz"))


class ReferenceSteps:
    """Makes a `SAGAN` train like the reference implementation where the two differ.

    1. The reference also updates the discriminator's u in the generator's update. u
       does not depend on the images, so one more forward pass after a step is the same.
    2. Its second discriminator pass overwrites u and v before the backward pass of the
       first one, which then takes the gradient of sigma at the second's u and v. The
       gradient is off by about 1 %.
    3. PyTorch's Adam applies the bias correction of the second moment before it adds
       epsilon, Keras' after.

    Without these the ten steps diverge: the gradients of spectrally normalized kernels
    by 1 %, and, since Adam with beta_1 = 0 takes steps of one size whatever the
    gradient, D's u by up to 60 % after ten steps.
    """

    def __init__(self, model, golden, monkeypatch):
        self.model = model
        self.golden = golden
        self.gradients = {}
        self._calls = {}
        self._normalizations = [
            layer
            for layer in model.discriminator.layers
            if isinstance(layer, SpectralNormalization)
        ]
        self._power_iteration = SpectralNormalization._power_iteration
        monkeypatch.setattr(
            SpectralNormalization,
            "_power_iteration",
            lambda layer, kernel: self._stale_power_iteration(layer, kernel),
        )
        monkeypatch.setattr(model, "_draw_latents", self._draw_latents)
        for network in ("generator", "discriminator"):
            self._keep_first_gradients(network, monkeypatch)

    def step(self, i):
        """Runs the i-th golden step; returns D's and G's losses before the updates."""
        self._step = i
        self._calls.clear()
        model = self.model
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
            optimizer.epsilon = 1e-8 * (1 - optimizer.beta_2 ** (i + 1)) ** 0.5
        model.reset_metrics()
        real = self.golden["train/real_uint8"][i].astype(np.float32) / 127.5 - 1
        logs = model.train_step(tf.constant(real))
        model.discriminator(real, training=True)
        return [float(logs["discriminator_loss"]), float(logs["generator_loss"])]

    def _draw_latents(self, batch_size, update):
        return self.golden["train/z_d" if update == 0 else "train/z_g"][self._step]

    def _stale_power_iteration(self, layer, kernel):
        sigma, u = self._power_iteration(layer, kernel)
        if not any(layer is own for own in self._normalizations):
            return sigma, u
        call = self._calls[layer.name] = self._calls.get(layer.name, 0) + 1
        if call > 1:  # real images come first
            return sigma, u
        before = layer.u.numpy()
        layer.u.assign(u)
        later, _ = self._power_iteration(layer, kernel)
        layer.u.assign(before)
        return ops.stop_gradient(sigma - later) + later, u

    def _keep_first_gradients(self, network, monkeypatch):
        optimizer = getattr(self.model, f"{network}_optimizer")
        apply = optimizer.apply
        names = {
            id(variable): name
            for name, variable in variables_by_name(
                getattr(self.model, network)
            ).items()
        }

        def keep_and_apply(gradients, variables):
            self.gradients.setdefault(
                network,
                {
                    names[id(variable)]: to_torch(gradient)
                    for variable, gradient in zip(variables, gradients, strict=True)
                },
            )
            apply(gradients, variables)

        monkeypatch.setattr(optimizer, "apply", keep_and_apply)


def is_zero(name, network):
    """Returns whether a gradient is zero up to rounding, whatever the weights.

    Batch normalization subtracts a bias before it; adding one number to all logits of a
    query does not change the softmax; and in the discriminator a shift of all logits
    cancels between real and fake images while all are within the hinge's margin, as
    they are here.
    """
    if name.endswith("key_conv.bias"):
        return True
    if network == "generator":
        return name.endswith(".0.module.bias")
    return name in ("attn2.value_conv.bias", "last.0.bias")


def test_training_equals_the_reference(workdir, golden, monkeypatch):
    model = load_run(workdir).model
    start = {
        name: variable.numpy()
        for name, variable in variables_by_name(model.generator).items()
    }
    reference_steps = ReferenceSteps(model, golden, monkeypatch)
    losses = np.array([reference_steps.step(i) for i in range(STEPS)])
    real, fake, generator = golden["train/losses"].T
    expected = np.stack([real + fake, generator], axis=1)

    for network in ("generator", "discriminator"):
        prefix = f"step0/{network[0]}_grad/"
        checked = 0
        for name, gradient in reference_steps.gradients[network].items():
            if prefix + name not in golden:
                continue  # left out to keep the file small
            checked += 1
            reference = golden[prefix + name]
            if is_zero(name, network):
                assert max(np.abs(gradient).max(), np.abs(reference).max()) < 1e-7, name
            elif name == "attn2.gamma" and network == "discriminator":
                # A sum of 4,096 terms of both signs that nearly cancel.
                assert relative_error(gradient, reference) < 1e-3, name
            else:
                assert relative_error(gradient, reference) < 1e-5, name
        assert checked == {"generator": 31, "discriminator": 24}[network]

    # The generator's loss crosses 0, where a relative error is large.
    np.testing.assert_allclose(losses, expected, rtol=5e-3, atol=1e-4)

    for network in ("generator", "discriminator"):
        for name, variable in variables_by_name(getattr(model, network)).items():
            reference = golden.get(f"train/{network[0]}_final/{name}")
            if reference is None:
                continue
            actual = to_torch(variable)
            if name.endswith("running_var"):
                # PyTorch averages the unbiased variance, n / (n - 1) times ours.
                size = 4 * 2 ** (int(name[1]) - 1)
                n = 8 * size**2
                kept = 0.9 ** (2 * STEPS) * start[name]
                actual = kept + (actual - kept) * n / (n - 1)
                assert relative_error(actual, reference) < 1e-4, name
            elif is_zero(name, network):
                # Adam makes full-size steps from rounding noise.
                assert np.abs(actual - reference).max() < 2 * STEPS * 1e-4 * (
                    4 if network == "discriminator" else 1
                ), name
            elif name.endswith("running_mean"):
                # It follows the bias before it, which drifts; see above.
                assert relative_error(actual, reference) < 2e-3, name
            else:
                assert relative_error(actual, reference) < 1e-3, name


@pytest.mark.exhaustive
def test_an_imported_run_exports_and_resumes(files, golden, tmp_path):
    config = Config(dataset="digits", batch_size=8, steps=300, num_samples=4)
    assert import_sagan64(tmp_path / "run", **files, config=config) == 300
    before = load_run(tmp_path / "run")
    assert before.step == 300

    train(before.config)  # already complete: exports the checkpoint itself
    model = tf.saved_model.load(str(tmp_path / "run" / "export" / "saved_model"))
    images = model.signatures["serving_default"](tf.constant(golden["eval/z"]))
    np.testing.assert_allclose(images["images"], golden["eval/image"], atol=1e-6)

    train(dataclasses.replace(before.config, steps=302))
    after = load_run(tmp_path / "run")
    assert after.step == 302
    for network in ("generator", "discriminator"):
        # Two steps of Adam away, and not a fresh start.
        pairs = zip(
            getattr(before.model, network).trainable_variables,
            getattr(after.model, network).trainable_variables,
            strict=True,
        )
        for old, new in pairs:
            assert np.abs(old - new).max() < 1e-3


def test_either_file_alone_is_enough(files, golden, tmp_path):
    import_sagan64(tmp_path / "G", generator=files["generator"])
    images = load_run(tmp_path / "G").generator(golden["eval/z"])
    np.testing.assert_allclose(images, golden["eval/image"], atol=1e-6)
    import_sagan64(tmp_path / "D", discriminator=files["discriminator"])
    logits = load_run(tmp_path / "D").discriminator(golden["eval/image"])
    np.testing.assert_allclose(logits, golden["eval/logits"], atol=1e-6)


def test_widths_and_latents_are_inferred_from_the_tensors(files, golden, tmp_path):
    wide = DCGANGenerator(width=16, latent_dim=100, spectral_norm_axis="input")
    wide.build((None, 100))
    state = {name: to_torch(v) for name, v in variables_by_name(wide).items()}
    np.savez(tmp_path / "G.npz", **state)
    import_sagan64(tmp_path / "run", tmp_path / "G.npz", files["discriminator"])
    trained = load_run(tmp_path / "run")
    assert trained.config.width == 16
    assert trained.config.discriminator_width == 8
    assert trained.config.latent_dim == 100
    latents = np.ones((2, 100), np.float32)
    np.testing.assert_allclose(trained.generator(latents), wide(latents), atol=1e-6)
    logits = trained.discriminator(golden["eval/image"])
    np.testing.assert_allclose(logits, golden["eval/logits"], atol=1e-6)


def test_data_parallel_names_are_read(golden, tmp_path):
    state = {f"module.{name}": array for name, array in state_dict(golden, "G").items()}
    np.savez(tmp_path / "G.npz", **state)
    assert import_sagan64(tmp_path / "run", tmp_path / "G.npz") == 0
    images = load_run(tmp_path / "run").generator(golden["eval/z"])
    np.testing.assert_allclose(images, golden["eval/image"], atol=1e-6)


def without(name):
    return lambda state: state.pop(name)


def with_tensor(name, array):
    return lambda state: state.update({name: array})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("l2.1.running_var"), "missing: l2.1.running_var"),
        (without("last.0.weight"), "missing: last.0.weight"),
        (with_tensor("l5.0.module.bias", np.zeros(3)), "extra: l5.0.module.bias"),
        (
            with_tensor("l2.0.module.weight_bar", np.zeros((64, 32, 3, 3))),
            r"misshapen: l2.0.module.weight_bar \[64, 32, 3, 3\] instead of "
            r"\[64, 32, 4, 4\]",
        ),
        (
            with_tensor("last.0.weight", np.zeros(3)),
            r"misshapen: last.0.weight \[3\]",
        ),
        (with_tensor("last.0.bias", np.full(3, np.nan)), "not finite: last.0.bias"),
        (with_tensor("last.0.weight", np.zeros((8, 5, 4, 4))), "`channels` must be"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(change, message, golden, tmp_path):
    state = state_dict(golden, "G")
    change(state)
    np.savez(tmp_path / "G.npz", **state)
    with pytest.raises(UserError, match=message):
        import_sagan64(tmp_path / "run", tmp_path / "G.npz")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"a text\n", b"\x80\x02."])
@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_a_file_that_is_not_a_checkpoint_is_refused(suffix, content, tmp_path):
    if suffix == ".pth":
        pytest.importorskip("torch", reason="needs PyTorch")
    path = tmp_path / f"G{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        import_sagan64(tmp_path / "run", path)
    with pytest.raises(UserError, match="There is no file"):
        import_sagan64(tmp_path / "run", tmp_path / "nothing.pth")


@pytest.mark.parametrize(
    ("network", "name", "wide"),
    [
        ("G", "last.0.weight", np.zeros((10**6, 3, 4, 4), bool)),
        ("D", "l1.0.module.weight_bar", np.zeros((10**6, 3, 4, 4), bool)),
    ],
)
def test_no_networks_are_built_that_the_file_does_not_hold(
    network, name, wide, golden, tmp_path, monkeypatch
):
    """One tensor of 48 MB announces a network of terabytes."""
    monkeypatch.setattr(torch_sagan64, "build_sagan", None)
    state = state_dict(golden, network)
    state[name] = wide
    np.savez(tmp_path / "a.npz", **state)
    paths = [None, tmp_path / "a.npz"] if network == "D" else [tmp_path / "a.npz"]
    with pytest.raises(UserError, match="misshapen: .* instead of .8000000, 4000000,"):
        import_sagan64(tmp_path / "run", *paths)
    assert not (tmp_path / "run").exists()


def test_a_step_of_too_many_digits_is_part_of_a_name(golden, tmp_path):
    path = tmp_path / f"{10**40}_G.npz"
    np.savez(path, **state_dict(golden, "G"))
    assert import_sagan64(tmp_path / "run", path) == 0


def test_a_whole_model_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    path = tmp_path / "G.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UserError, match="run code"):
        import_sagan64(tmp_path / "run", path)
    torch.save({"state_dict": {}, "epoch": 3}, path)
    with pytest.raises(UserError, match="more than the tensors"):
        import_sagan64(tmp_path / "run", path)


def test_swapped_files_are_refused(files, tmp_path):
    with pytest.raises(UserError, match="not a generator .* missing: l1.1.weight"):
        import_sagan64(tmp_path / "run", generator=files["discriminator"])
    assert not (tmp_path / "run").exists()


def test_files_of_different_steps_are_refused(files, tmp_path):
    other = tmp_path / "400_D.npz"
    other.write_bytes(files["discriminator"].read_bytes())
    with pytest.raises(UserError, match="different steps"):
        import_sagan64(tmp_path / "run", files["generator"], other)


def test_a_run_is_not_overwritten(workdir, files):
    with pytest.raises(UserError, match="already holds a run"):
        import_sagan64(workdir, **files)


def test_a_file_is_required(tmp_path):
    with pytest.raises(UserError, match="--generator"):
        import_sagan64(tmp_path / "run")


def test_fresh_weights_equal_the_reference(tmp_path):
    """The weights are random in every run, so no number is known beforehand."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    path = SHARED / "reference" / "torch_sagan64.py"
    if not path.exists():
        pytest.skip(f"the reference implementation, {path}, is missing")
    spec = importlib.util.spec_from_file_location("torch_sagan64", path)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)

    seed = torch.seed()
    networks = {
        "G": reference.Generator(width=8),
        "D": reference.Discriminator(width=8),
    }
    latents = torch.randn(4, 128)
    with torch.no_grad():
        for attention in ("attn1", "attn2"):
            for network in networks.values():
                getattr(network, attention).gamma.normal_()
        networks["G"](torch.randn(8, 128))  # moves the batch statistics
    for name, network in networks.items():
        torch.save(network.state_dict(), tmp_path / f"{name}.pth")
    import_sagan64(tmp_path / "run", tmp_path / "G.pth", tmp_path / "D.pth")
    trained = load_run(tmp_path / "run")

    for network in networks.values():
        network.eval()
    expected = {}
    expected["images"], *generator_maps = networks["G"](latents)
    expected["logits"], *discriminator_maps = networks["D"](expected["images"])
    expected["logits"].sum().backward()

    with tf.GradientTape() as tape:
        images, scores = trained.generator(
            latents.numpy(), return_attention_scores=True
        )
        logits, more = trained.discriminator(images, return_attention_scores=True)
    variables = {
        (network, name): variable
        for network, model in (("G", trained.generator), ("D", trained.discriminator))
        for name, variable in variables_by_name(model).items()
        if variable.trainable
    }
    gradients = tape.gradient(logits, list(variables.values()))

    message = f"with torch.manual_seed({seed})"
    as_ours = expected["images"].detach().permute(0, 2, 3, 1)
    np.testing.assert_allclose(images, as_ours, atol=1e-5, err_msg=message)
    np.testing.assert_allclose(
        logits, expected["logits"].detach(), atol=1e-5, err_msg=message
    )
    for actual, theirs in zip(
        [*scores.values(), *more.values()],
        [*generator_maps, *discriminator_maps],
        strict=True,
    ):
        np.testing.assert_allclose(actual, theirs.detach(), atol=1e-5, err_msg=message)
    for (network, name), gradient in zip(variables, gradients, strict=True):
        expected_gradient = networks[network].get_parameter(name).grad.numpy()
        if name.endswith("key_conv.bias"):
            assert np.abs(gradient).max() < 1e-5, f"{network} {name} {message}"
        else:
            error = relative_error(to_torch(gradient), expected_gradient)
            assert error < 1e-3, f"{network} {name} {message}"
