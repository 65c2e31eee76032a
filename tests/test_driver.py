"""The driver: what goes in, what comes out, what it promises about missing pixels, units and stopping."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
import pytest

import variflow
from variflow import models
from variflow.datasets import synthetic
from variflow.energy import BrightnessConstancy, Charbonnier, Smoothness
from variflow.frames.checking import prepare
from variflow.frames.pyramid import pyramid
from variflow.linearisation.level import linearise
from variflow.solve.conjugate_gradient import ConjugateGradient

# Through the general minimiser: most of what is tested here is its.
QUICK = replace(models.horn_schunck(), solver=ConjugateGradient(), factor=0.5, warps=2, steps=40)


@pytest.fixture(scope="module")
def pair():
    return synthetic.translation((60, 80), shift=(1.3, -0.6), seed=2)


def inner(flow, margin=8):
    return flow[margin:-margin, margin:-margin]


def test_a_shift_is_found(pair):
    result = variflow.estimate(pair.frame0, pair.frame1, "horn-schunck")
    assert result.flow.dtype == np.float32
    assert result.flow.shape == (60, 80, 2)
    np.testing.assert_allclose(inner(result.flow).mean(axis=(0, 1)), (1.3, -0.6), atol=0.02)
    assert np.abs(inner(result.flow) - (1.3, -0.6)).max() < 0.2


def test_identical_frames_give_exactly_zero(pair):
    for model in ("horn-schunck", BrightnessConstancy(Charbonnier(0.01)) + 0.1 * Smoothness(Charbonnier(0.01))):
        result = variflow.estimate(pair.frame0, pair.frame0, model)
        assert (result.flow == 0).all()
        assert all(record.before == record.after == 0 for record in result.energies)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (17, 16), (33, 50, 3), (20, 21, 16)])
def test_any_size_and_channels(shape):
    rng = np.random.default_rng(0)
    flow = variflow.estimate(rng.random(shape), rng.random(shape), QUICK).flow
    assert flow.shape == (*shape[:2], 2)
    assert np.isfinite(flow).all()


def test_the_unit_of_intensity_does_not_matter(pair):
    expected = variflow.estimate(pair.frame0, pair.frame1, QUICK).flow
    for convert in (lambda a: a / 255, lambda a: a.astype(np.uint16) * 257, lambda a: 3.7 * a + 11):
        flow = variflow.estimate(convert(pair.frame0), convert(pair.frame1), QUICK).flow
        np.testing.assert_allclose(flow, expected, atol=1e-3)
    single = [(3.7 * frame + 11).astype(np.float32) for frame in (pair.frame0, pair.frame1)]
    close = np.abs(variflow.estimate(*single, QUICK).flow - expected).max(axis=2) < 1e-3
    assert close.mean() >= 0.999


def test_missing_pixels_do_not_spread():
    pair = synthetic.translation((120, 160), shift=(1.3, -0.6), seed=2)
    whole = variflow.estimate(pair.frame0, pair.frame1, "horn-schunck").flow
    holed = pair.frame0.astype(float)
    holed[50:70, 60:80] = np.nan
    flow = variflow.estimate(holed, pair.frame1, "horn-schunck").flow
    assert np.isfinite(flow).all()
    y, x = np.mgrid[:120, :160]
    far = np.maximum(np.maximum(50 - y, y - 69), np.maximum(60 - x, x - 79)) > 30
    assert np.abs(flow - whole)[far].max() < 0.05
    mask = np.isfinite(holed).all(axis=2)
    masked = variflow.estimate(
        np.where(mask[..., None], holed, 99), pair.frame1, "horn-schunck", mask=(mask, None)
    ).flow
    np.testing.assert_allclose(masked, flow, atol=1e-3)


def test_a_mask_of_a_body_that_does_not_move_is_for_both_frames():
    """What moves behind a body is found beside it, too, where both frames are known to show the body."""
    pair = synthetic.translation((64, 80), shift=(3.0, 0.0), seed=3)
    y, x = np.mgrid[:64, :80]
    body = np.hypot(y - 32, x - 40) < 14
    frames = [np.where(body[..., None], (20 * (x % 7))[..., None], frame) for frame in (pair.frame0, pair.frame1)]
    beside = (np.hypot(y - 32, x - 40) < 22) & ~body

    def error(mask):
        flow = variflow.estimate(*frames, "fast", mask=mask).flow
        return np.hypot(*np.moveaxis(flow - (3, 0), 2, 0))[beside].mean()

    assert error(~body) == error((~body, ~body)) < 0.1
    assert error(~body) < 0.7 * error((~body, None))


def test_weights_decide_between_two_motions():
    """Where half of the frame moves apart from the other, the half that counts for nothing follows the other."""
    left = synthetic.translation((48, 64), shift=(1.0, 0.0), seed=5)
    second = left.frame1.copy()
    second[:, 32:] = left.frame0[:, 32:]
    weights = np.zeros((48, 64))
    weights[:, :28] = 1
    flow = variflow.estimate(left.frame0, second, "horn-schunck", weights=weights).flow
    np.testing.assert_allclose(flow[10:-10, 50:60].mean(axis=(0, 1)), (1.0, 0.0), atol=0.15)
    even = variflow.estimate(left.frame0, second, "horn-schunck").flow
    np.testing.assert_allclose(even[10:-10, 50:60].mean(axis=(0, 1)), (0.0, 0.0), atol=0.15)


def test_what_leaves_the_frame_exerts_no_force():
    """The right border of the first frame has no counterpart; it follows the rest."""
    pair = synthetic.translation((48, 64), shift=(4.0, 0.0), seed=6)
    flow = variflow.estimate(pair.frame0, pair.frame1, "horn-schunck").flow
    assert np.abs(flow[8:-8, -3:] - (4.0, 0.0)).mean() < 0.2


def test_init_guides_a_motion_too_large_for_the_pyramid():
    pair = synthetic.translation((48, 64), shift=(14.0, 0.0), seed=7)
    shallow = replace(QUICK, coarsest=40)
    init = np.full((48, 64, 2), np.nan)
    init[::5, ::5] = (13.0, 0.0)
    with_init = variflow.estimate(pair.frame0, pair.frame1, shallow, init=init).flow
    without = variflow.estimate(pair.frame0, pair.frame1, shallow).flow
    truth = (14.0, 0.0)
    assert np.abs(with_init[8:-8, 8:44] - truth).mean() < 0.1
    assert np.abs(without[8:-8, 8:44] - truth).mean() > 1


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        (np.zeros((60, 80)), ValueError, r"init has shape \(60, 80\), wanted \(H, W, 2\)"),
        (np.full((60, 80, 2), np.nan), ValueError, "init has no known pixel"),
        (np.zeros((60, 80, 2), complex), TypeError, "init has dtype complex128"),
    ],
)
def test_init_is_checked(pair, init, error, message):
    with pytest.raises(error, match=message):
        variflow.iterate(pair.frame0, pair.frame1, QUICK, init=init)


def test_iterate_yields_each_warp_and_checks_at_once(pair):
    states = list(variflow.iterate(pair.frame0, pair.frame1, QUICK))
    assert [(state.level, state.warp) for state in states] == [(1, 0), (1, 1), (0, 0), (0, 1)]
    assert [state.flow.shape for state in states] == [(30, 40, 2)] * 2 + [(60, 80, 2)] * 2
    np.testing.assert_array_equal(states[-1].flow, variflow.estimate(pair.frame0, pair.frame1, QUICK).flow)
    with pytest.raises(ValueError, match="frame1 has shape"):
        variflow.iterate(pair.frame0, pair.frame1[:-1], QUICK)


def test_warps_may_differ_between_levels(pair):
    model = replace(QUICK, warps=(1, 3), factor=0.5, coarsest=12)
    seen = [(state.level, state.warp) for state in variflow.iterate(pair.frame0, pair.frame1, model)]
    coarsest = seen[0][0]
    assert coarsest >= 2
    assert seen == [(level, warp) for level in range(coarsest, 0, -1) for warp in range(3)] + [(0, 0)]
    for wrong in (0, (), (2, 0), (1.5,)):
        with pytest.raises(ValueError, match=r"^warps is .*, wanted a whole number"):
            replace(QUICK, warps=wrong)


def test_callback_stops_and_the_flow_is_whole(pair):
    seen = []
    result = variflow.estimate(pair.frame0, pair.frame1, QUICK, callback=lambda s: seen.append(s) or len(seen) == 2)
    assert len(seen) == len(result.energies) == 2
    assert result.flow.shape == (60, 80, 2)
    assert result.reason.startswith("stopped by the callback at level 1, warp 1")
    np.testing.assert_allclose(inner(result.flow, 16).mean(axis=(0, 1)), (1.3, -0.6), atol=0.2)


def test_verbose_2_also_prints_what_is_minimised_and_how(pair, capsys):
    result = variflow.estimate(pair.frame0, pair.frame1, "horn-schunck", verbose=2)
    printed = capsys.readouterr().out
    assert printed.startswith(variflow.explain("horn-schunck", pair.frame0, pair.frame1))
    assert printed.count("of the pixels compared") == len(result.energies)
    assert printed.count(" warp 0: energy ") == len({record.level for record in result.energies})


@pytest.mark.parametrize("verbose", [3, -1, "yes", None, 1.5, [1]])
def test_other_values_of_verbose_are_refused(pair, verbose):
    with pytest.raises(
        ValueError, match=r"verbose is .*, wanted True for a line after each warp, 2 for more, or False"
    ):
        variflow.estimate(pair.frame0, pair.frame1, verbose=verbose)


def test_verbose_prints_each_warp(pair, capsys):
    variflow.estimate(pair.frame0, pair.frame1, QUICK, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("level 1 (40 x 30) warp 0: energy ")
    assert "largest increment" in lines[0]


def test_energies_fall_and_are_those_of_the_energy(pair):
    result = variflow.estimate(pair.frame0, pair.frame1, QUICK)
    assert "finished every warp" in result.reason
    for record in result.energies:
        assert record.after < record.before
        assert record.steps[0] == pytest.approx(record.before, rel=1e-5)
        assert record.steps[-1] >= record.after * 0.999


def test_a_result_says_where_it_can_be_saved(pair, tmp_path):
    result = variflow.estimate(pair.frame0, pair.frame1, QUICK)
    with pytest.raises(variflow.FlowFileError, match=r"known are \.flo, .*, \.html; for \.nc .* to_xarray"):
        result.save(tmp_path / "a.nc")


def test_result_saves_itself(pair, tmp_path):
    result = variflow.estimate(pair.frame0, pair.frame1, QUICK)
    result.save(tmp_path / "flow.flo")
    np.testing.assert_array_equal(variflow.read_flow(tmp_path / "flow.flo"), result.flow)


def test_jax_and_dlpack_arrays_are_frames(pair):
    expected = variflow.estimate(pair.frame0, pair.frame1, QUICK).flow
    got = variflow.estimate(jnp.asarray(pair.frame0), jnp.asarray(pair.frame1), QUICK).flow
    np.testing.assert_array_equal(got, expected)


def test_torch_tensors_are_frames(pair):
    torch = pytest.importorskip("torch")
    got = variflow.estimate(torch.from_numpy(pair.frame0), torch.from_numpy(pair.frame1), QUICK).flow
    np.testing.assert_array_equal(got, variflow.estimate(pair.frame0, pair.frame1, QUICK).flow)


def test_same_input_same_output_for_any_number_of_threads(pair):
    before = variflow.get_threads()
    try:
        flows = []
        for threads in (1, 2, 3):
            variflow.set_threads(threads)
            flows.append(variflow.estimate(pair.frame0, pair.frame1, QUICK).flow)
    finally:
        variflow.set_threads(before)
    for flow in flows[1:]:
        np.testing.assert_array_equal(flow, flows[0])


def square(d, at):
    u, v = d
    return ((at.Ix * u + at.Iy * v + at.It) ** 2).sum() + 0.01 * (u**2 + v**2).sum()


@pytest.mark.parametrize(
    "solver",
    [
        None,
        optimistix.LBFGS(rtol=1e-6, atol=1e-6),
        ConjugateGradient(),
        optimistix.NonlinearCG(rtol=1e-6, atol=1e-6),
        optimistix.GradientDescent(0.5, rtol=1e-6, atol=1e-6),
        optimistix.OptaxMinimiser(optax.adam(0.05), rtol=1e-6, atol=1e-6),
        optax.adam(0.05),
        optimistix.BFGS(rtol=1e-6, atol=1e-6),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_solvers_agree_on_a_small_quadratic(solver):
    """Each pixel for itself: the minimum is known in closed form."""
    rng = np.random.default_rng(1)
    first = rng.random((6, 7))
    second = first + 0.05 * rng.random((6, 7))
    model = variflow.Model(square, solver=solver, steps=600, warps=1)
    flow = variflow.estimate(first, second, model, intensity_range=(0, 1)).flow
    level = pyramid(prepare(first, second, intensity_range=(0, 1)), factor=0.5, coarsest=16)[0]
    zero = (np.zeros((6, 7), np.float32),) * 2
    at = linearise(level, zero, derivative="average", interpolation="bicubic")
    ix, iy, it = at.Ix[0], at.Iy[0], at.It[0]
    share = -it / (ix**2 + iy**2 + 0.01)
    np.testing.assert_allclose(flow, np.stack([share * ix, share * iy], axis=-1), atol=2e-3)


def test_a_tolerance_met_is_reported(pair):
    solver = optimistix.LBFGS(rtol=1e-2, atol=1e-2)
    result = variflow.estimate(pair.frame0, pair.frame1, replace(QUICK, solver=solver, steps=200))
    assert result.reason == "finished every warp"
    assert all(len(record.steps) < 200 for record in result.energies)


def test_divergence_is_reported_and_dropped(pair):
    model = replace(QUICK, energy=lambda d, at: 1e30 * square(d, at), solver=optax.sgd(1e9))
    with pytest.warns(variflow.VariflowWarning, match="lower the learning rate"):
        result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert "stopped because the solver diverged" in result.reason
    assert "level 1, warp 0" in result.reason
    assert (result.flow == 0).all()


def test_a_rising_energy_is_reported(pair):
    model = replace(QUICK, energy=square, solver=optax.sgd(-0.1), steps=3)
    with pytest.warns(variflow.VariflowWarning, match="the energy rose in 4 of 4 solves.*lower the learning rate"):
        result = variflow.estimate(pair.frame0, pair.frame1, model)
    assert "the energy rose in 4 of 4 solves" in result.reason


@pytest.mark.parametrize(
    ("energy", "error", "message"),
    [
        (lambda d, at: d[0], ValueError, "energy returned an array of shape"),
        (lambda d, at: d, TypeError, "energy returned a tuple, wanted one float"),
        (lambda d, at: None, TypeError, "energy returned None, wanted one float"),
        (lambda d, at: (d[0] > 0).sum(), TypeError, "energy returned int32, wanted one float"),
        (lambda d, at: jnp.log(-1 - (d[0] ** 2).sum()), ValueError, "energy returned nan for the zero increment"),
    ],
)
def test_energies_are_checked_before_work(pair, energy, error, message):
    with pytest.raises(error, match=message):
        variflow.estimate(pair.frame0, pair.frame1, energy)


def test_dense_solvers_say_what_they_would_need():
    frame = np.zeros((480, 640))
    with pytest.raises(MemoryError, match=r"BFGS would need [0-9.]+ GiB for frames of 480 x 640"):
        variflow.iterate(frame, frame, variflow.Model(square, solver=optimistix.BFGS(rtol=1e-3, atol=1e-3)))


def test_what_is_no_solver_is_refused(pair):
    with pytest.raises(TypeError, match="solver is a str, wanted a minimiser of optimistix"):
        variflow.estimate(pair.frame0, pair.frame1, variflow.Model(square, solver="lbfgs"))


def test_an_energy_may_warp_the_second_frame_itself(pair):
    """Not linearised: the whole flow is found in one warp."""

    def energy(d, at):
        total = (at.flow[0] + d[0], at.flow[1] + d[1])
        difference = (variflow.warp(at.second, total) - at.frame0) * at.valid
        return (difference**2).sum() + Smoothness(weight=0.01)(d, at)

    flow = variflow.estimate(pair.frame0, pair.frame1, variflow.Model(energy, warps=1, steps=200)).flow
    np.testing.assert_allclose(inner(flow).mean(axis=(0, 1)), (1.3, -0.6), atol=0.05)


def test_programs_are_reused(pair):
    """One program a size: not one a warp, a call, or a changed weight."""
    traces = []

    def own(d, at):
        traces.append(at.valid.shape)
        return square(d, at)

    def model(weight):
        return variflow.Model(
            weight * Smoothness(Charbonnier(0.1 * weight)) + own, solver=optax.sgd(0.01), steps=3, warps=3, coarsest=60
        )

    variflow.estimate(pair.frame0, pair.frame1, model(1.0))
    counts = []
    for weight in (1.0, 2.0, 3.0):
        traces.clear()
        variflow.estimate(pair.frame0, pair.frame1, model(weight))
        counts.append(len(traces))
    assert counts[1] == counts[2] == counts[0] <= 2  # the check before work traces; nothing else does


def test_public_warp_undoes_the_motion(pair):
    flow = np.broadcast_to(np.float32([1.3, -0.6]), (60, 80, 2))
    back = variflow.warp(pair.frame1, flow)
    assert np.abs(inner(back) - inner(pair.frame0)).mean() < 3
    assert np.abs(inner(pair.frame1.astype(float)) - inner(pair.frame0)).mean() > 6
    in_jax = variflow.warp(jnp.asarray(pair.frame1), jnp.asarray(flow))
    assert isinstance(in_jax, jax.Array)
    np.testing.assert_allclose(in_jax, back, atol=1e-3)


@pytest.mark.parametrize(
    ("image", "flow", "options", "message"),
    [
        (np.zeros((3, 4)), np.zeros((3, 4)), {}, r"flow has shape \(3, 4\), wanted \(H, W, 2\)"),
        (np.zeros((3, 5)), np.zeros((3, 4, 2)), {}, r"image has shape \(3, 5\), wanted"),
        (np.zeros((3, 4)), np.zeros((3, 4, 2)), {"interpolation": "cubic"}, "interpolation is 'cubic', wanted one of"),
    ],
)
def test_public_warp_checks_its_arguments(image, flow, options, message):
    with pytest.raises(ValueError, match=message):
        variflow.warp(image, flow, **options)


def test_an_energy_may_hold_programs_of_its_own(pair):
    """Derivatives first asked for inside an inner trace do not leak out of it."""

    @jax.jit
    def data(d, at):
        return square(d, at) + 0 * at.Ixx.sum()

    def energy(d, at):
        return jax.lax.cond(d[0][0, 0] < 1e9, lambda: data(d, at), lambda: 2 * square(d, at))

    model = replace(QUICK, energy=energy)
    expected = variflow.estimate(pair.frame0, pair.frame1, replace(QUICK, energy=square)).flow
    np.testing.assert_allclose(variflow.estimate(pair.frame0, pair.frame1, model).flow, expected, atol=1e-4)


def test_same_input_same_output_on_a_busy_machine(pair):
    """Several estimates at once, from threads of one process, agree to the last bit."""
    expected = variflow.estimate(pair.frame0, pair.frame1, QUICK).flow
    with ThreadPoolExecutor(4) as pool:
        flows = list(pool.map(lambda _: variflow.estimate(pair.frame0, pair.frame1, QUICK).flow, range(24)))
    for flow in flows:
        np.testing.assert_array_equal(flow, expected)


def test_what_is_nearly_right_is_explained(pair):
    with pytest.raises(TypeError, match=r"^frame0 is the path 'a.png', wanted an array; variflow.read_image"):
        variflow.estimate("a.png", "b.png")
    with pytest.raises(TypeError, match=r"^model is the function brox, wanted what it returns: models.brox\(\)"):
        variflow.estimate(pair.frame0, pair.frame1, models.brox)


def test_a_flow_that_does_not_settle_is_told():
    pair = synthetic.translation((64, 80), shift=(1.0, 0.5))
    terms = 3**0.5 * BrightnessConstancy(Charbonnier(1e-3 / 3**0.5)) + 0.003 * Smoothness()
    said = "the flow did not settle: the last warp still moved"
    result = variflow.estimate(pair.frame0, pair.frame1, lambda d, at: terms(d, at))
    assert said in result.reason
    assert not result.converged
    limited = variflow.estimate(pair.frame0, pair.frame1, variflow.Model(lambda d, at: terms(d, at), limit=1.0))
    others = [variflow.estimate(pair.frame0, pair.frame1, model) for model in (terms, "tv-l1")]
    assert not [settled.reason for settled in (limited, *others) if "settle" in settled.reason]
