"""The grammar's own words: what bounds, refuses, joins and sorts, in Chinese and English.

Nothing here names a product: what is sold is the catalogue's to say (``vocabulary``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

AT_MOST, AT_LEAST, ABOUT = "at_most", "at_least", "about"
"""Stand before an amount."""

OR_LESS, OR_MORE, OR_SO, OR_A_BIT = "or_less", "or_more", "or_so", "or_a_bit"
"""Stand after an amount; the last is "一百出头", a little above it."""

AND_SOME, AND_ODD = "and_some", "and_odd"
"""Stand between an amount and its currency: "百来块" is about 100, "一百多块" 100 to 200."""

_MEASURES = (
    "岁 个月 月龄 周岁 周 天 年 米 厘米 毫米 公分 公斤 千克 斤 克 升 毫升 寸 英寸 尺 码 人 位 片 "
    "粒 颗 包 袋 盒 箱 件 只 双 条 张 本 支 枝 瓶 罐 枚 层 格 色 毫安 瓦 页 m cm mm km kg g mg "
    "ml l litre litres liter liters inch inches oz lb lbs ft mah w year years yr yrs yo month "
    "months week weeks day days people person persons piece pieces pc pcs pack packs page pages "
    "layer layers tier tiers sheet sheets star stars 星 星级 颗星 分 折"
)
MEASURES = frozenset(_MEASURES.split())
"""What makes of an amount before it a quantity and no price, such as "3-6岁" and "2 people"."""

BETWEEN, BETWEEN_AFTER, TO = "between", "between_after", "to"
NOT, BUT, ANY, WITHOUT_AFTER, EXCEPT_AFTER = "not", "but", "any", "without_after", "except_after"
EXCEPT_END = "except_end"
"""Ends what 除 began: "除米色外"."""

OR, AND, EITHER = "or", "and", "either"
CHEAP, DEAR, POPULAR = "price_asc", "price_desc", "popular"
CURRENCY, BREAK, VAGUE, FILLER = "currency", "break", "vague", "filler"

RATED = frozenset(
    ["rating", "ratings", "rated", "score", "scored", "评分", "评价", "打分", "得分", "星级"]
)
"""What makes of an amount behind it a judgement and no price ("rating 4.5+")."""

OTHERS = frozenset(
    ["别的", "别家", "其他", "其它", "其他的", "其它的", "其余", "其余的", "剩下的", "另外的"]
)
"""Speak of whatever was not named."""

SORTS = (CHEAP, DEAR, POPULAR)
"""How the items of an answer can be ordered."""

_CHINESE = {
    AT_MOST: "不超过 不超 不高于 不多于 低于 少于 小于 最多 至多 不到 便宜于 预算 预算在 控制在 "
    "别超过 不要超过 不能超过 不可超过 不得超过 别超 别过 别高于 不要高于 不大于 不贵于 "
    "不足 不满 未满 "
    "少过 低过 便宜过 最高 上限 顶多 撑死 撑死了 顶天 充其量 控制 压在 卡在 定在 "
    "预算是 预算有 预算为 只有 只能花 只想花 只花 只能出 手头 手头有 手里只有 兜里",
    AT_LEAST: "至少 高于 多于 大于 超过 最少 不低于 不少于 起码 贵于 不小于 不便宜于 高过 "
    "贵过 多过 大过 最低 下限 起步价",
    ABOUT: "大概 大约 差不多 约 接近 约莫 估摸 将近 临近 快到 约合 约为",
    OR_LESS: "以内 以下 之内 之下 内 封顶 为限 不到 以里 预算 的预算 能买 能买到 够买 买得到 "
    "搞定 拿下 能拿下 能搞定 顶天 撑死 打住 上限 为上限 一下 已内 已下 只有 手头",
    OR_MORE: "以上 之上 起 起步 往上 朝上 开外 打底 起跳 及以上 或以上 往上走 不止 朝上走 已上",
    OR_SO: "左右 上下 前后 上下浮动 附近 样子 的样子 光景 差不多 这个价 这个价位 这个价格 "
    "档 档位 浮动",
    OR_A_BIT: "出头 挂零",
    AND_SOME: "来 把",
    AND_ODD: "多 几",
    BETWEEN: "介于",
    BETWEEN_AFTER: "之间 间 中间",
    TO: "到 至",
    NOT: "不要 不想要 不想 不含 不带 不是 别 别要 不考虑 除了 除 非 没有 不用 不喜欢 排除 去掉 "
    "拒绝 避开 不需要 讨厌 厌恶 反感 不爱 不喜 不中意 受不了 看不上 不接受 不能接受 "
    "接受不了 谢绝 杜绝 "
    "抵制 剔除 屏蔽 过滤 过滤掉 刨除 刨去 除去 除开 去除 跳过 无需 不必 不加 不放 没有用 "
    "不能有 不可以有 "
    "不想看 不想看到 不看 不选 不买 不想买 不打算买 不太喜欢 不太想要 不怎么喜欢 最讨厌 "
    "看腻 看腻了 用腻了 吃腻了 千万别 千万不要 可别 绝不要 坚决不要 拒收 勿 勿要 不能是 "
    "不可以是 别是 别带 "
    "别含 别选 别推 别推荐 不推荐 不许 禁止 拉黑 排雷 避雷",
    EXCEPT_AFTER: "以外 之外 除外 就算了 算了 就免了 免了 免谈 勿推 勿扰 勿荐 退散 走开 "
    "过敏 不行 不可以 不合适 "
    "不好看 就别 就别来 就别推 就别了 就不用 就不用了 就不必 就不必了 就不考虑 不在考虑",
    EXCEPT_END: "外",
    OR: "或 或者 还是 或是",
    EITHER: "都可以 都行 都成 都好 都能接受 皆可 均可 二选一 任选 哪个都行 哪种都行",
    AND: "和 与 及 跟 以及 、 又 且 并且 而且 还要 也 也要 还得 同时 外加 加上",
    CHEAP: "最便宜 便宜 便宜点 便宜一点 便宜些 实惠 价格最低 从低到高 从便宜到贵 便宜到贵 "
    "最低价 性价比 性价比高 性价比最高 高性价比 性价比好 划算 最划算 价格低 越便宜越好 "
    "最省钱 省钱 最经济 "
    "经济实惠 平价 低价 白菜价 便宜大碗 物美价廉 价廉物美 价廉 物超所值 最实惠 更便宜 "
    "先看便宜的 便宜货",
    DEAR: "最贵 价格最高 从高到低 从贵到便宜 最高价 价格高 "
    "贵的先 贵的优先 贵的在前 贵的排前面 贵的排前 先看贵的 从贵的 贵到便宜 越贵越好 "
    "高价优先 最高档",
    POPULAR: "热门 热销 畅销 爆款 最火 销量最高 销量高 按销量 卖得最好 卖的最好 卖得好 卖的好 好卖 "
    "最受欢迎 受欢迎 最多人买 销量好 销量最好 销量大 卖得最多 卖的最多 卖得多 卖得火 卖得最火 卖爆 "
    "人气 人气高 人气最高 最热门 热卖 热卖榜 热销榜 爆品 网红 网红款 最热 热度 热度最高 "
    "按热度 按人气 大家都在买 "
    "大家都买 大家都在用 大家都说好 大家买 买的人多 买的人最多 买得最多 很多人买 多人买 "
    "最多人用 回购率高 回头客多 "
    "回购多 最抢手 抢手 排行榜 榜单 榜首 销冠 销量冠军 销量第一 销量排行 销量排名 销量榜 "
    "按销量排 销量优先 "
    "卖最好 卖的最火 卖得最快 最畅销 最热销 最流行 流行 火爆 大热 爆火",
    VAGUE: "别太贵 不要太贵 不太贵 不贵 太贵 新款 最新款 最新 新品 新出 刚上市 好评 "
    "好评率 好评最多 口碑 口碑好 评价 评价好 评价高 评分 评分高 评分最高 打折 促销 包邮",
    FILLER: "的 了 吗 呢 吧 啊 呀 嘛 哦 我 你 您 我们 给 给我 帮 帮我 请 请问 麻烦 想 要 想要 "
    "想买 需要 找  "
    "找找 买 来 看看 看 推荐 推荐一下 介绍 有没有 有 有什么 哪些 什么 多少钱 能 可以 能不能 买到 "
    "东西 产品  "
    "商品 用品 用的 用 是 会 比较 味 味的 价格 价钱 价位 在 之间 间 对 适合 那种 这种 就 行 的话 "
    "品牌 牌子 牌  "
    "色 颜色 一款 一双 一个 一件 一瓶 一条 一只 一台 一支 一本 一套 一些 一点 一下 款 双 个 件 瓶 "
    "条 只 台 支 本 些 点 种 既 而 但 但是 不过 都 都可以 都行 按 排序 最好 帮忙 们 钱 类 "
    "类的 那 这 很 更 做 当 送 从 即可 别的 别家 其他 其它 其他的 其它的 其余 其余的 剩下的 另外的 "
    "有木有 滴 推 求 求推荐 安利 换 换个 来个 来点 入手 一定 一定要 必须 "
    "弄 弄个 整 整个 整一个 搞 搞个 囤 囤点 囤些 囤货 入 入个 收 蹲 蹲个 求个 求一个 求一款 "
    "求安利 来一款 来一个 来双 来条 来瓶 "
    "老板 亲 亲亲 亲爱的 店家 掌柜 客服 你好 您好 谢谢 谢啦 感谢 拜托 可否 能否 是否 有无 "
    "有啥 啥 哪款 哪种 哪个 哪家 "
    "谁家 咱 俺 帮我找 帮我找找 找个 找款 找一款 挑 挑个 挑一款 选 选个 选一款 看中 一把 "
    "一盒 一包 一袋 一张 一顶 一副 一块 "
    "一罐 一桶 一箱 一床 两个 两件 两双 几个 几款 几件 想入 想入手 准备买 打算买 打算 准备 "
    "想找 想选 想看 想看看 希望 最好是 "
    "最好能 尽量 优先 先 的那种 那款 这款 此款 主题 主题的 风 风格 系 系列 材质 质地 口味 "
    "口味的 款式 版 呗 咯 喽 "
    "噢 哈 哈哈 嗯 唉 诶 话说 顺便 另外 然后 再 再来 就要 就是 就好 就可以 只要 只看 只想要 "
    "只考虑 单要 认准 得 得是 得要 需 "
    "须 要求 家的 家 出的 产的 吧台 呢吧 随便 随便看看 哪里 怎么 如何 多少 请推荐 给推荐 "
    "推荐个 推荐款 推荐点 介绍下 看下",
}

_ENGLISH = {
    AT_MOST: "under|below|less than|cheaper than|up to|at most|no more than|not more than|max|"
    "maximum|maximum of|max of|within|budget|budget of|budget is|my budget is|not over|not above|"
    "no higher than|lower than|beneath|not exceeding|no over|fewer than|"
    "doesn t exceed|does not exceed|don t exceed|not exceed|on a budget of|a max of|sub|"
    "cap of|capped at|limit|limit of|ceiling|ceiling of|shy of|no pricier than|"
    "keep it under|"
    "i only have|i have only|only have|cheaper then|less then",
    AT_LEAST: "over|above|more than|at least|from|min|minimum|minimum of|no less than|"
    "not less than|not under|not below|starting at|starting from|upwards of|higher than|exceeding|"
    "dearer than|pricier than|north of|more then",
    ABOUT: "around|about|approximately|approx|roughly|circa|nearly|close to|some where around|"
    "near|somewhere near|some where near|somewhere around|in the region of|in the ballpark of|"
    "ballpark|something like|say|near to|approximately around",
    OR_LESS: "or less|or under|or below|max|maximum|or cheaper|at most|tops|budget|to spend|"
    "limit|cap|ceiling|at the most|or lower",
    OR_MORE: "or more|or over|or above|and up|and above|min|minimum|or higher|at least|"
    "upwards|or dearer|plus",
    OR_SO: "or so|ish|give or take",
    BETWEEN: "between",
    TO: "to|till|until",
    NOT: "not|no|without|except|except for|excluding|exclude|other than|apart from|rather than|"
    "avoid|anything but|nothing|don t want|do not want|don t like|do not like|don t need|never|"
    "neither|nor|isn t|is not|aren t|are not|no more|minus|hate|"
    "free from|free of|sans|stay away from|keep away from|steer clear of|away from|don t|"
    "doesn t|does not|do not|won t|will not|has no|have no|with no|hates|dislike|dislikes|"
    "detest|skip|skipping|leave out|leaving out|hold the|omit|allergic to|"
    "not a fan of|no need for|instead of|but not|anything except|everything except|all except|"
    "everything but|all but|save for|besides|can t stand|cannot stand|doesn t like|does not like|"
    "doesn t want|sick of|fed up with|tired of|exclude the",
    BUT: "but",
    ANY: "any|anything|all|everything|whatever|every",
    WITHOUT_AFTER: "free",
    EXCEPT_AFTER: "excluded|pass",
    OR: "or|either",
    AND: "and|plus|as well as|&",
    CHEAP: "cheapest|cheap|budget|lowest price|lowest priced|least expensive|price low to high|"
    "price from low to high|low to high|by price|inexpensive|sorted by price|cheapest first|"
    "cheaper|affordable|on a budget|tight budget|on a tight budget|low budget|low cost|"
    "won t break the bank|easy on the wallet|best value|good value|value for money|"
    "bang for the buck|"
    "bang for my buck|budget friendly|economical|lowest first|cheap to expensive|cheap first|"
    "low price first|ascending price|price ascending|bargain|lowest cost|"
    "cheapest to dearest|cheapest to most expensive",
    DEAR: "most expensive|priciest|dearest|highest price|highest priced|price high to low|"
    "price from high to low|high to low|most expensive first|"
    "price descending|descending price|expensive first|dearest first|priciest first|"
    "expensive to cheap|highest first",
    POPULAR: "popular|most popular|best selling|best seller|best sellers|bestselling|bestseller|"
    "bestsellers|top selling|top rated|trending|most bought|favourite|favorite|"
    "top seller|top sellers|hottest|most loved|everyone s buying|everybody s buying|"
    "everyone is buying|most sold|by popularity|selling best|sells best|sell best|"
    "number of sales|by sales|bestsellers first|crowd favourite|crowd pleaser|in demand",
    VAGUE: "not too expensive|not expensive|too expensive|not too pricey|reasonably priced|"
    "newest|latest|new arrivals|just released|best reviewed|well reviewed|good reviews|"
    "best reviews|reviews|ratings|highly rated|on sale|discounted|free shipping|free delivery|"
    "free of charge|for free",
    FILLER: "a|an|the|i|i m|im|i am|i d|we|me|my|you|your|it|its|want|wants|need|needs|look|"
    "looking|look for|looking for|for|please|can|could|would|like|show|find|give|get|buy|some|"
    "something|with|in|of|that|which|who|is|are|be|to|on|at|by|as|this|these|those|there|"
    "what|how|have|has|"
    "do|does|good|nice|great|best|better|product|products|item|items|stuff|thing|things|goods|"
    "brand|brands|brand is|color|colour|colors|colours|coloured|colored|price|priced|prices|"
    "cost|costs|costing|made|made by|really|just|also|too|very|so|any kind of|kind of|sort of|"
    "search|search for|help|thanks|thank|hi|hello|one|ones|then|ideally|preferably|maybe|"
    "recommend|suggest|range|in the range of|spend|pay|money|each|only|should|must|will|if|"
    "a gift|a present|present|gift idea|gift ideas|as a gift|gift under|idea|ideas|in stock|"
    "available|on the market|pack of|a pack of|pair of|a pair of|bottle of|a bottle of|bag of|"
    "box of|a box of|piece of|suitable for|suited for|ideal for|perfect for|made of|made from|"
    "comes in|that comes in|preferably|right now|today|option|options|"
    "don t mind|doesn t matter|don t care|do not mind|does not matter|do not care|no matter|"
    "no preference|possible|other|others|else|am|us|her|him|his|she|he|they|them|whose|"
    "gift for|from|w",
}

_SIGNS = {
    BREAK: ", ; . ! ? 。 ： : ( ) 「 」 | \n",
    TO: "- ~ – — −",
    OR: "/",
    AND: "、 & +",
    OR_MORE: "+",
    CURRENCY: "¥ $ £ €",
    AT_MOST: "< ≤",
    AT_LEAST: "> ≥",
}


_PRICE_WORDS = ("价格", "价钱", "价位", "售价", "单价", "价", "")
_ORDERS = {
    CHEAP: "从低到高 由低到高 低到高 从低往高 由低至高 从低至高 升序 低的优先 低优先 低的先 "
    "低者优先 低的在前 "
    "低的排前面 低的排前 最低的优先",
    DEAR: "从高到低 由高到低 高到低 从高往低 由高至低 从高至低 降序 高的优先 高优先 高的先 "
    "高者优先 高的在前 "
    "高的排前面 高的排前 倒序",
}
"""How an order is put, behind a word for the price or without one."""


def _phrases() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every Chinese function word with its role, as atoms."""
    for words in (_CHINESE, _SIGNS):
        for role, text in words.items():
            yield from ((role, tuple(word)) for word in text.split(" ") if word)
    for role, text in _ORDERS.items():
        for price, order in itertools.product(_PRICE_WORDS, text.split()):
            if price or len(order) > 1:
                yield role, tuple(price + order)


def role_table(currencies: Mapping[str, str]) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """The roles of each function word, which is a tuple of atoms; most have one role."""
    table: dict[tuple[str, ...], dict[str, None]] = {}
    for role, atoms in _phrases():
        table.setdefault(atoms, {})[role] = None
    for role, text in _ENGLISH.items():
        for phrase in text.split("|"):
            table.setdefault(tuple(phrase.split()), {})[role] = None
    for word in currencies:
        atoms = (word,) if word.isascii() else tuple(word)
        table.setdefault(atoms, {})[CURRENCY] = None
    return {atoms: tuple(roles) for atoms, roles in table.items()}
