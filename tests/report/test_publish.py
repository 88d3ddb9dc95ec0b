"""What a workflow gets: its summary page and its outputs."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import ExitCode, UnavailableError
from ci_tasks.report.markdown import as_markdown
from ci_tasks.report.names import RegionStatus
from ci_tasks.report.publish import LIMIT, publish, truncated
from tests.report.samples import SAMPLES, region, report

if TYPE_CHECKING:
    from ci_tasks.report.model import PipelineReport

SAVED = Path("build/reports/20260301-120130-c0ffee.json")
RUN = {
    "GITHUB_SERVER_URL": "https://git.example",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "4711",
}


def outputs(path: Path) -> dict[str, str]:
    """The outputs as the runner reads them: NAME<<DELIMITER, lines, DELIMITER."""
    values: dict[str, str] = {}
    rows = iter(path.read_text(encoding="utf-8").split("\n"))
    for row in rows:
        if "<<" in row:
            name, _, delimiter = row.partition("<<")
            values[name] = "\n".join(itertools.takewhile(delimiter.__ne__, rows))
        elif "=" in row:
            name, _, values[name] = row.partition("=")
    return values


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    return tmp_path / "summary.md"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def environ(summary: Path, output: Path) -> dict[str, str]:
    return {**RUN, "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}


def huge(lines: int = 1500) -> PipelineReport:
    return report(ExitCode.FAILED, logs=tuple(f"line {n} {'x' * 990}" for n in range(lines)))


def test_both_files_are_appended_to(summary: Path, output: Path, environ: dict[str, str]) -> None:
    summary.write_text("# Before\n", encoding="utf-8")
    output.write_text("before=1\n", encoding="utf-8")
    publish(SAMPLES["success"], environ, saved=SAVED)
    assert summary.read_text(encoding="utf-8") == "# Before\n" + as_markdown(SAMPLES["success"])
    assert outputs(output) == {
        "before": "1",
        "version": "v1.2.3",
        "environment": "staging",
        "outcome": "OK",
        "deployment-id": "c0ffee",
        "report-path": str(SAVED),
    }


def test_without_the_variables_nothing_is_written(tmp_path: Path) -> None:
    publish(SAMPLES["success"], {"GITHUB_OUTPUT": ""})
    assert not list(tmp_path.iterdir())


def test_deployment_ids_stand_in_for_a_claim(output: Path, environ: dict[str, str]) -> None:
    regions = (region("us", RegionStatus.SUCCESS), region("eu", RegionStatus.SUCCESS))
    publish(report(claim_id=None, regions=regions), environ)
    assert outputs(output)["deployment-id"] == "c0ffee.us,c0ffee.eu"
    assert outputs(output)["report-path"] == ""


def test_a_last_line_without_an_end_swallows_nothing(
    summary: Path, output: Path, environ: dict[str, str]
) -> None:
    for path in (summary, output):
        path.write_text("before=1", encoding="utf-8")
    publish(SAMPLES["success"], environ)
    assert outputs(output)["before"] == "1"
    assert outputs(output)["version"] == "v1.2.3"
    assert summary.read_text(encoding="utf-8").startswith("before=1\n### api")


@pytest.mark.parametrize(
    "version",
    ["v1\nevil=1", "v1\n\nevil<<EOF\n1\nEOF", "v1\r\nversion<<x", "EOF\nevil=1"],
)
def test_f110_no_value_sets_another_output(output: Path, environ: dict[str, str], version: str) -> None:
    publish(report(version=version), environ)
    first = output.read_bytes()
    names = {"version", "environment", "outcome", "deployment-id", "report-path"}
    assert set(outputs(output)) == names
    assert first.count(b"<<ci-tasks-") == 5
    output.unlink()
    publish(report(version=version), environ)
    assert output.read_bytes() != first  # another delimiter each time


def test_f110_the_page_stays_below_1_mib_and_says_where_the_rest_is(
    summary: Path, environ: dict[str, str]
) -> None:
    summary.write_text("é" * 100_000 + "\n", encoding="utf-8")
    publish(huge(), environ, saved=SAVED)
    text = summary.read_text(encoding="utf-8")
    assert LIMIT - 2000 < summary.stat().st_size <= LIMIT
    *_, closing, blank, note, end = text.split("\n")
    assert (closing, blank, end) == ("```", "", "")
    assert r"build/reports/20260301-120130-c0ffee.md" in note
    assert "[This run](https://git.example/acme/shop/actions/runs/4711)." in note


@pytest.mark.parametrize("used", [LIMIT - 100, LIMIT - 10, LIMIT, LIMIT + 10])
def test_f110_a_full_page_is_a_warning_and_the_outputs_are_there(
    summary: Path, output: Path, environ: dict[str, str], used: int
) -> None:
    summary.write_bytes(b"x" * (used - 1) + b"\n")
    with pytest.raises(UnavailableError) as caught:
        publish(SAMPLES["success"], environ, saved=SAVED)
    assert "full" in caught.value.details[0]
    assert summary.stat().st_size == used
    assert outputs(output)["outcome"] == "OK"


@pytest.mark.parametrize("limit", range(60, 700, 7))
def test_truncated_is_never_too_long_and_closes_its_code_block(limit: int) -> None:
    markdown = as_markdown(report(ExitCode.FAILED, logs=tuple(f"line {n} ````` é" for n in range(30))))
    text = truncated(markdown, limit, "the rest is elsewhere")
    assert len(text.encode()) <= limit
    assert text.endswith("\nthe rest is elsewhere\n")
    fences = [line for line in text.splitlines() if line.startswith("``````")]
    assert len(fences) in {0, 2}


def test_a_report_that_fits_is_not_truncated() -> None:
    markdown = as_markdown(SAMPLES["partial"])
    assert truncated(markdown, len(markdown.encode()), "note") == markdown
    assert truncated(markdown, 3, "note") == ""


def test_f110_links_and_fifos_are_not_written_to(
    tmp_path: Path, summary: Path, output: Path, environ: dict[str, str]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    summary.symlink_to(victim)
    os.mkfifo(output)
    with pytest.raises(UnavailableError) as caught:
        publish(SAMPLES["success"], environ)
    assert [detail.partition(":")[0] for detail in caught.value.details] == [
        "GITHUB_OUTPUT",
        "GITHUB_STEP_SUMMARY",
    ]
    assert victim.read_text(encoding="utf-8") == "precious"


def test_f110_odd_output_breaks_nothing(summary: Path, output: Path, environ: dict[str, str]) -> None:
    publish(report(version="v1\udcff\x00", logs=("\ud800\x1b[2J\x00",)), environ)
    assert r"v1\udcff" in outputs(output)["version"]
    assert r"\ud800\x00" in summary.read_text(encoding="utf-8")
