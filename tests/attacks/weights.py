"""Weights and states of trainings that mean harm: no pickle runs, no NaN is used."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from msnmo.core.files import sha256
from msnmo.train.checkpoint import Checkpoint
from tests.attacks.attack import Attack, Place, done, refused
from tests.attacks.bundles import _copy, _open, _seal

NAME = "fold-0.safetensors"


class _Shell:
    """What a pickle can do."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def _weights(change: Callable[[Path], object]) -> Callable[[Place], None]:
    """Weights whose digests are mended everywhere: the file itself must be refused."""

    def run(place: Place) -> None:
        folder = _copy(place)
        change(folder / NAME)
        path = folder / "bundle.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["folds"][0]["weights_sha256"] = sha256(folder / NAME)
        path.write_text(json.dumps(content), encoding="utf-8")
        _seal(folder)
        refused(place.run(_open, folder), NAME)

    return run


def _tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tensors = load_file(path)
        change(tensors)
        origin = json.dumps({"method": "joint", "fold": 0, "seed": 1})
        path.unlink()
        save_file(tensors, path, metadata={"msnmo": origin})

    return write


def _number(value: float, place: int) -> Callable[[dict[str, torch.Tensor]], None]:
    """Put a value into one number of one tensor."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        floats = [name for name in sorted(tensors) if tensors[name].is_floating_point()]
        tensors[floats[place * (len(floats) - 1) // 9]].view(-1)[-1] = value

    return change


def _first(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def of(tensors: dict[str, torch.Tensor]) -> None:
        name = max(tensors, key=lambda each: tensors[each].numel())
        tensors[name] = change(tensors[name]).contiguous()

    return _tensors(of)


def _header(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return write


def _entry(**changed: object) -> Callable[[Path], None]:
    def change(header: dict) -> None:
        name = next(each for each in header if each != "__metadata__")
        header[name] |= changed

    return _header(change)


def _bytes(make: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(make(path.read_bytes()))


def _saved_by_torch(path: Path) -> None:
    torch.save({"w": torch.zeros(3), "x": _Shell()}, path)


def _origin(text: str) -> Callable[[Path], None]:
    return _header(lambda header: header.__setitem__("__metadata__", {"msnmo": text}))


FORMS: dict[str, Callable[[Path], object]] = {
    "empty": _bytes(lambda _: b""),
    "a pickle that calls a shell": _bytes(lambda _: pickle.dumps(_Shell())),
    "torch's own format with such a pickle": _saved_by_torch,
    "a length of 2^63": _bytes(lambda old: struct.pack("<Q", 2**63) + old[8:]),
    "a length of 2^64 - 1": _bytes(lambda old: b"\xff" * 8 + old[8:]),
    "a length of 0": _bytes(lambda old: bytes(8) + old[8:]),
    "a length past the end": _bytes(lambda old: struct.pack("<Q", len(old)) + old[8:]),
    "a header that is no JSON": _bytes(lambda old: old[:8] + b"x" * 100 + old[108:]),
    "a header of NUL": _bytes(lambda old: old[:8] + bytes(1000) + old[1008:]),
    "a header that is nested": _bytes(
        lambda old: struct.pack("<Q", 200_000) + b"[" * 200_000 + old[8:]
    ),
    "a header alone": _bytes(lambda old: old[: 8 + struct.unpack("<Q", old[:8])[0]]),
    "bytes behind the last tensor": _bytes(lambda old: old + bytes(1000)),
    "offsets past the end": _entry(data_offsets=[0, 2**40]),
    "offsets that overlap": _entry(data_offsets=[4, 8]),
    "offsets that are negative": _entry(data_offsets=[-8, 8]),
    "offsets backwards": _entry(data_offsets=[100, 0]),
    "offsets that are NaN": _entry(data_offsets=[float("nan"), 8]),
    "a shape whose size overflows": _entry(shape=[2**32, 2**32, 2**32]),
    "a shape of a negative size": _entry(shape=[-1]),
    "a type that is none": _entry(dtype="EVIL"),
    "a type of other width": _entry(dtype="F64"),
    "no tensor": _tensors(lambda tensors: tensors.clear()),
    "a tensor too few": _tensors(lambda tensors: tensors.popitem()),
    "a tensor too many": _tensors(lambda tensors: tensors.update(extra=torch.zeros(3))),
    "a tensor of another name": _tensors(
        lambda tensors: tensors.update({"\x1b[31m": tensors.popitem()[1]})
    ),
    "a tensor of another shape": _first(lambda tensor: tensor.reshape(-1)),
    "a tensor of more channels": _first(lambda tensor: torch.cat([tensor, tensor])),
    "other weights in full": _first(lambda tensor: tensor + 1),
    "weights in 16 bits": _first(lambda tensor: (tensor * 3).half()),
    "whole numbers": _first(lambda tensor: tensor.int()),
    "complex numbers": _first(lambda tensor: tensor.to(torch.complex64)),
    "weights of another fold": _origin('{"method": "joint", "fold": 1}'),
    "weights of another method": _origin('{"method": "unet", "fold": 0}'),
    "an origin that is no JSON": _origin("{"),
    "an origin that is a list": _origin("[]"),
    "an origin of null": _origin("null"),
    "an origin that is nested": _origin("[" * 100_000),
    "an origin of a number of a million digits": _origin("1" * 1_000_000),
}
NUMBERS = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": -float("inf"),
}


def _state(epoch: int) -> dict:
    return {
        "model": {"w": torch.arange(1000.0) + epoch},
        "history": [{"epoch": epoch}],
        "optimiser": {"state": {0: {"exp_avg": torch.zeros(3)}}},
    }


def _state_of(change: Callable[[Path], object]) -> Callable[[Place], None]:
    """Of a hostile newest state the one before is used, and the file is named."""

    def run(place: Place) -> None:
        checkpoint = Checkpoint(place.given / "checkpoint.pt", "this")
        checkpoint.save(_state(1))
        checkpoint.save(_state(2))
        change(checkpoint.path)

        def main(_: list[str]) -> None:
            state = Checkpoint(checkpoint.path, "this").load()
            assert state is not None
            assert state["history"] == [{"epoch": 1}]
            assert torch.equal(state["model"]["w"], _state(1)["model"]["w"])

        ended = place.run(main)
        done(ended)
        assert "checkpoint.pt" in ended.err

    return run


def _as_state(state: object, identity: str = "this") -> Callable[[Path], None]:
    def change(path: Path) -> None:
        torch.save({"identity": identity, "state": state}, path)

    return change


def _zipped(name: str, content: bytes, packed: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "w", packed) as archive:
            archive.writestr(name, content)

    return change


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("checkpoint/data.pkl", "w") as stream,
    ):
        for _ in range(512):
            stream.write(bytes(2**20))


def _instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def _with(section: str, value: float) -> dict:
    state = _state(2)
    if section == "model":
        state["model"]["w"][7] = value
    else:
        state["optimiser"]["state"][0]["exp_avg"][1] = value
    return state


def _legacy(path: Path) -> None:
    """As torch wrote before it took to zip."""
    buffer = io.BytesIO()
    torch.save(_Shell(), buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue())


STATES: dict[str, Callable[[Path], object]] = {
    "a pickle that calls a shell": _as_state(_Shell()),
    "a bare pickle": lambda path: path.write_bytes(pickle.dumps(_Shell())),
    "torch's old format with a pickle": _legacy,
    "a pickle of a module of the working folder": _zipped(
        "checkpoint/data.pkl", b"cevil\nrun\n(tR."
    ),
    "a zip bomb": _bomb,
    "a zip of nothing": _zipped("a", b""),
    "a zip with a path out": _zipped("../../evil", b"x"),
    "a zip that is packed": _zipped("checkpoint/data.pkl", bytes(1000), zipfile.ZIP_DEFLATED),
    "a state of another training": _as_state(_state(2), "other"),
    "no state": _as_state(None),
    "a list": _as_state([]),
    "a number": _as_state(3),
    "a model of NaN": _as_state(_with("model", float("nan"))),
    "a model of infinity": _as_state(_with("model", float("inf"))),
    "moments of NaN": _as_state(_with("optimiser", float("nan"))),
    "moments of infinity": _as_state(_with("optimiser", float("inf"))),
    "a pipe": _instead(os.mkfifo),
    "a folder": _instead(Path.mkdir),
    "an endless device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
    "a link to nothing": _instead(lambda path: path.symlink_to("none")),
}


def _cut(part: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(part * path.stat().st_size))


ATTACKS = [
    *(Attack("weights", f"weights: {name}", _weights(change)) for name, change in FORMS.items()),
    *(
        Attack(
            "weights",
            f"weights: {name} in one number, {place + 1} of 10",
            _weights(_tensors(_number(value, place))),
        )
        for name, value in NUMBERS.items()
        for place in range(10)
    ),
    *(
        Attack("weights", f"weights cut to {part}%", _weights(_cut(part / 100)))
        for part in (0.001, 1, 10, 50, 90, 99.99)
    ),
    *(Attack("weights", f"state: {name}", _state_of(change)) for name, change in STATES.items()),
    *(
        Attack("weights", f"state cut to {part}%", _state_of(_cut(part / 100)))
        for part in (0, 0.1, 1, 5, 20, 50, 80, 95, 99, 99.9)
    ),
]
