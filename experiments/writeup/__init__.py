"""The writeup: one static page a topic and a front page, in English and Chinese, every number from results."""

import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2

from experiments import files, rules
from experiments.formatting import format_measurement, format_number
from experiments.results import Results, figure_files

LANGUAGES = ("en", "zh")

TITLES = {
    "causes": {"en": "Why gradients vanish or explode", "zh": "梯度为什么会消失或爆炸"},
    "remedies": {"en": "Remedies", "zh": "如何缓解"},
    "residual": {"en": "Residual connections", "zh": "残差连接"},
    "normalization": {"en": "What normalisation does", "zh": "归一化的作用"},
    "saturation": {"en": "Why the sigmoid saturates", "zh": "sigmoid 为什么会饱和"},
    "norms": {"en": "BatchNorm against LayerNorm", "zh": "BatchNorm 与 LayerNorm 的区别"},
    "dropout": {"en": "Dropout", "zh": "Dropout"},
    "neurons": {"en": "Neurons and activations", "zh": "神经元与激活函数"},
    "pooling": {"en": "Pooling", "zh": "池化"},
    "invariance": {"en": "Translation invariance", "zh": "平移不变性"},
    "embedding": {"en": "Embeddings", "zh": "嵌入"},
}

WORDS = {
    "en": {
        "title": "Deep-learning interview notes, put to the test",
        "claim": "Claim", "verdict": "Verdict", "rule": "Rule, fixed before the measurement", "condition": "Condition",
        "counterexample": "Counterexample",
        "name": "Measurement", "value": "Value [95% interval]", "n": "Seeds", "unit": "Unit", "prediction": "Predicted",
        "source": "Source", "command": "Command", "made_with": "Made with", "undecided": "Undecided at this sample size",
        "holds": "holds", "holds-if": "holds if", "fails": "fails", "other": "中文", "all": "All topics", "seconds": "seconds",
    },
    "zh": {
        "title": "深度学习面试笔记：逐条检验",
        "claim": "论断", "verdict": "结论", "rule": "判定规则（测量之前确定）", "condition": "成立条件",
        "counterexample": "反例",
        "name": "测量量", "value": "数值 [95% 区间]", "n": "种子数", "unit": "单位", "prediction": "预测值",
        "source": "来源", "command": "命令", "made_with": "运行环境", "undecided": "样本量不足以判定",
        "holds": "成立", "holds-if": "有条件成立", "fails": "不成立", "other": "English", "all": "全部主题", "seconds": "秒",
    },
}  # fmt: skip


def build(out_dir: Path, topics: Sequence[Results]) -> None:
    """Writes `site/{en,zh}/TOPIC.html` and `index.html` from the results given, and the figures they show."""
    site = Path(out_dir) / "site"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"measurement": format_measurement, "number": format_number}
    pages = [_page(results) for results in topics]
    for language in LANGUAGES:
        shared = {"language": language, "words": WORDS[language], "titles": TITLES, "pages": pages}
        for page in pages:
            html = environment.get_template("topic.html").render(**shared, page=page)
            files.write_text(site / language / f"{page['topic']}.html", html)
        files.write_text(site / language / "index.html", environment.get_template("index.html").render(**shared))
    _copy_figures(Path(out_dir) / "figures", site / "figures", topics)


def _page(results: Results) -> dict:
    claims = rules.load_claims()
    entries = []
    for identifier, evidence in results.claims.items():
        claim = claims[identifier]
        judgement = rules.judge(claim, evidence.measurements)
        undecided = [criterion for criterion, outcome in judgement.outcomes.items() if outcome == "undecided"]
        figure = figure_files(identifier)[0]
        entries.append({"claim": claim, "judgement": judgement, "evidence": evidence, "undecided": undecided, "figure": figure})
    return {"topic": results.header["topic"], "header": results.header, "claims": entries}


def _copy_figures(source: Path, target: Path, topics: Sequence[Results]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for results in topics:
        for claim in results.claims:
            drawn = source / figure_files(claim)[0]
            if drawn.is_file():
                shutil.copyfile(drawn, target / drawn.name)


def _template(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
