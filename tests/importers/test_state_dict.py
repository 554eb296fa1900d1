"""State dicts that are damaged, or made to exhaust the memory."""

import os
import pickle
import time
import zipfile

import numpy as np
import pytest

from sagan_tf import arrays
from sagan_tf.errors import UserError
from sagan_tf.importers.state_dict import read_state_dict


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch")


@pytest.mark.parametrize("zipped", [True, False])
def test_dense_tensors_are_read(zipped, torch, tmp_path):
    written = {
        "float": torch.arange(6.0).reshape(2, 3),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "integer": torch.tensor(7),
        "parameter": torch.nn.Parameter(torch.zeros(3)),
        "view": torch.arange(12.0).reshape(3, 4).t()[1:],
        "none": torch.zeros(0, 5),
    }
    path = tmp_path / "a.pth"
    torch.save(written, path, _use_new_zipfile_serialization=zipped)
    read = read_state_dict(path)
    assert list(read) == list(written)
    for name, tensor in written.items():
        np.testing.assert_array_equal(read[name], tensor.detach().float().numpy())
        assert read[name].dtype == np.float32


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda torch: torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6)),
            "sparse",
        ),
        (
            lambda torch: torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 10**12)),
            "sparse",
        ),
        (
            lambda torch: torch.quantize_per_tensor(
                torch.ones(3), 0.1, 0, torch.quint8
            ),
            "quantized",
        ),
        (lambda torch: torch.ones(3, dtype=torch.complex64), "complex"),
        (lambda torch: torch.empty(10**12, device="meta"), "meta tensor"),
        (lambda torch: torch.ones(1).expand(10**12), "expanded view"),
        (lambda torch: torch.ones(3).as_strided((10**6, 10**6), (0, 0)), "expanded"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # PyTorch's, of sparse tensors
def test_tensors_that_are_no_plain_arrays_are_refused(
    make, message, zipped, torch, tmp_path
):
    path = tmp_path / "a.pth"
    state = {"good": torch.ones(2), "l1.weight": make(torch)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    start = time.monotonic()
    with pytest.raises(UserError, match=f"a.pth: the tensor l1.weight is .*{message}"):
        read_state_dict(path)
    assert time.monotonic() - start < 5


def test_names_are_strings(torch, tmp_path):
    torch.save({1: torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="more than the tensors"):
        read_state_dict(tmp_path / "a.pth")


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_allocated_that_the_file_does_not_hold(
    zipped, torch, tmp_path, monkeypatch
):
    """`weights_only=True` allows these calls."""
    path = tmp_path / "a.pth"
    for call, name in (
        (Call(bytearray, 2**33), "__builtin__ bytearray"),
        (Call(torch.Tensor, 10**9), "torch.* Tensor"),
        (Call(torch.FloatTensor, 10**9), "torch FloatTensor"),
    ):
        torch.save({"x": call}, path, _use_new_zipfile_serialization=zipped)
        with monkeypatch.context() as patched:
            patched.setattr(torch, "load", None)  # refused before
            with pytest.raises(UserError, match=f"it calls {name}"):
                read_state_dict(path)


def test_compressed_tensors_are_refused(torch, tmp_path):
    torch.save({"x": torch.zeros(10**6)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    assert (tmp_path / "b.pth").stat().st_size < 10_000
    with pytest.raises(UserError, match="its tensors are larger than the file"):
        read_state_dict(tmp_path / "b.pth")


def test_many_names_of_one_tensor_must_fit_the_memory(torch, tmp_path, monkeypatch):
    """Each would be converted to float32 on its own."""

    class Memory:
        total = 3_000_000

    tensor = torch.zeros(1000, dtype=torch.float16)
    torch.save({str(number): tensor for number in range(500)}, tmp_path / "a.pth")
    assert len(read_state_dict(tmp_path / "a.pth")) == 500
    monkeypatch.setattr(arrays.psutil, "virtual_memory", Memory)
    with pytest.raises(UserError, match="more than half the memory"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_files_never_end_in_a_traceback(zipped, torch, tmp_path):
    path = tmp_path / "a.pth"
    state = {"x": torch.arange(6.0), "y": torch.ones(2, 3)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for number in range(200):
        content = bytearray(whole)
        if number % 4 == 0:
            content = content[: random.integers(len(whole))]
        for _ in range(min(1, len(content)) * 3):
            content[random.integers(len(content))] = random.integers(256)
        path.write_bytes(content)
        try:
            read_state_dict(path)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50


def test_npz_files_are_checked_before_they_are_read(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    text = f"{header:<117}\n".encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + text)
    with pytest.raises(
        UserError, match="x.npy: the header announces 4,000,000,000,000"
    ):
        read_state_dict(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.array([object()], object))
    with pytest.raises(UserError, match="object"):
        read_state_dict(tmp_path / "b.npz")


def test_pickles_and_pipes_are_not_read(torch, tmp_path):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Call(os.mkdir, str(tmp_path / "b"))))
    with pytest.raises(UserError, match="Pickled models are not read"):
        read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "b").exists()
    os.mkfifo(tmp_path / "c.pth")
    with pytest.raises(UserError, match="There is no file"):
        read_state_dict(tmp_path / "c.pth")
