"""The calculated memory of a training step follows from shapes that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.errors import InputError
from training.memory import TrainingMemory, must_checkpoint, training_memory
from training.presets import preset

# The paper's networks, three levels of them, and narrow.
SMALL = replace(
    preset("paper"),
    unet={"base": 32, "multipliers": (1, 1, 2), "attention_levels": (2,)},
    segmentation={"base": 8},
)


def memory(batch: int = 2, bfloat16: bool = False, checkpointing: bool = False) -> TrainingMemory:
    return training_memory(SMALL, batch, (64, 64), bfloat16=bfloat16, checkpointing=checkpointing)


@pytest.fixture(scope="module")
def plain() -> TrainingMemory:
    return memory()


def test_activations_grow_with_the_batch_and_weights_do_not(plain: TrainingMemory) -> None:
    double = memory(batch=4)
    assert double.weights == plain.weights
    assert double.step == pytest.approx(2 * plain.step, rel=0.05)


def test_a_step_holds_at_least_what_its_first_level_must_keep(plain: TrainingMemory) -> None:
    """Both scales of 2 images, 32 channels of 64 x 64 float32: 2 MiB a feature map, of which the
    ten convolutions at full resolution alone keep as many."""
    assert plain.step > 10 * 4 * 32 * 64 * 64 * 4


def test_checkpointing_is_chosen_where_it_makes_the_training_fit(plain: TrainingMemory) -> None:
    def choose(free: int) -> bool:
        return must_checkpoint(SMALL, 2, (64, 64), bfloat16=False, free=free)

    assert not choose(plain.total)
    assert choose(plain.total - 1)
    with pytest.raises(InputError, match="a batch of 2 images needs .* smaller --batch-size"):
        choose(1 << 20)


def test_bfloat16_and_checkpointing_save_memory(plain: TrainingMemory) -> None:
    half, again = memory(bfloat16=True), memory(checkpointing=True)
    assert 0.4 * plain.step < half.step < 0.75 * plain.step
    assert again.step < 0.6 * plain.step


def test_the_papers_training_fits_a_gpu_of_24_gigabytes() -> None:
    """Sixteen images of 256 x 256 a step, as the paper trains."""
    need = training_memory(preset("paper"), 16, (256, 256), bfloat16=True, checkpointing=True)
    assert need.weights > 4 * 4 * 160e6 and need.total < 24e9
