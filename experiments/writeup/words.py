"""The words that the site's own parts write, in both languages."""

WORDS = {
    "en": {
        "claim": "Claim",
        "verdict": "Verdict",
        "rule": "The rule that decides",
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
        "effect": "Margin",
        "straddling": "Intervals that straddle their bound",
        "undecided": "undecided",
        "history": "What changed after the first measurement",
        "searches": "How the learning rates were chosen",
        "rate": "Rate chosen",
        "rates": "Rates tried and mean scores",
        "decided": "Decided by [95% interval]",
        "holds": "holds",
        "holds-if": "holds if",
        "fails": "fails",
        "rule-change": "rule",
        "settings-change": "settings",
        "sample-change": "sample",
        "figure": "Figure",
        "exact": "exact",
        "unfold": "Show the pages below",
        "static": "Scripts are off: this picture stands still.",
    },
    "zh": {
        "claim": "论断",
        "verdict": "结论",
        "rule": "判定规则",
        "condition": "成立条件",
        "counterexample": "反例",
        "measurement": "测量量",
        "value": "数值 [95% 区间]",
        "seeds": "种子数",
        "predicted": "预测值",
        "source": "来源",
        "command": "复现命令",
        "code": "计算它的代码",
        "numbers": "测量值与预测值",
        "topic": "主题",
        "effect": "余量",
        "straddling": "区间跨越界限的判据",
        "undecided": "无法判定",
        "history": "首次测量之后的改动",
        "searches": "学习率如何选出",
        "rate": "选定的学习率",
        "rates": "试过的学习率与平均得分",
        "decided": "决定性测量 [95% 区间]",
        "holds": "成立",
        "holds-if": "有条件成立",
        "fails": "不成立",
        "rule-change": "规则",
        "settings-change": "设置",
        "sample-change": "样本",
        "figure": "图",
        "exact": "精确",
        "unfold": "展开下级页面",
        "static": "脚本已关闭：此图为静态图。",
    },
}


def site_language(config) -> str:
    """`en` or `zh`, as claims and charts name it."""
    return "zh" if config.language.startswith("zh") else "en"


def words(config) -> dict[str, str]:
    """Returns the words of the language that is built."""
    return WORDS[site_language(config)]
