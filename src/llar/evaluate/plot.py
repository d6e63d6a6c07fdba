"""Variants as a picture: each measure's mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import EvaluationError
from .statistics import Interval

__all__ = ["check", "plot"]


ENDINGS = (".png", ".svg", ".pdf")


def check(file: Path) -> None:
    """Raise EvaluationError where `plot` could not draw to this file, before anything is run."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise EvaluationError(
            "drawing needs matplotlib, which is not installed", fix='pip install "llar[plot]"'
        ) from None
    if file.suffix.lower() not in ENDINGS:
        raise EvaluationError(f"{str(file)!r}: expected a name that ends in {', '.join(ENDINGS)}")
    if not file.absolute().parent.is_dir():
        raise EvaluationError(f"there is no folder {str(file.absolute().parent)!r} to draw into")


def plot(
    file: Path, names: Sequence[str], measures: Sequence[str], found: Sequence[dict[str, Interval]]
) -> None:
    """Write a PNG, SVG or PDF, by the file's ending: one panel a measure, one line a variant.

    Raises EvaluationError as `check`, or where the file cannot be written.
    """
    check(file)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(measures) in (2, 4) else min(len(measures), 3)
    rows = -(-len(measures) // columns)
    height = 0.9 + 0.34 * len(names)
    figure = Figure(figsize=(1.6 + 3.2 * columns, height * rows + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    for n, panel in enumerate(panels.flat):
        if n >= len(measures):
            panel.set_visible(False)
            continue
        _draw(panel, measures[n], names, [of.get(measures[n]) for of in found], n % columns == 0)
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as e:
        raise EvaluationError(f"{str(file)!r} cannot be written: {e}") from e


def _draw(
    panel: object, measure: str, names: Sequence[str], found: Sequence[Interval | None], first: bool
) -> None:
    from matplotlib.axes import Axes

    assert isinstance(panel, Axes)
    for place, at in enumerate(found):
        if at is not None:
            error = [[at.mean - at.low], [at.high - at.mean]]
            colour = "#444444" if place == 0 else "#1f6fb2"
            panel.errorbar(at.mean, place, xerr=error, fmt="o", color=colour, capsize=3)
            panel.annotate(
                f"{at.mean:.3f}", (at.mean, place), (0, 6), textcoords="offset points",
                ha="center", fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
    if found[0] is not None:
        panel.axvline(found[0].mean, color="#444444", linewidth=0.8, linestyle=":")
    panel.set_yticks(range(len(names)), names if first else [""] * len(names))
    panel.set_ylim(len(names) - 0.5, -0.7)
    panel.set_title(f"{measure}, 95 % interval", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.locator_params(axis="x", nbins=6)
    panel.grid(axis="x", alpha=0.3)
