from sagan_tf.visualization.paths import unused_path


def test_existing_files_and_folders_get_a_number(tmp_path):
    path, folder = tmp_path / "a.b.png", tmp_path / "folder"
    assert unused_path(path) == path and unused_path(folder) == folder
    path.touch()
    folder.mkdir()
    assert unused_path(path) == tmp_path / "a.b_2.png"
    assert unused_path(folder) == tmp_path / "folder_2"
    (tmp_path / "a.b_2.png").touch()
    (tmp_path / "a.b_4.png").touch()
    assert unused_path(path) == tmp_path / "a.b_3.png"
