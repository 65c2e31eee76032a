"""Flows of other libraries: round trips, and side by side with the libraries where they are installed."""

import re
from pathlib import Path

import numpy as np
import pytest

import variflow
from variflow import flowops

SHAPE = (17, 23)


@pytest.fixture
def flow():
    return np.random.default_rng(0).uniform(-3, 3, (*SHAPE, 2)).astype(np.float32)


@pytest.fixture
def image():
    return np.random.default_rng(1).random(SHAPE).astype(np.float32)


GEOMETRY = {"spacing": (0.5, 2.0), "direction": (0.8, -0.6, 0.6, 0.8)}


@pytest.mark.parametrize(
    ("there", "back", "options"),
    [
        (flowops.to_skimage, flowops.from_skimage, {}),
        (flowops.to_opencv, flowops.from_opencv, {}),
        (flowops.to_torch, flowops.from_torch, {}),
        (flowops.to_pysteps, flowops.from_pysteps, {}),
        (flowops.to_itk, flowops.from_itk, {}),
        (flowops.to_itk, flowops.from_itk, GEOMETRY),
        (flowops.to_torch_grid, flowops.from_torch_grid, {"align_corners": False}),
        (flowops.to_torch_grid, flowops.from_torch_grid, {"align_corners": True}),
    ],
)
def test_round_trips(flow, there, back, options):
    np.testing.assert_allclose(back(there(flow, **options), **options), flow, atol=1e-5)


@pytest.mark.parametrize("there", [flowops.to_itk, flowops.to_torch_grid, flowops.to_pysteps])
def test_layouts_without_a_mark_refuse_unknown_flow(flow, there):
    flow[3, 4, 1] = np.nan
    with pytest.raises(ValueError, match="flow is unknown at 1 pixels, wanted none"):
        there(flow)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (flowops.to_skimage, flowops.from_skimage),
        (flowops.to_opencv, flowops.from_opencv),
        (flowops.to_torch, flowops.from_torch),
    ],
)
def test_other_layouts_keep_nan(flow, there, back):
    flow[3, 4] = np.nan
    np.testing.assert_array_equal(back(there(flow)), flow)


def test_components_are_in_their_places(flow):
    u, v = flow[..., 0], flow[..., 1]
    np.testing.assert_array_equal(flowops.to_skimage(flow), [v, u])
    np.testing.assert_array_equal(flowops.to_torch(flow), [u, v])
    np.testing.assert_array_equal(flowops.to_pysteps(flow), [u, v])


def test_napari_vectors(flow):
    flow[8, 16] = np.nan
    vectors = flowops.to_napari(flow, step=8)
    assert vectors.shape == (3 * 3 - 1, 2, 2)
    for (row, column), (down, right) in vectors:
        np.testing.assert_array_equal(flow[int(row), int(column)], (right, down))


def test_scikit_image_warps_as_we_do(flow, image):
    transform = pytest.importorskip("skimage.transform")
    rows, columns = flowops.to_skimage(flow)
    y, x = np.indices(SHAPE)
    theirs = transform.warp(image, np.array([y + rows, x + columns]), order=1, mode="edge")
    np.testing.assert_allclose(variflow.warp(image, flow, "bilinear"), theirs, atol=1e-5)


def test_scikit_image_turns_as_we_do(image):
    transform = pytest.importorskip("skimage.transform")
    flow = np.zeros((41, 41, 2))
    flow[20, 30] = 1  # three o'clock
    turned = flowops.rotate(flow, 30)[..., 0]
    marker = transform.rotate((flow[..., 0] > 0).astype(float), 30)
    assert np.unravel_index(np.nanargmax(turned), turned.shape) == np.unravel_index(marker.argmax(), marker.shape)


def test_opencv_remaps_as_we_do(flow, image):
    cv2 = pytest.importorskip("cv2")
    y, x = np.indices(SHAPE, np.float32)
    at = flowops.to_opencv(flow) + np.stack([x, y], axis=2)
    theirs = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(variflow.warp(image, flow, "bilinear"), theirs, atol=0.05)  # 1/32 of a pixel


@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_warps_as_we_do(flow, image, align_corners):
    torch = pytest.importorskip("torch")
    grid = torch.from_numpy(flowops.to_torch_grid(flow, align_corners=align_corners))
    theirs = torch.nn.functional.grid_sample(
        torch.from_numpy(image)[None, None], grid, padding_mode="border", align_corners=align_corners
    )
    np.testing.assert_allclose(variflow.warp(image, flow, "bilinear"), theirs[0, 0].numpy(), atol=1e-4)


def recipe(library):
    """Return the block of docs/using_a_flow.md that a library's users copy."""
    page = Path(__file__).resolve().parents[1] / "docs" / "using_a_flow.md"
    [block] = [
        block
        for block in re.findall(r"^```py\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        if library in block
    ]
    return block


def test_tensors_in_tensors_out():
    torch = pytest.importorskip("torch")
    names = {"torch": torch, "flowops": flowops, "variflow": variflow, "frame0": torch.rand(3, 32, 48)}
    names["frame1"] = torch.roll(names["frame0"], 1, dims=2)
    exec(recipe("torch"), names)
    assert names["flow"].shape == (2, 32, 48)
    assert abs(float(names["flow"][0, 8:-8, 8:-8].median()) - 1) < 0.1
    np.testing.assert_array_equal(flowops.from_torch(names["flow"]), names["flow"].permute(1, 2, 0).numpy())


@pytest.mark.filterwarnings("ignore")  # of its imports
def test_napari_shows_a_flow(image):
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()  # a viewer without its window
    viewer.add_image(image)
    viewer.add_image(np.roll(image, 1, axis=1))
    exec(recipe("napari"), {"viewer": viewer, "flowops": flowops, "variflow": variflow})
    assert viewer.layers[2].data.shape == (9, 2, 2)


@pytest.mark.filterwarnings("ignore")  # of its imports
def test_simpleitk_resamples_as_we_do(flow, image):
    sitk = pytest.importorskip("SimpleITK")
    moving = sitk.GetImageFromArray(image)
    moving.SetSpacing(GEOMETRY["spacing"])
    moving.SetDirection(GEOMETRY["direction"])
    moving.SetOrigin((3.0, -7.0))
    flow[0] = flow[-1] = flow[:, 0] = flow[:, -1] = 0
    field = sitk.GetImageFromArray(flowops.to_itk(flow, **GEOMETRY), isVector=True)
    field.CopyInformation(moving)
    resampled = sitk.Resample(moving, moving, sitk.DisplacementFieldTransform(field), sitk.sitkLinear, -1.0)
    theirs = sitk.GetArrayFromImage(resampled)
    inside = theirs >= 0
    assert inside.mean() > 0.8
    np.testing.assert_allclose(variflow.warp(image, flow, "bilinear")[inside], theirs[inside], atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of its imports
def test_pysteps_extrapolates_as_we_do(image):
    extrapolation = pytest.importorskip("pysteps.extrapolation.semilagrangian")
    flow = np.zeros((*SHAPE, 2))
    flow[...] = (2, -3)
    later = extrapolation.extrapolate(image.astype(float), flowops.to_pysteps(flow), 1)[0]
    np.testing.assert_allclose(later[:-3, 2:], flowops.splat(image, flow)[:-3, 2:], atol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: flowops.from_skimage(np.zeros((4, 5, 2))), ValueError, r"flow has shape .*, wanted \(2, H, W\)"),
        (lambda: flowops.to_skimage(np.zeros((2, 4, 5))), ValueError, r"flow has shape .*, wanted \(H, W, 2\)"),
        (lambda: flowops.to_torch_grid(np.zeros((1, 5, 2)), align_corners=True), ValueError, "one pixel has no two"),
        (lambda: flowops.from_torch_grid(np.zeros((2, 4, 5, 2))), ValueError, "grid has shape"),
        (lambda: flowops.to_itk(np.zeros((4, 5, 2)), spacing=(1, 0)), ValueError, "spacing is 0"),
        (lambda: flowops.to_itk(np.zeros((4, 5, 2)), spacing=(1, 1, 1)), ValueError, "wanted two sizes"),
        (lambda: flowops.to_itk(np.zeros((4, 5, 2)), direction=np.eye(3)), ValueError, "not a geometry of two"),
        (lambda: flowops.to_itk(np.zeros((4, 5, 2)), direction=np.zeros(4)), ValueError, "wanted .* a regular matrix"),
        (lambda: flowops.to_itk(np.zeros((4, 5, 2)), spacing=2), ValueError, "^spacing is 2, wanted two sizes"),
        (
            lambda: flowops.to_itk(np.zeros((4, 5, 2)), direction=np.full(4, np.nan)),
            ValueError,
            "^direction is .*nan",
        ),
        (lambda: flowops.to_torch_grid(np.zeros((4, 5, 2)), align_corners="x"), TypeError, "^align_corners is 'x'"),
        (lambda: flowops.from_torch_grid(np.zeros((4, 5, 2)), align_corners=None), TypeError, "^align_corners is None"),
        (lambda: flowops.to_napari(np.zeros((4, 5, 2)), step=0), ValueError, "step is 0"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()
