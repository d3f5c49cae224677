"""The built site, from a quick run of all topics: as files, and in a real browser where there is one."""

import functools
import html
import http.server
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from experiments import writeup
from experiments.study import results, rules, topics
from jaxnotes import diagnosis

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
FIRST_VISIT = 1_500_000  # bytes
FRONT = ("index", "answers", "diagnose", "method", "glossary", "numbers", "cite", "references")
KINDS = tuple(f"kinds/{kind}" for kind in diagnosis.KINDS)
TUTORIALS = ("tutorials/diagnosis", *(f"tutorials/{topic}" for topic in topics.TOPICS))
PAGES = (*topics.TOPICS, *FRONT, "kinds/index", "kinds/stale-statistics")
WITH_CHARTS = ("causes", "remedies", "residual", "saturation", "normalization", "invariance", "embedding")


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory):
    """A quick run of everything."""
    folder = tmp_path_factory.mktemp("quick-run")
    command = [sys.executable, "-m", "experiments.reproduce", "--scale=quick", "--tutorials", f"--out_dir={folder}"]
    shown = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    assert shown.returncode == 0, shown.stdout[-3000:] + shown.stderr[-6000:]
    return folder


@pytest.fixture(scope="module")
def site(out_dir):
    return out_dir / "site"


class Page(HTMLParser):
    """Links, what a page loads, its anchors, and the text that a reader sees as prose."""

    CODE = ("pre", "code", "script", "style", "math", "svg", "noscript", "figcaption")

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.loads, self.anchors, self.prose, self._closed_to = [], [], set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.update(filter(None, (found.get("id"), found.get("name"))))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        self.loads += [found[name] for name in ("src", "data") if found.get(name)]
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon"):
            self.loads.append(found["href"])
        if tag in self.CODE or (found.get("lang", "zh").startswith("en") and tag != "html"):
            self._closed_to.append(tag)

    def handle_endtag(self, tag):
        if self._closed_to and self._closed_to[-1] == tag:
            self._closed_to.pop()

    def handle_data(self, data):
        if not self._closed_to and data.strip():
            self.prose.append(" ".join(data.split()))


@functools.cache
def parsed(path: Path) -> Page:
    return Page(path)


def html_files(site):
    return sorted(site.rglob("*.html"))


def test_every_claim_stands_on_its_page_in_both_languages_with_its_verdict(site, out_dir):
    for identifier, claim in rules.load_claims().items():
        verdict = results.load(out_dir, claim.topic).claims[identifier].verdict
        for language in writeup.LANGUAGES:
            page = (site / language / f"{claim.topic}.html").read_text(encoding="utf-8")
            section = page.partition(f'id="{identifier.replace(".", "-")}"')[2]
            assert re.search(rf'class="badge {verdict}"', section[:3000]), (identifier, language)


def test_links_and_anchors_resolve(site):
    broken = []
    for path in html_files(site):
        for link in parsed(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            exists = target.is_file()
            anchored = (
                not parts.fragment
                or not exists
                or (target.suffix != ".html" or unquote(parts.fragment) in parsed(target).anchors)
            )
            if not exists or not anchored:
                broken.append((path.name, link))
    assert not broken


def test_nothing_is_loaded_from_another_host(site):
    foreign = [(path.name, load) for path in html_files(site) for load in parsed(path).loads if urlsplit(load).netloc]
    assert not foreign
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(\s*[\"']?https?:", styles) and not re.findall(r"@import\s+[\"']?https?:", styles)


def test_every_page_has_its_policy_before_the_first_script(site):
    for path in html_files(site):
        head = path.read_text(encoding="utf-8").partition("<script")[0]
        assert 'http-equiv="Content-Security-Policy"' in head, path.name


def test_pictures_load_when_in_view_and_have_their_size_before(site):
    pages = [path.read_text(encoding="utf-8") for path in html_files(site) if path.stem in topics.TOPICS]
    pictures = [image for page in pages for image in re.findall(r"<img [^>]*claim-figure[^>]*>", page)]
    assert len(pictures) == 2 * len(rules.load_claims())
    for image in pictures:
        assert 'loading="lazy"' in image and re.search(r'width="\d+"', image) and re.search(r'height="\d+"', image)


@pytest.mark.parametrize("language", writeup.LANGUAGES)
def test_every_figure_has_its_caption_and_opens_at_full_size(site, language):
    found = {}
    for topic in topics.TOPICS:
        page = (site / language / f"{topic}.html").read_text(encoding="utf-8")
        for figure in re.findall(r'<figure class="[^"]*\bdrawn\b.*?</figure>', page, re.DOTALL):
            link, picture, alternative = (re.search(rf'{name}="([^"]+)"', figure)[1] for name in ("href", "src", "alt"))
            assert link == picture and (site / language / link).is_file()
            caption = re.search(r'<figcaption>\s*<p><span class="caption-text">([^<]+)</span>', figure)[1]
            found[Path(link).stem] = html.unescape(caption).replace("’", "'"), html.unescape(alternative)
    captions = {name.replace(".", "-"): claim.caption[language] for name, claim in rules.load_claims().items()}
    assert {name: caption for name, (caption, _) in found.items()} == captions
    assert all(caption.startswith(alternative) and caption != alternative for caption, alternative in found.values())


def test_chinese_pages_hold_no_untranslated_sentence(site):
    english = re.compile(r"(?:\b[A-Za-z]{2,}\b[ ,;:'’-]+){4,}\b[A-Za-z]{2,}")
    left = []
    for page in (*topics.TOPICS, "index", "answers", "glossary", "numbers", "kinds/index", *TUTORIALS, *KINDS):
        prose = parsed(site / "zh" / f"{page}.html").prose
        left += [(page, text) for text in prose if english.search(re.sub("《[^》]*》", "", text))]  # but for titles of papers
    assert not left


def formulas(path: Path) -> list[list[str]]:
    """The symbols of each displayed formula, its words left out."""
    displayed = re.findall(r'<div class="math scroll"[^>]*>(.*?)</div>', path.read_text(encoding="utf-8"), re.DOTALL)
    return [sorted(re.findall(r"<(?:mi|mo|mn)\b[^>]*>(.*?)</", formula)) for formula in displayed]


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_formulas_have_the_same_symbols_in_both_languages(site, topic):
    english, chinese = (formulas(site / language / f"{topic}.html") for language in writeup.LANGUAGES)
    assert english and chinese == english


@pytest.fixture(scope="module")
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Visit:
    """A page open in the browser, with what it said and loaded."""

    def __init__(self, browser, address: str, path: str, **options):
        self.context = browser.new_context(**{"viewport": DESKTOP, **options})
        self.page, self.complaints, self.foreign, self.bytes = self.context.new_page(), [], [], 0
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._request(request.url, address))
        self.page.on("response", self._response)
        self.page.goto(f"{address}/{path}", wait_until="networkidle")

    def _request(self, url: str, address: str):
        if not url.startswith((address, "data:", "blob:")):
            self.foreign.append(url)

    def _response(self, response):
        if response.status >= 400 and not response.url.endswith("favicon.ico"):
            self.complaints.append(f"{response.status} {response.url}")
        self.bytes += int(response.headers.get("content-length", 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("language", writeup.LANGUAGES)
def test_pages_load_lightly_without_an_error_or_another_host(browser, address, language):
    for page in (*PAGES, *TUTORIALS):
        with Visit(browser, address, f"{language}/{page}.html") as visit:
            assert not visit.complaints and not visit.foreign, (page, visit.complaints, visit.foreign)
            assert visit.bytes <= FIRST_VISIT, (page, visit.bytes)


def test_a_script_that_came_in_with_some_text_does_not_run(browser, address):
    with Visit(browser, address, "en/index.html") as visit:
        visit.page.evaluate(
            """() => {
              const image = document.createElement("div"), script = document.createElement("script");
              image.innerHTML = "<img src='data:,' onerror='window.ran = 1'>";
              script.textContent = "window.ran = 1";
              document.body.append(image, script);
            }"""
        )
        visit.page.wait_for_timeout(200)
        assert visit.page.evaluate("window.ran") is None
        assert len([said for said in visit.complaints if "Content Security Policy" in said]) == 2


@pytest.mark.parametrize("language", writeup.LANGUAGES)
def test_pages_fit_a_phone(browser, address, language):
    for page in PAGES:
        with Visit(browser, address, f"{language}/{page}.html", viewport=PHONE) as visit:
            width = visit.page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], (page, width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", writeup.LANGUAGES)
def test_contrast_and_alternative_texts_pass_axe(browser, address, language, scheme):
    from axe_playwright_python.sync_playwright import Axe

    for page in ("index", "answers", "glossary", "numbers", "remedies", "embedding", "kinds/dead-units", "tutorials/residual"):
        with Visit(browser, address, f"{language}/{page}.html", color_scheme=scheme) as visit:
            assert visit.page.evaluate("document.documentElement.dataset.theme") == scheme
            draw(visit.page)
            found = Axe().run(visit.page, options={"runOnly": ["wcag2a", "wcag2aa"]})
            places = {v["id"]: [node["html"][:120] for node in v["nodes"][:3]] for v in found.response["violations"]}
            assert not places, (page, scheme, places)


def draw(page):
    """Scrolls to the page's chart, where it has one, and waits until it lives."""
    chart = page.locator("figure.chart")
    if chart.count():
        chart.first.scroll_into_view_if_needed()
        page.wait_for_selector("figure.chart[data-live=true]", timeout=20_000)


def picture(page) -> str:
    page.wait_for_timeout(300)
    return page.locator(".chart-live svg").first.inner_html()


@pytest.mark.parametrize("language", writeup.LANGUAGES)
@pytest.mark.parametrize("topic", WITH_CHARTS)
def test_each_control_changes_its_figure(browser, address, language, topic):
    with Visit(browser, address, f"{language}/{topic}.html") as visit:
        draw(visit.page)
        controls = visit.page.locator(".chart-live .vega-bind :is(select, input)")
        assert controls.count() or topic == "remedies"
        for i in range(controls.count()):
            before = picture(visit.page)
            change(controls.nth(i))
            assert picture(visit.page) != before, (topic, i)
        if topic == "remedies":
            drag_the_point(visit.page)
        assert not visit.complaints and not visit.foreign


def change(control):
    kind = control.get_attribute("type") or "select"
    if kind == "checkbox":
        control.click()
    elif kind == "range":
        control.evaluate("c => { c.value = c.max; c.dispatchEvent(new Event('input')); c.dispatchEvent(new Event('change')); }")
    else:
        current = control.input_value()
        values = control.locator("option").evaluate_all("options => options.map(o => o.value)")
        control.select_option(next(value for value in values if value != current))


def drag_the_point(page):
    before = picture(page)
    box = page.locator(".chart-live svg").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=8)
    dragged = picture(page)
    page.mouse.up()
    assert dragged != before


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_a_click_on_a_figure_shows_it_large_and_another_one_closes_it(browser, address, viewport):
    with Visit(browser, address, "en/residual.html", viewport=viewport) as visit:
        small = visit.page.locator(".evidence figure.drawn.wide img").first
        small.scroll_into_view_if_needed()
        width = small.bounding_box()["width"]
        small.click()
        large = visit.page.locator("dialog.large img")
        assert large.bounding_box()["width"] > 1.5 * width and visit.page.url.endswith("residual.html")
        large.click()
        assert visit.page.locator("dialog.large").count() == 0 and visit.page.url.endswith("residual.html")
        assert not visit.complaints


def test_without_scripts_the_still_picture_shows(browser, address):
    with Visit(browser, address, "en/residual.html", java_script_enabled=False) as visit:
        assert visit.page.locator("figure.chart .chart-picture svg").first.is_visible()


@pytest.mark.parametrize("language", writeup.LANGUAGES)
def test_the_table_of_claims_filters_and_sorts(browser, address, language):
    with Visit(browser, address, f"{language}/index.html") as visit:
        rows, selects = visit.page.locator("table.overview tbody tr:visible"), visit.page.locator(".controls select")
        assert rows.count() == len(rules.load_claims())
        selects.nth(1).select_option(index=1)
        verdict = selects.nth(1).input_value()
        assert 0 < rows.count() < len(rules.load_claims())
        assert {rows.nth(i).locator("td").nth(2).inner_text() for i in range(rows.count())} == {verdict}
        selects.nth(1).select_option(index=0)
        visit.page.locator("table.overview th button").nth(2).click()
        verdicts = rows.locator("td:nth-child(3)").all_inner_texts()
        assert verdicts == sorted(verdicts) and len(set(verdicts)) > 1
