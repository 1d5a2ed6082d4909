"""A measurement that was stopped anywhere ends as one that was not; ranks share it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from cobasim.errors import InputError
from cobatrain.gradients import ledger as ledgers
from cobatrain.gradients.ledger import Ledger, weights_digest
from cobatrain.parallel import PeerError, Single

SIZES = {"rates": 1, "rollouts": 4, "groups": 9, "features": 23}
SUMMED = 9
WORK = sum(SIZES.values()) + SUMMED


class Stop(BaseException):
    """As Ctrl-C."""


class Work:
    """Phases as a measurement has them, each made of those before. Stops before call ``stop``."""

    def __init__(self, stop: int = -1) -> None:
        self.calls: list[tuple[str, int]] = []
        self.stop = stop

    def call(self, phase: str, number: int) -> None:
        if len(self.calls) == self.stop:
            raise Stop
        self.calls.append((phase, number))

    def of(self, phase: str, number: int, seed: float) -> dict[str, np.ndarray]:
        self.call(phase, number)
        rng = np.random.default_rng([number, int(abs(seed) * 1e3)])
        return {
            "rows": rng.standard_normal((number % 3, 5)).astype(np.float32),
            "number": np.array(rng.standard_normal()),
        }

    def all(self, ledger: Ledger) -> list[np.ndarray]:
        seed, out = 0.0, []
        for phase, size in SIZES.items():
            if phase == "features":  # after a sum, of which the metric is made
                state = [torch.zeros(3, 2), torch.zeros(4)]

                def add(number: int, seed=seed, state=state) -> None:
                    self.call("metric", number)
                    rng = torch.Generator().manual_seed(number + int(abs(seed) * 1e3))
                    for part in state:
                        part.add_(torch.randn(part.shape, generator=rng))

                ledger.total("metric", SUMMED, add, state)
                out += [part.numpy().copy() for part in state]
                seed += float(state[0].sum())
            found = ledger.each(
                phase,
                range(size),
                lambda number, phase=phase, seed=seed: self.of(phase, number, seed),
                alike=phase == "rollouts",
            )
            for number, one in enumerate(found):
                out += [one["rows"], one["number"]]
                if phase == "groups" and number == 6:
                    break  # enough of them
            seed += float(out[-1])
        return out


def same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


WHOLE = Work().all(Ledger())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def often(monkeypatch):
    """Every item is a block."""
    monkeypatch.setattr(ledgers, "EVERY", 0.0)
    monkeypatch.setattr(ledgers, "SHARE", 0.0)


def sitting(folder: Path, stop: int, lines: list[str] | None = None) -> Work:
    """One sitting that ends before its work number ``stop``, as by Ctrl-C."""
    work = Work(stop)
    with Ledger(folder=folder, identity={"a": 1}, say=(lines or []).append) as ledger:
        if stop < 0:
            same(work.all(ledger), WHOLE)
        else:
            with pytest.raises(Stop):
                work.all(ledger)
    return work


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, 12), max_size=6), every=st.sampled_from([0.0, 1e9]))
def test_sittings_end_as_one(stops, every):
    """However often it is stopped, nothing is done twice but sums that were not kept."""
    from tempfile import TemporaryDirectory

    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        patch.setattr(ledgers, "EVERY", every)
        patch.setattr(ledgers, "SHARE", 0.0)
        calls = []
        for stop in stops:
            work = Work(stop)
            ledger = Ledger(folder=Path(name) / "p", identity={"a": 1})
            with contextlib.suppress(Stop), ledger:
                work.all(ledger)
            calls += work.calls
        calls += sitting(Path(name) / "p", -1).calls
        again = [call for call in calls if call[0] != "metric" or every == 0.0]
        assert len(set(again)) == len(again)


@pytest.mark.parametrize("stop", range(0, WORK - 2, 5))
def test_killed_between_two_blocks(often, tmp_path, stop):
    """What is on disk at any time, without the last block, is enough to go on."""
    work = Work(stop)
    with Ledger(folder=tmp_path / "p", identity={}) as ledger:
        with pytest.raises(Stop):
            work.all(ledger)
        shutil.copytree(tmp_path / "p", tmp_path / "killed")
    (tmp_path / "killed" / ".00-half-0000000.npz.77.tmp").write_bytes(b"PK half")
    rest = Work()
    with Ledger(folder=tmp_path / "killed", identity={}) as ledger:
        same(rest.all(ledger), WHOLE)
        assert not list((tmp_path / "killed").glob(".*.tmp"))
    assert len(work.calls) + len(rest.calls) <= WORK + 1


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"))


@pytest.mark.parametrize("kind", ["empty", "half", "a byte", "gone"])
def test_a_damaged_block_is_made_again_and_all_after_it(often, tmp_path, kind):
    sitting(tmp_path / "p", -1)
    for number in range(0, len(files(tmp_path / "p")), 6):
        shutil.copytree(tmp_path / "p", tmp_path / "q")
        every = files(tmp_path / "q")
        content = bytearray(every[number].read_bytes())
        if kind == "empty":
            content = b""
        elif kind == "half":
            content = content[: len(content) // 2]
        elif kind == "a byte":
            content[len(content) // 3] ^= 255
        every[number].write_bytes(content)
        if kind == "gone":
            every[number].unlink()
        lines: list[str] = []
        work = Work()
        with Ledger(folder=tmp_path / "q", identity={"a": 1}, say=lines.append) as ledger:
            same(work.all(ledger), WHOLE)
        redone = {phase for phase, _ in work.calls}
        later = {path.name.split("-")[1] for path in every[number:]}
        assert redone == later
        assert kind == "gone" or f"{every[number]} is damaged" in lines[1]
        shutil.rmtree(tmp_path / "q")


def test_parts_of_another_measurement_are_refused(tmp_path):
    sitting(tmp_path / "p", 5)
    before = {path: path.read_bytes() for path in files(tmp_path / "p")}
    with pytest.raises(InputError, match=r"other settings \(a, b differ\): repeat") as caught:
        Ledger(folder=tmp_path / "p", identity={"a": 2, "b": {"c": 3}})
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in files(tmp_path / "p")} == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letters.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no parts of a measurement"):
        Ledger(folder=tmp_path / "other", identity={"a": 1})


def test_the_folder_goes_when_it_is_not_needed(tmp_path):
    with Ledger(folder=tmp_path / "p", identity={}):  # nothing is measured
        assert (tmp_path / "p").is_dir()
    assert not (tmp_path / "p").exists()
    with Ledger(folder=tmp_path / "p", identity={}) as ledger:
        Work().all(ledger)
        assert files(tmp_path / "p")
        ledger.remove()
    assert not (tmp_path / "p").exists()
    ledger = Ledger(folder=tmp_path / "p", identity={})
    with pytest.raises(InputError), ledger:
        list(ledger.each("some", range(3), unmeasurable))
    assert not (tmp_path / "p").exists()


def unmeasurable(number: int) -> dict[str, np.ndarray]:
    if number == 2:
        raise InputError("no number 2")
    return {"x": np.zeros(1)}


def test_time_of_all_sittings_counts(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(ledgers.time, "perf_counter", lambda: clock[0])

    def work(number: int) -> dict[str, np.ndarray]:
        clock[0] += 40.0
        if clock[0] == 440.0:
            raise Stop
        return {"x": np.zeros(1)}

    with pytest.raises(Stop), Ledger(folder=tmp_path / "p", identity={}) as ledger:
        list(ledger.each("some", range(20), work))
    clock[0] = 10_000.0  # meanwhile
    with Ledger(folder=tmp_path / "p", identity={}) as ledger:
        list(ledger.each("some", range(20), work))
        assert ledger.seconds == pytest.approx(20 * 40.0, abs=45.0)


class Threads(Single):
    """Ranks as threads."""

    def __init__(self, rank: int, barrier: threading.Barrier, board: dict) -> None:
        self.rank, self.world = rank, barrier.parties
        self._barrier, self._board = barrier, board

    def gather(self, value):
        self._board[self.rank] = value
        self._barrier.wait(20)
        found = [self._board[rank] for rank in range(self.world)]
        self._barrier.wait(20)
        return found

    def total(self, values):
        return torch.stack(self.gather(values.clone())).sum(dim=0)


def ranks(world: int, act) -> list:
    """What ``act(parallel)`` gives or raises on each rank."""
    barrier, board, results = threading.Barrier(world), {}, [None] * world

    def run(rank: int) -> None:
        try:
            results[rank] = act(Threads(rank, barrier, board))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_work_and_find_the_same(often, tmp_path, world):
    works = [Work() for _ in range(world)]

    def act(parallel):
        folder = tmp_path / "p" if parallel.rank == 0 else None
        with Ledger(parallel, folder, {"a": 1}) as ledger:
            return works[parallel.rank].all(ledger)

    for found in ranks(world, act):
        for one, other in zip(found, WHOLE, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    for phase in ("features", "metric"):
        shares = [[n for name, n in work.calls if name == phase] for work in works]
        assert sorted(number for share in shares for number in share) == list(
            range(SIZES.get(phase, SUMMED))
        )
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    # any number of processes goes on from what these kept: nothing is left to do
    work = Work(0)
    with Ledger(folder=tmp_path / "p", identity={"a": 1}) as ledger:
        work.all(ledger)


def test_a_rank_that_fails_ends_all(tmp_path):
    def act(parallel):
        with Ledger(parallel) as ledger:
            return list(ledger.each("some", range(8), unmeasurable))

    first, second = ranks(2, act)
    assert isinstance(first, InputError)
    assert isinstance(second, PeerError)
    assert "no number 2" in str(second)


def test_the_digest_of_weights_tells_models_apart():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    before = weights_digest(model)
    assert weights_digest(model) == before
    with torch.no_grad():
        model[0].weight[0, 0] += 1e-6
    changed = weights_digest(model)
    assert changed != before
    assert weights_digest(model.to(torch.bfloat16)) not in (before, changed)
