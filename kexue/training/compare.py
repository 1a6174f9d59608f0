"""Optimisers and clip rules on the same two runs: a DDPM on the digits, a RoPE language model on the standard library.

    make train-compare        (about a quarter of an hour on two cores)

Every optimiser, and every clip rule in front of descent with momentum, gets three learning rates; batches, noise and
initial weights are the same in all runs; the optimisers have hard clipping at norm 1 in front. What is reported is the
loss on the tenth of the data that is held out.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kexue.simulate import use_colours
from kexue.training.run import DEMO, Settings, logged, train

RATES = {
    "adamw": (1e-3, 3e-3, 1e-2), "lion": (1e-4, 3e-4, 1e-3), "tiger": (5e-4, 2e-3, 8e-3), "sgd": (0.03, 0.1, 0.3),
}  # fmt: skip
CLIP_RATES = (0.1, 1.0, 10.0)
CLIPS = ("none", "hard", "soft", "log")
WORDS = {"ddpm/digits": "mean squared error of the noise", "rope/tiny": "bits per byte"}


def compare(out: str | Path, steps: int = 250) -> dict[str, Any]:
    """Runs everything, writes `out`/optimisers.json and `out`/optimisers.png, and returns what the first holds.

    Keys: "optimisers" and "clipping", each model -> name -> list of {"rate", "loss"}, the loss NaN where it diverged;
    "curves", the training losses of the best rate of each.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"steps": steps, "optimisers": {}, "clipping": {}, "curves": {}}
    for model, settings, overrides in DEMO:
        base = replace(settings, steps=steps, ema=0.0)

        def one(change: dict[str, Any], model: str = model, base: Settings = base, o: Any = overrides) -> Any:
            return once(model, replace(base, **change), o)

        found["optimisers"][model] = grid(one, "optimizer", RATES, found["curves"].setdefault(model, {}))
    model, settings, overrides = DEMO[1]
    base = replace(settings, steps=steps, ema=0.0, optimizer="sgd", clip_norm=0.25)
    rates = dict.fromkeys(CLIPS, CLIP_RATES)
    curves = found["curves"].setdefault("clipping", {})

    def clipped(change: dict[str, Any]) -> tuple[float, list[tuple[int, float]]]:
        return once(model, replace(base, **change), overrides)

    found["clipping"][model] = grid(clipped, "clip", rates, curves)
    (out / "optimisers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found, out / "optimisers.png")
    return found


def grid(
    run: Callable[[dict[str, Any]], tuple[float, list[tuple[int, float]]]], field: str,
    rates: Mapping[str, Sequence[float]], curves: dict[str, Any],
) -> dict[str, list[dict[str, float]]]:  # fmt: skip
    """name -> held-out loss for each rate; the curve of the best one goes into `curves`."""
    found: dict[str, list[dict[str, float]]] = {}
    for name, tried in rates.items():
        rows = []
        best = math.inf
        for rate in tried:
            loss, curve = run({field: name, "learning_rate": rate})
            rows.append({"rate": rate, "loss": loss})
            print(f"{name}, learning rate {rate:g}: {loss:.4f}", flush=True)
            if loss < best:
                best, curves[name] = loss, {"rate": rate, "points": curve}
        found[name] = rows
    return found


def once(model: str, settings: Settings, overrides: dict[str, Any]) -> tuple[float, list[tuple[int, float]]]:
    """The held-out loss after the run, in bits for a language model, and the training curve."""
    with tempfile.TemporaryDirectory() as folder:
        summary = train(model, settings, Path(folder) / "run", overrides=overrides, quiet=True, samples=False)
        curve = logged(Path(folder) / "run", "loss")
    scale = 1 / math.log(2) if "bits per byte after" in summary else 1.0
    return summary["loss after"] * scale, [(step, value * scale) for step, value in curve]


def draw(found: dict[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    panels = [(f"{model}: optimisers", model, WORDS[model]) for model in found["optimisers"]]
    panels.append(("rope/tiny: clipped descent, γ = ¼", "clipping", WORDS["rope/tiny"]))
    use_colours()
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    for axes, (title, key, what) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for name, held in found["curves"][key].items():
            axes.plot(*zip(*held["points"], strict=True), lw=1.2, label=f"{name}, η = {held['rate']:g}")
        axes.set(title=title, xlabel="optimiser step", ylabel=f"{what}, training")
        if what == WORDS["ddpm/digits"]:
            axes.set_yscale("log")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)
