import errno

import pytest

from sagan_tf import files
from sagan_tf.errors import UserError
from sagan_tf.training.logs import Board, StepLog


@pytest.fixture
def open_log(tmp_path):
    def open_log(step=0):
        board = Board(tmp_path / "board")
        log = StepLog(tmp_path / "log.csv", ["score"], step, board)
        return log

    return open_log


def test_rows_come_back_and_later_ones_are_dropped(open_log, tmp_path):
    log = open_log()
    for step in (1, 2, 3):
        log.write(step, {"score": step / 3})
    assert [row["step"] for row in open_log(step=2).rows] == ["1", "2"]
    assert (tmp_path / "log.csv").read_text() == "step,score\n1,0.333333\n2,0.666667\n"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"time,score\n1,2\n"])
def test_what_is_no_log_is_set_aside(open_log, tmp_path, content, caplog):
    (tmp_path / "log.csv").write_bytes(content)
    open_log(step=9).write(10, {"score": 1.0})
    assert (tmp_path / "log.csv").read_text() == "step,score\n10,1\n"
    if content:
        assert (tmp_path / "log.csv.damaged").read_bytes() == content
        assert "log.csv: the log cannot be read" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        *("1,2,3", "1", "x,2", '"1,2', "1" * 5000 + ",2", "\u0661,2", ""),
        "1," + "2" * 200_000,
    ],
)
def test_damaged_rows_are_left_out_and_the_file_is_kept(
    open_log, tmp_path, line, caplog
):
    content = f"step,score\n1,2\n{line}\n3,4\n"
    (tmp_path / "log.csv").write_text(content)
    assert [row["step"] for row in open_log(step=9).rows] == ["1", "3"]
    assert (tmp_path / "log.csv").read_text() == "step,score\n1,2\n3,4\n"
    assert (tmp_path / "log.csv.damaged").read_text() == content
    assert "log.csv: its rows 3 are damaged" in caplog.text


def test_a_row_is_written_as_a_whole_or_not_at_all(open_log, tmp_path, monkeypatch):
    log = open_log()
    log.write(1, {"score": 1.0})

    class Full:
        """A disk that has room for three more bytes."""

        def __init__(self, file):
            self.file, self.room = file, 3

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.room -= (written := self.file.write(data[: self.room]))
            return written

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    def full_open(*arguments, **kwargs):
        return Full(open(*arguments, **kwargs))

    monkeypatch.setattr(files, "open", full_open, raising=False)
    with pytest.raises(UserError, match="log.csv cannot be written: No space left"):
        log.write(2, {"score": 2.0})
    assert (tmp_path / "log.csv").read_text() == "step,score\n1,1\n"
