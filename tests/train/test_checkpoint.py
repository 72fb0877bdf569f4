from __future__ import annotations

import os
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msnmo.core.errors import DiskError
from msnmo.train import checkpoint as module
from msnmo.train.checkpoint import Checkpoint, Keeper, identity


def _state(epoch: int) -> dict[str, Any]:
    weights = torch.arange(1000, dtype=torch.float32) + epoch
    return {"model": {"w": weights}, "history": [{"epoch": epoch, "total": 0.5, "cross": None}]}


def _epoch(state: dict[str, Any] | None) -> int | None:
    """Return the epoch of a state whose weights are that epoch's too."""
    if state is None:
        return None
    epoch = state["history"][0]["epoch"]
    assert torch.equal(state["model"]["w"], _state(epoch)["model"]["w"])
    return epoch


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoint:
    """A checkpoint after two epochs."""
    checkpoint = Checkpoint(tmp_path / "run" / "checkpoint.pt", "this")
    checkpoint.save(_state(1))
    checkpoint.save(_state(2))
    return checkpoint


def test_the_newest_state_comes_back(saved: Checkpoint) -> None:
    assert _epoch(Checkpoint(saved.path, "this").load()) == 2


def test_no_file_is_no_state_and_no_complaint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Checkpoint(tmp_path / "checkpoint.pt", "this").load() is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("left", [0, 1, 100, 3000])
def test_a_truncated_state_is_named_and_the_one_before_is_used(
    saved: Checkpoint, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    saved.path.write_bytes(saved.path.read_bytes()[:left])
    assert _epoch(saved.load()) == 1
    complaint = capsys.readouterr().err
    assert str(saved.path) in complaint
    assert "damaged" in complaint


def test_a_state_that_holds_code_is_not_loaded_and_nobody_is_told_how_to(
    saved: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"identity": "this", "state": Checkpoint}, saved.path)
    assert _epoch(saved.load()) == 1
    complaint = capsys.readouterr().err
    assert "it holds more than tensors and plain data" in complaint
    assert "weights_only" not in complaint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_never_brings_back_other_weights(
    saved: Checkpoint, place: float, change: int
) -> None:
    whole = saved.path.read_bytes()
    broken = bytearray(whole)
    broken[int(place * len(broken))] ^= change
    saved.path.write_bytes(broken)
    try:
        assert _epoch(saved.load()) in {1, 2}
    finally:
        saved.path.write_bytes(whole)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["model", "optimiser"])
def test_a_state_of_no_numbers_is_named_with_its_tensor_and_the_one_before_is_used(
    saved: Checkpoint, where: str, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    state = _state(3) | {"optimiser": {"state": {0: {"exp_avg": torch.ones(2)}}}}
    spoilt = state["model"]["w"] if where == "model" else state["optimiser"]["state"][0]["exp_avg"]
    spoilt[1] = value
    saved.save(state)
    assert _epoch(saved.load()) == 2
    tensor = "w" if where == "model" else "optimiser 0 exp_avg"
    assert f"numbers of {tensor}" in capsys.readouterr().err


def test_a_pipe_is_not_waited_for(saved: Checkpoint, capsys: pytest.CaptureFixture[str]) -> None:
    saved.path.unlink()
    os.mkfifo(saved.path)
    os.mkfifo(saved.path.with_name(f".tmp-{saved.path.name}"))
    assert _epoch(saved.load()) == 1
    assert "a pipe" in capsys.readouterr().err
    saved.save(_state(3))
    assert _epoch(saved.load()) == 3


def test_a_zip_bomb_is_not_unpacked(saved: Checkpoint, capsys: pytest.CaptureFixture[str]) -> None:
    """A gigabyte of zeros in a megabyte, where torch would look for its pickle."""
    with (
        zipfile.ZipFile(saved.path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("checkpoint/data.pkl", "w") as stream,
    ):
        for _ in range(1024):
            stream.write(bytes(2**20))
    assert saved.path.stat().st_size < 2 * 2**20
    tracemalloc.start()
    assert _epoch(saved.load()) == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert f"unpack to {2**30} bytes" in capsys.readouterr().err


def test_both_states_damaged_is_a_new_start(saved: Checkpoint) -> None:
    saved.path.write_text("not a checkpoint")
    saved.previous.write_text("")
    assert saved.load() is None


def test_a_state_of_another_training_is_not_used(
    saved: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Checkpoint(saved.path, "other").load() is None
    assert "another training" in capsys.readouterr().err


def test_a_kill_between_the_two_renames_costs_nothing(saved: Checkpoint) -> None:
    saved.path.replace(saved.previous)
    assert _epoch(saved.load()) == 2


def test_a_kill_in_the_middle_of_a_write_costs_one_epoch_and_leaves_no_rubbish(
    saved: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_content: object, stream: IO[bytes]) -> None:
        stream.write(b"PK half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            saved.save(_state(3))
    assert _epoch(saved.load()) == 2
    saved.save(_state(3))
    assert set(saved.path.parent.iterdir()) == {saved.path, saved.previous}


def test_a_full_disk_is_explained_and_the_last_state_kept(
    saved: Checkpoint,
) -> None:
    saved._temporary.symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"checkpoint\.pt: No space left on device"):
        saved.save({"w": torch.zeros(1_000_000)})
    assert _epoch(saved.load()) == 2


def test_code_in_a_state_is_never_run(saved: Checkpoint, tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "pwned",)

    for path in (saved.path, saved.previous):
        torch.save({"identity": "this", "state": Malicious()}, path)
    assert saved.load() is None
    assert not (tmp_path / "pwned").exists()


def test_remove_leaves_an_empty_folder(saved: Checkpoint) -> None:
    saved.remove()
    assert list(saved.path.parent.iterdir()) == []


def test_identity_follows_from_values_and_not_from_their_order() -> None:
    assert identity({"a": 1, "b": [2.5]}) == identity({"b": [2.5], "a": 1})
    assert identity({"a": 1, "b": [2.5]}) != identity({"a": 1, "b": [2.6]})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a keeper sees; the test moves them."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_state_is_due_when_its_minutes_are_over(saved: Checkpoint, clock: list[float]) -> None:
    with Keeper(saved, minutes=2) as keeper:
        assert not keeper.due()
        clock[0] += 121
        assert keeper.due()
        keeper.keep_meanwhile(_state(3))
        while keeper._writing and not keeper._writing.done():
            pass
        assert not keeper.due()
        clock[0] += 121
        assert keeper.due()
    assert _epoch(saved.load()) == 3


def test_a_state_is_written_as_it_was_when_it_was_kept(
    saved: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training goes on before the thread has begun."""
    begin, save = threading.Event(), Checkpoint.save

    def later(self: Checkpoint, state: dict[str, Any]) -> None:
        assert begin.wait(30)
        save(self, state)

    monkeypatch.setattr(Checkpoint, "save", later)
    state = _state(3)
    with Keeper(saved, minutes=0) as keeper:
        keeper.keep_meanwhile(state)
        assert not keeper.due(), "one state at a time"
        state["model"]["w"] += 1
        state["history"].append({"epoch": 4})
        begin.set()
    kept = saved.load()
    assert _epoch(kept) == 3
    assert len(kept["history"]) == 1


def _fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Checkpoint, state: dict[str, Any]) -> None:
        raise DiskError("No space left on device")

    monkeypatch.setattr(Checkpoint, "save", full)


def _due(keeper: Keeper) -> None:
    keeper.due()


def _keep(keeper: Keeper) -> None:
    keeper.keep(_state(4))


def _end(keeper: Keeper) -> None:
    with keeper:
        pass


@pytest.mark.parametrize("comes_next", [_due, _keep, _end])
def test_what_the_thread_meets_is_raised_by_what_comes_next(
    saved: Checkpoint, monkeypatch: pytest.MonkeyPatch, comes_next: Callable[[Keeper], None]
) -> None:
    keeper = Keeper(saved, minutes=0)
    with monkeypatch.context() as patch:
        _fails(patch)
        keeper.keep_meanwhile(_state(3))
        keeper._thread.shutdown()
    with pytest.raises(DiskError, match="No space left"):
        comes_next(keeper)
    assert _epoch(saved.load()) == 2


def test_what_went_wrong_before_is_not_hidden(
    saved: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fails(monkeypatch)

    def break_off() -> None:
        with Keeper(saved, minutes=0) as keeper:
            keeper.keep_meanwhile(_state(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
