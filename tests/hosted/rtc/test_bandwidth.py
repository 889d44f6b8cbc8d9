"""The bit rate that a sender is told to keep to, on simulated networks."""

from __future__ import annotations

import pytest

from greenroom.hosted.rtc.bandwidth import BandwidthEstimator

BITRATES = (150_000, 1_000_000, 4_000_000)
RATE = 30


def simulate(
    seconds: float,
    *,
    capacity: float = 1e9,
    wanted: float = 1e9,
    loss: float = 0.0,
    jitter_s: float = 0.0,
) -> list[int]:
    """Return what a sender is told that sends what it may, as far as it wants to.

    Parameters
    ----------
    seconds : float
    capacity : float
        Of the narrowest link, in bits/s; a queue builds up before it.
    wanted : float
        Of the sender, in bits/s.
    loss : float
        Share of the packets.
    jitter_s : float
        By which every third frame comes later, as of a busy process.
    """
    estimator = BandwidthEstimator(BITRATES)
    told = [300_000]
    free_s = 0.0  # when the link has sent what it has
    for number in range(round(seconds * RATE)):
        sent_s = 10 + number / RATE
        size = round(min(told[-1], wanted) / RATE / 8)
        free_s = max(free_s, sent_s) + 8 * size / capacity
        now_s = free_s + 0.02 + (jitter_s if number % 3 == 0 else 0.0)
        estimator.add(round(sent_s * 2**18) & 0xFFFFFF, round(size * (1 - loss)), now_s)
        if estimator.due(now_s):
            told.append(estimator.update(loss, now_s))
    return told[1:]


def test_the_first_bit_rate_is_told_at_once() -> None:
    """A browser trusts it within its first two seconds, and need not grow slowly."""
    assert simulate(1 / RATE) == [1_000_000]


def test_it_grows_to_the_highest_while_nothing_is_lost() -> None:
    """By eight per cent a second, in the beginning and never above the limit."""
    told = simulate(30)
    assert told == sorted(told)
    assert told[5] == pytest.approx(1_000_000 * 1.08**5, rel=0.05)
    assert told[-1] == 4_000_000


def test_a_sender_that_has_little_to_send_keeps_the_first() -> None:
    """It may send as much again as soon as there is something to see."""
    assert set(simulate(20, wanted=100_000)) == {1_000_000}


def test_a_narrow_link_is_found() -> None:
    """The queue before it is noticed long before anything is lost."""
    told = simulate(60, capacity=1_500_000)
    assert 750_000 < sum(told[-20:]) / 20 < 1_700_000
    assert max(told) < 2_500_000


def test_delays_alone_lower_it_to_half_of_the_first() -> None:
    """A process that is late has no narrow link behind it."""
    assert min(simulate(60, capacity=200_000)) == 500_000


def test_a_process_that_is_late_now_and_then_changes_little() -> None:
    """Frames of a busy server come unevenly all the time."""
    assert simulate(30, jitter_s=0.015)[-1] > 2_000_000


def test_losses_lower_it_to_the_least() -> None:
    """A fifth of the packets lost is too much at any rate."""
    told = simulate(60, loss=0.2)
    assert told[1:] == sorted(told[1:], reverse=True)
    assert told[-1] == 150_000


def test_some_loss_holds_it() -> None:
    """Between two and ten per cent nothing changes."""
    assert set(simulate(20, loss=0.05)) == {1_000_000}
