"""The words of the synthetic market: departments, kinds of product, features, brands.

Every word stands in Chinese and in English; all brands are invented.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One meaning in both languages."""

    zh: str
    en: str


@dataclass(frozen=True)
class Kind:
    """A kind of product.

    Attributes:
        name: what it is called.
        price: a usual price in yuan.
        cycle_days: after how long it is bought again; 0 for things that last.
    """

    name: Word
    price: float
    cycle_days: int


@dataclass(frozen=True)
class Department:
    """Kinds of product that share features and brands."""

    name: Word
    kinds: tuple[Kind, ...]
    features: tuple[Word, ...]
    brands: tuple[Word, ...]


def _words(text: str) -> tuple[Word, ...]:
    return tuple(Word(*part.strip().split("|")) for part in text.split(";"))


def _kinds(text: str) -> tuple[Kind, ...]:
    rows = (part.strip().split("|") for part in text.split(";"))
    return tuple(Kind(Word(zh, en), float(price), int(cycle)) for zh, en, price, cycle in rows)


DEPARTMENTS = (
    Department(
        Word("运动户外", "Outdoor"),
        _kinds("越野跑鞋|Trail Running Shoes|420|0; 登山包|Hiking Backpack|330|0; 帐篷|Tent|600|0;"
               "速干T恤|Quick-dry T-shirt|110|120;"
               "瑜伽垫|Yoga Mat|120|0; 运动袜|Sports Socks|35|60"),
        _words("防滑|Non-slip; 轻量|Lightweight; 防水|Waterproof; 透气|Breathable; 保暖|Warm;"
               "可折叠|Foldable; 耐磨|Hard-wearing; 减震|Cushioned"),
        _words("云步|Cloudstep; 岭野|Ridgeway; 风原|Windplain"),
    ),
    Department(
        Word("食品饮料", "Food"),
        _kinds("咖啡豆|Coffee Beans|75|28; 绿茶|Green Tea|90|45; 坚果|Mixed Nuts|55|30;"
               "燕麦片|Oatmeal|32|25; 橄榄油|Olive Oil|85|50; 黑巧克力|Dark Chocolate|40|30"),
        _words("有机|Organic; 无糖|Sugar-free; 深烘|Dark Roast; 手工|Handmade; 低脂|Low-fat;"
               "礼盒装|Gift Box; 高山|High-mountain; 即食|Ready-to-eat"),
        _words("禾间|Grainfield; 晨露|Morning Dew; 石磨坊|Stone Mill"),
    ),
    Department(
        Word("母婴", "Baby"),
        _kinds("纸尿裤|Diapers|130|21; 婴儿湿巾|Baby Wipes|30|18; 奶瓶|Baby Bottle|65|0;"
               "辅食米粉|Rice Cereal|58|25;"
               "连体衣|Baby Bodysuit|75|90; 积木|Building Blocks|140|0"),
        _words("新生儿|Newborn; 敏感肌|Sensitive Skin; 柔软|Soft; 防胀气|Anti-colic;"
               "无香|Fragrance-free; 益智|Educational; 加厚|Thick; 便携|Portable"),
        _words("小星芽|Little Sprout; 暖熊|Warm Bear; 贝岛|Shell Isle"),
    ),
    Department(
        Word("家居厨房", "Home"),
        _kinds("保温杯|Thermos Cup|95|0; 炒锅|Wok|210|0; 香薰蜡烛|Scented Candle|60|45;"
               "床品四件套|Bedding Set|320|0;"
               "洗衣液|Laundry Liquid|45|35; 收纳盒|Storage Box|40|0"),
        _words("不粘|Non-stick; 纯棉|Pure Cotton; 北欧风|Nordic; 大容量|Large; 静音|Quiet;"
               "薰衣草|Lavender; 不锈钢|Stainless Steel; 复古|Vintage"),
        _words("木棠|Woodpear; 素里|Plainly; 灶台记|Hearthside"),
    ),
    Department(
        Word("数码", "Electronics"),
        _kinds("蓝牙耳机|Bluetooth Earphones|260|0; 机械键盘|Mechanical Keyboard|340|0;"
               "充电宝|Power Bank|130|0; 智能手环|Fitness Band|200|0; 数据线|USB Cable|28|150;"
               "台灯|Desk Lamp|150|0"),
        _words("降噪|Noise-cancelling; 快充|Fast Charging; 无线|Wireless; 护眼|Eye-care;"
               "长续航|Long Battery; 迷你|Mini; 电竞|Gaming; 编织|Braided"),
        _words("声谷|Sound Valley; 极点|Polepoint; 微光|Glimmer"),
    ),
    Department(
        Word("美妆个护", "Beauty"),
        _kinds("面霜|Face Cream|160|50; 洗发水|Shampoo|58|40; 口红|Lipstick|120|80;"
               "防晒霜|Sunscreen|95|45; 面膜|Face Mask|70|25; 电动牙刷|Electric Toothbrush|220|0"),
        _words("保湿|Moisturising; 控油|Oil-control; 氨基酸|Amino Acid; 哑光|Matte; 清爽|Fresh;"
               "美白|Brightening; 温和|Gentle; 植物|Botanical"),
        _words("花渡|Bloomferry; 沐野|Wildbath; 珂颜|Kera"),
    ),
    Department(
        Word("宠物", "Pets"),
        _kinds("猫粮|Cat Food|140|30; 狗粮|Dog Food|160|30; 猫砂|Cat Litter|48|20;"
               "猫抓板|Cat Scratcher|45|90; 牵引绳|Dog Leash|55|0; 宠物零食|Pet Treats|32|20"),
        _words("无谷|Grain-free; 幼年|For Kittens and Puppies; 除臭|Odour Control; 三文鱼|Salmon;"
               "鸡肉|Chicken; 低尘|Low-dust; 结实|Sturdy; 夜光|Reflective"),
        _words("毛团|Furball; 阿汪|Awoof; 猫邮局|Cat Post"),
    ),
    Department(
        Word("文具图书", "Stationery"),
        _kinds("笔记本|Notebook|30|60; 钢笔|Fountain Pen|110|0; 绘本|Picture Book|45|40;"
               "中性笔|Gel Pens|22|45; 拼图|Jigsaw Puzzle|85|0; 手账贴纸|Journal Stickers|18|30"),
        _words("方格|Grid; 点阵|Dotted; 水彩|Watercolour; 烫金|Gilded; 硬面|Hardcover;"
               "儿童|For Children; 太空|Space; 森林|Forest"),
        _words("纸舟|Paper Boat; 墨里|Inkmile; 星图社|Starmap"),
    ),
)  # fmt: skip
"""What is sold; 8 departments of 6 kinds, 8 features and 3 brands each."""

LOOKS = _words(
    "黑色|Black; 白色|White; 海军蓝|Navy; 浅灰|Light Grey; 樱粉|Pink; 墨绿|Dark Green;"
    "家庭装|Family Pack; 经典款|Classic; 升级版|Upgraded; 小号|Small; 大号|Large; 组合装|Bundle"
)
"""Words that every department uses and that say nothing about taste."""
