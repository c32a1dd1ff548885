"""Other names of everyday goods, for a shopper who says one that the catalogue does not use.

They are words of the language, of whatever shops sell, not of one shop. A name is looked up here
only where nothing in the catalogue holds it, and what it was read as is shown like a slip: it can
be taken off. Names in a line are each other's; a line may hold both languages.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedguide.guide.vocabulary import Key, key_of

_GROUPS = """
跑鞋|跑步鞋|运动鞋|球鞋|慢跑鞋|running shoes|trainers|sneakers|joggers|runners
靴子|登山靴|登山鞋|徒步鞋|hiking boots|walking boots|trekking boots
拖鞋|凉拖|人字拖|slippers|flip flops
登山包|双肩包|背包|书包|户外包|徒步包|backpack|rucksack|knapsack|daypack
行李箱|拉杆箱|旅行箱|suitcase|luggage|trolley case
帐篷|露营帐|野营帐|tent
睡袋|sleeping bag
T恤|短袖|体恤|汗衫|t shirt|tee|tshirt
袜子|袜|短袜|socks
瑜伽垫|瑜珈垫|健身垫|yoga mat|exercise mat
登山杖|手杖|trekking poles|walking sticks|hiking poles
外套|夹克|风衣|jacket|coat
毛衣|羊毛衫|针织衫|套头衫|sweater|jumper|pullover
牛仔裤|jeans|denims
帽子|鸭舌帽|cap|hat
咖啡豆|咖啡|coffee beans|coffee
绿茶|茶叶|龙井|green tea
坚果|果仁|干果|mixed nuts|nuts
燕麦片|燕麦|麦片|oatmeal|oats|porridge
橄榄油|olive oil
黑巧克力|黑巧|dark chocolate
饼干|曲奇|biscuits|cookies
蜂蜜|honey
糖果|sweets|candy
纸尿裤|尿不湿|尿裤|尿片|尿布|拉拉裤|diapers|nappies|nappy|diaper
湿巾|湿纸巾|wet wipes|wipes
奶瓶|奶壶|baby bottle|feeding bottle
米粉|米糊|婴儿米粉|辅食米粉|rice cereal|baby cereal
连体衣|哈衣|爬服|爬爬服|baby bodysuit|onesie|romper|babygro
积木|拼搭积木|building blocks|building bricks|toy blocks
婴儿车|推车|童车|pram|stroller|pushchair|buggy
保温杯|水杯|杯子|水壶|热水杯|保温壶|thermos cup|thermos|flask|vacuum flask|insulated bottle
|insulated mug
马克杯|陶瓷杯|咖啡杯|ceramic mug|mug
炒锅|炒菜锅|铁锅|wok
平底锅|煎锅|frying pan|skillet
蜡烛|香烛|香薰|candle
床品四件套|四件套|床上用品|床单被套|被套|bedding set|bedding|bed linen|bed sheets|duvet set
洗衣液|洗衣剂|洗衣精|laundry liquid|laundry detergent|washing liquid|detergent
收纳盒|收纳箱|整理箱|储物盒|储物箱|整理盒|storage box|storage bin|organiser|organizer
毛巾|浴巾|towel
耳机|耳塞|earphones|headphones|earbuds|headset|ear buds|ear phones
键盘|keyboard
鼠标|滑鼠|mouse
充电宝|移动电源|power bank|powerbank|portable charger|battery pack
手环|运动手环|腕带|fitness band|fitness tracker|activity tracker|wristband
手表|腕表|watch
数据线|充电线|连接线|传输线|usb cable|charging cable|usb cord|charger cable
台灯|桌灯|书桌灯|阅读灯|desk lamp|reading lamp|table lamp|desk light
音箱|音响|喇叭|speaker|loudspeaker
手机壳|保护壳|手机套|phone case|phone cover
面霜|润肤霜|乳霜|脸霜|保湿霜|face cream|moisturiser|moisturizer|facial cream
洗发水|洗发露|洗发液|香波|洗头水|洗头膏|shampoo|hair wash
护发素|润发乳|conditioner
沐浴露|沐浴乳|沐浴液|shower gel|body wash
口红|唇膏|唇釉|唇彩|lipstick|lip colour|lip color
防晒霜|防晒乳|防晒|隔离霜|sunscreen|sunblock|sun cream|suncream|sun lotion
面膜|面贴膜|face mask|facial mask|sheet mask
电动牙刷|electric toothbrush|powered toothbrush
牙膏|toothpaste
香水|perfume|fragrance|eau de toilette
猫粮|猫食|猫饲料|cat food|kitty food
狗粮|犬粮|狗食|狗饲料|dog food|puppy chow
猫砂|猫沙|cat litter|kitty litter
猫抓板|抓板|磨爪板|猫爬架|cat scratcher|scratching post|scratch pad|scratching board
牵引绳|狗绳|遛狗绳|狗链|狗链子|拴狗绳|dog leash|dog lead|leash
宠物零食|猫零食|狗零食|猫条|pet treats|pet snacks|cat treats|dog treats
笔记本|本子|记事本|笔记簿|日记本|notebook|notepad|journal|exercise book
钢笔|墨水笔|水笔|fountain pen|ink pen
中性笔|签字笔|水性笔|走珠笔|gel pens|rollerball pens|rollerballs
铅笔|pencil
绘本|图画书|图画本|故事书|童书|picture book|story book|storybook|picturebook
拼图|puzzle|jigsaw puzzle|jigsaw
贴纸|贴画|手帐贴纸|手账贴|stickers|sticker
毛绒熊|毛绒玩具|泰迪熊|公仔|布娃娃|teddy bear|plush bear|cuddly toy|soft toy
防滑|止滑|不打滑|non slip|anti slip|slip resistant
轻量|轻便|轻巧|超轻|轻盈|轻薄|很轻|lightweight|light weight|featherweight
防水|不透水|防雨|防泼水|waterproof|water resistant|rainproof|watertight
透气|通风|不闷|不闷热|breathable|airy|ventilated
保暖|暖和|御寒|warm|thermal
可折叠|折叠|能折叠|折叠式|可收折|foldable|folding|folds|collapsible
耐磨|耐穿|hard wearing|hardwearing|abrasion resistant
减震|缓震|避震|减振|cushioned|shock absorbing|padded
有机|organic
无糖|不含糖|零糖|0糖|不加糖|不放糖|sugar free|no sugar|unsweetened
深烘|深度烘焙|深焙|重烘|dark roast
手工|手作|纯手工|手制|handmade|hand made|handcrafted
低脂|低脂肪|少脂|脱脂|low fat|reduced fat
礼盒装|礼盒|礼品装|礼物装|gift box|gift boxed|gift set|gift wrapped
即食|开袋即食|免煮|ready to eat
新生儿|初生儿|刚出生|newborn|new born
敏感肌|敏感皮肤|敏感肌肤|sensitive skin
柔软|软软|绵软|软和|soft|fluffy
防胀气|防胀|抗胀气|anti colic
无香|无味|没有香味|无香味|不香|fragrance free|unscented|scent free
益智|早教|智力开发|开发智力|educational|brain training
加厚|厚实|thick|extra thick|chunky
便携|方便携带|好携带|随身|portable|travel size
不粘|不沾|non stick|nonstick
纯棉|全棉|百分百棉|棉的|pure cotton|all cotton|100 cotton
北欧风|北欧|北欧风格|nordic|scandinavian|scandi
大容量|容量大|large capacity|big capacity
静音|安静|无声|不吵|quiet|silent|noiseless
不锈钢|不锈|stainless steel|stainless
复古|怀旧|古典|vintage|retro
降噪|消噪|主动降噪|noise cancelling|noise canceling|noise reduction|anc
快充|快速充电|闪充|充电快|fast charging|quick charge|quick charging|rapid charging|fast charge
无线|wireless|cordless
护眼|保护眼睛|保护视力|不伤眼|eye care|eye friendly|easy on the eyes
长续航|续航长|续航久|电池耐用|待机长|long battery|long lasting battery|long battery life
迷你|小巧|小型|袖珍|mini|compact|tiny|pocket sized
电竞|gaming|esports
编织|尼龙编织|braided|woven
保湿|补水|滋润|锁水|moisturising|moisturizing|hydrating
控油|去油|祛油|吸油|oil control|anti oil|mattifying
氨基酸|amino acid
哑光|雾面|亚光|磨砂|matte|matt
清爽|不油腻|不黏|fresh|refreshing|non greasy
美白|亮白|提亮|brightening|whitening
温和|不刺激|低刺激|gentle|mild
植物|草本|植萃|botanical|herbal|plant based
无谷|无谷物|不含谷物|grain free|no grain
幼年|幼猫|幼犬|奶猫|奶狗|kitten|puppy|kittens|puppies
除臭|去味|去异味|祛味|去臭|odour control|odor control|deodorising
三文鱼|鲑鱼|salmon
鸡肉|chicken
低尘|少尘|无尘|不扬尘|low dust|dust free
结实|牢固|坚固|扎实|sturdy|tough|strong
夜光|反光|发光|reflective|glow in the dark|glow|glows at night
方格|网格|格子|grid|squared|graph
点阵|点点|圆点|dotted|dot grid
水彩|水彩画|watercolour|watercolor
烫金|镀金|gilded|gold foil|gilt
硬面|硬壳|精装|硬皮|hardcover|hard cover|hardback
儿童|for children
太空|宇宙|星空|航天|space|outer space|galaxy
森林|丛林|树林|forest|woodland
家庭装|家用装|大包装|实惠装|量贩装|family pack|family size|value pack
组合装|套装|组合|多件装|bundle|multipack|combo
小号|小码|s size
大号|大码|加大|l size
升级版|升级款|加强版|upgraded|improved version
经典款|经典|classic
"""


def _by_name() -> Mapping[Key, tuple[Key, ...]]:
    named: dict[Key, dict[Key, None]] = {}
    for line in _GROUPS.replace("\n|", "|").strip().splitlines():
        keys = dict.fromkeys(key_of(name) for name in line.split("|"))
        for key in keys:
            named.setdefault(key, {}).update(dict.fromkeys(k for k in keys if k != key))
    return {key: tuple(others) for key, others in named.items()}


OTHERS: Mapping[Key, tuple[Key, ...]] = _by_name()
"""By name: the other names of it."""
