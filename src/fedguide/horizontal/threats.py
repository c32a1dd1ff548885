"""Who can learn what, and who can change what, under each way to aggregate: as data.

``fedguide explain`` prints these lines and ``docs/threat.md`` holds them; a test keeps both alike.
"Shop" is any party; t is the number of shares that give a secret back (``neighbours.Shape``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedguide.errors import NotFoundError


@dataclass(frozen=True)
class Text:
    """The same sentence in English and in Chinese."""

    en: str
    zh: str


@dataclass(frozen=True)
class Threat:
    """What one actor can learn and what it can change."""

    actor: Text
    learns: Text
    changes: Text


@dataclass(frozen=True)
class Explanation:
    """One way to aggregate: in one sentence, and what each actor can do under it."""

    gist: Text
    threats: tuple[Threat, ...]


_COORDINATOR = Text("coordinator", "协调方")
_SHOP = Text("a shop", "一家商店")
_TOGETHER = Text("coordinator with shops", "协调方与商店合谋")
_NETWORK = Text("whoever is on the way", "传输途中的人")

_EVERY_UPDATE = Text(
    "every shop's update, weight, loss and figures: an update can tell what it was trained on",
    "每家商店的更新、权重、损失和指标；更新可能泄露其训练数据",
)
_MAKES_RESULT = Text(
    "the result: it makes it, and could give every shop another one",
    "结果由它给出，它可以给不同商店不同的结果",
)
_MODELS = Text(
    "the models it is given; of two shops each learns the other's update from their mean",
    "收到的模型；若只有两家商店，每家都能从均值推出对方的更新",
)
_MODELS_ALONE = Text(
    "the models it is given, of nobody's update alone", "收到的模型；看不到任何单个更新"
)
_ANY_AMOUNT = Text(
    "the mean by any amount; the coordinator sees who", "任意改变均值；协调方看得到是谁"
)
_SEES_ALL = Text(
    "everything, unless the courier encrypts (HTTPS does)", "一切内容，除非信道加密（HTTPS 会加密）"
)
_CHANGES_ALL = Text("any update, unless the courier protects it", "任意更新，除非信道有完整性保护")

_MASKED_NETWORK = Threat(
    _NETWORK,
    Text(
        "who takes part, when, and, unless the courier encrypts, the models sent out; of updates "
        "nothing",
        "谁参加、何时；若信道不加密，还有下发的模型；看不到任何更新",
    ),
    Text(
        "who is left out, by losing messages; one of the sum's that is changed, old or swapped is "
        "refused",
        "可丢弃消息使某方缺席；求和协议中被改动、重放或调换的消息会被拒绝",
    ),
)

KINDS: Mapping[str, Explanation] = MappingProxyType(
    {
        "weighted_mean": Explanation(
            Text("the plain mean of updates sent in the open", "明文更新的加权平均"),
            (
                Threat(_COORDINATOR, _EVERY_UPDATE, _MAKES_RESULT),
                Threat(_SHOP, _MODELS, _ANY_AMOUNT),
                Threat(_NETWORK, _SEES_ALL, _CHANGES_ALL),
            ),
        ),
        "open_sum": Explanation(
            Text(
                "the mean out of an exact sum on the grid, sent in the open",
                "定点网格上的精确求和（明文）后取平均",
            ),
            (
                Threat(_COORDINATOR, _EVERY_UPDATE, _MAKES_RESULT),
                Threat(_SHOP, _MODELS, _ANY_AMOUNT),
                Threat(_NETWORK, _SEES_ALL, _CHANGES_ALL),
            ),
        ),
        "masked_sum": Explanation(
            Text(
                "the same sum under masks that cancel: nobody sees a single update",
                "同样的求和，但更新带有相互抵消的掩码：没有人看得到单个更新",
            ),
            (
                Threat(
                    _COORDINATOR,
                    Text(
                        "the sum over at least min_cohort shops that survive the round, and who "
                        "they are; also if it tells different shops different things",
                        "至少 min_cohort 家存活商店之和及其名单；即使它对不同商店言行不一",
                    ),
                    Text(
                        "the result, whom it leaves out, and whether a round ends at all; two "
                        "rounds that differ by one shop tell, but for the noise, its update",
                        "结果、谁被排除、一轮能否完成；两轮仅差一家商店时，除噪声外可推出该店更新",
                    ),
                ),
                Threat(
                    _TOGETHER,
                    Text(
                        "with fewer than t: the sum over the other shops, however few these are; "
                        "with t of a shop's neighbours, or n/3 of up to 50 shops if it tells them "
                        "different things: that shop's update",
                        "少于 t 家：其余商店之和，无论其余有几家；达到某店邻居中的 t 家，"
                        "或（不超过 50 家且协调方言行不一时）n/3 家：该店的更新",
                    ),
                    Text("as each of them alone", "与各自单独时相同"),
                ),
                Threat(
                    _SHOP,
                    _MODELS_ALONE,
                    Text(
                        "the sum by its whole clip bound, and by any amount if it breaks the "
                        "protocol: nobody proves a norm yet, nobody sees who; it can end a round",
                        "可使总和改变达其全部裁剪上限，若不守协议则可任意改变：尚无范数证明，"
                        "也无人知道是谁；可使一轮中止",
                    ),
                ),
                _MASKED_NETWORK,
            ),
        ),
        "RULE": Explanation(
            Text(
                "a robust rule over updates sent in the open, instead of secret sums",
                "对明文更新使用稳健规则，以代替保密求和",
            ),
            (
                Threat(_COORDINATOR, _EVERY_UPDATE, _MAKES_RESULT),
                Threat(
                    _SHOP,
                    _MODELS_ALONE,
                    Text(
                        "little, as long as no more are bad than the rule withstands",
                        "只要坏商店不超过规则的容忍数，影响很小",
                    ),
                ),
                Threat(_NETWORK, _SEES_ALL, _CHANGES_ALL),
            ),
        ),
        "bucketed_RULE": Explanation(
            Text(
                "a robust rule over sums of buckets of at least 3 shops, each summed in the open",
                "先将至少 3 家商店分桶并明文求和，再使用稳健规则",
            ),
            (
                Threat(_COORDINATOR, _EVERY_UPDATE, _MAKES_RESULT),
                Threat(
                    _SHOP,
                    _MODELS_ALONE,
                    Text(
                        "its whole bucket; little else, as long as no more buckets are bad than "
                        "the rule withstands",
                        "它所在的整个桶；只要坏桶不超过规则的容忍数，其他影响很小",
                    ),
                ),
                Threat(_NETWORK, _SEES_ALL, _CHANGES_ALL),
            ),
        ),
        "masked_bucketed_RULE": Explanation(
            Text(
                "a robust rule over sums of buckets of at least 3 shops, each under masks",
                "先将至少 3 家商店分桶并在掩码下求和，再使用稳健规则",
            ),
            (
                Threat(
                    _COORDINATOR,
                    Text(
                        "the sum of each bucket, dealt anew every round: more than one sum of all, "
                        "and that is to be charged to the privacy budget",
                        "每个桶的和，每轮重新分桶：比一个总和泄露得多，应计入隐私预算",
                    ),
                    _MAKES_RESULT,
                ),
                Threat(
                    _TOGETHER,
                    Text(
                        "with the other two shops of a bucket of three: the third's update",
                        "与三家桶中的另外两家合谋：第三家的更新",
                    ),
                    Text("as each of them alone", "与各自单独时相同"),
                ),
                Threat(
                    _SHOP,
                    _MODELS_ALONE,
                    Text(
                        "its whole bucket, unseen; little else, as long as no more buckets are bad "
                        "than the rule withstands; it can end its bucket",
                        "它所在的整个桶，且无人知道是谁；只要坏桶不超过规则的容忍数，其他影响很小；"
                        "可使其桶中止",
                    ),
                ),
                _MASKED_NETWORK,
            ),
        ),
    }
)
"""Every kind of aggregator; ``RULE`` stands for the name of any robust rule."""


def kind_of(name: str, rules: Iterable[str]) -> str:
    """The kind that an aggregator of this name is of.

    Raises:
        NotFoundError: there is none of this name.
    """
    if name in KINDS:
        return name
    for prefix in ("masked_bucketed_", "bucketed_", ""):
        if name.startswith(prefix) and name.removeprefix(prefix) in rules:
            return f"{prefix}RULE"
    raise NotFoundError(f"no aggregator is called {name!r}", hint="fedguide explain")


def markdown() -> str:
    """The table of ``docs/threat.md``."""
    lines = ["| aggregator | who | can learn | can change |", "|---|---|---|---|"]
    for kind, explanation in KINDS.items():
        for threat in explanation.threats:
            cells = (f"`{kind}`", threat.actor.en, threat.learns.en, threat.changes.en)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
