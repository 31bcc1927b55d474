"""What each study compares: variants of the default network that differ in one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from lab.ablation.comparison import COMPARED, DETAIL, VGG_DISTANCE
from wavepaint.errors import OptionError

ConvolutionStart = Literal["haar", "random"]


@dataclass(frozen=True)
class Arm:
    """One variant.

    Attributes:
        name: as shown; unique within a study.
        network: fields of the default network's configuration to change.
        self_condition: probability that a training step starts from the network's own half-resolution result.
        coarse_levels: halvings of the image that are filled first when it is measured, each the guess of the next.
        source: index of the images that it is trained on.
        losses: names of losses besides the reference's, with weights that are measured; see `texture`.
        convolutions: mix tokens by learned strided convolutions instead of the wavelet transform, which start as
            "haar" (the transform itself) or "random" (PyTorch's own initialisation).
        preset: of the configuration that `network` changes.
    """

    name: str
    network: Mapping[str, Any] = field(default_factory=dict)
    self_condition: float = 0.0
    coarse_levels: int = 0
    source: int = 0
    losses: tuple[str, ...] = ()
    convolutions: ConvolutionStart | None = None
    preset: str = "default"


@dataclass(frozen=True)
class TrainingStudy:
    """Variants to train alike and to measure on the same holes.

    Attributes:
        name: of the study.
        question: that it answers.
        arms: the variants; the first is the reference, what the others are compared with.
        metrics: what is compared, keys of `comparison.SHORT`.
        continues: whether all arms start from one checkpoint, instead of random weights.
        reference_by_set: whether each test set has a reference of its own, the arm of the set's number.
    """

    name: str
    question: str
    arms: tuple[Arm, ...]
    metrics: tuple[str, ...] = COMPARED
    continues: bool = False
    reference_by_set: bool = False

    def reference(self, test_set: int) -> Arm:
        """What the other arms are compared with on the test set of this number."""
        return self.arms[test_set if self.reference_by_set else 0]


def _one_field(name: str, values: Sequence[Any]) -> tuple[Arm, ...]:
    return tuple(Arm(f"{name} {value}" if isinstance(value, int) else value, {name: value}) for value in values)


def _modules(modules: int, blocks: int) -> Arm:
    return Arm(f"{modules} x {blocks} blocks", {"num_modules": modules, "blocks_per_module": blocks})


_PUBLISHED: Mapping[str, Any] = {"preset": "published-2", "network": {"final_dim": 32, "ff_channel": 32}}
"""The published layout, narrow enough for a processor: convolution stem, two modules, holes that start at zero."""
TEXTURE = "texture"
_COARSE_TO_FINE: Mapping[str, Any] = {"self_condition": 0.3, "coarse_levels": 1}

_STUDIES = (
    TrainingStudy(
        "no-dwt",
        "Does the wavelet transform of the published network do more than a learned strided convolution in its place?",
        (
            Arm("dwt", **_PUBLISHED),
            Arm("convolution that starts as Haar", convolutions="haar", **_PUBLISHED),
            Arm("convolution", convolutions="random", **_PUBLISHED),
        ),
    ),
    TrainingStudy(
        "wavelet",
        "Do longer wavelets than Haar fill better?",
        _one_field("wavelet", ("haar", "db2", "db4", "sym4", "bior2.2")),
    ),
    TrainingStudy(
        "level",
        "How many levels should a block decompose?",
        _one_field("level", (2, 1, 3, 4)),
    ),
    TrainingStudy(
        "modules",
        "Is it better to refine the image in several modules, with the same or with more blocks in all?",
        (_modules(1, 4), _modules(2, 2), _modules(4, 1), _modules(2, 4)),
    ),
    TrainingStudy(
        "prefill",
        "What do the Haar prefill, and starting from the own result at half resolution, contribute?",
        (
            Arm("haar", {"prefill": "haar"}),
            Arm("haar, coarse to fine", {"prefill": "haar"}, **_COARSE_TO_FINE),
            Arm("zero", {"prefill": "zero"}),
            Arm("zero, coarse to fine", {"prefill": "zero"}, **_COARSE_TO_FINE),
        ),
    ),
    TrainingStudy(
        TEXTURE,
        "What does each texture loss do to a trained network, besides the L1 of samples and of their differences?",
        (
            Arm("L1 + gradient"),
            Arm("+ VGG features", losses=("vgg-features",)),
            Arm("+ style", losses=("vgg-style",)),
            Arm("+ SSIM", losses=("hole-ssim",)),
            Arm("+ VGG features, style", losses=("vgg-features", "vgg-style")),
        ),
        metrics=(*COMPARED, VGG_DISTANCE, *DETAIL),
        continues=True,
    ),
)

TRAINING_STUDIES: Mapping[str, TrainingStudy] = MappingProxyType({study.name: study for study in _STUDIES})
CROSS_DATA = "cross-data"
MASK_SIZE = "mask-size"
EFFICIENCY = "efficiency"
STUDIES = (*TRAINING_STUDIES, MASK_SIZE, EFFICIENCY, CROSS_DATA)
"""Every study by name."""


def training_study(name: str, sources: Sequence[str]) -> TrainingStudy:
    """The study of that name that trains networks.

    Args:
        name: of `TRAINING_STUDIES`, or `CROSS_DATA`.
        sources: where the images come from; `CROSS_DATA` has an arm for each.

    Raises:
        OptionError: fewer than two sources, or several of one name, for `CROSS_DATA`; more than one for another.
    """
    if name != CROSS_DATA:
        if len(sources) != 1:
            raise OptionError(f"the study {name} takes one --images, got {len(sources)}")
        return TRAINING_STUDIES[name]
    if len(sources) < 2 or len(set(sources)) < len(sources):
        raise OptionError(f"the study {CROSS_DATA} needs two or more different --images to train on")
    return TrainingStudy(
        CROSS_DATA,
        "What does a network lose on images of another source than it was trained on?",
        tuple(Arm(f"trained on {source}", source=index) for index, source in enumerate(sources)),
        reference_by_set=True,
    )
