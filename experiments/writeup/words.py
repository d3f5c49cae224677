"""The words that the site's own parts write, in both languages."""

WORDS = {
    "en": {
        "claim": "Claim",
        "verdict": "Verdict",
        "rule": "Rule, history, command",
        "derivation": "Derivation and discussion",
        "training": "Training",
        "more": "More on this",
        "colon": ": ",
        "condition": "Condition",
        "counterexample": "Counterexample",
        "measurement": "Measurement",
        "value": "Value [95% interval]",
        "seeds": "Seeds",
        "predicted": "Predicted",
        "source": "Where it comes from",
        "command": "Reproduce it",
        "code": "The code that computes it",
        "numbers": "Measured against predicted",
        "topic": "Topic",
        "straddling": "Intervals that straddle their bound: ",
        "undecided": "undecided",
        "changed": "{}, {}: ",
        "stop": ". ",
        "history": "What changed after the first measurement",
        "searches": "How the learning rates were chosen",
        "rate": "Rate chosen",
        "rates": "Rates tried and mean scores",
        "fits": "How far the networks were trained",
        "state": "State",
        "train-accuracy": "Training accuracy",
        "remaining": "Last fifth's share of the loss's fall",
        "state-fits": "fits",
        "state-plateau": "state-plateau",
        "state-unfinished": "neither fits nor on a plateau",
        "state-not finite": "state-not finite",
        "unconvincing": "Undecided because a training neither fits nor is on a plateau: ",
        "written-for": "This page was written for another verdict: ",
        "same": "Same verdict in {} of {} seed sets and {} of {} instruction sets.",
        "published": "Published numbers",
        "theirs": "Published",
        "ours": "Here [95% interval]",
        "agrees": "Agrees",
        "met": "yes",
        "not met": "no",
        "checked": "Checked",
        "against the paper's text": "against the paper's text",
        "against the authors' tables": "against the authors' tables",
        "not checked": "not checked",
        "decided": "Decided by [95% interval]",
        "holds": "holds",
        "holds-if": "holds if",
        "fails": "fails",
        "rule-change": "rule",
        "settings-change": "settings",
        "sample-change": "sample",
        "exact": "exact",
        "unfold": "Show the pages below",
        "static": "Scripts are off: this picture stands still.",
    },
    "zh": {
        "claim": "论断",
        "verdict": "结论",
        "rule": "规则、改动与命令",
        "derivation": "推导与讨论",
        "training": "训练",
        "more": "展开细说",
        "colon": "：",
        "condition": "成立条件",
        "counterexample": "反例",
        "measurement": "测量量",
        "value": "数值 [95% 区间]",
        "seeds": "种子数",
        "predicted": "预测值",
        "source": "来源",
        "command": "复现命令",
        "code": "相关代码",
        "numbers": "测量值与预测值",
        "topic": "主题",
        "straddling": "区间跨越界限的判据：",
        "undecided": "无法判定",
        "changed": "{}，{}：",
        "stop": "。",
        "history": "首次测量之后的改动",
        "searches": "学习率如何选出",
        "rate": "选定的学习率",
        "rates": "试过的学习率与平均得分",
        "fits": "网络训练到什么程度",
        "state": "状态",
        "train-accuracy": "训练准确率",
        "remaining": "最后五分之一占损失降幅的比例",
        "state-fits": "拟合",
        "state-plateau": "平台期",
        "state-unfinished": "既未拟合也未到平台期",
        "state-not finite": "非有限",
        "unconvincing": "因训练既未拟合也未到平台期而无法判定：",
        "written-for": "本页文字是为另一结论写的：",
        "same": "{}/{} 组种子、{}/{} 套指令集下结论相同。",
        "published": "已发表的数字",
        "theirs": "已发表",
        "ours": "本处 [95% 区间]",
        "agrees": "是否一致",
        "met": "是",
        "not met": "否",
        "checked": "核对",
        "against the paper's text": "已对照论文原文",
        "against the authors' tables": "已对照作者的表格",
        "not checked": "未核对",
        "decided": "决定性测量 [95% 区间]",
        "holds": "成立",
        "holds-if": "有条件成立",
        "fails": "不成立",
        "rule-change": "规则",
        "settings-change": "设置",
        "sample-change": "样本",
        "exact": "精确",
        "unfold": "展开下级页面",
        "static": "脚本已关闭：此图为静态图。",
    },
}


# Why to believe a verdict: a title and a line each, whose numbers `front.trust` fills in.
TRUST = {
    "en": {
        "rules": (
            "The rule comes first.",
            "Code derives each verdict from {criteria} written criteria, and decides each by an interval twice as wide as the "
            "one shown. All {changes} later changes of rules, settings and samples are listed with date and reason.",
        ),
        "agreement": (
            "Other seeds, same verdict.",
            "{same} of {claims} claims have one verdict in all {seeds} seed sets and under {arithmetics} instruction sets. The "
            "chance that sampling made any verdict wrong is at most {rate}.",
        ),
        "one-set": (
            "The chance of a wrong verdict is bounded.",
            "That sampling made any of them wrong has a chance of at most {rate}. So far one set of seeds is measured by "
            "today's rules.",
        ),
        "published": (
            "Set beside papers.",
            "{agreeing} of {published} numbers that papers publish agree with those measured here; where one does not, the "
            "page says so.",
        ),
    },
    "zh": {
        "rules": (
            "规则在先。",
            "每条结论都由代码按事先写下的 {criteria} 条判据得出，判定所用的区间比所示的宽一倍。"
            "规则、设置和样本后来的 {changes} 处改动，都附有日期和原因。",
        ),
        "agreement": (
            "换种子，结论不变。",
            "{claims} 条论断中有 {same} 条在全部 {seeds} 组种子、{arithmetics} 套指令集下结论相同。"
            "抽样使任何一条结论出错的概率至多为 {rate}。",
        ),
        "one-set": ("出错的概率有上界。", "抽样使任何一条结论出错的概率至多为 {rate}。目前只有一组种子是按现行规则测量的。"),
        "published": (
            "与论文对照。",
            "论文中的 {published} 个数字，有 {agreeing} 个与这里测得的一致；不一致之处，页面上都会说明。",
        ),
    },
}

# The moving picture of the front page.
PROFILE = {
    "en": {
        "title": "How large is the gradient on its way back? Move the sliders; the page computes it by mean-field theory.",
        "activation": "Activation",
        "activations": {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "leaky_relu": "leaky ReLU"},
        "shortcut": "Shortcut",
        "shortcuts": {"none": "none", "plain": "x + F(x)", "scaled": "x + F(x)/√L"},
        "weights": "Weight variance × width:",
        "depth": "Layers:",
        "first": "first layer",
        "last": "last layer,",
        "play": "▶ Sweep the weights",
        "stop": "■ Stop",
        "vanishes": "Vanishes: times {layer} per layer; after {depth} layers {ratio} of the gradient is left.",
        "explodes": "Explodes: times {layer} per layer; after {depth} layers the gradient has {ratio} times its size.",
        "arrives": "Arrives: times {layer} per layer; after {depth} layers the gradient has {ratio} times its size.",
    },
    "zh": {
        "title": "梯度在返回途中有多大？拖动滑块，页面按平均场理论实时计算。",
        "activation": "激活函数",
        "activations": {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "leaky_relu": "leaky ReLU"},
        "shortcut": "残差捷径",
        "shortcuts": {"none": "无", "plain": "x + F(x)", "scaled": "x + F(x)/√L"},
        "weights": "权重方差 × 宽度：",
        "depth": "层数：",
        "first": "第一层",
        "last": "最后一层，",
        "play": "▶ 让权重变化",
        "stop": "■ 停止",
        "vanishes": "消失：每层使梯度变为 {layer} 倍，经过 {depth} 层只剩 {ratio}。",
        "explodes": "爆炸：每层使梯度变为 {layer} 倍，经过 {depth} 层变为 {ratio} 倍。",
        "arrives": "传到：每层使梯度变为 {layer} 倍，经过 {depth} 层变为 {ratio} 倍。",
    },
}


# The pages of kinds of finding.
KINDS = {
    "en": {
        "example": "An example",
        "repair": "What repairs it:",
        "why": "Why it matters",
        "fix": "What to do",
        "limits": "What is not seen",
        "thresholds": "Thresholds that can be set:",
        "behind": "Behind it",
        "rates": "Measured: named in {hits} of {of} programs with this fault ({share}, 95% interval {low} to {high}), and in "
        "{alarms} of {healthy} readings of programs without a fault.",
    },
    "zh": {
        "example": "例子",
        "repair": "这样修正：",
        "why": "为什么要紧",
        "fix": "怎么办",
        "limits": "看不到什么",
        "thresholds": "可以设置的阈值：",
        "behind": "依据",
        "rates": "实测：{of} 个有此错误的程序中，{hits} 个被指出（{share}，95% 区间 {low} 至 {high}）；"
        "{healthy} 次对无错程序的读取中，{alarms} 次误报。",
    },
}


# The table of published rates.
PEERS = {
    "en": {
        "tool": "Tool",
        "rate": "Share of",
        "share": "Measured",
        "on": "On",
        "by": "By",
        "comma": "; ",
        "detected": "faulty programs with any finding",
        "named": "faulty programs whose fault is named",
        "located": "faulty programs whose layer is named",
        "alarm": "programs without a fault that have a finding",
        "authors": "its authors",
        "peers": "authors of another tool",
        "independent": "others",
    },
    "zh": {
        "tool": "工具",
        "rate": "比例",
        "share": "实测",
        "on": "对象",
        "by": "测量者",
        "comma": "；",
        "detected": "有任何诊断的有错程序",
        "named": "错误被正确指出的有错程序",
        "located": "出错层被指出的有错程序",
        "alarm": "被误报的无错程序",
        "authors": "作者本人",
        "peers": "其他工具的作者",
        "independent": "第三方",
    },
}


def site_language(config) -> str:
    """`en` or `zh`, as claims and charts name it."""
    return "zh" if config.language.startswith("zh") else "en"


def words(config) -> dict[str, str]:
    """Returns the words of the language that is built."""
    return WORDS[site_language(config)]
