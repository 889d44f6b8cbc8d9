"""The matte metrics against independent computations, closed forms and their properties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal
from scipy import ndimage  # type: ignore[import-untyped, unused-ignore]

from greenroom.errors import FormatError
from greenroom.evaluation import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Measure = Callable[[NDArray[Any], NDArray[Any]], float]

MEASURES = [
    metrics.iou,
    metrics.boundary_iou,
    metrics.mad,
    metrics.mse,
    metrics.sad,
    metrics.gradient_error,
    metrics.connectivity_error,
    metrics.leak,
]
SYMMETRIC = [
    metrics.iou,
    metrics.mad,
    metrics.mse,
    metrics.sad,
    metrics.gradient_error,
    metrics.connectivity_error,
]


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """Draw the shape of a small plane."""
    return array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Plane, Plane]:
    """Draw two uint8 mattes of one shape."""
    planes = arrays(np.uint8, draw(shapes()))
    return draw(planes), draw(planes)


@st.composite
def sequences(draw: st.DrawFn) -> tuple[Plane, Plane]:
    """Draw two sequences, (T, H, W), of two to five uint8 mattes."""
    planes = arrays(np.uint8, (draw(st.integers(2, 5)), *draw(shapes())))
    return draw(planes), draw(planes)


def blobs(seed: int, shape: tuple[int, int] = (61, 84)) -> Plane:
    """Return a matte of soft round shapes, some of them cut by the border."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, 6)
    scaled = 127.5 + 127.5 * np.clip(4 * smooth / np.abs(smooth).max(), -1, 1)
    return np.asarray(scaled, dtype=np.uint8)


def half_plane(edge: int, shape: tuple[int, int] = (40, 64)) -> Plane:
    """Return a matte that is foreground from one column on."""
    matte = np.zeros(shape, dtype=np.uint8)
    matte[:, edge:] = 255
    return matte


@given(pairs())
def test_iou_counts_pixels_over_one_half(pair: tuple[Plane, Plane]) -> None:
    """IoU is the count of common pixels over the count of all foreground pixels."""
    prediction, truth = pair
    common = union = 0
    for found, true in zip(prediction.flat, truth.flat, strict=True):
        common += int(found > 127 and true > 127)
        union += int(found > 127 or true > 127)

    assert metrics.iou(prediction, truth) == (common / union if union else 1.0)


def test_iou_takes_the_threshold_in_coverage() -> None:
    """One half means the same on either scale, whatever the mattes' types."""
    prediction = np.array([[51, 153, 0]], dtype=np.uint8)
    truth = np.array([[0.6, 1.0, 0.0]])

    assert metrics.iou(prediction, truth) == 0.5


@pytest.mark.parametrize("measure", [metrics.iou, metrics.leak])
def test_coverage_of_exactly_one_half_is_background(measure: Measure) -> None:
    """Only coverage over the threshold is foreground, not coverage at it."""
    half = np.full((3, 30), 0.5)

    assert measure(half, np.zeros((3, 30))) == measure(np.zeros((3, 30)), np.zeros((3, 30)))


def test_iou_of_two_empty_mattes_is_perfect() -> None:
    """Finding nobody where there is nobody is right."""
    assert metrics.iou(np.zeros((4, 5)), np.zeros((4, 5))) == 1.0


def test_iou_of_one_empty_matte_is_zero() -> None:
    """Finding somebody where there is nobody is wrong, and so is the reverse."""
    assert metrics.iou(np.ones((4, 5)), np.zeros((4, 5))) == 0.0
    assert metrics.iou(np.zeros((4, 5)), np.ones((4, 5))) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_boundary_iou_equals_iou_inside_scipys_band(seed: int) -> None:
    """Band IoU is IoU where SciPy's dilation and erosion of the truth differ."""
    prediction, truth = blobs(seed), blobs(seed + 100)
    found, true = prediction > 127, truth > 127
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17)).astype(bool)
    dilated = ndimage.binary_dilation(true, disk)
    eroded = ndimage.binary_erosion(true, disk, border_value=1)
    band = dilated & ~eroded

    expected = (found & true & band).sum() / ((found | true) & band).sum()

    assert metrics.boundary_iou(prediction, truth) == pytest.approx(expected, rel=1e-12)


def test_band_reaches_as_far_as_the_distance_transform_says() -> None:
    """Every pixel up to the band's reach from the edge counts, none a pixel beyond it."""
    truth = blobs(7)
    true = truth > 127
    distance = np.where(
        true, ndimage.distance_transform_edt(true), ndimage.distance_transform_edt(~true)
    )
    wrong_inside = np.where(distance <= metrics.BAND_PX, ~true, true).astype(np.float32)
    wrong_beyond = np.where(distance > metrics.BAND_PX + 1, ~true, true).astype(np.float32)

    assert metrics.boundary_iou(wrong_beyond, truth) == 1.0
    assert metrics.boundary_iou(wrong_inside, truth) < 0.2


@pytest.mark.parametrize("shift", range(10))
def test_boundary_iou_of_a_shifted_straight_edge(shift: int) -> None:
    """An edge that is off by some pixels loses them from, or adds them to, eight."""
    truth = half_plane(32)

    inward = metrics.boundary_iou(half_plane(32 + shift), truth)
    outward = metrics.boundary_iou(half_plane(32 - shift), truth)

    assert inward == pytest.approx(max(8 - shift, 0) / 8)
    assert outward == pytest.approx(8 / (8 + min(shift, 8)))


def test_boundary_iou_ignores_what_is_far_from_the_edge() -> None:
    """A hole and an island outside the band change nothing."""
    truth = half_plane(32)
    prediction = truth.copy()
    prediction[10:20, 50:60] = 0
    prediction[10:20, 5:15] = 255

    assert metrics.boundary_iou(prediction, truth) == 1.0


@pytest.mark.parametrize("coverage", [0, 255])
def test_boundary_iou_without_an_edge_is_undefined(coverage: int) -> None:
    """The picture's border is no edge: an empty and a full truth have no band."""
    truth = np.full((20, 20), coverage, dtype=np.uint8)

    assert math.isnan(metrics.boundary_iou(half_plane(10, (20, 20)), truth))


@given(pairs())
def test_mad_and_mse_are_means_over_pixels(pair: tuple[Plane, Plane]) -> None:
    """MAD and MSE equal the exact means over all pixels."""
    prediction, truth = pair
    errors = [
        (int(found) - int(true)) / 255
        for found, true in zip(prediction.flat, truth.flat, strict=True)
    ]

    mean_absolute = math.fsum(abs(error) for error in errors) / len(errors)
    mean_squared = math.fsum(error**2 for error in errors) / len(errors)

    assert metrics.mad(prediction, truth) == pytest.approx(mean_absolute, abs=1e-6)
    assert metrics.mse(prediction, truth) == pytest.approx(mean_squared, abs=1e-6)


@given(pairs())
def test_sad_is_the_sum_over_pixels_in_thousands(pair: tuple[Plane, Plane]) -> None:
    """SAD equals the exact sum of absolute differences."""
    prediction, truth = pair
    errors = [
        abs(int(found) - int(true)) / 255
        for found, true in zip(prediction.flat, truth.flat, strict=True)
    ]

    assert metrics.sad(prediction, truth) == pytest.approx(math.fsum(errors) / 1000, abs=1e-6)


def scipys_steepness(matte: Plane) -> NDArray[np.float64]:
    """Return the gradient's magnitude by SciPy, with two-dimensional filters of 9x9 weights."""
    y, x = np.mgrid[-4:5, -4:5]
    bell = np.exp(-(x**2 + y**2) / (2 * 1.4**2))
    filters = (-x * bell, -y * bell)
    parts = [
        ndimage.convolve(matte / 255, weights / np.sqrt((weights**2).sum()), mode="nearest")
        for weights in filters
    ]
    return np.asarray(np.sqrt(parts[0] ** 2 + parts[1] ** 2))


@pytest.mark.parametrize("seed", range(5))
def test_gradient_error_equals_its_formula_by_scipy(seed: int) -> None:
    """Grad is the sum of squared differences of gradients, also at the border."""
    prediction, truth = blobs(seed), blobs(seed + 100)
    difference = scipys_steepness(prediction) - scipys_steepness(truth)
    expected = (difference**2).sum() / 1000

    assert expected > 0.01
    assert metrics.gradient_error(prediction, truth) == pytest.approx(expected, rel=1e-4)


def test_gradient_error_sees_a_blurred_edge() -> None:
    """An edge that is too soft costs more, the softer it is; shifting both costs nothing."""
    truth = half_plane(32).astype(np.float64) / 255
    soft = [np.clip(ndimage.gaussian_filter(truth, (0, sigma)), 0, 1) for sigma in (0.5, 1, 2, 4)]
    errors = [metrics.gradient_error(one, truth) for one in soft]

    assert errors == sorted(errors)
    assert errors[0] > 0
    flat = np.full((40, 64), 0.2), np.full((40, 64), 0.9)
    assert metrics.gradient_error(*flat) == pytest.approx(0, abs=1e-9)


def slow_connectivity(prediction: Plane, truth: Plane) -> float:
    """Return Conn by its definition, pixel by pixel, with SciPy's labels and exact levels."""
    level = np.full(truth.shape, -1)
    for step in range(1, 11):
        both = (10 * prediction.astype(int) >= 255 * step) & (10 * truth.astype(int) >= 255 * step)
        labels, count = ndimage.label(both)
        areas = [(labels == label).sum() for label in range(1, count + 1)]
        largest = labels == 1 + int(np.argmax(areas)) if count else np.zeros_like(both)
        level[(level < 0) & ~largest] = step - 1
    level[level < 0] = 10
    total = 0.0
    for found, true, connected in zip(prediction.flat, truth.flat, level.flat, strict=True):
        beyond = [int(value) / 255 - int(connected) / 10 for value in (found, true)]
        degrees = [1 - distance * (distance >= 0.15) for distance in beyond]
        total += abs(degrees[0] - degrees[1])
    return total / 1000


@given(pairs())
def test_connectivity_error_equals_its_definition(pair: tuple[Plane, Plane]) -> None:
    """Conn of any mattes, torn ones above all, is what its definition says."""
    assert metrics.connectivity_error(*pair) == pytest.approx(slow_connectivity(*pair), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_connectivity_error_of_soft_shapes(seed: int) -> None:
    """The same for mattes with several soft parts."""
    prediction, truth = blobs(seed), blobs(seed + 100)
    expected = slow_connectivity(prediction, truth)

    assert expected > 0.01
    assert metrics.connectivity_error(prediction, truth) == pytest.approx(expected, rel=1e-4)


def test_connectivity_error_forgives_what_hangs_together() -> None:
    """Too much at the edge is a little loose coverage; an island of the same area is all loose."""
    truth = half_plane(32).astype(np.float64) / 255
    attached, torn = truth.copy(), truth.copy()
    attached[:, 29:32] = 0.1
    torn[:, 10:13] = 1

    assert metrics.connectivity_error(attached, truth) == 0
    assert metrics.connectivity_error(torn, truth) == pytest.approx(3 * 40 / 1000)


def dtssd(predictions: Iterable[NDArray[Any]], truths: Iterable[NDArray[Any]]) -> float:
    """Return the dtSSD of two sequences."""
    meter = metrics.DtssdMeter()
    for prediction, truth in zip(predictions, truths, strict=True):
        meter.add(prediction, truth)
    return meter.value


@given(sequences())
def test_dtssd_equals_its_formula(sequence: tuple[Plane, Plane]) -> None:
    """The value is the mean over time of the RMS difference between the two changes."""
    predictions, truths = (mattes.astype(np.float64) / 255 for mattes in sequence)
    change = np.diff(predictions, axis=0) - np.diff(truths, axis=0)
    expected = np.sqrt((change**2).mean(axis=(1, 2))).mean()

    assert dtssd(*sequence) == pytest.approx(expected, abs=1e-6)


@given(sequences())
def test_dtssd_is_symmetric_and_at_most_two(sequence: tuple[Plane, Plane]) -> None:
    """Swapping the sequences changes nothing, and no change is greater than two."""
    predictions, truths = sequence
    value = dtssd(predictions, truths)

    assert 0 <= value <= 2
    assert value == dtssd(truths, predictions)
    assert dtssd(truths, truths) == 0


def test_dtssd_forgives_an_error_that_stands_still() -> None:
    """A prediction that is wrong by the same in every frame does not flicker."""
    truths = [np.full((4, 6), value) for value in (0.0, 0.25, 0.5)]
    predictions = [truth + 0.25 for truth in truths]

    assert dtssd(predictions, truths) == 0


def test_dtssd_counts_flicker_and_lag() -> None:
    """Coverage that comes a frame too late costs its change twice."""
    truths = [np.full((4, 6), value) for value in (0.0, 1.0, 1.0)]
    late = [np.full((4, 6), value) for value in (0.0, 0.0, 1.0)]

    assert dtssd(late, truths) == 1


@pytest.mark.parametrize("frames", [0, 1])
def test_dtssd_of_less_than_two_frames_is_undefined(frames: int) -> None:
    """One frame has no change in time."""
    mattes = [half_plane(20)] * frames

    assert math.isnan(dtssd(mattes, mattes))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_dtssd_meter_keeps_nothing_of_a_reused_buffer(dtype: type[Any]) -> None:
    """Sources that decode every frame into one buffer are measured rightly."""
    full = 255 if dtype is np.uint8 else 1
    prediction, truth = np.zeros((4, 6), dtype=dtype), np.zeros((4, 6), dtype=dtype)
    meter = metrics.DtssdMeter()

    for frame in range(4):
        prediction[:] = full * (frame % 2)
        meter.add(prediction, truth)

    assert meter.value == 1


def test_dtssd_meter_refuses_a_change_of_size() -> None:
    """A frame of another size is refused and the measurement goes on without it."""
    meter = metrics.DtssdMeter()
    meter.add(np.zeros((4, 6)), np.zeros((4, 6)))

    with pytest.raises(FormatError, match=r"expected a matte of shape \(4, 6\).*got \(6, 4\)"):
        meter.add(np.zeros((6, 4)), np.zeros((6, 4)))

    meter.add(np.ones((4, 6)), np.zeros((4, 6)))
    assert meter.value == 1


@pytest.mark.parametrize("seed", range(5))
def test_leak_counts_pixels_beyond_scipys_chessboard_distance(seed: int) -> None:
    """Leak is the share of foreground among pixels over 4 rows or columns away."""
    prediction, truth = blobs(seed), blobs(seed + 100)
    distance = ndimage.distance_transform_cdt(truth / 255 <= 0.05, metric="chessboard")
    room = distance > 4

    expected = 100 * ((prediction > 127) & room).sum() / room.sum()

    assert expected > 0
    assert metrics.leak(prediction, truth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("outward", "expected"), [(0, 0.0), (4, 0.0), (5, 2.5), (14, 25.0)])
def test_leak_forgives_four_pixels(outward: int, expected: float) -> None:
    """An edge too far out leaks only from the fifth pixel on."""
    leak = metrics.leak(half_plane(44 - outward), half_plane(44))

    assert leak == pytest.approx(expected)


def test_leak_keeps_away_from_the_soft_edge() -> None:
    """Hair of little true coverage is the person, not room."""
    truth = half_plane(44).astype(np.float32) / 255
    truth[:, 34:44] = 0.1

    assert metrics.leak(half_plane(30), truth) == 0


def test_leak_of_an_empty_truth_is_the_predicted_share() -> None:
    """Where nobody is there, all that is shown is room."""
    assert metrics.leak(half_plane(48), np.zeros((40, 64))) == 25.0


def test_leak_of_a_full_truth_is_undefined() -> None:
    """Where the person fills the picture, there is no room to leak."""
    assert math.isnan(metrics.leak(half_plane(48), np.ones((40, 64))))


@given(pairs())
def test_every_measure_stays_in_its_range(pair: tuple[Plane, Plane]) -> None:
    """Measures are 0 to 1 and leak is 0 to 100, or NaN where they may be."""
    assert 0 <= metrics.iou(*pair) <= 1
    assert 0 <= metrics.mad(*pair) <= 1
    assert 0 <= metrics.mse(*pair) <= metrics.mad(*pair) + 1e-6
    assert not metrics.boundary_iou(*pair) < 0
    assert not metrics.boundary_iou(*pair) > 1
    assert not metrics.leak(*pair) < 0
    assert not metrics.leak(*pair) > 100
    assert 0 <= metrics.sad(*pair) <= pair[0].size / 1000 + 1e-6
    assert metrics.gradient_error(*pair) >= 0
    assert 0 <= metrics.connectivity_error(*pair) <= pair[0].size / 1000 + 1e-6


@given(pairs())
def test_a_matte_agrees_with_itself(pair: tuple[Plane, Plane]) -> None:
    """A perfect prediction has perfect measures."""
    matte = pair[0]

    assert metrics.iou(matte, matte) == 1
    assert metrics.mad(matte, matte) == 0
    assert metrics.mse(matte, matte) == 0
    assert metrics.sad(matte, matte) == 0
    assert metrics.gradient_error(matte, matte) == 0
    assert metrics.connectivity_error(matte, matte) == 0
    assert metrics.boundary_iou(matte, matte) == 1 or (matte > 127).all() or not (matte > 127).any()
    assert not metrics.leak(matte, matte) > 0


@given(pairs())
def test_symmetric_measures_do_not_care_which_is_true(pair: tuple[Plane, Plane]) -> None:
    """IoU, MAD and MSE are the same with their mattes swapped."""
    prediction, truth = pair

    for measure in SYMMETRIC:
        assert measure(prediction, truth) == measure(truth, prediction)


@given(pairs(), st.sampled_from([np.float16, np.float32, np.float64]))
def test_both_scales_of_coverage_agree(pair: tuple[Plane, Plane], dtype: type[Any]) -> None:
    """A uint8 matte and the same one in floating point have the same measures."""
    prediction, truth = pair
    scaled = (prediction.astype(np.float64) / 255).astype(dtype)

    for measure in MEASURES:
        expected = measure(prediction, truth)
        assert measure(scaled, truth) == pytest.approx(expected, abs=1e-3, nan_ok=True)


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_leave_their_mattes_alone(measure: Measure) -> None:
    """Mattes may be read-only, and no strides are demanded of them."""
    prediction, truth = blobs(1)[:, ::2], blobs(2)[:, ::2]
    before = prediction.copy(), truth.copy()
    prediction.flags.writeable = truth.flags.writeable = False

    value = measure(prediction, truth)

    assert type(value) is float
    assert_array_equal(prediction, before[0])
    assert_array_equal(truth, before[1])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (np.zeros((5, 4)), r"one shape, got \(5, 4\) predicted and \(4, 5\) true"),
        (np.zeros((4, 5, 1)), r"predicted matte of shape \(height, width\), got \(4, 5, 1\)"),
        (np.zeros((0, 5)), r"predicted matte of shape \(height, width\), got \(0, 5\)"),
        (np.zeros((4, 5), dtype=bool), "got bool"),
        (np.zeros((4, 5), dtype=np.int32), "got int32"),
        (np.full((4, 5), 255.0), "from 255 to 255. Divide by 255"),
        (np.full((4, 5), -0.5), "from -0.5 to -0.5"),
        (np.full((4, 5), np.nan), "from nan to nan"),
        (np.full((4, 5), np.inf), "from inf to inf"),
    ],
)
def test_what_is_no_matte_is_refused(
    measure: Measure, prediction: NDArray[Any], message: str
) -> None:
    """Anything but two mattes of one shape is a FormatError that says what came."""
    with pytest.raises(FormatError, match=message):
        measure(prediction, np.zeros((4, 5), dtype=np.uint8))


def test_the_message_says_which_matte_is_wrong() -> None:
    """A wrong truth is not blamed on the prediction."""
    with pytest.raises(FormatError, match="expected a true matte"):
        metrics.mad(np.zeros((4, 5)), np.full((4, 5), 2.0))
