from __future__ import annotations

import pytest
import torch

from modelstore.overrides import Image
from training.learners.cnn.augmentation import Augmentation

IMAGE = Image(height=5, width=6, channels=2)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def pictures(count: int) -> torch.Tensor:
    """Return different pixels, (count, C, H, W)."""
    return torch.arange(count * IMAGE.pixels, dtype=torch.float32).reshape(count, 2, 5, 6)


def test_nothing_is_changed_unless_it_is_asked_for() -> None:
    rows = pictures(3).flatten(1)

    assert torch.equal(Augmentation(IMAGE)(rows), rows)


def moves(count: int, **settings: float) -> torch.Tensor:
    """Return angle in degrees, size, and pixels to the right and down of augmented images, (4, count).

    Pixels that are their coordinates are interpolated without an error, so each new one tells where it comes from.
    """
    image = Image(height=20, width=30, channels=2)
    down, right = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(30) - 14.5, indexing="ij")
    before = torch.stack([right, down]).expand(count, 2, 20, 30)
    after = Augmentation(image, **settings)(before.flatten(1)).reshape(before.shape)  # type: ignore[arg-type]
    inner = (..., slice(6, 14), slice(10, 20))  # far enough from the border, which is repeated
    ours = torch.stack([right[inner].flatten(), down[inner].flatten(), torch.ones(80)], dim=1).double()
    found = after[inner].reshape(2 * count, 80).T.double()
    solved = torch.linalg.lstsq(ours, found).solution
    torch.testing.assert_close(ours @ solved, found, atol=1e-4, rtol=0)
    (along, right_by), (across, down_by) = (solved[0].reshape(count, 2).T, solved[1].reshape(count, 2).T)
    torch.testing.assert_close((along, across), (down_by, -right_by), atol=1e-4, rtol=0)  # no shear
    size = 1 / torch.hypot(along, across)
    return torch.stack([torch.rad2deg(torch.atan2(right_by, along)), size, *solved[2].reshape(count, 2).T])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ({"shift": 1.5}, (0, 1, -1.5, -1.5), (0, 1, 1.5, 1.5)),
        ({"rotate": 20}, (-20, 1, 0, 0), (20, 1, 0, 0)),
        ({"zoom": 0.2}, (0, 0.8, 0, 0), (0, 1.2, 0, 0)),
        ({"shift": 1, "rotate": 10, "zoom": 0.1}, (-10, 0.9, -1, -1), (10, 1.1, 1, 1)),
    ],
    ids=["shift", "rotate", "zoom", "all"],
)
def test_images_move_turn_and_are_resized_by_up_to_what_is_set(
    settings: dict[str, float], least: tuple[float, ...], most: tuple[float, ...]
) -> None:
    found = moves(300, **settings)

    inside = found.T.clamp(torch.tensor(least) - 1e-3, torch.tensor(most) + 1e-3)
    assert torch.equal(inside, found.T)
    spread = torch.tensor(most) - torch.tensor(least)
    assert (found.amax(dim=1) - found.amin(dim=1) >= 0.9 * spread - 1e-3).all()


def test_a_gap_is_filled_by_the_border() -> None:
    before = torch.rand(50, 2, 5, 6)

    after = Augmentation(IMAGE, shift=100)(before.flatten(1)).reshape(before.shape)

    corners = before[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    far = (after.flatten(2).amax(2) == after.flatten(2).amin(2)).all(1)  # those of which nothing else is left
    assert far.sum() > 30
    assert all((after[number, :, 0, 0, None] == corners[number]).all(0).any() for number in torch.nonzero(far))


def test_half_of_the_images_are_mirrored_left_to_right() -> None:
    before = pictures(400)

    after = Augmentation(IMAGE, flip=True)(before.flatten(1)).reshape(before.shape)

    mirrored = [torch.allclose(one, other.flip(2), atol=0.01) for one, other in zip(after, before, strict=True)]
    same = [torch.allclose(one, other, atol=0.01) for one, other in zip(after, before, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 150 < sum(mirrored) < 250


def test_noise_has_its_deviation_in_each_pixel() -> None:
    rows = torch.zeros(2000, IMAGE.pixels)

    noise = Augmentation(IMAGE, noise=0.3)(rows)

    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert float(noise.std(dim=0).min()) > 0.25
