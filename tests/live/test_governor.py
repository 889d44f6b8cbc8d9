"""The governor: what it chooses on machines that are simulated, with a clock that is."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_drawn import finder, frame_of, person

from greenroom.engine.engine import VirtualBackground
from greenroom.live.governor import Governor, Plan
from greenroom.live.plans import ladder
from greenroom.matting import Cadence
from greenroom.settings import Quality, Settings
from greenroom.testing import PersonSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.media.frame import Frame

RATE = 30.0
QUALITIES = list(Quality)


@dataclass
class Machine:
    """Something that makes frames: what a plan takes on it, in milliseconds."""

    looks: dict[str, float] = field(
        default_factory=lambda: {
            "selfie": 3.0,
            "selfie-duo": 3.0,
            "selfie-landscape": 1.5,
            "u2net-human": 400.0,
            "rvm-mobilenetv3": 70.0,
        }
    )
    mattes: dict[Quality, float] = field(
        default_factory=lambda: {Quality.FAST: 1.0, Quality.BALANCED: 2.5, Quality.BEST: 2.6}
    )
    large: float = 100.0  # a look of the larger model, on a thread of its own
    rest: float = 0.7
    other_cpu: float = 0.0
    threads: float = 1.0
    noise: float = 0.08
    spikes: float = 0.02
    seed: int = 1
    slower: Callable[[float], float] = lambda _: 1.0
    moves: Callable[[float], bool] = lambda _: True

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation
        self.now_s = 0.0
        self._since_look = 0
        self.changes: list[tuple[float, Plan]] = []

    def cost(self, plan: Plan, *, looks: bool) -> tuple[float, float, float]:
        """Return what a frame takes, its looks and its matte."""
        look = self.looks[plan.model] * (2 if plan.quality is Quality.BEST else 1)
        segment = look if looks else 0.0
        matte = self.mattes[plan.quality]
        if plan.cadence is Cadence.FOURTH and not looks:
            matte *= 1.2
        return segment + matte + self.rest, segment, matte

    def mean_load(self, plan: Plan, values: Settings, cores: int, slower: float = 1.0) -> float:
        """Return the share of the budget that a plan takes while somebody moves."""
        frames = [slower * self.cost(plan, looks=True)[0]]
        frames += plan.cadence.most_followed * [slower * self.cost(plan, looks=False)[0]]
        mean = sum(frames) / len(frames)
        period = (2 if plan.half_rate else 1) * 1000 / RATE
        load = mean / min(period, values.budget_ms or period)
        if values.budget_cpu < 100:
            cpu = self.threads * mean + self.other_cpu + self.second(plan)
            load = max(load, cpu / (values.budget_cpu / 100 * cores * period))
        return load

    def second(self, plan: Plan) -> float:
        """Return what looks of the larger model take, spread over frames."""
        return self.large / plan.second_every if plan.second_every else 0.0

    def run(self, governor: Governor, seconds: float) -> None:
        """Make frames for a while."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            plan = governor.plan
            if not self.changes or self.changes[-1][1] != plan:
                self.changes.append((self.now_s, plan))
            moves = self.moves(self.now_s)
            looks = moves or self._since_look >= 14
            if moves:
                looks = self._since_look >= plan.cadence.most_followed
            self._since_look = 0 if looks else self._since_look + 1
            frame, segment, matte = self.cost(plan, looks=looks)
            if not moves and not looks:
                frame, segment, matte = self.rest + 0.3, 0.0, 0.3
            factor = self.slower(self.now_s) * max(0.5, self.random.gauss(1, self.noise))
            if self.random.random() < self.spikes:
                factor *= 4
            frame_ms = frame * factor
            period_s = (2 if plan.half_rate else 1) / RATE
            self.now_s += max(period_s, frame_ms / 1000)
            second_ms = self.second(plan) * factor
            cpu_ms = frame_ms * self.threads + self.other_cpu * factor + second_ms
            stages = {"segment": segment * factor, "matte": matte * factor}
            stages["second look"] = second_ms
            governor.observe(self.now_s, frame_ms, cpu_ms, stages)

    def changes_after(self, start_s: float) -> int:
        """Return how often the plan was changed since then."""
        return sum(when > start_s for when, _ in self.changes[1:])


def governor_of(cores: int = 2, **values: Any) -> Governor:
    """Return a new governor."""
    return Governor(Settings(**values), rate=RATE, cores=cores)


def best_that_fits(machine: Machine, values: Settings, cores: int, slower: float = 1.0) -> Plan:
    """Return the first rung that is within the budget, or the last."""
    plans = ladder(values)
    fitting = (one for one in plans if machine.mean_load(one, values, cores, slower) <= 1)
    return next(fitting, plans[-1])


class TestLadder:
    """What there is to choose from."""

    @pytest.mark.parametrize("quality", QUALITIES)
    @pytest.mark.parametrize("model", ["selfie", "selfie-landscape", "rvm-mobilenetv3", "chroma"])
    def test_nothing_is_above_the_settings(self, quality: Quality, model: str) -> None:
        """The first rung is what was asked for, and each of the others is less."""
        plans = ladder(Settings(quality=quality, model=model))
        assert (plans[0].quality, plans[0].model) == (quality, model)
        assert all(QUALITIES.index(one.quality) <= QUALITIES.index(quality) for one in plans)
        assert len(set(plans)) == len(plans)
        assert [one.half_rate for one in plans] == [False] * (len(plans) - 1) + [True]

    @pytest.mark.parametrize("values", [{"plate": "room.png"}, {"keep_region": "1,1,9,9"}])
    def test_what_is_kept_stays(self, values: dict[str, Any]) -> None:
        """A quality that could not keep what the user wants to keep is not chosen."""
        assert all(one.quality is not Quality.FAST for one in ladder(Settings(**values)))

    @pytest.mark.parametrize("values", [{"plate": "room.png"}, {"keep_region": "1,1,9,9"}])
    def test_what_is_kept_from_now_on_stays(self, values: dict[str, Any]) -> None:
        """A plan from before the user wanted to keep something gives way to that."""
        plan = Plan(Quality.FAST, "selfie")
        assert plan.apply(Settings(**values))["quality"] is Quality.BALANCED
        assert plan.apply(Settings())["quality"] is Quality.FAST
        asked = Settings(quality="fast", **values)
        assert plan.apply(asked)["quality"] is Quality.FAST

    @pytest.mark.parametrize(
        "values",
        [
            {"model": "chroma"},
            {"model": "mine.onnx"},
            {"model": "deeplabv3", "keep": "person,dog"},
            {"model": "u2net-human", "device": "cuda"},
        ],
    )
    def test_no_other_model_in_place_of_a_special_one(self, values: dict[str, Any]) -> None:
        """What finds something else than people, or has to run elsewhere, stays."""
        assert {one.model for one in ladder(Settings(**values))} == {values["model"]}

    @pytest.mark.parametrize("device", ["auto", "cuda"])
    def test_two_models_on_a_gpu(
        self, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a GPU quality best begins with two models, and goes on with that of the settings."""
        (tmp_path / "selfie_multiclass_256x256.tflite").touch()
        settings = Settings(quality="best", device=device, models_dir=tmp_path)
        monkeypatch.setattr("greenroom.live.plans.tries_gpu", lambda _: True)
        plans = ladder(settings)
        assert plans[0] == Plan(Quality.BEST, "selfie-duo", Cadence.MOVED)
        assert plans[0].apply(settings) == {"quality": "best", "model": "selfie-duo"}
        assert next(one for one in plans if one.model == "selfie").quality is Quality.BEST
        named = settings.changed(model="mine.onnx")
        assert {one.model for one in ladder(named)} == {"mine.onnx"}
        assert plans[0].apply(named)["model"] == "mine.onnx"

    @pytest.mark.parametrize("quality", QUALITIES)
    def test_a_second_model_looks_now_and_then_on_a_processor(
        self, quality: Quality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """First often, then seldom, then not, before anything else is given up."""
        monkeypatch.setattr("greenroom.live.plans.tries_gpu", lambda _: False)
        (tmp_path / "selfie_multiclass_256x256.tflite").touch()
        model = {} if quality is Quality.BEST else {"model": "selfie-duo"}
        settings = Settings(quality=quality, models_dir=tmp_path, **model)
        plans = ladder(settings)
        with_second = [one for one in plans if one.model == "selfie-duo"]
        assert list(plans[: len(with_second)]) == with_second
        assert (plans[0].quality, plans[0].second_every) == (quality, 60)
        assert with_second[-1].second_every == 240
        without = plans[len(with_second)]
        assert (without.model, without.second_every) == ("selfie", None)
        assert without.quality is min(quality, Quality.BALANCED, key=QUALITIES.index)
        assert plans[0].apply(settings)["model"] == "selfie-duo"
        assert without.apply(settings)["model"] == "selfie"
        assert "every 60th by the larger model" in plans[0].text

    def test_no_looks_are_left_out_of_models_that_make_mattes(self) -> None:
        """Nor are there qualities of theirs."""
        plans = ladder(Settings(model="rvm-mobilenetv3"))
        theirs = [one for one in plans if one.model == "rvm-mobilenetv3"]
        assert [one.cadence for one in theirs] == [Cadence.MOVED]

    @pytest.mark.parametrize(
        ("quality", "cadences"),
        [
            ("best", [Cadence.MOVED, Cadence.FOURTH, Cadence.FOURTH]),
            ("balanced", [Cadence.FOURTH, Cadence.FOURTH]),
            ("fast", [Cadence.MOVED, Cadence.FOURTH]),
        ],
    )
    def test_looks_are_left_out_before_quality_is(
        self, quality: str, cadences: list[Cadence]
    ) -> None:
        """With balanced from the start, as nothing is lost by it."""
        plans = [one for one in ladder(Settings(quality=quality)) if one.model == "selfie"]
        assert [one.cadence for one in plans] == cadences

    def test_only_models_that_are_here(self) -> None:
        """Nothing is downloaded because a machine is slow."""
        plans = ladder(Settings(model="u2net-human"))
        assert {one.model for one in plans} == {"u2net-human", "selfie", "selfie-landscape"}

    def test_the_users_settings_are_not_written_to(self) -> None:
        """A plan says what is to be in force instead, also where that is the user's own word."""
        asked = Settings(model="u2net-human")
        first, *_, last = ladder(asked)
        assert first.apply(asked) == {"quality": Quality.BALANCED, "model": "u2net-human"}
        assert last.apply(asked) == {"quality": Quality.FAST, "model": "selfie-landscape"}
        assert asked == Settings(model="u2net-human")

    def test_plans_say_what_they_are(self) -> None:
        """In a sentence that names everything that was chosen."""
        texts = [one.text for one in ladder(Settings())]
        assert len(set(texts)) == len(texts)
        assert texts[0].startswith("Quality balanced, model selfie:")
        assert texts[-1].endswith("at half the camera's rate.")


class TestConvergence:
    """The best plan that fits is found soon, and kept."""

    @pytest.mark.parametrize("slower", [1, 4, 6, 8, 12, 25, 60])
    def test_a_slow_machine(self, slower: float) -> None:
        """Within two seconds, however slow it is."""
        machine, governor, values = Machine(slower=lambda _: slower), governor_of(), Settings()
        machine.run(governor, 2.0)
        assert governor.plan == best_that_fits(machine, values, 2, slower)
        machine.run(governor, 60)
        assert governor.plan == best_that_fits(machine, values, 2, slower)
        assert machine.changes_after(2.0) <= 2

    def test_a_model_that_is_far_too_slow(self) -> None:
        """A network that takes 400 ms is replaced after a few frames."""
        machine, governor = Machine(), governor_of(model="u2net-human")
        machine.run(governor, 5.0)
        when, plan = machine.changes[1]
        assert when <= 2.4  # the first of the frames of 400 ms is left out, four are counted
        assert plan.model == "selfie"
        assert governor.plan.quality is Quality.BALANCED

    @pytest.mark.parametrize(("budget", "every"), [(20.0, 60), (8.0, 240), (6.8, None)])
    def test_a_second_model_looks_as_often_as_fits(
        self, budget: float, every: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its CPU time counts, though it is another thread's; then quality is as balanced's."""
        monkeypatch.setattr("greenroom.live.plans.tries_gpu", lambda _: False)
        (tmp_path / "selfie_multiclass_256x256.tflite").touch()
        values: dict[str, Any] = {"quality": "best", "models_dir": tmp_path, "budget_cpu": budget}
        machine, governor = Machine(), governor_of(**values)
        machine.run(governor, 60)
        assert governor.plan.second_every == every
        assert governor.plan == best_that_fits(machine, Settings(**values), 2)

    def test_what_fits_is_left_alone(self) -> None:
        """On a machine that can do it, there is no change in ten minutes."""
        machine, governor = Machine(), governor_of(quality="best")
        machine.run(governor, 600)
        assert len(machine.changes) == 1
        assert governor.plan.quality is Quality.BEST

    @pytest.mark.parametrize("budget_ms", [2.0, 3.0, 4.5, 6.0])
    def test_milliseconds(self, budget_ms: float) -> None:
        """A budget for the time of a frame is held, by the best plan that does."""
        machine, governor = Machine(), governor_of(budget_ms=budget_ms, budget_cpu=100)
        machine.run(governor, 3)
        values = Settings(budget_ms=budget_ms, budget_cpu=100)
        assert governor.plan == best_that_fits(machine, values, 2)

    def test_processors(self) -> None:
        """The same work is too much for one core and little for sixteen."""
        few, many = governor_of(1, budget_cpu=20), governor_of(16, budget_cpu=20)
        Machine(threads=2).run(few, 5)
        Machine(threads=2).run(many, 5)
        assert few.plan.quality is Quality.FAST
        assert many.plan.quality is Quality.BALANCED

    @settings(max_examples=25, deadline=None)
    @given(
        selfie=st.floats(0.5, 120),
        smaller=st.floats(0.3, 0.95),
        mattes=st.tuples(st.floats(0.3, 20), st.floats(0.1, 1), st.floats(0, 0.5)),
        rest=st.floats(0.1, 15),
        other_cpu=st.floats(0, 10),
        threads=st.floats(0.9, 2),
        quality=st.sampled_from(QUALITIES),
        budget=st.floats(5, 99),
        budget_ms=st.none() | st.floats(2, 60),
        cores=st.sampled_from([1, 2, 4, 8]),
        seed=st.integers(0, 1000),
    )
    def test_any_machine(
        self,
        selfie: float,
        smaller: float,
        mattes: tuple[float, float, float],
        rest: float,
        other_cpu: float,
        threads: float,
        quality: Quality,
        budget: float,
        budget_ms: float | None,
        cores: int,
        seed: int,
    ) -> None:
        """It ends at the best plan that fits, or at the last, and stays there."""
        fast, balanced, best = mattes
        balanced = fast / max(balanced, 0.25)
        machine = Machine(
            {"selfie": selfie, "selfie-landscape": smaller * selfie},
            dict(zip(QUALITIES, (fast, balanced, balanced * (1 + best)), strict=True)),
            rest=rest,
            other_cpu=other_cpu,
            threads=threads,
            seed=seed,
        )
        values = Settings(quality=quality, budget_cpu=budget, budget_ms=budget_ms)
        governor = Governor(values, rate=RATE, cores=cores)
        machine.run(governor, 6)
        settled_s = machine.now_s
        machine.run(governor, 54)  # after a minute a better plan is tried again
        assert machine.changes_after(settled_s) <= 2
        asked = ladder(values)
        assert all(plan in asked for _, plan in machine.changes)
        loads = {one: machine.mean_load(one, values, cores) for one in asked}
        above = asked[: asked.index(machine.changes[-1][1])]
        # What was left is not clearly within the budget, and what was kept not clearly above it.
        assert all(loads[one] > 0.85 for one in above)
        assert governor.plan == asked[-1] or loads[governor.plan] < 1.15

    def test_others_on_the_machine_do_not_count(self) -> None:
        """Where many sessions wait for each other, a plan is chosen by CPU time alone."""
        values = Settings(budget_cpu=20)
        alone, one_of_many = (
            Governor(values, rate=RATE, cores=2, is_alone=is_alone) for is_alone in (True, False)
        )
        for governor in (alone, one_of_many):
            first = governor.plan
            for number in range(60):
                stages = {"segment": 20.0, "matte": 15.0}
                governor.observe(number / RATE, 60.0, 5.0, stages, plan=governor.plan)
            assert (governor.plan == first) == (governor is one_of_many)
            for number in range(60, 120):
                stages = {"segment": 4.0, "matte": 3.0}
                governor.observe(number / RATE, 60.0, 40.0, stages, plan=governor.plan)
            assert governor.plan != first


class TestChange:
    """Machines that become slower and faster again."""

    def test_load_that_comes_and_goes(self) -> None:
        """While another program takes the machine less is done, and afterwards all again."""
        machine = Machine(slower=lambda now_s: 9.0 if 20 <= now_s < 40 else 1.0)
        governor = governor_of()
        machine.run(governor, 20)
        first = governor.plan
        machine.run(governor, 2.5)
        assert governor.plan == best_that_fits(machine, Settings(), 2, 9.0)
        machine.run(governor, 40)
        assert governor.plan == first

    def test_one_slow_frame_changes_nothing(self) -> None:
        """Nor do some that are far apart."""
        machine, governor = Machine(spikes=0.03), governor_of()
        machine.run(governor, 120)
        assert len(machine.changes) == 1

    def test_a_burst_is_forgotten(self) -> None:
        """After a second in which everything stood still, the plan is soon what it was."""
        machine = Machine(slower=lambda now_s: 30.0 if 10 <= now_s < 11 else 1.0)
        governor = governor_of()
        machine.run(governor, 10)
        first = governor.plan
        machine.run(governor, 90)
        assert governor.plan == first
        assert len(machine.changes) <= 7

    def test_bursts_do_not_make_it_swing(self) -> None:
        """With a burst every ten seconds, the plan is changed less and less often."""
        machine = Machine(slower=lambda now_s: 15.0 if now_s % 10 < 0.7 else 1.0)
        governor = governor_of()
        machine.run(governor, 600)
        assert machine.changes_after(300) <= machine.changes_after(0) / 2

    def test_sitting_still_makes_nothing_affordable(self) -> None:
        """Who sits still for a while and moves again does not swing the plan."""
        machine = Machine(
            slower=lambda _: 8.0, moves=lambda now_s: now_s < 10 or int(now_s / 7) % 2 == 0
        )
        governor = governor_of()
        machine.run(governor, 10)
        settled = governor.plan
        machine.run(governor, 120)
        assert governor.plan == settled
        assert machine.changes_after(10) <= 2

    def test_a_model_takes_time_to_load(self) -> None:
        """Frames of the plan before do not count for the new one."""
        governor, costs = governor_of(model="rvm-mobilenetv3"), Machine()
        first, now_s = governor.plan, 0.0
        for _ in range(40):
            now_s += 0.1
            governor.observe(now_s, 95, 95, {"segment": 92, "matte": 2}, plan=first)
        assert governor.plan == ladder(Settings(model="rvm-mobilenetv3"))[1]
        for _ in range(60):
            now_s += 1 / RATE
            total, segment, matte = costs.cost(governor.plan, looks=True)
            stages = {"segment": segment, "matte": matte}
            governor.observe(now_s, total, total, stages, plan=replace(governor.plan, reason="?"))
        assert governor.plan == ladder(Settings(model="rvm-mobilenetv3"))[1]


class TestSettings:
    """What the user says goes."""

    def test_the_whole_machine_is_no_budget(self) -> None:
        """With 100 % and no milliseconds nothing is steered: frames are made as asked for."""
        machine, governor = Machine(slower=lambda _: 50.0), governor_of(budget_cpu=100)
        machine.run(governor, 20)
        assert governor.is_off
        assert len(machine.changes) == 1
        assert governor.plan == Plan(Quality.BALANCED, "selfie", Cadence.FOURTH)
        best = governor_of(budget_cpu=100, quality="best").plan
        assert best == Plan(Quality.BEST, "selfie", Cadence.EVERY)

    def test_another_quality_is_tried(self) -> None:
        """What the user chooses anew is what is done, until it turns out to be too much."""
        machine, governor = Machine(slower=lambda _: 8.0), governor_of()
        machine.run(governor, 5)
        governor.update(Settings(quality="best"), RATE)
        assert governor.plan.quality is Quality.BEST
        machine.run(governor, 3)
        assert governor.plan == best_that_fits(machine, Settings(quality="best"), 2, 8.0)

    def test_other_settings_change_nothing(self) -> None:
        """A new background is no reason for a new plan."""
        machine, governor = Machine(slower=lambda _: 8.0), governor_of()
        machine.run(governor, 5)
        plan = governor.plan
        for number in range(9):
            governor.update(Settings(background=f"color:#00000{number}"), RATE)
        assert governor.plan == plan
        machine.run(governor, 10)
        assert governor.plan == plan

    def test_a_larger_budget_is_used(self) -> None:
        """When the user allows for more, more is done."""
        machine, governor = Machine(), governor_of(budget_cpu=6)
        machine.run(governor, 5)
        assert governor.plan.quality is Quality.FAST
        governor.update(Settings(budget_cpu=60), RATE)
        machine.run(governor, 10)
        assert governor.plan == ladder(Settings())[0]

    def test_a_camera_without_a_rate(self) -> None:
        """It is taken for one of 30 frames a second."""
        governor = Governor(Settings(), rate=0, cores=2)
        Machine(slower=lambda _: 25.0).run(governor, 5)
        assert governor.plan.quality is Quality.FAST

    def test_reasons_are_sentences_with_numbers(self) -> None:
        """They say what a frame took; they do not make two plans different."""
        machine, governor = Machine(slower=lambda _: 8.0), governor_of()
        assert governor.plan.reason == "This is what the settings ask for."
        machine.run(governor, 5)
        assert governor.plan.reason.startswith("It was too much: a frame took ")
        assert governor.plan.reason.endswith(" of the budget.")
        assert replace(governor.plan, reason="") == governor.plan


class _Slow(PersonSegmenter):
    """Finds what is bright, and sleeps over it."""

    makes_mattes = False

    def __init__(self, sleeps_s: float) -> None:
        super().__init__()
        self._sleeps_s = sleeps_s
        self._look = finder()

    def segment(self, frame: Frame) -> Any:
        time.sleep(self._sleeps_s)
        return self._look(frame)


def test_an_engine_whose_model_sleeps() -> None:
    """With a model that takes 80 ms of 60, the engine soon looks at every second frame only."""
    values = Settings(background="color:black", budget_ms=60, budget_cpu=100, quality="fast")
    governor = Governor(values, rate=15, cores=2)
    with VirtualBackground(values, segmenter=_Slow(0.08)) as engine:
        start_s = time.monotonic()
        for number in range(60):
            plan = governor.plan
            engine.update(**plan.apply(values))
            engine.cadence = plan.cadence
            engine.timings.clear()
            frame = frame_of(person(centre=(0.3 + 0.002 * number, 0.6)), number)
            begun_s = time.monotonic()
            engine.process(frame)
            now_s = time.monotonic()
            took_ms = 1000 * (now_s - begun_s)
            stages = {n: one.median_ms for n, one in engine.timings.summary().items()}
            governor.observe(now_s, took_ms, took_ms, stages, plan=plan)
            if plan.cadence is Cadence.FOURTH or now_s - start_s > 10:
                break
        assert governor.plan.cadence is Cadence.FOURTH
        assert number < 30
        assert engine.settings.quality is Quality.FAST


class TestWaiting:
    """Frames for which the processor waits, as for a GPU: they take time, and little CPU time."""

    @staticmethod
    def wait(governor: Governor, frame_ms: float, cpu_ms: float) -> None:
        """Make frames for ten seconds, nearly all of whose time is waiting."""
        stages = {"segment": frame_ms / 2, "matte": frame_ms / 4}
        for number in range(int(10 * RATE)):
            governor.observe(number / RATE, frame_ms, cpu_ms, stages, plan=governor.plan)

    @pytest.mark.parametrize("budget_cpu", [10, 50])
    def test_within_the_period(self, budget_cpu: int) -> None:
        """To wait for as long as the camera leaves costs no quality, whatever the CPU budget."""
        governor = governor_of(cores=1, budget_cpu=budget_cpu, quality="best")
        first = governor.plan
        self.wait(governor, 30.0, 2.0)
        assert governor.plan == first

    def test_among_many_sessions(self) -> None:
        """Where others make it wait, no plan of its own would help, and none is changed."""
        values = Settings(budget_cpu=10, quality="best")
        governor = Governor(values, rate=RATE, cores=1, is_alone=False)
        first = governor.plan
        self.wait(governor, 60.0, 2.0)
        assert governor.plan == first

    def test_longer_than_the_period(self) -> None:
        """A frame that is late for its camera is late, whoever made it wait: less is done."""
        governor = governor_of(cores=1, budget_cpu=50, quality="best")
        first = governor.plan
        self.wait(governor, 60.0, 2.0)
        assert governor.plan != first
