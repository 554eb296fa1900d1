import dataclasses
import shlex
from pathlib import Path

import pytest
from absl import flags

from sagan_tf.commands import train
from sagan_tf.config import Config, load_config, load_preset, save_config
from sagan_tf.errors import UserError
from sagan_tf.flags import (
    config_from_flags,
    define_config_flags,
    describe_flags,
    format_config_help,
    format_setting,
    parse_flags,
)
from sagan_tf.losses import LOSSES

FILE = """
from sagan_tf.commands import train
from sagan_tf.config import Config, save_config

def get_config():
    return Config(dataset="cifar10", image_size=32, batch_size=16)
"""


@pytest.fixture
def resolve(tmp_path, monkeypatch):
    """Resolves flags as `train` does, in a folder with the config file `small.py`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(FILE)

    def call(*arguments):
        values = flags.FlagValues()
        define_config_flags(values)
        parse_flags(values, list(arguments))
        return config_from_flags(values)

    return call


def test_data_dir_is_absolute(resolve, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/user")
    for given, expected in (
        ("pictures", str(tmp_path / "pictures")),
        ("~/pictures", "/home/user/pictures"),
        ("gs://bucket/data", "gs://bucket/data"),
    ):
        assert resolve("--config=small.py", f"--data_dir={given}").data_dir == expected


def test_flags_replace_the_values_of_a_preset(resolve):
    config = resolve("--config=small.py", "--batch_size=8", "--nojit_compile")
    assert config == dataclasses.replace(
        Config(dataset="cifar10", image_size=32), batch_size=8, workdir="runs/small"
    )


def test_a_preset_is_named_by_dataset_or_config(resolve):
    by_dataset, by_config = resolve("--dataset=mnist"), resolve("--config=mnist")
    assert by_dataset == by_config
    assert (by_dataset.dataset, by_dataset.workdir) == ("mnist", "runs/mnist")
    faces = resolve("--config=mnist", "--dataset=celeb_a", "--channels=3")
    assert (faces.dataset, faces.steps) == ("celeb_a", by_dataset.steps)
    assert resolve().workdir == "runs/digits"


def test_every_field_is_a_flag(resolve):
    values = {
        "dataset": "cifar100",
        "data_dir": "d",
        "workdir": "w",
        "split": "test",
        "classes": "cat,dog",
        "evaluation_extractor": "inception",
        "generator_attention_resolutions": "8,16",
        "discriminator_attention_resolutions": "",
        "batch_size": "14",
        "decay_end_step": "8",
    }
    for field in dataclasses.fields(Config):
        choices = field.metadata["choices"]
        if choices:
            values[field.name] = next(c for c in choices[::-1] if c != field.default)
        elif field.type is bool:
            values[field.name] = str(not field.default)
        elif field.type in (int, int | None):
            values.setdefault(field.name, "7")
        elif field.type in (float, float | None):
            values[field.name] = "0.25"
    arguments = [f"--{name}={value}" for name, value in values.items()]
    config = resolve("--config=small.py", *arguments)
    for field in dataclasses.fields(Config):
        assert getattr(config, field.name) != field.default, field.name
    assert config.generator_attention_resolutions == (8, 16)
    assert config.discriminator_attention_resolutions == ()
    assert (config.batch_size, config.beta_1) == (14, 0.25)


def test_workdir_alone_gives_the_settings_of_its_run(resolve, tmp_path):
    config = Config(batch_size=9, workdir=str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(config.to_json())
    resolved = resolve(f"--workdir={tmp_path / 'run'}", "--steps=5")
    assert resolved == dataclasses.replace(config, steps=5)


def test_a_tfds_name_needs_no_preset(resolve):
    config = resolve("--dataset=lsun/bedroom")
    assert (config.dataset, config.workdir) == ("lsun/bedroom", "runs/lsun_bedroom")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=mnits"], "Did you mean mnist?"),
        (["--loss=hinges"], "hinge, non_saturating"),
        (["--generator_attention_resolutions=a"], "takes numbers"),
        (["--batch_size=0"], "at least 1"),
        (["--config=nowhere.py"], "no config file.*or a preset: celeb_a"),
        (["--batch_size=abc"], "^--batch_size takes an integer. Received: abc"),
        (["--jit_compile=3"], "^--jit_compile=3: "),
        (["--beta_1=nan"], "^--beta_1 must be finite. Received: nan"),
        (["--widht=3"], "There is no flag --widht. Did you mean --width?"),
        (["--qqqq=3"], "There is no flag --qqqq. See --help"),
        (
            ["--learning_rate=1"],
            "mean --generator_learning_rate or --discriminator_learning_rate?",
        ),
        (["digits"], "Unexpected argument 'digits'. Flags have the form --name=value"),
    ],
)
def test_mistakes_are_explained(resolve, arguments, message):
    with pytest.raises(UserError, match=message):
        resolve(*arguments)


def test_help_shows_groups_defaults_ranges_and_choices():
    text = format_config_help()
    for group in ("Data", "Networks", "Training", "Run"):
        assert f"\n{group}\n" in f"\n{text}"
    for field in dataclasses.fields(Config):
        assert f"--{'[no]' * (field.type is bool)}{field.name}" in text
    assert "--batch_size  (default: 64)" in text
    assert "--[no]conditional  (default: false)" in text
    assert f"One of {', '.join(LOSSES)}." in " ".join(text.split())
    assert "Must be in [0, 1)." in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_setting_and_its_flag_are_the_same(resolve):
    classes = ("cats, small", 'a "b"', "c")
    settings = {
        **{"classes": classes, "generator_attention_resolutions": (8, 16)},
        **{"augmentation": (), "horizontal_flip": True, "ema_warm_up": False},
        **{"beta_1": 0.25, "loss": "wgan", "crop_size": 7, "decay_end_step": None},
        **{"evaluation_interval": None, "gradient_penalty": None, "data_dir": None},
    }
    arguments = [format_setting(name, value) for name, value in settings.items()]
    config = resolve("--config=small.py", *arguments)
    assert {name: getattr(config, name) for name in settings} == settings


def test_another_runs_settings_with_other_data(tmp_path, monkeypatch):
    """--init_from with --dataset or --data_dir leaves the former data behind."""
    former = Config(
        **{"dataset": "folder", "data_dir": "/photos", "split": "train[:80%]"},
        **{"crop_size": 178, "classes": ("cats", "dogs"), "width": 9, "steps": 7},
        workdir=str(tmp_path / "former"),
    )
    save_config(former)

    def resolve(*arguments):
        values = flags.FlagValues()
        train.define_flags(values)
        location = f"--init_from={tmp_path / 'former'}@best"
        parse_flags(values, [location, f"--workdir={tmp_path / 'new'}", *arguments])
        return train._resolve(values)

    config = resolve("--ema_decay=0.5")
    assert config == dataclasses.replace(
        former,
        **{"workdir": str(tmp_path / "new"), "ema_decay": 0.5},
        **{"ema_warm_up": False, "ema_start_step": 0},
    )
    config = resolve("--dataset=cifar10")
    assert (config.data_dir, config.split, config.classes) == (None, "train", ())
    assert (config.crop_size, config.width, config.steps) == (None, 9, 7)
    assert resolve("--dataset=mnist_conditional").dataset == "mnist"
    config = resolve("--data_dir=/others")
    assert (config.data_dir, config.classes) == ("/others", ())
    assert (config.dataset, config.crop_size) == ("folder", 178)
    with pytest.raises(UserError, match="needs --workdir"):
        values = flags.FlagValues()
        train.define_flags(values)
        parse_flags(values, ["--init_from=a"])
        train._resolve(values)


def test_a_wrong_choice_says_what_the_setting_is(resolve):
    with pytest.raises(UserError, match="Received: none. .* For none, give --gen"):
        resolve("--attention=none")


@pytest.mark.parametrize(
    ("config", "beginning"),
    [
        (load_preset("faces64"), "--config=faces64"),
        (
            dataclasses.replace(
                load_preset("mnist_conditional"),
                seed=3,
                augmentation=("color", "translation"),
                horizontal_flip=True,
            ),
            "--config=mnist_conditional --horizontal_flip --augm",
        ),
        (
            dataclasses.replace(load_preset("faces64"), dataset="folder"),
            "--config=faces64 --dataset=folder --crop_size=160",
        ),
        (
            dataclasses.replace(
                load_preset("faces64"), dataset="folder", crop_size=None
            ),
            "--config=faces64 --dataset=folder",
        ),
        (Config(image_size=32, channels=1, width=24), "--config="),
    ],
)
def test_the_command_of_settings_gives_the_same_settings(resolve, config, beginning):
    given = describe_flags(config)
    assert given.startswith(beginning)
    resolved = resolve(*shlex.split(given))
    assert resolved.differences(config) == {}


def test_a_command_may_name_the_images():
    config = dataclasses.replace(load_preset("folder"), data_dir="/photos")
    given = describe_flags(config, "my photos")
    assert given == "--config=folder '--data_dir=my photos'"


@pytest.mark.parametrize("settings", [{}, {"ema_warm_up": False, "ema_start_step": 0}])
def test_a_command_may_start_from_trained_networks(settings):
    config = dataclasses.replace(load_preset("faces64"), dataset="folder", **settings)
    given = describe_flags(config, init_from="pretrained/faces64")
    values = flags.FlagValues()
    train.define_flags(values)
    parse_flags(values, [*shlex.split(given), "--workdir=runs/mine"])
    assert values.init_from == "pretrained/faces64"
    assert train._resolve(values).differences(config) == {}


def test_another_data_set_takes_its_crop_with_it(resolve):
    faces = resolve("--config=faces64", "--data_dir=tfds")
    assert (faces.dataset, faces.crop_size) == ("celeb_a", 160)
    own = resolve("--config=faces64", "--dataset=folder", "--data_dir=my_pictures")
    assert (own.dataset, own.crop_size, own.width) == ("folder", None, faces.width)
    assert own.workdir == "runs/faces64_folder"
    cropped = resolve("--config=mnist", "--dataset=faces64", "--channels=3")
    assert (cropped.dataset, cropped.crop_size) == ("celeb_a", 160)
    flag = "--crop_size=100"
    assert resolve("--config=faces64", "--dataset=folder", flag).crop_size == 100


def test_images_without_a_data_set_are_a_folder(resolve):
    config = resolve("--data_dir=photos")
    assert (config.dataset, config.workdir) == ("folder", "runs/folder")


def test_workdir_alone_must_be_a_run(resolve, tmp_path):
    save_config(Config(workdir=str(tmp_path / "runs" / "digits")))
    wanted = r"no run in runs/digts: .* Did you mean runs/digits\?$"
    with pytest.raises(UserError, match=wanted):
        resolve("--workdir=runs/digts")
    with pytest.raises(
        UserError, match=r"missing\. Train one with: .*--dataset=digits"
    ):
        resolve("--workdir=elsewhere")
    assert resolve("--workdir=runs/digts", "--steps=5").dataset == "digits"


def test_what_is_no_run_is_not_proposed_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/digits", "runs/mine"):
        save_config(Config(workdir=name))
    Path("photos").mkdir()
    Path("photos", "a.png").touch()
    Path("empty").mkdir()
    for workdir, hint in (
        ("runs", r"It holds runs: runs/digits, runs/mine$"),
        ("photos", r"missing\. Give the directory of a run, such as runs/digits$"),
        ("empty", r"missing\. Train one with: .* --workdir=empty$"),
        ("pretrained/faces64", "train --init_from=pretrained/faces64 --workdir=runs/"),
        ("faces64", r"Did you mean pretrained/faces64\?$"),
        ("pretrained/face64", r"Did you mean pretrained/faces64\?$"),
    ):
        with pytest.raises(UserError, match=hint):
            load_config(workdir)


def test_a_command_has_the_extractor_of_a_config_file_and_any_data_set(tmp_path):
    values = {"dataset": "my_set/small", "evaluation_extractor": "/models/own.keras"}
    command = describe_flags(Config.from_values(values, tmp_path))
    flags = "--dataset=my_set/small --evaluation_extractor=/models/own.keras"
    assert all(flag in shlex.split(command) for flag in flags.split())
