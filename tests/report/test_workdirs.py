"""Which runs `--workdir` of `report` and `plot` names."""

import pytest
from absl import flags

from sagan_tf.commands.run_flags import define_workdirs_flag, find_workdirs
from sagan_tf.errors import UserError
from sagan_tf.flags import parse_flags


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Returns the run directories that flags name, among a_seed0, a_seed1 and b."""
    monkeypatch.chdir(tmp_path)
    for name in ("a_seed0", "a_seed1", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").touch()
    (tmp_path / "runs" / "a_notes").mkdir()

    def find(*given):
        values = flags.FlagValues()
        define_workdirs_flag(values)
        parse_flags(values, [f"--workdir={name}" for name in given])
        return find_workdirs(values)

    return find


@pytest.mark.parametrize(
    "given, expected",
    [
        (["runs/b"], ["runs/b"]),
        (["runs/b,runs/a_seed1"], ["runs/b", "runs/a_seed1"]),
        (["runs/b", "runs/a_seed1"], ["runs/b", "runs/a_seed1"]),
        (["runs/a_*", "runs/b,"], ["runs/a_seed0", "runs/a_seed1", "runs/b"]),
        (["runs/missing", "other_*"], ["runs/missing", "other_*"]),
    ],
)
def test_runs_by_name_and_by_pattern(find, given, expected):
    assert find(*given) == expected


def test_a_folder_of_runs_is_refused_with_the_pattern_of_all(find):
    with pytest.raises(UserError, match=r"but holds runs.*'--workdir=runs/\*'"):
        find("runs/")
    with pytest.raises(UserError, match="--workdir is empty"):
        find("")
