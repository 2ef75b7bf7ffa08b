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


def test_a_shifted_image_is_one_of_all_shifts_with_its_border_repeated() -> None:
    before = pictures(200)
    padded = torch.nn.functional.pad(before, (1, 1, 1, 1), mode="replicate")  # torch's own repetition of the border

    after = Augmentation(IMAGE, shift=1)(before.flatten(1)).reshape(before.shape)

    found = set()
    for number in range(200):
        places = [(y, x) for y in range(3) for x in range(3)]
        shifts = [(y, x) for y, x in places if torch.equal(after[number], padded[number, :, y : y + 5, x : x + 6])]
        assert len(shifts) == 1
        found.update(shifts)
    assert len(found) == 9


def test_half_of_the_images_are_mirrored_left_to_right() -> None:
    before = pictures(400)

    after = Augmentation(IMAGE, flip=True)(before.flatten(1)).reshape(before.shape)

    mirrored = [torch.equal(one, other.flip(2)) for one, other in zip(after, before, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(after, before, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 150 < sum(mirrored) < 250


def test_noise_has_its_deviation_in_each_pixel() -> None:
    rows = torch.zeros(2000, IMAGE.pixels)

    noise = Augmentation(IMAGE, noise=0.3)(rows)

    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert float(noise.std(dim=0).min()) > 0.25
