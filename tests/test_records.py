import json
import multiprocessing
import os

import pytest

from sagan_tf.errors import UserError
from sagan_tf.records import read_records, records_path, save_record


def test_no_file_has_no_records(tmp_path):
    assert read_records(records_path(tmp_path, 5)) == []


def test_records_are_added_and_replaced_by_protocol(tmp_path):
    path = tmp_path / "evaluation" / "000005.json"
    save_record(path, {"fid": 3.0}, {"seed": 0})
    save_record(path, {"fid": 4.0}, {"seed": 1})
    save_record(path, {"fid": 5.0}, {"seed": 0})
    assert json.loads(path.read_text()) == [
        {"scores": {"fid": 4.0}, "protocol": {"seed": 1}},
        {"scores": {"fid": 5.0}, "protocol": {"seed": 0}},
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "[1]", '[{"scores": {}}]', '[{"scores": 1, "protocol": {}}]'),
        '[{"scores": {}, "protocol": {}, "yardsticks": {"noise": 3}}]',
    ],
)
def test_a_damaged_file_is_set_aside(text, tmp_path, caplog):
    path = tmp_path / "000005.json"
    path.write_text(text)
    with pytest.raises(UserError, match="000005.json is damaged"):
        read_records(path)
    save_record(path, {"fid": 4.0}, {"seed": 1})
    (record,) = json.loads(path.read_text())
    assert record["scores"] == {"fid": 4.0}
    assert path.with_name("000005.json.damaged").read_text() == text
    assert str(path) in caplog.messages[0]


def test_a_record_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "evaluation").write_text("a file")
    with pytest.raises(
        UserError, match="evaluation/000005.json cannot be written: File"
    ):
        save_record(tmp_path / "evaluation" / "000005.json", {}, {})


def _save_records(path, own):
    for number in range(20):
        save_record(path, {"fid": 0.0}, {"process": own, "number": number})


def test_concurrent_evaluations_keep_each_others_records(tmp_path):
    path = tmp_path / "000005.json"
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_save_records, args=(path, own)) for own in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    protocols = [record["protocol"] for record in json.loads(path.read_text())]
    assert len(protocols) == 60
    assert sorted(os.listdir(tmp_path)) == [".000005.json.lock", "000005.json"]
