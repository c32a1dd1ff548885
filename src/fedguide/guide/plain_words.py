"""Words that claim nothing about an item: all that a language model may add to the engine's.

None of them is a quality, a quantity, a price, a promise or a comparison with other shops. Whatever
else an answer says is filled in by the engine, so a sentence of these words cannot be false.
"""

from __future__ import annotations

_ENGLISH = (
    "a an the this that these those it its they them here there i we you your yours my our "
    "is are am be was were have has had do does can could may might will would shall should "
    "and or but so if as at for in into of on to with among next then "
    "also too just still again now please sure ok okay hello hi thanks thank welcome yes "
    "asked ask wanted want wanting wish wished looking look looked search searched said say "
    "found find finding picked pick picks chose chosen choose option options item items "
    "product products thing things result results match matches matching matched fit fits "
    "fitting come comes came start starts begin try see view take tell let know like liked "
    "prefer need needs help show showing shown list listed you'd i've we've here's that's "
    "what which who how when where whether any some "
    "let's you're it's narrow refine change add remove chip chips"
)

_CHINESE = (
    "的 了 吗 呢 吧 啊 呀 哦 嗯 您 你 我 我们 本店 这里 这些 那些 这 那 它 它们 是 有 在 和 与 "
    "或 及 也 就 还 再 请 好 好的 可以 可 想 想要 需要 找 找到 找到了 为您 帮您 给您 根据 按照 按 "
    "您的 要求 条件 需求 符合 满足 匹配 商品 产品 款 件 个 结果 其中 包括 例如 比如 推荐 看看 查看 "
    "选 选择 挑选 挑 如果 还想 可以再 缩小 范围 点选 下面 以下 上面 标签 修改 调整 告诉 "
    "共 共有 总共 分别 您好 谢谢 希望 里 中 让 把 给 来 另外 以及 如下 "
    "如 先 试试 关于 喜欢 感谢 欢迎 继续 问 说 说的 提到 提到的 提出 提出的 所说 列出 为"
)

ENGLISH = frozenset(_ENGLISH.split())
"""Plain words in English, folded."""

CHINESE = frozenset(_CHINESE.split())
"""Plain words in Chinese; none holds a numeral."""
