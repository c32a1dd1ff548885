"""The words of vertical training that a user meets, explained in two languages."""

from __future__ import annotations

from fedguide.vertical.learned import NOT_DEFENDED

VERTICAL_TERMS: dict[str, tuple[str, str]] = {
    "lattice": (
        "The default scheme: questions are hidden by ring learning with errors (147 bits in set S, "
        "204 in set W, estimated inside the project; no outside cryptographer has reviewed it). A "
        "partner, even a malicious one, learns nothing of labels or of who the common customers "
        "are. In reveal mode the label party learns exact sums. " + NOT_DEFENDED.en + ".",
        "默认方案：查询由环上带误差学习（RLWE）隐藏（S 组参数 147 比特，W 组 204 比特，"
        "项目内部估计，未经外部密码学家审查）。合作方即使作恶也无法得知标签或共同客户是谁。"
        "揭示模式下标签方得到精确求和。" + NOT_DEFENDED.zh + "。",
    ),
    "plain": (
        "Nothing is hidden: for tests and for measuring what privacy costs. Partners refuse it "
        "unless told otherwise.",
        "不隐藏任何内容：仅用于测试和衡量隐私的代价。除非另行设置，合作方会拒绝。",
    ),
    "ou": (
        "Sums of trees by Okamoto-Uchiyama encryption (3072 bits) instead of the lattice: rests on "
        "factoring, falls to a quantum computer, some ten times slower and more. The same trees. "
        "In one process only; needs the extra heu.",
        "以 Okamoto-Uchiyama 加密（3072 比特）代替格方案计算树的求和：基于大整数分解，"
        "无法抵御量子计算机，慢十倍以上；得到的树相同。仅限单进程，需要附加包 heu。",
    ),
    "reveal-mode": (
        "Trees and statistics: the label party learns exact sums over a partner's bins. Those of "
        "few customers say much about each, so that it asks for nodes of at least --least-node "
        "customers only; the partner cannot check that, its budget of sums is what it can enforce.",
        "用于树与统计：标签方得到合作方各分箱上的精确求和。人数少的求和会透露个人信息，因此只查询"
        "至少 --least-node 名客户的节点；合作方无法验证这一点，它能强制执行的是求和预算。",
    ),
    "share-mode": (
        "GLMs: every number is split into random shares that are held by different parties. None "
        "sees another's scores, slopes or weights; at the end each opens its own weights.",
        "用于 GLM：每个数值拆成由不同参与方持有的随机份额。任何一方都看不到其他方的分数、"
        "梯度和权重；结束时各自只打开自己的权重。",
    ),
    "host-blind": (
        "Every question covers the partner's whole table, with hidden zeros where a row is not a "
        "common customer: the partner never learns who the common customers are.",
        "每个查询覆盖合作方的整张表，非共同客户的行为隐藏的零：合作方永远不知道共同客户是谁。",
    ),
    "reveal-alignment": (
        "Consent that a partner learns WHICH of its rows are common customers. A GLM needs it, "
        "trees do not. Both sides must consent.",
        "同意让合作方得知其哪些行是共同客户。GLM 需要，树不需要。双方都必须同意。",
    ),
    "iv": (
        "Information value: how much a feature's bins say of a label. Below 0.02 next to nothing, "
        "above 0.3 much. A bin's weight of evidence (WOE) is ln of its share of ones over its "
        "share of zeros.",
        "信息价值：特征分箱对标签的信息量。低于 0.02 几乎没有，高于 0.3 很强。"
        "分箱的 WOE 是其正例占比与负例占比之比的自然对数。",
    ),
    "vif": (
        "Variance inflation: how well the other columns tell this one; above 10 it is redundant.",
        "方差膨胀因子：其余列能多好地预测该列；高于 10 表示冗余。",
    ),
    "psi": (
        "Population stability index between two groups: below 0.1 stable, above 0.25 shifted. "
        "(In alignment, PSI is private set intersection: finding common customers blindly.)",
        "两组人群之间的稳定性指数：低于 0.1 稳定，高于 0.25 已偏移。"
        "（在对齐中，PSI 指隐私集合求交：盲态找出共同客户。）",
    ),
    "catalogue-matching": (
        "Shops find the products they have in common (fedguide match) by blind comparison of trade "
        "numbers and titles, never of people. Each gets a table of its own: item to number of the "
        "common product. Of what is not common only the number of items is learnt; a shop may try "
        "titles it does not sell, as many as agreed, and every attempt is logged.",
        "各店通过盲比商品条码与标题（绝不涉及个人）找出共同商品（fedguide match）。每家得到自己的"
        "对照表：本店商品对应共同商品编号。对不共同的商品只会得知其数量；一家店可以试探自己并不"
        "销售的标题，但次数不超过约定，且每次尝试都有记录。",
    ),
    "gtin": (
        "Global trade item number, the number under a bar code: 12 to 14 digits with a check "
        "digit. Numbers a company uses only inside itself (prefixes 02, 04, 20 to 29) do not "
        "count.",
        "全球贸易项目代码，即条形码下的数字：12 至 14 位，末位为校验位。"
        "企业内部自用的号码（前缀 02、04、20 至 29）不算。",
    ),
}
"""Term to its explanation in English and in Chinese."""
