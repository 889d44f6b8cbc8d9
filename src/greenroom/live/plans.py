"""Plans of the governor: a ladder from the user's settings down to the cheapest.

A ladder is made of settings. Its first rung is what they ask for; each of the others costs less and
is worth less, and none is above what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.matting import Cadence, cadence_of
from greenroom.segmenters.best import with_best_model
from greenroom.segmenters.card import Task
from greenroom.segmenters.catalogue import PACKAGE_CARDS, card_named
from greenroom.segmenters.runtimes.converted import tries_gpu
from greenroom.settings import Device, Quality

if TYPE_CHECKING:
    from greenroom.segmenters.card import Card
    from greenroom.settings import Settings

__all__ = ["Cost", "Plan", "ladder", "least_cost"]

# Bundled models, most expensive first, and the time of one inference in milliseconds
# (docs/models.md); only used to rule out plans that cannot help.
_CHEAPER_MODELS: Final = ("selfie", "selfie-landscape")
_INFERENCE_MS: Final = {"selfie": 3.9, "selfie-general": 4.6, "selfie-landscape": 1.9}
_UNKNOWN_INFERENCE_MS: Final = 200.0
# A model that is this many times cheaper starts at the full quality again.
_FULL_QUALITY_RATIO: Final = 5.0
# Least share of the matting cost that remains at a lower quality.
_MIN_MATTING_SHARE: Final = {Quality.BEST: 1.0, Quality.BALANCED: 0.8, Quality.FAST: 0.25}
_INFERENCES: Final = {Quality.BEST: 2.0, Quality.BALANCED: 1.0, Quality.FAST: 1.0}
# Frames from one look of a fused model's larger member to the next, on a processor.
_SECOND_EVERY: Final = (60, 240)
# Expected savings by another model or cadence are halved.
_SAVINGS_SHARE: Final = 0.5

_CADENCES: Final = {
    Cadence.EVERY: "every frame is looked at",
    Cadence.MOVED: "frames are looked at when something has moved",
    Cadence.FOURTH: "every fourth frame is looked at, when something has moved",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Quality, model and inference cadence of frames.

    Attributes
    ----------
    quality : Quality
        In place of the setting of that name.
    model : str
        Likewise.
    cadence : Cadence
        For which frames the model looks.
    half_rate : bool
        Whether every second frame of the camera is left out.
    second_every : int or None
        Frames from one look of a fused model's larger member to the next; with None it looks at
        every frame.
    reason : str
        Why it was chosen, as a sentence. It does not count in comparisons.
    """

    quality: Quality
    model: str
    cadence: Cadence = Cadence.EVERY
    half_rate: bool = False
    second_every: int | None = None
    reason: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """Description of the plan, as a sentence."""
        rate = ", at half the camera's rate" if self.half_rate else ""
        second = self.second_every
        also = "" if second is None else f", every {second}th by the larger model, too"
        return f"Quality {self.quality}, model {self.model}: {_CADENCES[self.cadence]}{also}{rate}."

    def apply(self, settings: Settings) -> dict[str, Any]:
        """Return the settings that replace the user's, by name.

        All that a plan may change are there, also those that are as the user's are: so that a plan
        undoes the one before.

        Parameters
        ----------
        settings : Settings
            The user's. What they say of other things is not changed.
        """
        own = {settings.model, with_best_model(settings).model}
        if self.model not in own and not _has_substitutes(settings):
            return {"quality": settings.quality, "model": settings.model}  # changed meanwhile
        quality = self.quality
        if quality is Quality.FAST and _needs_room(settings):  # asked for since this was chosen
            quality = min(settings.quality, Quality.BALANCED, key=list(Quality).index)
        return {"quality": quality, "model": self.model}

    def because(self, reason: str) -> Plan:
        """Return the same plan with another reason."""
        return replace(self, reason=reason)


def ladder(settings: Settings) -> tuple[Plan, ...]:
    """Return the plans for settings, best first.

    Parameters
    ----------
    settings : Settings
        What the user asks for.
    """
    best = with_best_model(settings)
    fused = _members(best.model)
    if fused and not tries_gpu(settings.device):
        return _with_second(best, ladder(settings.changed(model=fused[0])))
    is_refined = _is_refined(settings.model)
    is_every = not is_refined or cadence_of(settings.quality) is Cadence.EVERY
    cadence = Cadence.MOVED if is_every else Cadence.FOURTH
    first = Plan(settings.quality, best.model, cadence)
    plans = [first, *(_less(first, settings) if is_refined else ())]
    for model in _CHEAPER_MODELS if _has_substitutes(settings) else (settings.model,):
        if _look_ms(model) >= _look_ms(plans[-1].model):
            continue
        if _FULL_QUALITY_RATIO * _look_ms(model) <= _look_ms(
            plans[-1].model
        ):  # there is room for quality again
            plans.append(replace(first, model=model))
            plans += _less(plans[-1], settings)
        else:
            plans.append(replace(plans[-1], model=model))
    plans.append(replace(plans[-1], half_rate=True))
    return tuple(plans)


def _less(plan: Plan, settings: Settings) -> list[Plan]:
    """Return cheaper plans with the same model.

    To leave out looks costs much less quality than to make less of them (docs/governor.md).
    """
    plans = []
    if plan.quality is Quality.BEST:
        plans.append(replace(plan, quality=Quality.BALANCED, cadence=Cadence.FOURTH))
    elif plan.cadence is not Cadence.FOURTH:
        plans.append(replace(plan, cadence=Cadence.FOURTH))
    # Quality fast does not learn the room.
    if plan.quality is not Quality.FAST and not _needs_room(settings):
        plans.append(replace((plans or [plan])[-1], quality=Quality.FAST))
    return plans


def _with_second(settings: Settings, others: tuple[Plan, ...]) -> tuple[Plan, ...]:
    """Return plans with looks of a larger model, before those of the smaller one alone.

    To look twice at every frame costs more than these, and is worth less (docs/governor.md).
    """
    often, seldom = _SECOND_EVERY
    first = replace(others[0], model=settings.model, second_every=often)
    plans = [first]
    if first.quality is Quality.BEST:
        first = replace(first, quality=Quality.BALANCED, cadence=Cadence.FOURTH)
        plans.append(first)
    plans.append(replace(first, second_every=seldom))
    return (*plans, *(one for one in others if one.quality is not Quality.BEST))


def _members(model: str) -> tuple[str, ...]:
    """Return the members of a bundled fused model, the larger last; none of other models."""
    card = _card(model)
    return () if card is None or card.members is None else card.members


def _needs_room(settings: Settings) -> bool:
    """Whether the room must be learned, which quality fast does not do."""
    return settings.keep_region is not None or settings.plate is not None


def _has_substitutes(settings: Settings) -> bool:
    """Whether another model can replace it: one that segments people on any processor."""
    return (
        settings.model != "chroma"
        and _card(settings.model) is not None
        and settings.keep is None
        and settings.device in {Device.AUTO, Device.CPU}
    )


def _is_refined(model: str) -> bool:
    """Whether quality and cadence apply: not for models that make mattes themselves."""
    card = _card(model)
    if card is None:
        return True  # if they make none the plans below are tried soon enough
    return card.task is not Task.MATTING and not (card.input is not None and card.input.states)


def _card(model: str) -> Card | None:
    """Return the card of a bundled model; None for others, which may not segment people."""
    is_ours = model == Path(model).name and (PACKAGE_CARDS / f"{model}.toml").is_file()
    return card_named(model) if is_ours else None


def _look_ms(model: str, *, is_fused: bool = True) -> float:
    """Return the time of a look; of a fused model that of the smaller member if both are apart."""
    name = model if is_fused else _members(model)[0]
    return _INFERENCE_MS.get(name, _UNKNOWN_INFERENCE_MS)


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a frame, in milliseconds.

    Attributes
    ----------
    frame_ms, cpu_ms : float
        By the clock, and of all processors together.
    segment_ms, matte_ms : float
        Of the first, what the model's looks take, and what is made of them.
    second_ms : float
        Of CPU time, what looks of a larger model take on a thread of its own.
    """

    frame_ms: float
    cpu_ms: float
    segment_ms: float = 0.0
    matte_ms: float = 0.0
    second_ms: float = 0.0


def least_cost(cost: Cost, now: Plan, other: Plan) -> Cost:
    """Return a lower bound of the cost under a cheaper plan, from the cost now."""
    looks = _looks(other) / _looks(now) * (1.0 if other.model == now.model else _SAVINGS_SHARE)
    rest = _MIN_MATTING_SHARE[other.quality] / _MIN_MATTING_SHARE[now.quality]
    looks *= min(1.0, (1 + now.cadence.most_followed) / (1 + other.cadence.most_followed))
    segment_ms, matte_ms = cost.segment_ms * looks, cost.matte_ms * rest
    saved_ms = cost.segment_ms - segment_ms + cost.matte_ms - matte_ms
    frame_ms = max(0.0, cost.frame_ms - saved_ms)
    # Several threads may have worked in that time.
    each = max(1.0, cost.cpu_ms / max(cost.frame_ms, 1e-9))
    second_ms = cost.second_ms
    if now.second_every:
        second_ms *= now.second_every / other.second_every if other.second_every else 0.0
    cpu_ms = cost.cpu_ms - each * saved_ms - cost.second_ms + second_ms
    return Cost(frame_ms, max(0.0, cpu_ms), segment_ms, matte_ms, second_ms)


def _looks(plan: Plan) -> float:
    is_fused = plan.second_every is None
    return _look_ms(plan.model, is_fused=is_fused) * _INFERENCES[plan.quality]
