"""Words of audiences and ads in a sentence or two: English, Chinese."""

from __future__ import annotations

from collections.abc import Mapping

MARKET_TERMS: Mapping[str, tuple[str, str]] = {
    "audience": (
        "audience: the shop's own shoppers who most likely do something within some "
        "days, by trees "
        "grown together with partners. The list never leaves the shop; opt-outs are not in it.",
        "人群（audience）：商店自有顾客中最可能在若干天内完成某行为者，由与合作方"
        "联合训练的树模型评分。"
        "名单不离开商店，不含已退出者。",
    ),
    "noisy-count": (
        "noisy-count: a number of shoppers with discrete Laplace noise, charged "
        "to the ledger before "
        "it is drawn. It is drawn once and kept: asking again costs nothing and "
        "tells nothing new.",
        "带噪计数（noisy-count）：加离散拉普拉斯噪声的顾客数，先记账后加噪。只生成一次并保存，"
        "重复询问不再消耗预算，也不透露更多。",
    ),
    "floor": (
        "floor: the smallest count or audience that may be shown ([privacy] least_audience). "
        "It is "
        "judged on the noised figure; below it the answer is refused (exit code 6).",
        "下限（floor）：可显示的最小计数或人群（[privacy] least_audience），按加噪后的数判断；"
        "低于下限则拒绝（退出码 6）。",
    ),
    "lift": (
        "lift: how much more often the best tenth by score does it than everybody; "
        "1 is no better "
        "than chance. Measured on a window of time after the one that was learnt from.",
        "提升（lift）：评分最高的十分之一比全体更常发生的倍数；1 表示不优于随机。"
        "在训练窗口之后的时间窗口上测量。",
    ),
    "calibration": (
        "calibration: of those told 30 %, do 30 % do it? The error is the mean distance "
        "between told "
        "and done over ten groups of equal size.",
        "校准（calibration）：预测 30 % 的人中是否确有 30 % 发生？误差为十个等量"
        "组中预测与实际之差的均值。",
    ),
    "uplift": (
        "uplift: what a campaign changes, not who would have bought anyway. It is learnt from a "
        "randomised trial by a T- or X-learner (Künzel et al. 2019).",
        "增量（uplift）：活动带来的改变，而非本来就会购买者。由随机试验经 T-/X-learner 学得"
        "（Künzel 等，2019）。",
    ),
    "qini": (
        "qini: the area between gain by targeting and gain by chance, for a treated person "
        "(Radcliffe 2007); 0 is no better than chance, below 0 worse.",
        "Qini：按评分投放与随机投放的增益曲线之间的面积（Radcliffe，2007）；0 为"
        "不优于随机，负数更差。",
    ),
    "second-price": (
        "second-price: ads rank by bid times probability of a click; a click costs "
        "the least that "
        "keeps the slot (Edelman, Ostrovsky and Schwarz 2007). The shopper's price is untouched.",
        "次价（second-price）：广告按出价乘点击概率排序，每次点击按保住该位置的最低价计费"
        "（Edelman 等，2007）。顾客看到的商品价格不受影响。",
    ),
    "pacing": (
        "pacing: an ad takes part in a share of auctions that follows its plan for "
        "the day, so that "
        "the budget lasts (Agarwal et al. 2014).",
        "匀速投放（pacing）：广告按当日计划只参加一部分竞价，使预算用满全天（Agarwal 等，2014）。",
    ),
    "frequency-cap": (
        "frequency-cap: how often one shopper is shown an ad in a day at most. Of "
        "whoever is not to be "
        "profiled nothing is remembered, so no cap can be kept for them.",
        "频次上限（frequency-cap）：同一顾客一天最多看到某广告的次数。对关闭个性"
        "化者不作记录，故无法限频。",
    ),
    "sponsored": (
        "sponsored: paid for by an advertiser and labelled so, always (source: ad), at the "
        "catalogue's price; for whoever is not profiled the same for everybody.",
        "广告（sponsored）：由广告主付费，始终标注（source: ad），按目录价显示；"
        "对未个性化者人人相同。",
    ),
}
"""By name: what it means, in both languages."""
