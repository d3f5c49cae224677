"""Pages as sources: a wrong name or a typed number fails the build, every sentence has its Chinese."""

import html
import pkgutil
import re
import shutil

import pytest
from babel.messages import pofile

from experiments import writeup
from experiments.study import mathematics, reference, results, rules, topics
from experiments.writeup import citation, digits, kinds, numbers
from experiments.writeup.mathml import mathml
from experiments.writeup.words import KINDS
from jaxnotes import diagnosis

WRONG = {
    "{number}`saturation.limits/rate-up`": "no measurement 'rate-up'",
    "{value}`residual.deep/accuracy`": "no claim 'residual.deep'",
    "{predicted}`saturation.limits/at-plus-infinity`": "which has none",
    "{setting}`saturation/depth`": "the setting 'saturation/depth'",
    "{claim}`saturation.slope`": "the claim 'saturation.slope'",
    "{said}`a phrase <saturation.steepness>`": "the claim 'saturation.steepness'",
    "The gain is 1.47.": "a number is typed, not measured: 'The gain is 1.47.'",
    "```{evidence} saturation.limits\n:code: jaxnotes.layers.linear.no_such\n```": "code of 'jaxnotes.layers.linear.no_such'",
}


@pytest.fixture
def out_dir(tmp_path, saturation_run, limits):
    """Results of one claim."""
    results.save(tmp_path, results.judged(saturation_run, {"saturation.limits": limits(rate=(1.25, 1.0, 1.5))}))
    (tmp_path / "figures").mkdir()
    return tmp_path


def built(tmp_path, out_dir, text: str, name: str = "index") -> str:
    """The page `text` as HTML, built as the site's pages are."""
    source = tmp_path / "source"
    shutil.copytree(writeup.HERE / "source", source, ignore=shutil.ignore_patterns("*.md"))
    for page, content in {"index": "", name: text}.items():
        (source / f"{page}.md").write_text(f"# A page\n\n{content}\n")
    options = {"jaxnotes_out_dir": out_dir, "suppress_warnings": "toc.not_included"}
    writeup._run_sphinx("html", source, tmp_path / "built", options)
    return (tmp_path / "built" / f"{name}.html").read_text()


def says(page: str, statement: str) -> bool:
    """Whether a page has a claim's sentence, its formulas as MathML."""
    parts = mathematics.FORMULA.split(statement)
    shown = (mathml(mathematics.to_latex(part), "inline") if i % 2 else part for i, part in enumerate(parts))
    return "".join(shown) in page.replace("’", "'")


def test_numbers_come_from_results(tmp_path, out_dir):
    page = built(
        tmp_path,
        out_dir,
        "It is {number}`saturation.limits/rate-right`, {value}`saturation.limits/rate-left` of "
        "{predicted}`saturation.limits/rate-left`, at width {setting}`saturation/width`, in 1998 and $x = 3$; "
        "{claim}`saturation.limits`",
    )
    text = re.sub(r"<[^>]+>", "", page)
    assert "It is 1.25 [1.00, 1.50], 1.25 of 1, at width 16, in 1998" in text
    assert says(page, rules.load_claims()["saturation.limits"].statement["en"])


def test_every_wrong_name_and_typed_number_fails_the_build(tmp_path, out_dir):
    with pytest.raises(writeup.BuildError) as refused:
        built(tmp_path, out_dir, "\n\n".join(WRONG))
    assert [message for message in WRONG.values() if message not in str(refused.value)] == []
    assert len(re.findall("(ERROR|WARNING):", str(refused.value))) == len(WRONG)


def test_years_are_no_measurements():
    assert not re.search(r"\d", digits._YEAR.sub("", "He et al. 2016, and in 1998."))
    assert re.search(r"\d", digits._YEAR.sub("", "a gain of 20.16, or 12016, or 2016.5"))


def test_numbers_have_a_true_minus_and_words_their_hyphen():
    text = "pre-activation of MNIST-1D: -0.5 [-1.2e-7, 3], 10^-5, -inf; rows 20-30"
    assert numbers.typographic(text) == "pre-activation of MNIST-1D: −0.5 [−1.2e−7, 3], 10^−5, −inf; rows 20-30"


def test_every_code_reference_of_the_pages_resolves():
    pages = "".join(page.read_text(encoding="utf-8") for page in (writeup.HERE / "source").glob("*.md"))
    names = " ".join(re.findall(r"^:code: (.+)$", pages, re.MULTILINE)).split()
    assert names
    assert [name for name in names if not is_function(name)] == []


def is_function(name: str) -> bool:
    try:
        return callable(pkgutil.resolve_name(name))
    except (ImportError, AttributeError):
        return False


def test_every_message_of_the_pages_has_its_chinese(tmp_path):
    writeup.extract_messages(tmp_path)
    missing = []
    for path in tmp_path.rglob("*.pot"):
        page = path.relative_to(tmp_path).with_suffix("")
        if page.parts[0] == "api":
            continue
        with open(writeup.HERE / "locale/zh_CN/LC_MESSAGES" / page.with_suffix(".po"), "rb") as file:
            known = {message.id: message.string for message in pofile.read_po(file)}
        with open(path, "rb") as file:
            wanted = list(pofile.read_po(file))
        for message in wanted:
            if message.id and not known.get(message.id) and _has_words(message.id):
                missing.append((str(page), message.id))
    assert not missing


def _has_words(message: str) -> bool:
    """Whether anything is left to translate beside formulas, roles and code; a formula of its own comes without dollars."""
    if re.search(r"\\[a-z]+", message) and "$" not in message and not re.search(r"[a-z]{3,} [a-z]{3,}", message):
        return False
    bare = re.sub(r"\$[^$]*\$|\{[a-z]+\}`[^`]*`|`[^`]*`|\\[A-Za-z]+", " ", message)
    return bool(re.search(r"[A-Za-z]{3,} [A-Za-z]{2,}", bare))


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_the_notes_answer_leads_to_every_claim_of_its_question(topic):
    page = (writeup.HERE / "source" / f"{topic}.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("## What the notes say\n")
    answer, _, _ = rest.partition("\n## ")
    phrases = re.findall(r"\{said\}`[^`<]*<([a-z.-]+)>`", " ".join(answer.split()))
    assert sorted(phrases) == sorted(rules.load_claims(topic))


def test_a_card_shows_its_question_and_hides_its_answer(tmp_path, out_dir):
    page = built(
        tmp_path,
        out_dir,
        "(saturation.limits)=\n## L\n\n:::{card}\n**Why?**\n\nBecause.\n:::\n\n{said}`so it goes <saturation.limits>`",
    )
    question, answer = re.search(r'<details class="question"><summary>(.*?)</summary>(.*?)</details>', page, re.DOTALL).groups()
    assert "Why?" in question and "Because." not in question and "Because." in answer and "Why?" not in answer
    (judged,) = results.load(out_dir, "saturation").claims.values()
    assert re.search(rf'<span class="said {judged.verdict}"><a [^>]*href="#saturation-limits"', page)


def test_a_kind_of_finding_has_all_that_the_library_knows_of_it(tmp_path, out_dir):
    page = built(tmp_path, out_dir, ":::{kind} saturated-units\n:::", "kinds/saturated-units")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).replace("’", "'").split())
    described = diagnosis.describe("saturated-units")
    for part in (described.what, described.why, described.fix, described.limits):
        assert part in text
    assert " ".join(described.example.split()) in text
    assert "- large = nn.initializers.normal(1.0) + large = nn.initializers.lecun_normal()" in text
    assert "saturated_units_share = 0.5" in text
    for claim in described.claims:  # which have no results here, so that no verdict stands beside them
        assert says(page, rules.load_claims()[claim].statement["en"])
    assert 'class="badge' not in page


def test_a_repair_shows_the_lines_that_it_changes():
    changes = diagnosis.describe("stale-statistics").diff.splitlines()
    assert changes[0] == "+ for _ in range(50):" and len(changes) == 2
    assert diagnosis.describe("linear-network").diff.count("nn.relu") == 3


@pytest.mark.parametrize("language", KINDS)
def test_measured_rates_are_said_in_numbers_of_the_file(language):
    counted = {"named": {"hits": 9, "of": 10, "low": 0.555, "high": 0.997}}
    measured = {"faults by kind": {"inputs": counted}, "alarms by kind": {"inputs": 2}, "healthy": {"alarm": {"of": 212}}}
    said = kinds.rates("inputs", measured, KINDS[language])
    expected = {"en": [9, 10, 90, 95, 56, 100, 2, 212], "zh": [10, 9, 90, 95, 56, 100, 212, 2]}
    assert [int(number) for number in re.findall(r"\d+", said)] == expected[language]
    assert kinds.rates("loss-spike", measured, KINDS[language]) == ""


def test_the_list_of_kinds_has_each_of_them():
    index = (writeup.HERE / "source" / "kinds" / "index.md").read_text(encoding="utf-8")
    groups = re.findall(r"^```\{kinds\} (\w+)$", index, re.MULTILINE)
    assert len(groups) == len({*groups}) and {*groups} == {diagnosis.describe(kind).group for kind in diagnosis.KINDS}


def test_the_prose_around_a_claim_is_written_for_the_verdict_of_the_reference():
    directive = re.compile(r"^:::\{evidence\} (\S+)\n(?::code: .*\n)?:written-for: (\S+)$", re.MULTILINE)
    pages = [page.read_text(encoding="utf-8") for page in (writeup.HERE / "source").glob("*.md")]
    written = {claim: verdict for page in pages for claim, verdict in directive.findall(page)}
    assert written.keys() == rules.load_claims().keys()
    topics = reference.read()["topics"].values()
    stored = {name: claim["verdict"] for topic in topics for name, claim in topic["claims"].items()}
    decided = {name: verdict for name, verdict in stored.items() if verdict != "undecided"}
    assert {name: written[name] for name in decided} == decided


def test_a_change_has_its_direction_in_words():
    pages = [page.read_text(encoding="utf-8") for page in (writeup.HERE / "source").glob("*.md")]
    catalogues = [page.read_text(encoding="utf-8") for page in (writeup.HERE / "locale").rglob("*.po")]
    said = [
        text for claim in rules.load_claims().values() for text in (*claim.condition.values(), *claim.counterexample.values())
    ]
    for texts, number in ((pages + catalogues, r"\{(?:value|number)\}"), (said, r"\{[\w-]+\}")):
        wrong = re.compile(rf"\bchang\w*\b[^.;:{{]*\bby\s+{number}|变化 ?{number}")
        assert not [found[0] for text in texts for found in wrong.finditer(" ".join(text.replace('"\n"', "").split()))]


def test_all_numbers_stand_under_their_claims_with_what_they_are(tmp_path, out_dir):
    page = built(tmp_path, out_dir, "(saturation.limits)=\n## A claim\n\n```{all-numbers}\n```")
    claim = mathematics.plain(rules.load_claims()["saturation.limits"].statement["en"])
    rows = [re.sub(r"\s*<[^>]+>\s*", " ", row).split() for row in re.findall("<tr.*?</tr>", page, re.DOTALL)]
    assert " ".join(rows[1]).startswith(html.escape(claim)) and "undecided" in rows[1]
    assert " ".join(rows[2]) == "saturation.limits/rate-right nats; law 1.25 [1.00, 1.50] 1 8"
    assert '<span lang="en">nats; law</span>' in page and len(rows) == 6


def test_names_on_the_page_of_numbers_are_those_of_measurements():
    page = (writeup.HERE / "source" / "numbers.md").read_text(encoding="utf-8")
    stored = reference.read()["topics"]
    names = re.findall(r"(?:[}\]x]\{|jx\(\")([a-z]+)(\.[a-z-]+)/([a-z0-9-]+)", page)
    assert len(names) == 4
    for topic, claim, name in names:
        assert name in stored[topic]["claims"][topic + claim]["measurements"]


def test_the_citation_is_that_of_the_file():
    people = [{"name": "The authors of x"}, {"family-names": "Noether", "given-names": "Emmy"}]
    stored = {
        "authors": people,
        "title": "x: a study",
        "version": "1.2",
        "repository-code": "https://x.org",
        "date-released": "2026-01-02",
    }
    assert citation.bibtex(stored).splitlines() == [
        "@misc{x,",
        "  author = {{The authors of x} and Noether, Emmy},",
        "  title = {{x: a study}},",
        r"  howpublished = {\url{https://x.org}},",
        "  note = {Version 1.2},",
        "  year = {2026},",
        "}",
    ]
    assert citation.sentence(stored) == "The authors of x, Noether, Emmy. x: a study. Version 1.2. https://x.org"
