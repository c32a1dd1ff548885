"""The grammar's own words: what bounds, refuses, joins and sorts, in Chinese and English.

Nothing here names a product: what is sold is the catalogue's to say (``vocabulary``).
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "layer layers tier tiers sheet sheets"
)
MEASURES = frozenset(_MEASURES.split())
"""What makes of an amount before it a quantity and no price, such as "3-6岁" and "2 people"."""

BETWEEN, TO = "between", "to"
NOT, BUT, ANY, WITHOUT_AFTER, EXCEPT_AFTER = "not", "but", "any", "without_after", "except_after"
EXCEPT_END = "except_end"
"""Ends what 除 began: "除米色外"."""

OR, AND = "or", "and"
CHEAP, DEAR, POPULAR = "price_asc", "price_desc", "popular"
CURRENCY, BREAK, VAGUE, FILLER = "currency", "break", "vague", "filler"

SORTS = (CHEAP, DEAR, POPULAR)
"""How the items of an answer can be ordered."""

_CHINESE = {
    AT_MOST: "不超过 不超 不高于 不多于 低于 少于 小于 最多 至多 不到 便宜于 预算 预算在 控制在 "
    "别超过 不要超过",
    AT_LEAST: "至少 高于 多于 大于 超过 最少 不低于 不少于 起码 贵于",
    ABOUT: "大概 大约 差不多 约 接近",
    OR_LESS: "以内 以下 之内 之下 内 封顶 为限 不到 以里 预算 的预算 能买 能买到 够买 买得到",
    OR_MORE: "以上 之上 起 起步 往上 朝上 开外",
    OR_SO: "左右 上下 前后 上下浮动",
    OR_A_BIT: "出头",
    AND_SOME: "来 把",
    AND_ODD: "多 几",
    BETWEEN: "介于",
    TO: "到 至",
    NOT: "不要 不想要 不想 不含 不带 不是 别 别要 不考虑 除了 除 非 没有 不用 不喜欢 排除 去掉 "
    "拒绝 避开 不需要",
    EXCEPT_AFTER: "以外 之外 除外 就算了 算了 就免了 免了 免谈",
    EXCEPT_END: "外",
    OR: "或 或者 还是 或是",
    AND: "和 与 及 跟 以及 、 又 且 并且 而且 还要 也 也要",
    CHEAP: "最便宜 便宜 便宜点 便宜一点 便宜些 实惠 价格最低 价格从低到高 价格由低到高 从低到高 "
    "从便宜到贵  "
    "价格低到高 最低价 性价比高 性价比最高 划算 最划算 价格低",
    DEAR: "最贵 价格最高 价格从高到低 价格由高到低 从高到低 从贵到便宜 价格高到低 最高价 价格高",
    POPULAR: "热门 热销 畅销 爆款 最火 销量最高 销量高 按销量 卖得最好 卖的最好 卖得好 卖的好 好卖 "
    "最受欢迎 受欢迎 最多人买 销量好 销量最好 销量大 卖得最多 卖的最多 卖得多 卖得火 卖得最火 卖爆 "
    "人气 人气高 人气最高 最热门",
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
    "类的 那 这 很 更 做 当 送 从 即可 别的 别家 其他 其它 其他的 其它的 "
    "有木有 滴 推 求 求推荐 安利 换 换个 来个 来点 入手 一定 一定要 必须",
}

_ENGLISH = {
    AT_MOST: "under|below|less than|cheaper than|up to|at most|no more than|not more than|max|"
    "maximum|maximum of|max of|within|budget|budget of|budget is|my budget is|not over|not above|"
    "no higher than|lower than|beneath|not exceeding|no over|fewer than",
    AT_LEAST: "over|above|more than|at least|from|min|minimum|minimum of|no less than|"
    "not less than|not under|not below|starting at|starting from|upwards of|higher than|exceeding",
    ABOUT: "around|about|approximately|approx|roughly|circa|nearly|close to|some where around",
    OR_LESS: "or less|or under|or below|max|maximum|or cheaper|at most|tops|budget|to spend",
    OR_MORE: "or more|or over|or above|and up|and above|min|minimum|or higher|at least|upwards",
    OR_SO: "or so|ish|give or take",
    BETWEEN: "between",
    TO: "to|till|until",
    NOT: "not|no|without|except|except for|excluding|exclude|other than|apart from|rather than|"
    "avoid|anything but|nothing|don t want|do not want|don t like|do not like|don t need|never|"
    "neither|nor|isn t|is not|aren t|are not|no more|minus|hate",
    BUT: "but",
    ANY: "any|anything|all|everything|whatever|every",
    WITHOUT_AFTER: "free",
    OR: "or|either",
    AND: "and|plus|as well as|&",
    CHEAP: "cheapest|cheap|lowest price|lowest priced|least expensive|price low to high|"
    "price from low to high|low to high|by price|inexpensive|sorted by price|cheapest first|"
    "cheaper|affordable",
    DEAR: "most expensive|priciest|dearest|highest price|highest priced|price high to low|"
    "price from high to low|high to low|most expensive first",
    POPULAR: "popular|most popular|best selling|best seller|best sellers|bestselling|bestseller|"
    "bestsellers|top selling|top rated|trending|most bought|favourite|favorite",
    VAGUE: "not too expensive|not expensive|too expensive|not too pricey|reasonably priced|"
    "newest|latest|new arrivals|just released|best reviewed|well reviewed|good reviews|"
    "best reviews|reviews|ratings|highly rated|on sale|discounted|free shipping",
    FILLER: "a|an|the|i|i m|im|i am|i d|we|me|my|you|your|it|its|want|wants|need|needs|look|"
    "looking|look for|looking for|for|please|can|could|would|like|show|find|give|get|buy|some|"
    "something|with|in|of|that|which|who|is|are|be|to|on|at|by|as|this|these|those|there|what|how|have|has|"
    "do|does|good|nice|great|best|better|product|products|item|items|stuff|thing|things|goods|"
    "brand|brands|brand is|color|colour|colors|colours|coloured|colored|price|priced|prices|"
    "cost|costs|costing|made|made by|really|just|also|too|very|so|any kind of|kind of|sort of|"
    "search|search for|help|thanks|thank|hi|hello|one|ones|then|ideally|preferably|maybe|"
    "recommend|suggest|range|in the range of|spend|pay|money|each|only|should|must|will|if|"
    "possible|other|others|else|am|us|her|him|his|she|he|they|them|whose|gift for|from|w",
}

_SIGNS = {
    BREAK: ", ; . ! ? 。 ： : ( ) 「 」 | \n",
    TO: "- ~ – — −",
    OR: "/",
    AND: "、 & +",
    CURRENCY: "¥ $ £ €",
    AT_MOST: "< ≤",
    AT_LEAST: "> ≥",
}


def role_table(currencies: Mapping[str, str]) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """The roles of each function word, which is a tuple of atoms; most have one role."""
    table: dict[tuple[str, ...], dict[str, None]] = {}
    for words in (_CHINESE, _SIGNS):
        for role, text in words.items():
            for word in text.split(" "):
                if word:
                    table.setdefault(tuple(word), {})[role] = None
    for role, text in _ENGLISH.items():
        for phrase in text.split("|"):
            table.setdefault(tuple(phrase.split()), {})[role] = None
    for word in currencies:
        atoms = (word,) if word.isascii() else tuple(word)
        table.setdefault(atoms, {})[CURRENCY] = None
    return {atoms: tuple(roles) for atoms, roles in table.items()}
