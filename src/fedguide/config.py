"""One TOML file (and ``FEDGUIDE_SET__*`` variables) to frozen settings; only entry points read it.

A variable beats the file, the file beats the defaults: ``FEDGUIDE_SET__SERVE__PORT=9000`` is
``[serve] port = 9000``. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from fedguide.errors import ConfigError

Language = Literal["zh", "en"]

_SECRET = ("voice.key",)
"""Keys whose values no message quotes."""


class _Section(BaseModel):
    """A section of the file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(_Section):
    """``[data]``: what the columns of this party's tables mean and what never leaves."""

    format: Literal["auto", "online-retail", "amazon", "movielens", "csv", "jsonl", "parquet"] = (
        Field(default="auto", description="format of the files handed to data commands")
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="column map, ours = theirs: user = 'CustomerID', item = 'StockCode'",
    )
    withhold: tuple[str, ...] = Field(default=(), description="columns that are never read")


class TrainSettings(_Section):
    """``[train]``: how a guide is trained; defaults are the measured recipe."""

    encoder: str = Field(default="bag", description="shopper encoder: bag or transformer")
    rounds: int = Field(default=60, ge=1, le=1000, description="most rounds of one local epoch")
    patience: int = Field(
        default=12, ge=1, description="rounds without a better validation before the end"
    )
    server_momentum: float = Field(
        default=0.0, ge=0, lt=1, description="momentum on the coordinator"
    )
    keep_client_moments: bool = Field(
        default=False, description="a party keeps its optimiser's moments from round to round"
    )
    algorithm: str = Field(
        default="fedavg", description="NAME or NAME:NUMBER; `fedguide explain NAME` tells more"
    )
    compress: str = Field(
        default="none", description="none, int8, int4, top:SHARE or random:SHARE, in simulations"
    )
    aggregator: str = Field(
        default="open", description="open, masked, or a name that `fedguide explain` lists"
    )
    seed: int = Field(default=7, ge=0, description="seed of everything that is not secret")


class PrivacySettings(_Section):
    """``[privacy]``: this party's own policy, its budget ledger, and its shoppers' rights."""

    party: str = Field(
        default="shop", min_length=1, max_length=200, description="whose ledger it is"
    )
    ledger: str = Field(
        default="", description="path or postgresql://USER@HOST/DATABASE; empty: under home"
    )
    mark: Path | None = Field(
        default=None,
        description="file of the ledger's high-water mark; best on another disk; default: home",
    )
    epsilon: float = Field(default=8.0, gt=0, le=10, description="most ε of a shopper, for ever")
    delta: float = Field(default=1e-6, gt=0, le=1e-6, description="δ; at most N^-1.1 as well")
    adversary: Literal["insider", "outsider"] = Field(
        default="insider", description="whom ε holds against; an insider knows who was sampled"
    )
    least_cohort: int = Field(default=2, ge=1, description="fewest parties in a sum")
    most_clip: float = Field(default=10.0, gt=0, description="largest clip of one shopper")
    purposes: tuple[str, ...] = Field(
        default=("recommend",), description="what the data may be used for"
    )
    allow_unnoised: bool = Field(
        default=False, description="take part without noise; recorded as ε = ∞"
    )
    least_audience: int = Field(
        default=50, ge=10, description="fewest shoppers of an audience, and of a count that leaves"
    )
    consent: Literal["opt-out", "opt-in"] = Field(
        default="opt-out", description="opt-in: only shoppers who said yes are used"
    )


class DpSettings(_Section):
    """``[dp]``: differential privacy of what a shop sends while the guide is trained."""

    mechanism: Literal["none", "gaussian", "laplace"] = Field(
        default="none", description="noise on what leaves; none says dp: none on the model card"
    )
    epsilon: float = Field(default=8.0, gt=0, le=10, description="ε over all rounds")
    delta: float = Field(default=1e-6, gt=0, lt=1, description="δ of a Gaussian")
    unit: Literal["shopper", "shop"] = Field(
        default="shopper", description="whose presence is hidden; shop costs far more quality"
    )
    noise: Literal["central", "distributed", "local"] = Field(
        default="central", description="who adds the noise"
    )
    absent: int = Field(
        default=0, ge=0, description="shops whose share of distributed noise may be missing"
    )
    clip: float = Field(default=1.0, gt=0, description="longest vector of a shopper in a round")
    adaptive: bool = Field(default=False, description="clip follows the shoppers' median norm")
    sampling: float = Field(
        default=1.0, gt=0, le=1, description="probability that a shopper is in a round"
    )
    cycle: int = Field(
        default=1, ge=1, description="instead of sampling: a shopper is in every so many rounds"
    )
    bands: int = Field(
        default=1, ge=1, description="of central noise correlated over the rounds; 1: fresh noise"
    )
    rounds: int = Field(default=20, ge=1, le=10_000, description="rounds, all of them")
    part: Literal["tower", "head"] = Field(
        default="tower", description="what is trained: all, or all but the text projection"
    )
    baskets: int = Field(default=4, ge=1, description="most baskets of a shopper in a round")
    learning_rate: float = Field(default=0.01, gt=0, description="of the coordinator's Adam")
    sales: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of ε for each shop's own sales, which every loss then knows; 0: none",
    )
    searches: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="most different texts a shopper searched for that the shopper's own loss reads",
    )
    others: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="what all but the text table counts in a shopper's vector before it is clipped",
    )
    shoppers: int | None = Field(
        default=None, ge=1, description="public figure: about how many shoppers all shops have"
    )


class ServeSettings(_Section):
    """``[serve]``: the guide page and the HTTP API."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 takes a free one")
    database: str = Field(
        default="",
        description="keys and events: path or postgresql://USER@HOST/DATABASE; empty: under home",
    )


class RulesSettings(_Section):
    """``[rules]``: a shop's own rules over every answer; items a shop does not sell do nothing."""

    pinned: tuple[str, ...] = Field(
        default=(), description="ids of items that stand first wherever they fit, in this order"
    )
    buried: tuple[str, ...] = Field(
        default=(), description="ids of items that stand behind all others"
    )
    out_of_stock: tuple[str, ...] = Field(
        default=(), description="ids of items that are never answered"
    )
    category_caps: dict[str, int] = Field(
        default_factory=dict, description="most items of a category in one answer, by its name"
    )
    relevance: float = Field(
        default=1.0, gt=0, le=1, description="below 1 answers are more varied and less close (MMR)"
    )
    new_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="part of a list of recommendations kept for items newer than the release",
    )


class VoiceSettings(_Section):
    """``[voice]``: a language model that may phrase what ``ask`` found; off without an address."""

    address: str = Field(
        default="", description="base of an OpenAI-compatible service, https; empty: the engine's"
    )
    model: str = Field(default="", description="name of the model it is asked for")
    timeout_s: float = Field(
        default=3.0, gt=0, le=30, description="seconds until the engine's own sentence is used"
    )
    key_file: Path | None = Field(
        default=None, description="file that holds the service's key and nothing else"
    )
    key: SecretStr = Field(
        default=SecretStr(""),
        description="the key; meant for the variable FEDGUIDE_SET__VOICE__KEY, never shown",
    )


class HubSettings(_Section):
    """``[hub]``: the mailboxes that an operator runs for a federation."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8443, ge=1, le=65535, description="port; invitations name it")
    database: str = Field(
        default="", description="postgresql://user:password@host/name; empty is SQLite at home"
    )


class PartySettings(_Section):
    """``[party]``: this shop's part in a federation, and what its owner allows without asking."""

    data: Path | None = Field(default=None, description="store (.duckdb), file or folder to train")
    decide: Literal["ask", "policy"] = Field(
        default="ask",
        description="ask: the owner approves every task; policy: what keeps the rules",
    )
    purposes: tuple[str, ...] = Field(default=(), description="purposes allowed; empty is any")
    least_parties: int = Field(default=2, ge=1, description="fewest parties of a task")
    aggregations: tuple[str, ...] = Field(
        default=("weighted_mean", "open_sum", "masked_sum"),
        description="ways to put updates together that are allowed",
    )
    most_rounds: int = Field(default=1000, ge=1, description="most rounds of a task")
    most_epsilon: float | None = Field(
        default=None, description="highest price in epsilon; unset allows tasks without a bound"
    )
    least_examples: int = Field(
        default=1, ge=1, description="with fewer training examples the shop takes no part"
    )


class VerticalSettings(_Section):
    """``[vertical]``: the table this party brings to tasks of others, and what it allows."""

    table: Path | None = Field(default=None, description="CSV, JSON lines or Parquet, a row each")
    key: str = Field(default="id", description="column that names the customer")
    columns: tuple[str, ...] = Field(
        default=(), description="columns others may train over; empty is all that can be used"
    )
    sums: int = Field(
        default=1 << 20, ge=1, description="sums over the table's bins answered over its life"
    )
    least_common: int = Field(
        default=100, ge=1, description="fewest customers in common with whoever asks"
    )
    least_bin: int = Field(default=50, ge=1, description="fewest rows in a bin of a column")


class Settings(BaseSettings):
    """The whole configuration of one party."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="FEDGUIDE_SET__",
        env_nested_delimiter="__",
        title="fedguide.toml",
    )

    home: Path = Field(
        default=Path(".fedguide"), description="folder of runs, releases, stores and keys"
    )
    lang: Language = Field(default="en", description="language of messages and pages")
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    privacy: PrivacySettings = PrivacySettings()
    dp: DpSettings = DpSettings()
    serve: ServeSettings = ServeSettings()
    rules: RulesSettings = RulesSettings()
    voice: VoiceSettings = VoiceSettings()
    hub: HubSettings = HubSettings()
    party: PartySettings = PartySettings()
    vertical: VerticalSettings = VerticalSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables first, then the TOML file given by ``load``."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, toml


def load(path: Path | None) -> Settings:
    """Reads settings from a TOML file; ``None`` gives defaults and variables alone.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown, a value is out of range.
    """
    if path is not None and not path.is_file():
        raise ConfigError(f"config file {path} is not there", hint="fedguide config schema")
    located = type(
        "Settings",
        (Settings,),
        {"model_config": SettingsConfigDict(**{**Settings.model_config, "toml_file": path})},
    )
    try:
        settings: Settings = located()
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except SettingsError as error:
        raise ConfigError(f"a FEDGUIDE_SET__ variable cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(_explain(error), hint="fedguide config schema") from error
    return settings


def schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    return Settings.model_json_schema()


def _explain(error: ValidationError) -> str:
    """The first thing wrong, with its place, the value got and what is allowed."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_at(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.0)
        return f"unknown config key {place!r}; nearest known key: {near[0] if near else '-'}"
    got = "a value that is not shown" if place in _SECRET else repr(first["input"])
    return f"config key {place!r}: {first['msg']}, got {got}"


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys known in the section at ``loc``."""
    model: type[BaseModel] = Settings
    for part in loc:
        annotation: Any = model.model_fields[str(part)].annotation
        model = next(
            (arg for arg in (annotation, *get_args(annotation)) if isinstance(arg, type)), model
        )
    return list(model.model_fields)
