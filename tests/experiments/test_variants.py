"""The flags of the experiments, without any training."""

import pytest
from absl import flags

from experiments import ablations, presets, running, settings
from sagan_tf.flags import config_from_flags, define_config_flags, parse_flags

VARIANTS = presets.VARIANTS | ablations.VARIANTS | settings.VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_settings_that_train_takes(name):
    values = flags.FlagValues()
    define_config_flags(values)
    parse_flags(values, [*VARIANTS[name], "--data_dir=DIR", "--workdir=runs/a"])
    config_from_flags(values)


def test_variants_of_the_ablations_differ():
    variants = [tuple(own) for own in ablations.VARIANTS.values()]
    assert len(set(variants)) == len(variants) == 24


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """The commands of an experiment, which all fail for the variant `bad`."""
    seen = []

    def run(arguments):
        seen.append(arguments)
        return not any("bad" in argument for argument in arguments)

    monkeypatch.setattr(running, "_run", run)
    monkeypatch.setattr(running, "_compare", lambda *arguments: seen.append(arguments))
    monkeypatch.chdir(tmp_path)
    return seen


def test_runs_are_scored_at_their_checkpoints_and_failures_are_named(
    commands, monkeypatch
):
    monkeypatch.setattr("sys.argv", ["experiment", "--seeds=3", "--num_images=9"])
    variants = {"bad": [], "good": ["--width=8"]}
    with pytest.raises(SystemExit, match="runs/a/bad_seed3 failed, as said above"):
        running.run_experiment("A test.", variants, "runs/a", scored_steps=(6, 12))
    train, good = ["-m", "sagan_tf", "train"], "--workdir=runs/a/good_seed3"
    assert commands == [
        [*train, "--seed=3", "--workdir=runs/a/bad_seed3"],
        [*train, "--width=8", "--seed=3", good],
        ["-m", "experiments.extractors", good, "--num_images=9", "--steps", "6", "12"],
        ([running.Path("runs/a/good_seed3")], running.Path("runs/a/report.html"), True),
    ]


def test_missing_packages_are_said_before_any_training(commands, monkeypatch):
    monkeypatch.setattr("sys.argv", ["experiment"])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="Error: A report needs plotly and jinja2"):
        running.run_experiment("A test.", {"good": []}, "runs/a")
    assert not commands
