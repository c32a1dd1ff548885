"""What each party learned from a vertical run, in words, with the run's own numbers.

The list is section 6 of the specification of the private linear query; what is *not* defended is
said as plainly as what is.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedguide.protocol import State
from fedguide.values import PartyId
from fedguide.vertical.glm import GlmReport
from fedguide.vertical.trees import Report, TreePlan


@dataclass(frozen=True)
class Learned(State):
    """One fact that one party learned, or that nobody protects, in two languages."""

    party: str
    en: str
    zh: str


LABEL_PARTY = "label party"

NOT_DEFENDED = Learned(
    LABEL_PARTY,
    "NOT defended: a label party that cheats can build questions whose sums show single entries "
    "of the partner's table; only the table's budget of sums holds it back",
    "未防护：作弊的标签方可构造查询，使求和结果泄露合作方表中的单个条目；只有该表的求和预算能限制它",
)
"""Reveal mode against a malicious label party (specification, sections 1 and 9, attack A5)."""

ALIGNED = Learned(
    LABEL_PARTY,
    "which of its customers stand in the partner's table, in which rows, and how many rows it has",
    "哪些客户也在合作方的表中、位于哪些行，以及该表的行数",
)


def learned_from_trees(plan: TreePlan, report: Report, customers: int) -> tuple[Learned, ...]:
    """What a run of boosted trees told each party."""
    facts: list[Learned] = [ALIGNED] if report.vectors else []
    for party in sorted(report.vectors):
        sums, splits = report.sums[party], report.splits[party]
        facts += [
            Learned(
                LABEL_PARTY,
                f"{sums} exact sums over bins of {party}, of nodes of at least {plan.least_node} "
                f"of {customers} customers; sums of few customers say much about each",
                f"{party} 各分箱上的 {sums} 个精确求和（{customers} 名客户中至少 "
                f"{plan.least_node} 名的节点）；人数少的求和会透露较多个人信息",
            ),
            Learned(
                LABEL_PARTY,
                f"for {splits} chosen splits of {party}, which side every row of its whole table "
                "is on, not only the common customers; not what the split asks",
                f"{party} 的 {splits} 个被选中的分裂中，其整张表每一行（不只是共同客户）"
                "在哪一侧；不知道分裂条件",
            ),
            _partners_view(plan, report, party, customers),
        ]
    if plan.scheme == "plain":
        facts += [_in_the_open(party) for party in sorted(report.vectors)]
    return (*facts, NOT_DEFENDED) if report.vectors else tuple(facts)


def _partners_view(plan: TreePlan, report: Report, party: PartyId, customers: int) -> Learned:
    """What a partner saw of a run."""
    vectors, splits = report.vectors[party], report.splits[party]
    if plan.hide_choice and plan.scheme != "plain":
        return Learned(
            party,
            f"the size of the run: {customers} common customers at most, {vectors} hidden vectors, "
            f"{report.trees} trees of {plan.depth} levels, their times. Not which of its splits "
            "were chosen, nor how many; not the labels, not who the common customers are",
            f"运行规模：至多 {customers} 名共同客户、{vectors} 个隐藏向量、{report.trees} 棵 "
            f"{plan.depth} 层的树及其时间。"
            "不知道其哪些分裂被选中、选中多少；不知道标签，也不知道共同客户是谁",
        )
    return Learned(
        party,
        f"the size of the run: {customers} common customers at most, {vectors} hidden vectors, "
        f"their times; which {splits} of its splits were chosen, so which of its thresholds "
        "matter, and that tells something of the label. "
        "Not the labels themselves, not who the common customers are, not the trees",
        f"运行规模：至多 {customers} 名共同客户、{vectors} 个隐藏向量及其时间；"
        f"其 {splits} 个分裂被选中，因而知道哪些阈值重要，这会透露标签的一些信息。"
        "不知道标签本身、共同客户是谁以及树的结构",
    )


def learned_from_glm(scheme: str, report: GlmReport, customers: int) -> tuple[Learned, ...]:
    """What a GLM told each party."""
    parties = sorted(report.columns)
    facts = [
        ALIGNED,
        Learned(
            LABEL_PARTY,
            f"its own {report.opened} weights at the end; {_columns(report)[0]}. Of "
            f"{report.shared} shared numbers none was opened",
            f"最终只得到自己的 {report.opened} 个权重；{_columns(report)[1]}。"
            f"{report.shared} 个份额数值均未打开",
        ),
        *(_of_a_partner(report, customers, party) for party in parties),
        *(_of_a_score(party) for party in parties),
        Learned(
            "nobody",
            "a rounding of shares went wrong unseen with a chance of at most "
            f"{report.chance_of_failure:.1e}",
            f"份额舍入未被发现地出错的概率至多 {report.chance_of_failure:.1e}",
        ),
    ]
    if len(parties) > 1:
        facts.append(_pooled(parties[0]))
    if scheme == "plain":
        facts += [_in_the_open(party) for party in parties]
    return tuple(facts)


def _columns(report: GlmReport) -> tuple[str, str]:
    """How many columns partners have, as the label party was told."""
    shown = sorted(
        (party, count, report.curvature[party]) for party, count in report.columns.items()
    )
    return (
        ", ".join(
            f"that {p} has {count} columns of curvature {c}, and which are neighbouring bins"
            for p, count, c in shown
        ),
        "，".join(f"{p} 有 {count} 列、曲率上界 {c}，以及哪些是相邻分箱" for p, count, c in shown),
    )


def _of_a_partner(report: GlmReport, customers: int, party: PartyId) -> Learned:
    """What one partner learned of a GLM."""
    others = sorted((name, count) for name, count in report.columns.items() if name != party)
    en = "".join(f", {count} of {name}" for name, count in others)
    zh = "".join(f"、{name} {count} 列" for name, count in others)
    return Learned(
        party,
        f"WHICH {customers} of its rows are common customers (reveal_alignment, consented on all "
        f"sides); that there were {report.steps} steps over {report.opened} columns{en}; its own "
        "weights. Not the labels, no score, no slope",
        f"其表中哪 {customers} 行是共同客户（各方同意 reveal_alignment）；"
        f"共 {report.steps} 步、对方 {report.opened} 列{zh}；自己的权重。不知道标签、分数和梯度",
    )


def _of_a_score(party: PartyId) -> Learned:
    """What scoring tells of one partner."""
    return Learned(
        LABEL_PARTY,
        f"when customers are scored: {party}'s part of each score",
        f"打分时：{party} 对每个分数的贡献",
    )


def _pooled(first: PartyId) -> Learned:
    """What is known only if the label party and the first partner pool what they hold."""
    return Learned(
        f"{LABEL_PARTY} + {first}",
        "only if they pool what they hold: the label party's own weights after every step, not "
        "those of other partners, no score, no slope of other columns",
        "仅当双方合谋汇总所持内容时：标签方自己每一步之后的权重；"
        "不含其他合作方的权重、任何分数或其他列的梯度",
    )


def _in_the_open(party: str) -> Learned:
    """Scheme ``plain`` hides nothing."""
    return Learned(
        party,
        "EVERYTHING the label party asked with: scheme plain hides nothing and is for tests",
        "标签方查询的全部内容：plain 方案不隐藏任何内容，仅供测试",
    )
