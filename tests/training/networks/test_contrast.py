"""What stands out must not depend on light, and must show a hair crack where the part is dark."""

from __future__ import annotations

import torch

from training.networks.contrast import LEVELS, LIMIT, detail, standing_out


def grain(level: float) -> torch.Tensor:
    """Grey noise [1, 1, 64, 64] of a tenth of the level."""
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    return level * (1.0 + 0.1 * noise)


def test_a_crack_stands_out_alike_in_light_and_in_shade() -> None:
    lit, shaded = grain(0.8), grain(0.2)
    for picture in (lit, shaded):
        picture[..., 20] *= 0.5
    bright, dark = (standing_out(detail(picture)) for picture in (lit, shaded))
    assert bright[..., 20].mean() < -0.3
    torch.testing.assert_close(dark[..., 20].mean(), bright[..., 20].mean(), rtol=0.1, atol=0)


def test_shading_does_not_stand_out() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 1, 64, 64)
    found = standing_out(detail(ramp))
    assert found[..., 16:48].abs().max() < 1 / LIMIT


def test_nothing_stands_out_of_nothing() -> None:
    found = standing_out(detail(torch.full((1, 3, 64, 64), 0.5)))
    assert found.abs().max() < 1e-3


def test_what_stands_out_is_bounded() -> None:
    picture = torch.zeros(1, 1, 64, 64)
    picture[..., 30, 30] = 1.0
    found = standing_out(detail(picture))
    assert float(found.max()) == 1.0 and float(found.min()) >= -1.0


def test_what_stands_out_is_what_a_byte_can_say() -> None:
    """INT8 has nothing left to round, and the slope of what was rounded is kept."""
    picture = grain(0.5).requires_grad_()
    found = standing_out(detail(picture))
    levels = LEVELS * found.detach()
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert len(levels.round().unique()) > LEVELS / 2
    found[..., 30, 30].sum().backward()
    assert picture.grad is not None and float(picture.grad[..., 30, 30]) > 0


def test_colours_are_told_apart() -> None:
    """A change in one channel leaves the others as they were."""
    picture = grain(0.5).repeat(1, 3, 1, 1)
    changed = picture.clone()
    changed[:, 1, 20:24, 20:24] = 1.0
    before, after = standing_out(detail(picture)), standing_out(detail(changed))
    assert (before[:, 1] != after[:, 1]).any()
    torch.testing.assert_close(before[:, [0, 2]], after[:, [0, 2]])
