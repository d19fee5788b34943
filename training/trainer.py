"""The training loop: steps, learning rate, averaging, selection, resume."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.bar import Bar
from training.batches import Batch, BatchMaker
from training.budget import Budget
from training.device import autocast
from training.diffusion import noise_loss
from training.distributed import ALONE, Group, share_gradients
from training.ema import ModelAverage
from training.errors import InputError
from training.files import append_json
from training.losses import overlap_loss, segmentation_loss, squares_score
from training.model import DiffusionAD, FixedNoise, to_images
from training.presets import Preset
from training.run import METRICS
from training.selection import SelectionScore, SelectionSet
from training.state import drop_metrics_after, load_state, save_state

log = logging.getLogger(__name__)

WARM_UP, FINAL_RATE = 0.05, 0.02
# Squared errors of images in 0..1 are near 0.003: brought to the size of the other losses.
IMAGE_WEIGHT = 10.0
SELECTIONS, SELECT_AFTER = 8, 0.4
LOG_EVERY, SAVE_EVERY_S = 20, 120.0


class Trainer:
    """Trains `model` and keeps the averaged weights that do best on the selection set.

    Args:
        model: fresh networks, on the device to train on.
        preset: recipe.
        batches: makes the training batches.
        selection: judges checkpoints.
        budget: when to stop.
        folder: run folder; the state for a resume and the metrics go there.
        group: the processes that train together; its leader alone judges and writes.
    """

    def __init__(
        self,
        model: DiffusionAD,
        preset: Preset,
        batches: BatchMaker,
        selection: SelectionSet,
        budget: Budget,
        folder: Path,
        *,
        noise_seed: int,
        group: Group = ALONE,
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.preset = preset
        self.batches = batches
        self.selection = selection
        self.budget = budget
        self.folder = folder
        self.group = group
        self.group_losses = share_gradients(self.model, self.losses, group)
        self.device = next(model.parameters()).device
        self.average = ModelAverage(model)
        self.input_size = batches.normals.shape[1:3]
        self.noise_seed = noise_seed
        unet_rate, seg_rate = preset.learning_rate
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": list(model.unet.parameters()),
                    "peak": unet_rate,
                    "share": preset.painting_share,
                },
                {"params": list(model.segmentation.parameters()), "peak": seg_rate, "share": 1.0},
            ],
            weight_decay=1e-4 if preset.family == "edge" else 0.0,
        )
        self.paints = True
        self.end_noted = False  # in the metrics, where it ended
        self.step = 0
        self.elapsed_s = self.waited_s = 0.0
        self.selections_done = 0
        self.best: dict[str, Tensor] = {}
        self.best_score: SelectionScore | None = None
        self.best_step = 0

    def train(self) -> SelectionScore | None:
        """Train to the end of the budget; the best averaged weights are in `best` afterwards.

        Returns their score; None where another process leads, which alone judges and writes.
        """
        self.model.train()
        last_save = time.monotonic()
        progress = self.budget.progress(self.step, self.elapsed_s)
        bar = Bar(
            total=100,
            # Of a resumed training: else what was done before counts as done in no time.
            initial=min(100, round(100 * progress, 1)),
            unit="%",
            bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
            disable=not self.group.leads,
        )
        started = asked = time.monotonic()
        for batch in self.batches.stream(self.step):
            if progress >= 1.0:
                break
            self.waited_s += time.monotonic() - asked
            if self.paints and progress >= self.preset.painting_share:
                self._leave_painting()
            losses = self._train_step(batch, progress)
            self.step += 1
            now = time.monotonic()
            self.elapsed_s, started = self.elapsed_s + now - started, now
            progress = self.group.agree(self.budget.progress(self.step, self.elapsed_s))
            if self.step % LOG_EVERY == 0 or self.step == 1:
                values = {name: round(self.group.mean(value), 5) for name, value in losses.items()}
                if not all(map(math.isfinite, values.values())):
                    raise InputError(
                        f"training diverged at step {self.step} ({values}): the images may hold "
                        "extreme values; look at them, or train again with another --seed"
                    )
                self._record({"losses": values, "waiting": round(self.waiting, 3)})
                bar.set_postfix(step=self.step, **{k: f"{v:.3f}" for k, v in values.items()})
            if self._selection_due(progress):
                self._select()
            if time.monotonic() - last_save > SAVE_EVERY_S:
                self.save()
                last_save = time.monotonic()
            bar.n = min(100, round(100 * progress, 1))
            bar.refresh()
            asked = time.monotonic()
        bar.close()
        if not self.selections_done:
            self._select()
        self.save()
        return self.best_score if self.group.leads else None

    @property
    def waiting(self) -> float:
        """Share of the time that training waited for its batches."""
        return self.waited_s / max(self.elapsed_s, 1e-9)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss, already weighted, of one batch."""
        device, recipe = self.device, self.preset
        image, clean = to_images(batch.image, device), to_images(batch.clean, device)
        mask, anomalous = batch.mask.to(device).float()[:, None], batch.anomalous.to(device)

        # Each image's noise follows from the step and its place in the whole batch.
        first = (self.batches.seed * 1_000_003 + self.step) * self.batches.size
        draws = [
            torch.Generator(device).manual_seed(first + place) for place in batch.places.tolist()
        ]

        def scale(limits: tuple[int, int]) -> Tensor:
            drawn = [torch.randint(*limits, (1,), generator=g, device=device) for g in draws]
            return torch.cat(drawn)

        def noise() -> Tensor:
            shape = image.shape[1:]
            return torch.stack([torch.randn(shape, generator=g, device=device) for g in draws])

        t_normal, t_noisier = scale(recipe.t_normal), scale(recipe.t_noisier)
        noise_normal, noise_noisier = noise(), noise()
        with autocast(device):
            predicted = self.model.reconstruct(
                image, t_normal, t_noisier, noise_normal, noise_noisier
            )
            logits = self.model.segment(image, predicted.guided)
        if recipe.family == "official":
            terms = {"segmentation": segmentation_loss(logits, mask)}
        else:
            weight = batch.weight.to(device)[:, None]
            terms = {"segmentation": overlap_loss(logits, mask, weight)}
        if predicted.eps is not None:
            eps_normal, eps_noisier = predicted.eps
            terms["noise"] = noise_loss(
                eps_normal, noise_normal, eps_noisier, noise_noisier, anomalous
            )
        else:
            # Towards the clean image, under a pasted anomaly too: what the paper hopes the noise
            # removes is here asked for.
            clean = self.model.painted(clean)
            error = F.mse_loss(predicted.normal, clean) + F.mse_loss(predicted.noisier, clean)
            terms["image"] = IMAGE_WEIGHT * error
        if recipe.score_weight:
            hit = F.binary_cross_entropy_with_logits(squares_score(logits), anomalous.float())
            terms["score"] = recipe.score_weight * hit
        return terms

    def _train_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * _rate(progress / group["share"])
        terms = self.group_losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.model)
        return terms

    def _leave_painting(self) -> None:
        """The reconstruction network keeps its averaged weights; only the segmentation goes on."""
        self.paints = False
        if not self.end_noted:
            self._record({"painting": "ended"})
            self.end_noted = True
        self.model.unet.load_state_dict(self.average.model.unet.state_dict())
        self.model.unet.requires_grad_(False).eval()
        self.group_losses = share_gradients(self.model, self.losses, self.group)

    def _selection_due(self, progress: float) -> bool:
        span = (1.0 - SELECT_AFTER) / SELECTIONS
        return progress >= SELECT_AFTER + (self.selections_done + 1) * span

    def _select(self) -> None:
        self.selections_done += 1
        if not self.group.leads:
            return
        averaged = self.average.model.eval()
        with autocast(self.device):
            inspector = FixedNoise(averaged, self.input_size, self.noise_seed).to(self.device)
            score = self.selection.score(inspector)
        self._record({"selection": {"image_auroc": score.image_auroc, "pixel_ap": score.pixel_ap}})
        if self.best_score is None or score.value >= self.best_score.value:
            self.best_score, self.best_step = score, self.step
            self.best = {k: v.detach().clone().cpu() for k, v in averaged.state_dict().items()}

    def _record(self, entry: dict[str, Any]) -> None:
        if not self.group.leads:
            return
        entry = {"step": self.step, "elapsed_s": round(self.elapsed_s, 1), **entry}
        append_json(self.folder / METRICS, entry)

    def save(self) -> None:
        """Write the whole state, so that `resume` goes on from here."""
        if not self.group.leads:
            return
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        best = self.best_score
        counters = {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "waited_s": self.waited_s,
            "selections_done": self.selections_done,
            "best_score": best and [best.image_auroc, best.pixel_ap],
            "best_step": self.best_step,
            "painting_ended": self.end_noted,
        }
        save_state(self.folder, {k: v.contiguous() for k, v in tensors.items()}, counters)

    def resume(self) -> bool:
        """Go on from the saved state, if there is one; says whether there was."""
        saved = load_state(self.folder)
        if saved is not None:
            self._restore(*saved)
        if self.group.leads:
            drop_metrics_after(self.folder, self.step)
        return saved is not None

    def _restore(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, key = name.split(".", 1)
            parts.setdefault(part, {})[key] = tensor
        try:
            self.model.load_state_dict(parts["model"])
        except RuntimeError:
            raise InputError(
                f"{self.folder} cannot be resumed: it was begun with other networks, by another "
                "version of normline; finish it with that, or train anew with another --out"
            ) from None
        self.average.load(parts["average"], counters["step"])
        self.best = parts.get("best", {})
        state = self.optimizer.state_dict()
        for key, tensor in parts.get("optimizer", {}).items():
            index, name = key.split(".", 1)
            state["state"].setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict(state)
        self.step, self.elapsed_s = counters["step"], counters["elapsed_s"]
        self.waited_s, self.selections_done = counters["waited_s"], counters["selections_done"]
        self.best_step = counters.get("best_step", 0)
        self.end_noted = counters.get("painting_ended", False)
        if counters["best_score"]:
            self.best_score = SelectionScore(*counters["best_score"])


def _rate(progress: float) -> float:
    """One cycle: a short linear warm-up, then a cosine down to `FINAL_RATE`."""
    if progress < WARM_UP:
        return 0.1 + 0.9 * progress / WARM_UP
    rest = min(1.0, (progress - WARM_UP) / (1.0 - WARM_UP))
    cosine = 0.5 * (1.0 + math.cos(math.pi * rest))
    return FINAL_RATE + (1.0 - FINAL_RATE) * cosine
