"""Governor: chooses the quality that holds a time and CPU budget.

Pure logic, without threads or a clock of its own: it observes the cost of every frame, and chooses
the `Plan` in force. It steps down after a few frames over the budget, as many rungs as the known
costs require, and up once the better plan would have been well within the budget for a while. A
step up that had to be taken back is retried with an increasing back-off.

Costs are measured while something moves: a plan that is too expensive then does not become
affordable because the person sits still for a moment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from greenroom.live.plans import Cost, Plan, ladder, least_cost
from greenroom.matting import Cadence, cadence_of
from greenroom.settings import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greenroom.settings import Settings

__all__ = ["Governor", "Plan"]

# Warm-up after a change, in frames; it is cut short if they exceed the budget by this factor. While
# a model loads, frames of the previous plan are ignored for up to this time.
_WARM_UP_FRAMES: Final = 3
_WARM_UP_MAX_LOAD: Final = 3.0
_MODEL_LOADING_S: Final = 1.0
# Interval of the check, in frames. Over the short window the budget has to be exceeded by far, over
# the long one at all; the most expensive frames of each are dropped.
_CHECK_INTERVAL_FRAMES: Final = 4
_SHORT_WINDOW_FRAMES: Final = 12
_LONG_WINDOW_FRAMES: Final = 24
_SHORT_WINDOW_MAX_LOAD: Final = 1.25
_SHORT_WINDOW_OUTLIERS: Final = 1 / 3
_LONG_WINDOW_OUTLIERS: Final = 1 / 2
# A better plan needs an expected load below this, for this long, and this long after a change.
_STEP_UP_MAX_LOAD: Final = 0.8
_STEP_UP_CALM_S: Final = 2.0
_MIN_PLAN_S: Final = 3.0
# A step up that exceeds the budget within the trial time is taken back. The next one waits for the
# back-off, which doubles each time up to a limit; after the longest one old measurements expire.
_TRIAL_S: Final = 8.0
_RETRY_BACKOFF_S: Final = 60.0
_RETRY_BACKOFF_MAX_S: Final = 960.0
# Frame rate assumed where none is known, in frames a second.
_DEFAULT_RATE: Final = 30.0
# A CPU budget of the whole machine, in %, counts as no budget.
_NO_BUDGET_PERCENT: Final = 100.0
# Where detections are followed something moves if there were this many looks in as many frames as
# they are for: while it rests, a look comes every half a second. No plan is judged by fewer, unless
# it exceeds the budget by far.
_MOVEMENT_LOOKS: Final = 2
_MOVEMENT_WINDOW_FRAMES: Final = _MOVEMENT_LOOKS * (1 + Cadence.FOURTH.most_followed)


class Governor:
    """Chooses plans. Not safe for threads.

    Parameters
    ----------
    settings : Settings
        The user's settings, and the budget: `budget_ms` for the time of a frame, which is
        never more than the camera leaves for it, and `budget_cpu` for all processors. Of 100 %
        and no milliseconds, nothing is steered.
    rate : float
        Frames a second that the camera gives.
    cores : int
        Processors of the machine.
    is_alone : bool
        Whether the machine does little else. Where it has many sessions, the time of a frame by
        the clock says how busy the others are, which no plan of this one changes: then only CPU
        time counts, and `budget_ms` if there is one.

    State: the plan, what frames took since it is in force, and what is known of other plans.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rate: float,
        cores: int,
        is_alone: bool = True,
    ) -> None:
        self._cores = cores
        self._is_alone = is_alone
        self._settings = settings
        self._rate_given = rate
        self._hopeless = 0
        self._begin()

    @property
    def plan(self) -> Plan:
        """The plan for the next frames."""
        return self._plan

    @property
    def is_off(self) -> bool:
        """Whether there is no budget, so the settings apply unchanged."""
        return self._settings.budget_cpu >= _NO_BUDGET_PERCENT and self._settings.budget_ms is None

    def update(self, settings: Settings, rate: float) -> None:
        """Update settings and frame rate; measurements that they do not affect are kept."""
        before = self._settings
        replanned, budgets = settings.names(replans=True), settings.names(stage=Stage.GOVERNOR)
        if _differ(before, settings, budgets) or rate != self._rate_given:
            self._forget_frames()
            self._failures = 0
        was_off = self.is_off
        self._settings, self._rate_given = settings, rate
        if self.is_off != was_off or _differ(before, settings, replanned):
            self._begin()

    def observe(
        self,
        now_s: float,
        frame_ms: float,
        cpu_ms: float,
        stages_ms: Mapping[str, float],
        *,
        plan: Plan | None = None,
    ) -> None:
        """Record the cost of a frame, and change the plan where that is due.

        Parameters
        ----------
        now_s : float
            When it was ready, by any clock that does not go back.
        frame_ms, cpu_ms : float
            What it took by the clock, and of all processors since the frame before.
        stages_ms : mapping of str to float
            Of that what each stage took; ``segment`` are the model's looks, and ``matte`` is what
            is made of them. ``second look`` is CPU time of another thread.
        plan : Plan, optional
            By which it was made, if that is known: a new plan may have to wait for its model.
        """
        if self.is_off or not self._is_by_this_plan(now_s, plan):
            return
        segment_ms = stages_ms.get("segment", 0.0)
        self._looks.append(segment_ms > 0)
        matte_ms, second_ms = (stages_ms.get(name, 0.0) for name in ("matte", "second look"))
        cost = Cost(frame_ms, cpu_ms, segment_ms, matte_ms, second_ms)
        is_hopeless = self._load(cost, self._plan) > _WARM_UP_MAX_LOAD
        self._hopeless = self._hopeless + 1 if is_hopeless else 0
        rests = "segment" in stages_ms and not self._has_moved()
        if rests and self._hopeless < _WARM_UP_FRAMES:
            return
        if self._left_out <= _WARM_UP_FRAMES and self._hopeless < _WARM_UP_FRAMES:
            return  # it may improve shortly
        self._frames.append(cost)
        self._count += 1
        if self._count % _CHECK_INTERVAL_FRAMES and self._hopeless != _CHECK_INTERVAL_FRAMES:
            return
        cost = _typical(list(self._frames))
        load = self._load(cost, self._plan)
        self._learn(cost, load)
        too_much = self._too_much(cost, load)
        if too_much is not None:
            self._step_down(now_s, too_much)
        else:
            self._explain(self._why)
            self._consider_better(now_s, cost, load)

    def _begin(self) -> None:
        settings = self._settings
        plans = ladder(settings)
        reason = "There is no budget to hold."
        if self.is_off:
            plans = (replace(plans[0], cadence=cadence_of(settings.quality)),)
        else:
            reason = "This is what the settings ask for."
        self._ladder = plans
        self._rung = 0
        self._why = reason
        self._plan = self._ladder[0].because(reason)
        # For each rung, the load expected when the previous one was left; then how many
        # times the present one's it is.
        self._expected: list[float | None] = [None] * len(self._ladder)
        self._ratios: list[float | None] = [None] * len(self._ladder)
        self._measured = [False] * len(self._ladder)
        self._frames: deque[Cost] = deque(maxlen=_LONG_WINDOW_FRAMES)
        self._looks: deque[bool] = deque(maxlen=_MOVEMENT_WINDOW_FRAMES)
        self._left_out = 0
        self._count = 0
        self._hopeless = 0
        self._changed_s: float | None = None
        self._went_up_s: float | None = None
        self._good_since_s: float | None = None
        self._failures = 0
        self._is_loading = False

    def _explain(self, reason: str) -> None:
        """Update the reason of the plan in force."""
        self._plan = self._plan.because(reason)

    def _forget_frames(self) -> None:
        self._frames.clear()
        self._looks.clear()
        self._left_out = self._count = self._hopeless = 0

    def _is_by_this_plan(self, now_s: float, plan: Plan | None) -> bool:
        """Return whether a frame counts: not during warm-up, nor under the previous plan."""
        if self._changed_s is None:
            self._changed_s = now_s
        if plan is not None and plan != self._plan:
            return False
        if plan is None and self._is_loading and now_s - self._changed_s < _MODEL_LOADING_S:
            return False
        self._left_out += 1
        return self._left_out > 1

    def _has_moved(self) -> bool:
        """Return whether something moved in the last frame, judged by the inferences."""
        if not self._plan.cadence.most_followed:
            return self._looks[-1]
        return sum(self._looks) >= _MOVEMENT_LOOKS

    def _too_much(self, cost: Cost, load: float) -> Cost | None:
        """Return which budget is exceeded; empty if none is."""
        frames = list(self._frames)
        is_known = sum(one.segment_ms > 0 for one in frames) >= _MOVEMENT_LOOKS
        if not is_known and self._hopeless < _CHECK_INTERVAL_FRAMES:
            return None
        latest = _typical(frames[-_SHORT_WINDOW_FRAMES:], _LONG_WINDOW_OUTLIERS)
        if self._load(latest, self._plan) > _SHORT_WINDOW_MAX_LOAD:
            return latest
        return cost if len(frames) == _LONG_WINDOW_FRAMES and load > 1 else None

    def _load(self, cost: Cost, plan: Plan) -> float:
        """Return the load: the cost as a share of the budget."""
        period_ms = self._period_ms(plan)
        most_ms = min(period_ms, self._settings.budget_ms or period_ms)
        is_timed = self._is_alone or self._settings.budget_ms is not None
        load = cost.frame_ms / most_ms if is_timed else 0.0
        if self._settings.budget_cpu < _NO_BUDGET_PERCENT:
            cpu_ms = self._settings.budget_cpu / 100 * self._cores * period_ms
            load = max(load, cost.cpu_ms / cpu_ms)
        return load

    def _period_ms(self, plan: Plan) -> float:
        """Return the frame period, in milliseconds."""
        rate = self._rate_given if self._rate_given > 0 else _DEFAULT_RATE
        return (2 if plan.half_rate else 1) * 1000 / rate

    def _learn(self, cost: Cost, load: float) -> None:
        """Update the load ratios between plans with a measured cost."""
        if self._ratios[self._rung] is not None:
            return
        self._measured[self._rung] = True
        for rung, expected in enumerate(self._expected):
            if rung < self._rung and expected is not None:
                self._ratios[rung] = expected / max(load, 1e-9)
            elif rung > self._rung:
                least = self._load(
                    least_cost(cost, self._plan, self._ladder[rung]), self._ladder[rung]
                )
                known = expected if self._measured[rung] and expected is not None else 0.0
                self._ratios[rung] = max(known, least) / max(load, 1e-9)
        self._ratios[self._rung] = 1.0

    def _step_down(self, now_s: float, cost: Cost) -> None:
        self._good_since_s = None
        load, said = self._load(cost, self._plan), self._said(cost)
        if self._rung == len(self._ladder) - 1:
            self._explain(f"The budget cannot be held: {said} even so.")
            return
        if self._went_up_s is not None and now_s - self._went_up_s < _TRIAL_S:
            self._failures += 1
        lower = range(self._rung + 1, len(self._ladder))
        fitting = (
            rung
            for rung in lower
            if self._load(least_cost(cost, self._plan, self._ladder[rung]), self._ladder[rung]) <= 1
        )
        self._went_up_s = None
        self._go(now_s, next(fitting, lower[-1]), load, f"It was too much: {said}.")

    def _consider_better(self, now_s: float, cost: Cost, load: float) -> None:
        assert self._changed_s is not None
        since_s = now_s - self._changed_s
        if self._went_up_s is not None and now_s - self._went_up_s >= _RETRY_BACKOFF_S:
            self._failures, self._went_up_s = 0, None
        better = self._better(load, doubting=since_s >= self._penance_s)
        if better is None:
            self._good_since_s = None
            return
        if self._good_since_s is None:
            self._good_since_s = now_s
        waits_s = self._penance_s if self._failures else _MIN_PLAN_S
        if now_s - self._good_since_s >= _STEP_UP_CALM_S and since_s >= waits_s:
            self._went_up_s = now_s
            self._go(now_s, better, load, f"There is room for more: {self._said(cost)}.")

    @property
    def _penance_s(self) -> float:
        return min(_RETRY_BACKOFF_MAX_S, _RETRY_BACKOFF_S * float(2 ** max(0, self._failures - 1)))

    def _better(self, load: float, *, doubting: bool) -> int | None:
        """Return the best rung whose expected load is well within the budget."""
        found = None
        for rung in range(self._rung - 1, -1, -1):
            ratio = self._ratios[rung]
            if ratio is None or ratio * load >= _STEP_UP_MAX_LOAD:
                break
            if found is None or self._measured[rung]:
                found = rung
        if found is None and doubting and self._rung > 0 and load < _STEP_UP_MAX_LOAD:
            return self._rung - 1  # that measurement may have been an outlier
        return found

    def _go(self, now_s: float, rung: int, load: float, reason: str) -> None:
        """Switch to another rung."""
        before, ratios = self._plan, self._ratios
        for other, ratio in enumerate(ratios):
            if ratio is not None:
                self._expected[other] = ratio * load
        self._expected[self._rung] = load
        self._ratios = [None] * len(self._ladder)
        self._rung = rung
        after = self._ladder[rung]
        self._why = reason
        self._plan = after.because(reason)
        self._is_loading = after.model != before.model
        self._forget_frames()
        self._changed_s = now_s
        self._good_since_s = None

    def _said(self, cost: Cost) -> str:
        """Describe the cost of a frame under the plan in force."""
        period_ms = self._period_ms(self._plan)
        percent = 100 * cost.cpu_ms / (self._cores * max(cost.frame_ms, period_ms))
        return (
            f"a frame took {cost.frame_ms:.1f} ms and {percent:.0f} % of the machine, "
            f"{100 * self._load(cost, self._plan):.0f} % of the budget"
        )


def _differ(one: Settings, other: Settings, names: Sequence[str]) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in names)


def _typical(frames: Sequence[Cost], outliers: float = _SHORT_WINDOW_OUTLIERS) -> Cost:
    """Return the mean cost of a frame, dropping the most expensive ones, looked at and not."""
    looks = [one for one in frames if one.segment_ms > 0]
    others = [one for one in frames if not one.segment_ms > 0]
    share = _look_share(frames)
    means = [
        share * _mean_of_most([getattr(one, name) for one in looks], outliers)
        + (1 - share) * _mean_of_most([getattr(one, name) for one in others], outliers)
        for name in ("frame_ms", "cpu_ms", "segment_ms", "matte_ms", "second_ms")
    ]
    return Cost(*means)


def _look_share(frames: Sequence[Cost]) -> float:
    """Return the share of frames that are looked at: between looks, if there are two."""
    numbers = [number for number, one in enumerate(frames) if one.segment_ms > 0]
    if len(numbers) < 2:
        return len(numbers) / len(frames)
    return (len(numbers) - 1) / (numbers[-1] - numbers[0])


def _mean_of_most(values: Sequence[float], outliers: float) -> float:
    """Return the mean without a share of the largest, at least one; 0 of none."""
    kept = len(values) - max(1, round(outliers * len(values))) if len(values) > 1 else len(values)
    return sum(sorted(values)[:kept]) / max(1, kept)
