"""Bytes that come from somebody we do not trust."""

import dataclasses
import functools
import importlib
import math
import pkgutil
import tracemalloc
import types
import typing
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype
from numpy.typing import NDArray

import fedguide
from fedguide.codec import (
    DTYPES,
    MAGIC,
    VERSION,
    Array,
    Buffer,
    Later,
    Limits,
    Number,
    decode,
    encode,
)
from fedguide.data.people import Axis, Breakdown
from fedguide.errors import (
    ConfigError,
    DuplicateKeyError,
    FedGuideError,
    MalformedError,
    NotFiniteError,
    OversizedError,
    PayloadError,
    TruncatedError,
    UnknownKindError,
    VersionError,
    WrongDtypeError,
    WrongShapeError,
)
from fedguide.horizontal.masked_job import COORDINATOR, simulated_key, terms_of
from fedguide.horizontal.roster import SignedTerms, TaskTerms, sign_terms
from fedguide.horizontal.sides import Job
from fedguide.models.plan import GuidePlan
from fedguide.protocol import Message, State
from fedguide.runtime.noising import Noising
from fedguide.runtime.proposal import Proposal
from fedguide.runtime.vertical_proposal import VerticalProposal
from fedguide.seeds import seeded_root
from fedguide.values import Layout, PartyId, Vector

WIDE = Limits(max_bytes=1 << 20)


@dataclass(frozen=True)
class Point:
    x: int
    y: float


@dataclass(frozen=True)
class Small(Message):
    number: int


@dataclass(frozen=True)
class Picky(Message):
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ConfigError(f"number must be at least 0, got {self.number}")


@dataclass(frozen=True)
class Vectors(Message):
    left: Annotated[Vector, Array("float32", "p")]
    right: Annotated[NDArray[np.float32], Array("float32", "p", 2)]


@dataclass(frozen=True)
class Everything(Message):
    whole: int
    real: float
    odd: Annotated[float, Number(finite=False)]
    yes: bool
    text: str
    raw: bytes
    nothing: int | None
    way: Literal["up", "down", 3]
    name: PartyId
    numbers: tuple[int, ...]
    pair: tuple[str, bytes]
    weights: Mapping[PartyId, float]
    table: dict[int, tuple[str, ...]]
    point: Point
    layout: Layout
    inner: Message
    either: Small | Point | None
    state: State | None
    vector: Annotated[Vector, Array("float32", "p")]
    matrix: Annotated[NDArray[np.int64], Array("int64", "p", 2)]
    bits: Annotated[NDArray[np.bool_], Array("bool", "q")]
    noisy: Annotated[NDArray[np.float64], Array("float64", "q", finite=False)]
    scalar: Annotated[NDArray[np.uint8], Array("uint8")]
    words: Annotated[str, "a plain note"]


@dataclass(frozen=True)
class Kept(State):
    trip: int


EVERYTHING = Everything(
    whole=-7,
    real=0.5,
    odd=math.inf,
    yes=True,
    text="指南",
    raw=b"\0raw",
    nothing=None,
    way="up",
    name=PartyId("shop-a"),
    numbers=(1, 2, 3),
    pair=("k", b"v"),
    weights={PartyId("b"): 0.25, PartyId("a"): 0.75},
    table={2: ("x",), 1: ()},
    point=Point(1, 2.0),
    layout=Layout(("w",), ((2, 3),)),
    inner=Small(5),
    either=Point(3, 4.0),
    state=Kept(9),
    vector=np.array([1, -2, 0.5], np.float32),
    matrix=np.arange(6, dtype=np.int64).reshape(3, 2),
    bits=np.array([True, False]),
    noisy=np.array([np.nan, -np.inf]),
    scalar=np.array(9, np.uint8),
    words="w",
)
KINDS = [Everything, Small, Kept]


# Every message and state of the package round-trips, those of tomorrow included


def registered() -> list[type]:
    """Every Message and State class of the rooms that define protocols."""
    for room in ("crypto", "horizontal", "vertical", "privacy", "runtime"):
        if importlib.util.find_spec(f"fedguide.{room}") is None:
            continue
        package = importlib.import_module(f"fedguide.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found, queue = set(), [Message, State]
    while queue:
        below = queue.pop().__subclasses__()
        queue += below
        found.update(below)
    return sorted(
        (kind for kind in found if kind.__module__.startswith(f"{fedguide.__name__}.")),
        key=lambda kind: kind.__name__,
    )


REGISTERED = registered()
INTS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: INTS,
    bool: st.booleans(),
    str: TEXTS,
    float: FLOATS,
    bytes: st.binary(max_size=9),
    Buffer: st.binary(max_size=9),
    types.NoneType: st.none(),
}


def values(hint: Any, salt: int, depth: int = 0) -> st.SearchStrategy[Any]:
    """Legal values of an annotation, written independently of the codec's own reading of it.

    One ``salt`` gives every symbol of a shape one size, wherever in a message it stands.
    """
    if isinstance(hint, typing.NewType):
        strategy = values(hint.__supertype__, salt, depth)
    elif hint in (Message, State):
        strategy = any_kind(hint, salt, depth)
    elif dataclasses.is_dataclass(hint):
        strategy = instances(hint, salt, depth)
    elif typing.get_origin(hint) is Annotated:
        strategy = annotated(hint, salt, depth)
    elif hint in SCALARS:
        strategy = SCALARS[hint]
    else:
        strategy = composed(hint, salt, depth)
    return strategy


def any_kind(base: type, salt: int, depth: int) -> st.SearchStrategy[Any]:
    if depth > 1:
        return st.just(Small(1) if base is Message else Kept(1))
    below = [kind for kind in [*REGISTERED, *KINDS] if issubclass(kind, base)]
    return st.sampled_from(below).flatmap(lambda kind: values(kind, salt, depth + 1))


def jobs() -> st.SearchStrategy[Job]:
    """Jobs of three to five parties."""
    parties = st.sets(st.sampled_from("abcdefg"), min_size=3, max_size=5)
    return st.builds(
        lambda task, names, size, norm, seed: Job(
            task, tuple(map(PartyId, sorted(names))), size, seeded_root(seed), max_norm=norm
        ),
        st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
        parties,
        st.integers(1, 1 << 20),
        st.floats(0.5, 50),
        st.integers(0, 99),
    )


def noising_at(multiplier: float, job: Job) -> Noising:
    """Noise for all of a job's parameters."""
    return Noising(
        *("gaussian", multiplier, job.max_norm, 100, "central", 0, 1.0, "shopper", 1e-6, "tower"),
        trained=((0, job.size),),
        baskets=4,
        learning_rate=0.01,
    )


def proposals() -> st.SearchStrategy[Proposal]:
    """Proposals with and without a masked sum's terms."""
    return st.builds(
        lambda job, masked, price, words: Proposal(
            task=job.task,
            purpose="simulation",
            parties=job.parties,
            columns=("title", words),
            aggregation="masked_sum" if masked else "open_sum",
            rounds=3,
            quorum=2,
            deadline_s=60.0,
            server_momentum=0.0,
            keep_moments=False,
            max_norm=job.max_norm,
            guide=GuidePlan(),
            seed=1,
            size=job.size,
            noising=None if price is None or masked else noising_at(price, job),
            terms=sign_terms(terms_of(job), simulated_key(job, COORDINATOR, "key"))
            if masked
            else None,
        ),
        jobs(),
        st.booleans(),
        st.none() | st.floats(0.1, 8),
        TEXTS,
    )


def vertical_proposals() -> st.SearchStrategy[VerticalProposal]:
    """Of trees and of GLMs."""
    return st.builds(
        lambda glm, words, partners: VerticalProposal(
            task="risk",
            purpose="simulation",
            driver="shop",
            key="00" * 32,
            parties=("bank",) if glm else tuple(f"p{n}" for n in range(partners)),
            columns=(words,),
            key_kind="phone",
            most_keys=4,
            most_rows=2,
            least_common=100,
            model="glm" if glm else "gbdt",
            objective="binary",
            trees=3,
            depth=2,
            learning_rate=0.3,
            least_node=20,
            steps=5,
            l2=1.0,
            sums=100,
            scores=7,
            reveal_alignment=glm,
            hide_choice=not glm,
            deadline_s=60.0,
        ),
        st.booleans(),
        TEXTS,
        st.integers(1, 3),
    )


def breakdowns() -> st.SearchStrategy[Breakdown]:
    """Cells by values and by edges, and by nothing."""
    by_values = st.builds(
        Axis, TEXTS, st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(tuple)
    )
    rising = st.lists(FLOATS, min_size=1, max_size=3, unique=True).map(sorted).map(tuple)
    by_edges = st.builds(lambda column, edges: Axis(column, edges=edges), TEXTS, rising)
    return st.builds(
        Breakdown,
        st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
        st.lists(by_values | by_edges, max_size=2).map(tuple),
    )


def checked(kind: type) -> st.SearchStrategy[Any] | None:
    """Values of kinds whose constructors allow so little that chance would never find any."""
    if kind is Proposal:
        return proposals()
    if kind is VerticalProposal:
        return vertical_proposals()
    if kind is Breakdown:
        return breakdowns()
    if kind is TaskTerms:
        return jobs().map(terms_of)
    if kind is SignedTerms:
        return jobs().map(
            lambda job: sign_terms(terms_of(job), simulated_key(job, COORDINATOR, "key"))
        )
    return None


@functools.cache
def instances(kind: type, salt: int, depth: int) -> st.SearchStrategy[Any]:
    if (strategy := checked(kind)) is not None:
        return strategy
    hints = typing.get_type_hints(kind, include_extras=True)
    parts = {f.name: values(hints[f.name], salt, depth) for f in dataclasses.fields(kind)}
    return st.fixed_dictionaries(parts).map(lambda made: built(kind, made))


def annotated(hint: Any, salt: int, depth: int) -> st.SearchStrategy[Any]:
    inner, mark = typing.get_args(hint)
    if isinstance(mark, Number) and not mark.finite:
        return st.floats()
    if not isinstance(mark, Array):
        return values(inner, salt, depth)
    shape = tuple(
        zlib.crc32(f"{salt} {d}".encode()) % 4 if isinstance(d, str) else d for d in mark.dims
    )
    special = {"allow_nan": not mark.finite, "allow_infinity": not mark.finite}
    extra = special if mark.dtype.startswith("float") else {}
    return arrays(mark.dtype, shape, elements=from_dtype(np.dtype(mark.dtype), **extra))


def composed(hint: Any, salt: int, depth: int) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    parts = [values(argument, salt, depth) for argument in arguments if argument is not ...]
    if origin in (typing.Union, types.UnionType):
        return st.one_of(parts)
    if origin is tuple and arguments[-1] is ...:
        return st.lists(parts[0], max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*parts)
    assert origin in (dict, Mapping), f"the tests know no values of {hint}"
    return st.dictionaries(*parts, max_size=3)


def built(kind: type, fields: dict[str, Any]) -> Any:
    try:
        return kind(**fields)
    except FedGuideError:
        assume(False)


def bits(value: Any) -> Any:
    """A value in a form that compares types, dtypes, shapes and the bits of every number."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, float):
        return "float", np.float64(value).tobytes()
    if isinstance(value, Mapping):
        return {bits(key): bits(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [bits(part) for part in value]
    if dataclasses.is_dataclass(value):
        return type(value), [bits(getattr(value, f.name)) for f in dataclasses.fields(value)]
    return type(value), value


def same(left: Any, right: Any) -> bool:
    return bool(bits(left) == bits(right))


def one_field(name: str, hint: Any) -> Any:
    """A message class with the one field ``a``."""
    return dataclasses.make_dataclass(name, [("a", hint)], bases=(Message,), frozen=True)


def test_the_walk_finds_the_messages_of_the_package():
    assert {"Train", "Submission", "PartyState", "ServerState", "Trip"} <= {
        kind.__name__ for kind in REGISTERED
    }


@pytest.mark.parametrize("kind", [*REGISTERED, *KINDS], ids=lambda kind: kind.__name__)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_message_and_state_round_trips(kind, data):
    value = data.draw(st.integers(0, 3).flatmap(lambda salt: values(kind, salt)))
    payload = encode(value)
    again = decode(payload, [*REGISTERED, *KINDS], WIDE)
    assert same(value, again)
    assert encode(again) == payload


# The format


def payload_of(tree: Any, buffers: bytes = b"", version: int = VERSION) -> bytes:
    """A payload written by hand: ``tree`` as its header, buffers from the next multiple of 8."""
    header = msgspec.msgpack.encode(tree)
    start = MAGIC + bytes([version]) + len(header).to_bytes(4, "little") + header
    return start + (bytes(-len(start) % 8) + buffers if buffers else b"")


def test_format_by_hand():
    vector = np.array([1.5, -2], np.float32)
    payload = encode(Vectors(vector, np.ones((2, 2), np.float32)))
    header = b"\x92\xa7Vectors\x92\x92\xa7float32\x91\x02\x92\xa7float32\x92\x02\x02"
    start = b"FGC\x01" + len(header).to_bytes(4, "little") + header
    buffers = vector.tobytes() + np.ones(4, "<f4").tobytes()
    assert payload == start + bytes(-len(start) % 8) + buffers


def test_same_mapping_in_another_order_gives_the_same_bytes():
    turned = dataclasses.replace(EVERYTHING, weights=dict(reversed(EVERYTHING.weights.items())))
    assert encode(turned) == encode(EVERYTHING)


def test_mapping_comes_back_sorted():
    assert list(decode(encode(EVERYTHING), KINDS, WIDE).weights) == ["a", "b"]


def test_arrays_come_back_read_only_aligned_and_without_a_copy():
    payload = encode(Vectors(np.ones(1000, np.float32), np.ones((1000, 2), np.float32)))
    value = decode(payload, [Vectors], WIDE)
    for array in (value.left, value.right):
        assert not array.flags.writeable
        assert array.flags.aligned
        assert np.shares_memory(array, np.frombuffer(payload, np.uint8))


def test_not_contiguous_and_zero_dimensional_arrays_travel():
    matrix = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::3]
    value = decode(encode(Vectors(matrix[:, 0], matrix)), [Vectors], WIDE)
    assert value.right.tolist() == [[0, 3], [6, 9]]
    assert decode(encode(EVERYTHING), KINDS, WIDE).scalar.shape == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_travels_at_its_extremes(dtype):
    kind = one_field("One", Annotated[Any, Array(dtype, "n")])
    top = {"b": 1, "f": 1.5}.get(np.dtype(dtype).kind) or np.iinfo(dtype).max
    value = kind(np.array([0, top], dtype))
    assert same(decode(encode(value), [kind], WIDE), value)


def test_an_int_may_be_written_for_a_float():
    assert decode(encode(Everything(**{**vars(EVERYTHING), "real": 3})), KINDS, WIDE).real == 3.0
    numpy_int = dataclasses.replace(EVERYTHING, whole=np.int64(4))
    assert type(decode(encode(numpy_int), KINDS, WIDE).whole) is int


# Every kind of damage and its error

ONES = np.ones(2, "<f4").tobytes()
PAIR = [["float32", [2]], ["float32", [2, 2]]]
GOOD = payload_of(["Vectors", PAIR], ONES * 3)


def test_the_good_payload_is_good():
    assert decode(GOOD, [Vectors], WIDE).left.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("payload", "error", "text"),
    [
        (b"PK\x03\x04" + GOOD, MalformedError, "begin with FGC"),
        (b"\x80\x04", MalformedError, "begin with FGC"),
        (b"", TruncatedError, "0 bytes, at least 8"),
        (GOOD[:7], TruncatedError, "7 bytes, at least 8"),
        (GOOD[:20], TruncatedError, "header of .* bytes, 12 are there"),
        (GOOD[:-1], TruncatedError, "ends after the payload"),
        (GOOD + b"\0", MalformedError, "1 bytes follow"),
        (payload_of(["Vectors", PAIR], ONES * 3, version=2), VersionError, "version 2, this is 1"),
        (payload_of(["Vectors", PAIR], ONES * 3, version=0), VersionError, "version 0"),
        (payload_of(["Vector", PAIR], ONES * 3), UnknownKindError, "'Vector', allowed: Vectors"),
        (payload_of(["Small", [1]]), UnknownKindError, "'Small'"),
        (payload_of(["Vectors", PAIR[:1]], ONES), MalformedError, "must have 2 parts, got 1"),
        (payload_of(["Vectors", [*PAIR, 1]], ONES * 3), MalformedError, "2 parts, got 3"),
        (payload_of(["Vectors", {"left": 1}]), WrongDtypeError, "must be a list, got a dict"),
        (payload_of(["Vectors", None]), WrongDtypeError, "got nothing"),
        (payload_of("Vectors"), MalformedError, "a kind and its fields"),
        (payload_of(["Vectors"]), MalformedError, "a kind and its fields"),
        (payload_of([7, PAIR]), MalformedError, "a kind and its fields"),
        (payload_of(["Vectors", [["float64", [1]], PAIR[1]]], ONES * 3), WrongDtypeError,
         "Vectors.left must be an array of float32, got 'float64'"),
        (payload_of(["Vectors", [[4, [2]], PAIR[1]]], ONES * 3), WrongDtypeError, "got a int"),
        (payload_of(["Vectors", [["float32", [2, 1]], PAIR[1]]], ONES * 3), WrongShapeError,
         r"must have shape \('p',\), got \(2, 1\)"),
        (payload_of(["Vectors", [PAIR[0], ["float32", [1, 2]]]], ONES * 2), WrongShapeError,
         "with p = 2"),
        (payload_of(["Vectors", [PAIR[0], ["float32", [2, 1]]]], ONES * 2), WrongShapeError,
         "with 2 = 2"),
        (payload_of(["Vectors", [["float32", [-2]], PAIR[1]]], ONES), MalformedError, "from 0"),
        (payload_of(["Vectors", [["float32", [2.0]], PAIR[1]]], ONES), MalformedError, "a float"),
        (payload_of(["Vectors", [["float32", [True]], PAIR[1]]], ONES), MalformedError, "a bool"),
        (payload_of(["Vectors", PAIR], ONES * 2 + np.array([0, np.nan], "<f4").tobytes()),
         NotFiniteError, "Vectors.right holds NaN"),
        (payload_of(["Vectors", PAIR], np.array([0, -np.inf], "<f4").tobytes() + ONES * 2),
         NotFiniteError, "Vectors.left holds NaN or an infinity"),
        (MAGIC + b"\x01\x04\0\0\0\xc1abc", MalformedError, "not MessagePack"),
        (MAGIC + b"\x01\x05\0\0\0\x92\xa2\xff\xff\x90", MalformedError, "not MessagePack"),
        (MAGIC + b"\x01\x00\x02\0\0" + b"\x91" * 512, MalformedError, "not MessagePack|its fields"),
    ],
)  # fmt: skip
def test_damage_is_refused_by_name(payload, error, text):
    with pytest.raises(error, match=text) as raised:
        decode(payload, [Vectors], WIDE)
    assert type(raised.value) is error


def test_deep_nesting_is_refused():
    deep = b"\x91" * 100_000
    payload = MAGIC + b"\x01" + len(deep).to_bytes(4, "little") + deep
    with pytest.raises(MalformedError, match="not MessagePack"):
        decode(payload, [Vectors], WIDE)


def test_padding_must_be_zero():
    at = len(GOOD) - 3 * len(ONES) - 1
    assert GOOD[at] == 0
    with pytest.raises(MalformedError, match="padding"):
        decode(GOOD[:at] + b"\1" + GOOD[at + 1 :], [Vectors], WIDE)


def test_one_value_has_one_encoding():
    long_form = b"\x92\xa5Small\x91\xcd\x00\x05"  # 5 as a 16-bit number
    payload = MAGIC + b"\x01" + len(long_form).to_bytes(4, "little") + long_form
    with pytest.raises(MalformedError, match="canonical"):
        decode(payload, [Small], WIDE)


WHOLE = encode(EVERYTHING)
HEADER_END = 8 + int.from_bytes(WHOLE[4:8], "little")
BUFFERS = WHOLE[HEADER_END + (-HEADER_END % 8) :]


def fields(**changed: Any) -> list[Any]:
    """The header fields of EVERYTHING, some of them changed."""
    nodes = msgspec.msgpack.decode(WHOLE[8:HEADER_END])[1]
    names = [f.name for f in dataclasses.fields(Everything)]
    return [changed.get(name, node) for name, node in zip(names, nodes, strict=True)]


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"whole": True}, WrongDtypeError, "whole must be a int, got a bool"),
        ({"whole": 1.0}, WrongDtypeError, "whole must be a int, got a float"),
        ({"whole": "1"}, WrongDtypeError, "got a str"),
        ({"real": 1}, WrongDtypeError, "real must be a float, got a int"),
        ({"real": math.nan}, NotFiniteError, "real must be finite, got nan"),
        ({"real": -math.inf}, NotFiniteError, "real must be finite"),
        ({"yes": 1}, WrongDtypeError, "yes must be a bool"),
        ({"text": b"x"}, WrongDtypeError, "text must be a str, got a bytes"),
        ({"text": "x" * 4097}, OversizedError, "4097 characters, at most 4096"),
        ({"raw": "x"}, MalformedError, "a size in Everything.raw"),
        ({"raw": -1}, MalformedError, "from 0"),
        ({"raw": 2**40}, OversizedError, "raw has 1099511627776 bytes, at most 1048576"),
        ({"raw": 2**19}, TruncatedError, "ends after the payload"),
        ({"nothing": "x"}, WrongDtypeError, "nothing must be a int"),
        ({"way": "sideways"}, WrongDtypeError, "way must be one of"),
        ({"way": 3.0}, WrongDtypeError, "way must be one of"),
        ({"numbers": 1}, WrongDtypeError, "numbers must be a list"),
        ({"numbers": [1, None]}, WrongDtypeError, "got nothing"),
        ({"pair": ["k"]}, MalformedError, "pair must have 2 parts, got 1"),
        ({"weights": [["a", 0.5], ["a", 0.5]]}, DuplicateKeyError, "weights names one key twice"),
        ({"weights": [["a", 0.5], ["b", 0.5], ["a", 0.5]]}, DuplicateKeyError, "one key twice"),
        ({"weights": [["b", 0.5], ["a", 0.5]]}, MalformedError, "weights must ascend"),
        ({"weights": {"a": 0.5}}, WrongDtypeError, "weights must be a list, got a dict"),
        ({"weights": [["a"]]}, MalformedError, "weights must have 2 parts"),
        ({"point": [1]}, MalformedError, "Point must have 2 parts"),
        ({"inner": None}, MalformedError, "a kind and its fields"),
        ({"inner": ["Kept", [1]]}, UnknownKindError, "inner is of kind 'Kept'"),
        ({"inner": ["Point", [1, 2.0]]}, UnknownKindError, "'Point', allowed: Everything, Small"),
        ({"either": ["Kept", [1]]}, UnknownKindError, "either is of kind 'Kept'"),
        ({"state": ["Small", [1]]}, UnknownKindError, "state is of kind 'Small'"),
        ({"vector": ["float32", [2**30]]}, OversizedError, "claims 4294967296 bytes"),
        ({"vector": ["float32", [2**64 - 1]]}, OversizedError, "at most 1048576"),
    ],
)  # fmt: skip
def test_damaged_fields_are_refused_by_name(changed, error, text):
    with pytest.raises(error, match=text) as raised:
        decode(payload_of(["Everything", fields(**changed)], BUFFERS), KINDS, WIDE)
    assert type(raised.value) is error


def test_the_undamaged_fields_are_good():
    assert payload_of(["Everything", fields()], BUFFERS) == WHOLE
    assert same(decode(WHOLE, KINDS, WIDE), EVERYTHING)


def test_a_byte_that_is_no_truth_value_is_refused():
    kind = one_field("Bits", Annotated[Any, Array("bool", "n")])
    with pytest.raises(MalformedError, match="neither 0 nor 1"):
        decode(payload_of(["Bits", [["bool", [2]]]], b"\x01\x02"), [kind], WIDE)
    empty = kind(np.zeros(0, np.bool_))
    assert decode(encode(empty), [kind], WIDE).a.shape == (0,)


def test_a_class_that_refuses_its_fields_is_a_malformed_payload():
    with pytest.raises(MalformedError, match="Picky refuses its fields: number must be at least 0"):
        decode(payload_of(["Picky", [-1]]), [Picky], WIDE)


def test_only_finite_by_declaration():
    again = decode(encode(EVERYTHING), KINDS, WIDE)
    assert again.odd == math.inf
    assert np.isnan(again.noisy[0])


# Limits


def test_payload_and_header_limits():
    with pytest.raises(OversizedError, match=f"payload has {len(GOOD)} bytes, at most 10"):
        decode(GOOD, [Vectors], Limits(max_bytes=10))
    with pytest.raises(OversizedError, match=r"header of .* bytes, at most 9"):
        decode(GOOD, [Vectors], Limits(max_bytes=1000, max_header_bytes=9))
    assert decode(GOOD, [Vectors], Limits(max_bytes=len(GOOD))).left.shape == (2,)


def test_symbols_are_bounded_by_the_task():
    assert decode(GOOD, [Vectors], Limits(1000, {"p": 2})).left.shape == (2,)
    with pytest.raises(OversizedError, match="p = 2, at most 1"):
        decode(GOOD, [Vectors], Limits(1000, {"p": 1}))


def test_empty_arrays_may_not_claim_absurd_shapes():
    kind = one_field("Flat", Annotated[Any, Array("float32", "n", "m", "k")])
    for shape in ([0, 2**40, 1], [0, 2**63 - 1, 2**63 - 1]):
        with pytest.raises(OversizedError, match="claims"):
            decode(payload_of(["Flat", [["float32", shape]]]), [kind], WIDE)


FOUR_GB = [
    payload_of(["Vectors", [["float32", [2**30]], ["float32", [2**30, 2]]]], ONES),
    payload_of(["Everything", fields(raw=2**32)], ONES),
    MAGIC + b"\x01\x0e\0\0\0" + b"\x92\xa7Vectors" + b"\xdd\xff\xff\xff\xff",
    MAGIC + b"\x01\x0e\0\0\0" + b"\x92\xa7Vectors" + b"\xdb\xff\xff\xff\xff",
    MAGIC + b"\x01\x0e\0\0\0" + b"\x92\xa7Vectors" + b"\xdf\xff\xff\xff\xff",
    MAGIC + b"\x01\xff\xff\xff\xff\x92\xa7Vectors",
]


@pytest.mark.parametrize("payload", FOUR_GB, ids=range(len(FOUR_GB)))
@pytest.mark.parametrize("max_bytes", [1 << 20, 1 << 40])
def test_a_claim_of_four_gigabytes_allocates_next_to_nothing(payload, max_bytes):
    with pytest.raises(PayloadError):  # fills the caches of annotations first
        decode(payload, [Vectors, *KINDS], Limits(max_bytes))
    limits = Limits(max_bytes, max_header_bytes=1 << 33)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError) as raised:
            decode(payload, [Vectors, *KINDS], limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(raised.value, OversizedError | TruncatedError | MalformedError)
    assert peak < 1 << 20


# Whatever comes in, nothing but a PayloadError goes out


NAMED = tuple(PayloadError.__subclasses__())


def decoded_or_refused(payload: bytes) -> None:
    """Either refused by name, or a value whose one encoding this is."""
    try:
        value = decode(payload, KINDS, WIDE)
    except NAMED:
        return
    assert encode(value) == payload


@given(st.binary(max_size=64))
def test_random_bytes_are_refused_by_name(body):
    for payload in (
        body,
        MAGIC + b"\x01" + body,
        MAGIC + b"\x01" + len(body).to_bytes(4, "little") + body,
        payload_of(["Everything", 0])[:-1] + body,
    ):
        with pytest.raises(NAMED):
            decode(payload, KINDS, WIDE)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_are_refused_or_mean_something_else(flips):
    payload = bytearray(WHOLE)
    for where, mask in flips:
        payload[where % len(payload)] ^= mask
    decoded_or_refused(bytes(payload))


def test_every_truncation_is_truncated():
    for size in range(len(WHOLE)):
        with pytest.raises(TruncatedError):
            decode(WHOLE[:size], KINDS, WIDE)


NODES = st.recursive(
    st.none() | st.booleans() | INTS | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda node: (
        st.lists(node, max_size=4) | st.dictionaries(st.text(max_size=3), node, max_size=2)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.sampled_from([f.name for f in dataclasses.fields(Everything)]), NODES)
def test_any_node_in_place_of_a_field_is_refused_or_means_something_else(name, node):
    decoded_or_refused(payload_of(["Everything", fields(**{name: node})], BUFFERS))


@given(NODES)
def test_any_tree_as_a_header_is_refused_by_name(node):
    for tree in (node, ["Everything", node], ["Small", [node]]):
        decoded_or_refused(payload_of(tree))


# What we send ourselves is held to the same rules


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"whole": True}, WrongDtypeError, "must be a int, got a bool"),
        ({"whole": 2**70}, MalformedError, "cannot be encoded"),
        ({"real": math.nan}, NotFiniteError, "must be finite"),
        ({"real": True}, WrongDtypeError, "must be a float"),
        ({"text": "\ud800"}, MalformedError, "cannot be encoded"),
        ({"raw": "x"}, WrongDtypeError, "must be bytes"),
        ({"way": "left"}, WrongDtypeError, "must be one of"),
        ({"numbers": [1]}, WrongDtypeError, "numbers must be a tuple, got a list"),
        ({"pair": ("k",)}, WrongDtypeError, "pair must be a tuple of 2"),
        ({"weights": (("a", 1.0),)}, WrongDtypeError, "must be a mapping"),
        ({"point": Small(1)}, WrongDtypeError, "point must be a Point, got a Small"),
        ({"inner": Kept(1)}, WrongDtypeError, "inner must be a Message, got a Kept"),
        ({"either": Kept(1)}, WrongDtypeError, "either must be a Small or Point"),
        ({"vector": [1.0]}, WrongDtypeError, "must be an array of float32, got a list"),
        ({"vector": np.ones(3)}, WrongDtypeError, "must be an array of float32, got float64"),
        ({"vector": np.ones((3, 1), np.float32)}, WrongShapeError, "must have shape"),
        ({"vector": np.ones(4, np.float32)}, WrongShapeError, "with p = 4"),
        ({"vector": np.full(3, np.nan, np.float32)}, NotFiniteError, "holds NaN"),
    ],
)
def test_encode_refuses_what_its_annotation_does_not_allow(changed, error, text):
    with pytest.raises(error, match=text):
        encode(dataclasses.replace(EVERYTHING, **changed))


@pytest.mark.parametrize("where", [0, 65_535, 65_536, 99_999])
def test_a_nan_is_found_wherever_it_is(where):
    vector = np.zeros(100_000, np.float32)
    vector[where] = np.nan
    with pytest.raises(NotFiniteError):
        encode(Vectors(vector, np.ones((100_000, 2), np.float32)))


@pytest.mark.parametrize(
    "hint", [object, Any, list[int], NDArray[np.float32], int | str, set[int], complex]
)
def test_annotations_that_cannot_cross_the_wire_are_refused(hint):
    kind = one_field("Odd", hint)
    with pytest.raises(ConfigError, match=r"Odd\.a"):
        encode(kind(1))


def test_unknown_dtypes_are_refused_when_declared():
    with pytest.raises(ConfigError, match=r"dtype must be one of .* got 'object'"):
        Array("object", "n")


def test_two_kinds_of_one_name_are_refused():
    twin = one_field("Small", int)
    with pytest.raises(ConfigError, match="two kinds of one name in Small, Small"):
        decode(GOOD, [Small, twin], WIDE)


@dataclass(frozen=True)
class Grown(Message):
    first: int
    second: Annotated[str, Later()] = ""
    third: Annotated[State | None, Later()] = None


def test_a_field_that_came_later_keeps_the_bytes_of_values_that_do_not_use_it():
    assert b"\x92\xa5Grown\x91\x01" in encode(Grown(1))
    for value in (Grown(1), Grown(1, "x"), Grown(1, "", Kept(2)), Grown(1, "x", Kept(2))):
        assert decode(encode(value), (Grown, Kept), WIDE) == value


def test_a_later_field_at_its_default_may_not_travel():
    for fields in ([1, ""], [1, "x", None]):
        with pytest.raises(MalformedError, match="is at its default and may not travel"):
            decode(payload_of(["Grown", fields]), (Grown,), WIDE)
    for fields in ([], [1, "", None, 3]):
        with pytest.raises(MalformedError, match="Grown must have 3 parts"):
            decode(payload_of(["Grown", fields]), (Grown,), WIDE)


@dataclass(frozen=True)
class Signed(Message):
    first: Annotated[float, Later()] = 0.0


def test_minus_zero_is_not_the_default_zero():
    assert str(decode(encode(Signed(-0.0)), (Signed,), WIDE).first) == "-0.0"
    assert encode(Signed(0.0)) != encode(Signed(-0.0))


@dataclass(frozen=True)
class Middle(Message):
    first: Annotated[int, Later()] = 0
    second: int = 1


@dataclass(frozen=True)
class Unplain(Message):
    first: Annotated[tuple[int, ...], Later()] = ()


@pytest.mark.parametrize("value", [Middle(), Unplain()])
def test_only_fields_at_the_end_with_plain_defaults_come_later(value):
    with pytest.raises(ConfigError, match="later"):
        encode(value)
