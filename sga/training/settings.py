"""Settings of a GAN's training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from classifiers.runtime import LaunchSettings
from configs.errors import ConfigError
from configs.settings import Settings
from sga.augment import Policy
from sga.losses import AdversarialName, PenaltyName
from sga.models.registry import Kind, check_arguments
from sga.training.cleaning import CleaningScore

__all__ = ["GanSettings", "LossWeights", "NetworkSettings", "WarmStartSettings"]


class NetworkSettings(Settings):
    """A registered network and the arguments that differ from its own; sizes come from `GanSettings`."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class LossWeights(Settings):
    """Factors of the raw terms, in both networks (SGA-GAN: w_a, 1, w_s; Jin et al.: λ_gp)."""

    adversarial: float = Field(2.0, gt=0)
    gender: float = Field(1.0, ge=0)
    style: float = Field(0.3, ge=0, description="0 = GA-GAN")
    penalty: float = Field(0.5, ge=0, description="gradient penalty of the discriminator; of r1 it is γ")
    anchor: float = Field(0.0, ge=0, description="the warm start's L1 and perceptual terms go on beside the adversarial ones")
    anchor_perceptual: float = Field(1.0, ge=0, description="how much of the perceptual term the anchor keeps")
    spectrum: float = Field(0.0, ge=0, description="excess of a frequency of the generated faces over the real ones")


class WarmStartSettings(Settings):
    """How the generator is first trained as a decoder (`sga.training.warm_start`)."""

    images: int = Field(250_000, ge=1, description="length, images")
    batch: int = Field(64, ge=2)
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak; warmed up over 2 %, annealed to 5 % by a cosine")
    pixel: float = Field(1.0, ge=0, description="weight of the L1 term")
    perceptual: float = Field(1.0, ge=0, description="weight of the perceptual term")
    kl: float = Field(1e-4, ge=0, description="weight of the KL term, summed over the noise's entries, per face")
    channels: int = Field(32, ge=8, description="width of the encoder's first layer")
    layers: int = Field(3, ge=1, description="early layers of the style feature network that the perceptual term compares")
    checkpoint_seconds: float = Field(60, gt=0, description="time between checkpoints, s")


class GanSettings(Settings):
    """One training. Amounts of training are counted in images: real faces shown to the discriminator."""

    seed: int = 0
    size: int = Field(96, ge=8, multiple_of=8, description="side of a face, pixels")
    noise_size: int = Field(128, ge=1)
    style_size: int = Field(30, ge=0, description="0 = no style in the condition")
    style_source: Literal["features", "tags"] = Field(
        "features",
        description="what the style is: features of the style feature network, or the schema's tags (Jin et al.; -1 and 1)",
    )
    generator: NetworkSettings = NetworkSettings(name="srresnet")
    discriminator: NetworkSettings = NetworkSettings(name="srresnet_discriminator")
    warm_start: WarmStartSettings | None = Field(None, description="first train the generator as a decoder; None = from noise")

    selection: float = Field(
        1.0,
        gt=0,
        le=1,
        description="part of each gender's faces kept for the adversarial training: those the decoder draws best",
    )
    cleaning: float = Field(
        0.0, ge=0, lt=1, description="part of each gender's faces left out first: those that `cleaning_by` finds worst"
    )
    cleaning_by: tuple[CleaningScore, ...] = Field(
        ("sharpness", "saturation"),
        min_length=1,
        description="judge = the quality of the workspace's own judge, which must be there",
    )
    images: int = Field(ge=1, description="length of the training, images")
    batch: int = Field(64, ge=2, description="faces a step, over all processes")
    learning_rate: float = Field(2e-4, gt=0, description="of the generator")
    discriminator_learning_rate: float | None = Field(None, gt=0, description="None = as the generator's")
    betas: tuple[float, float] = Field((0.5, 0.999), description="of Adam")
    decay_after: int | None = Field(
        None, ge=0, description="learning rates decay exponentially from here, images; None = never"
    )
    decay_half_life: int = Field(640_000, ge=1, description="images")
    ema_half_life: int = Field(10_000, ge=0, description="of the averaged generator, images; 0 = no averaging")
    ema_ramp: float = Field(0.05, gt=0, description="the half-life is at most this part of the images seen so far")

    adversarial: AdversarialName = "logistic"
    weights: LossWeights = LossWeights()
    penalty: PenaltyName | None = "dragan"
    penalty_interval: int = Field(1, ge=1, description="steps; the penalty is computed every so often and weighs as much more")
    anchor_interval: int = Field(1, ge=1, description="steps between two anchor terms; each weighs as much more")
    classify_fakes: bool = Field(False, description="the discriminator also learns gender and style of generated faces")
    diff_augment: tuple[Policy, ...] = Field(
        (), description="what real and generated faces go through before the discriminator"
    )
    adaptive_augment: float | None = Field(
        None,
        gt=-1,
        lt=1,
        description="mean sign of the verdicts on real faces that the probability of `diff_augment` keeps to (0.6 in Karras et "
        "al. 2020); None = augment always",
    )
    adaptive_images: int = Field(500_000, ge=1, description="in which that probability can go from 0 to 1, images")
    blur: float = Field(
        0.0,
        ge=0,
        multiple_of=0.25,
        description="standard deviation of a Gaussian over all that the discriminator sees, pixels, at the first image; it "
        "falls to 0 over `blur_images`: structure before texture (Karras et al. 2021, appendix F)",
    )
    blur_images: int = Field(200_000, ge=1, description="length of that fall, images")
    condition_after: int = Field(0, ge=0, description="both networks are unconditional until here, images")
    condition_ramp_images: int = Field(
        0, ge=0, description="and from there gender and style come in linearly over so many images (Shahbazi et al. 2022)"
    )
    flip: bool = Field(True, description="mirror half of the real faces")
    balance_gender: float = Field(
        0.0, ge=0, le=1, description="0 = faces as frequent as they are, 1 = both genders equally often"
    )
    completed_weight: float = Field(0.2, ge=0, le=1, description="of a completed label; original and human ones weigh 1")
    label_noise: Literal["weight", "confusion", "soft"] = Field(
        "weight",
        description="of a completed gender: weight = `completed_weight`; confusion = corrected by the ensemble's confusion; "
        "soft = the ensemble's probabilities are the target. Both of these weigh 1",
    )

    gender_prior: Literal["uniform", "empirical"] = "uniform"
    style_prior: Literal["truncated_normal", "empirical", "uniform_tags"] = Field(
        "truncated_normal",
        description="empirical = the style of a real training face of the drawn gender, plus jitter; uniform_tags = of each "
        "exclusive attribute any value alike, each independent tag on with 0.25 (Jin et al., 5.1.3)",
    )
    style_jitter: float = Field(0.1, ge=0, description="factor of the truncated normal added to an empirical style")

    tick_images: int = Field(6_400, ge=1, description="a line of statistics every so many images")
    preview_images: int = Field(64_000, ge=1, description="a preview grid every so many images")
    preview_columns: int = Field(12, ge=1, description="faces in a row of the preview")
    checkpoint_images: int = Field(64_000, ge=1, description="a checkpoint every so many images")
    checkpoint_minutes: float = Field(10.0, gt=0, description="and at the latest after so many minutes")
    launch: LaunchSettings = LaunchSettings()

    @model_validator(mode="after")
    def _consistent(self) -> GanSettings:
        if self.weights.style > 0 and self.style_size == 0:
            raise ValueError("weights.style > 0 needs style_size > 0; for GA-GAN set both to 0")
        if self.style_prior == "empirical" and self.style_size == 0:
            raise ValueError("style_prior empirical needs style_size > 0")
        self._check_source()
        if self.adaptive_augment is not None and not self.diff_augment:
            raise ValueError("adaptive_augment needs diff_augment, the policies that it makes more or less likely")
        if (self.weights.anchor > 0 or self.selection < 1) and self.warm_start is None:
            raise ValueError("weights.anchor > 0 and selection < 1 need warm_start: they ask its decoder")
        if (self.penalty is None) != (self.weights.penalty == 0):
            raise ValueError("penalty null and weights.penalty 0 go together: set both, or neither")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), found {list(self.betas)}")
        kinds: tuple[Kind, ...] = ("generator", "discriminator")
        for kind in kinds:
            try:
                check_arguments(kind, getattr(self, kind).name, self.network_arguments(kind))
            except ConfigError as error:
                raise ValueError(str(error)) from error
            given = getattr(self, kind).arguments.keys()
            if fixed := {"size", "noise_size", "style_size"} & given:
                raise ValueError(f"{kind}.arguments must not name {', '.join(sorted(fixed))}: set it at the top")
            if "features" in given:
                raise ValueError(f"{kind}.arguments must not name features: they are the workspace's own")
        return self

    def _check_source(self) -> None:
        tags, prior = self.style_source == "tags", self.style_prior
        if tags and self.style_size == 0:
            raise ValueError("style_source tags needs style_size, the number of the schema's tags (34 for moe34)")
        if tags and prior == "truncated_normal":
            raise ValueError("style_source tags needs style_prior uniform_tags or empirical: tags are -1 or 1")
        if tags and self.style_jitter > 0:
            raise ValueError(f"style_source tags needs style_jitter 0: tags are -1 or 1, found {self.style_jitter}")
        if not tags and prior == "uniform_tags":
            raise ValueError("style_prior uniform_tags needs style_source tags")

    def network_arguments(self, kind: Kind) -> dict[str, Any]:
        """All keyword arguments of the generator or discriminator."""
        sizes = {"size": self.size, "style_size": self.style_size}
        if kind == "generator":
            sizes["noise_size"] = self.noise_size
        return {**getattr(self, kind).arguments, **sizes}
