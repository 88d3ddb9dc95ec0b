"""What becomes of a deployment whose scripts hang, shout or die, or that is itself told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, program
from tests.deploy.faulty_remote import from_the, holding, hook, once
from tests.deploy.running import (
    BOUND,
    GATED,
    REMEMBER,
    STAGING,
    Stage,
    is_alive,
    peak_memory,
    until,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.conftest import Site

WEST = ("--region", "eu-west")
FAMILY = f"""\
{REMEMBER}
setsid sh -c '{REMEMBER}; exec sleep 100' &
sh -c 'sh -c "echo \\$\\$ >> \\"$RECORD_TO.pids\\"; exec sleep 100" & {REMEMBER}; wait' &
sh -c 'trap "" TERM; {REMEMBER}; while :; do sleep 0.1; done' &
until [ "$(wc -l < "$RECORD_TO.pids")" -ge ${{FAMILY:-5}} ]; do sleep 0.02; done
"""
"""A script with a child in a session of its own, a grandchild, and a child that does not hear TERM."""


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A site whose deployments run beside the test."""
    stage = Stage(site)
    site.script("true", name="20-ci-smoke")
    yield stage
    stage.clean()


def report_of(site: Site) -> dict[str, Any]:
    """The one report that was saved."""
    (path,) = (site.clone / "build/reports").glob("deployment-*.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_f92_a_script_that_hangs(stage: Stage) -> None:
    site = stage.site
    site.repository.write("environments/staging/config.yml", "timeout: 1s\n")
    site.script(f"{FAMILY}\n{wait_for('go')}")
    done = site.run("deploy", *STAGING, *WEST)
    assert done.returncode == 124, done.stderr
    assert len(stage.pids()) == 5
    assert stage.survivors() == []
    assert "deployment/record: TIMED OUT after" in done.stderr
    assert stage.statuses() == [("eu-west", "FAILED")]
    assert site.ledger().live() == {"eu-west": "None?"}
    assert site.ledger().header["settled"] is False
    assert report_of(site)["status"] == "TIMEOUT"
    stage.check_chain()


@pytest.mark.parametrize(
    ("number", "group", "options", "code"),
    [
        pytest.param(signal.SIGINT, False, (), 130, id="F94-SIGINT"),
        pytest.param(signal.SIGINT, True, (), 130, id="F94-SIGINT-from-the-terminal"),
        pytest.param(signal.SIGINT, True, ("--parallel",), 130, id="F94-SIGINT-parallel"),
        pytest.param(signal.SIGTERM, False, (), 143, id="F95-SIGTERM"),
        pytest.param(signal.SIGHUP, False, (), 143, id="F95-SIGHUP"),
    ],
)
def test_cancelled(stage: Stage, number: int, group: bool, options: tuple[str, ...], code: int) -> None:  # noqa: FBT001 - a parameter of the test
    site = stage.site
    site.script(f"setsid sh -c '{REMEMBER}; exec sleep 100' & {GATED}")
    deployment = stage.start("deploy", *STAGING, *options)
    regions = 2 if options else 1
    stage.scripts_started(regions)
    until(lambda: len(stage.pids()) == 2 * regions, "the children")
    deployment.signal(number, group=group)
    ended = deployment.end()
    assert ended.code == code, ended.stderr
    assert stage.survivors() == []
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    started = {record["region"]: record["scriptsStarted"] for record in stage.records()}
    assert started == {"eu-west": True, "us-east": bool(options)}
    assert site.ledger().header["settled"] is False
    report = report_of(site)
    assert (report["status"], report["outcome"]) == ("CANCELLED", "CANCELLED")
    assert "Traceback" not in ended.stderr
    stage.check_chain()


@pytest.mark.parametrize("times", [pytest.param(1, id="F94-once"), pytest.param(2, id="F94-twice")])
def test_ctrl_c_and_a_script_that_does_not_hear(stage: Stage, times: int) -> None:
    """It counts to two seconds after TERM: the grace is longer than that, a second Ctrl-C has none."""
    site = stage.site
    site.script(
        f"""{REMEMBER}
trap 'touch "$RECORD_TO.term"' TERM
echo "$DEPLOYMENT_REGION" >> "$RECORD_TO"; n=0
until [ -e "$RECORD_TO.go" ]; do
  sleep 0.05
  [ ! -e "$RECORD_TO.term" ] || n=$((n + 1))
  [ $n -lt 40 ] || touch "$RECORD_TO.survived"
done"""
    )
    deployment = stage.start("deploy", *STAGING, *WEST)
    stage.scripts_started()
    deployment.signal(signal.SIGINT)
    until(stage.file("term").exists, "TERM")
    if times > 1:
        deployment.signal(signal.SIGINT)
    ended = deployment.end()
    assert ended.code == 130, ended.stderr
    assert stage.survivors() == []
    assert stage.file("survived").exists() == (times == 1)
    assert stage.statuses() == [("eu-west", "CANCELLED")]
    stage.check_chain()


def test_f95_sigterm_while_the_claim_is_being_pushed(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    site.script(GATED)
    entered, release = tmp_path / "entered", tmp_path / "release"
    hook(site.remote, "pre-receive", once(tmp_path / "first", holding(entered, release)))
    deployment = stage.start("deploy", *STAGING)
    until(entered.exists, "the push of the claim")
    deployment.signal(signal.SIGTERM, group=True)
    release.touch()
    ended = deployment.end()
    assert ended.code == 143, ended.stderr
    assert site.repository.recorded() == []
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    assert {record["scriptsStarted"] for record in stage.records()} == {False}
    assert site.ledger().live() == {}
    stage.check_chain()


def test_f94_ctrl_c_while_a_result_is_being_pushed(stage: Stage, tmp_path: Path) -> None:
    site = stage.site
    site.script('echo "$DEPLOYMENT_REGION" >> "$RECORD_TO"')
    entered, release = tmp_path / "entered", tmp_path / "release"
    hook(
        site.remote,
        "pre-receive",
        f"[ ! -e '{site.repository.record}' ] || {once(tmp_path / 'first', holding(entered, release))}",
    )
    deployment = stage.start("deploy", *STAGING)
    until(entered.exists, "the push of the result")
    deployment.signal(signal.SIGINT, group=True)
    release.touch()
    ended = deployment.end()
    assert ended.code == 130, ended.stderr
    assert site.repository.recorded() == ["eu-west"]
    assert stage.statuses() == [("us-east", "CANCELLED"), ("eu-west", "SUCCESS")]
    assert site.ledger().live() == {"eu-west": "v1.0.0"}
    assert [region["status"] for region in report_of(site)["regions"]] == ["SUCCESS", "SKIPPED"]
    stage.check_chain()


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("head -c 200000000 /dev/zero | tr '\\0' x", id="F100-no-newline"),
        pytest.param("yes 0123456789012345678901234567890123456789 | head -c 100000000", id="F100-lines"),
    ],
)
def test_f100_a_script_that_shouts(stage: Stage, output: str) -> None:
    site = stage.site
    site.script(f"{output}\n{GATED}")
    deployment = stage.start("deploy", *STAGING, *WEST)
    stage.scripts_started()
    assert peak_memory(deployment.process.pid) < 300
    stage.go()
    ended = deployment.end()
    assert ended.code == 0
    assert len(ended.stderr) < 40_000_000
    assert "of output: the rest is not shown]" in ended.stderr
    assert stage.statuses() == [("eu-west", "SUCCESS")]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_nobody_reads_the_result(stage: Stage, options: tuple[str, ...]) -> None:
    site = stage.site
    site.script("true")
    reader, writer = os.pipe()
    deployment = stage.start("deploy", *STAGING, *options, stdout=writer)
    os.close(writer)
    os.close(reader)
    ended = deployment.end()
    assert ended.code == 141, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr
    assert sorted(stage.statuses()) == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]
    assert report_of(site)["status"] == "SUCCESS"


def test_a_pipe_that_takes_one_byte(stage: Stage) -> None:
    site = stage.site
    site.script("true")
    line = f"'{program('inv')}' deploy {' '.join(STAGING)} --json | head -c1"
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=site.clone,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(site.temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
    )
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert sorted(stage.statuses()) == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]


def test_f106_the_reports_can_not_be_saved(stage: Stage) -> None:
    site = stage.site
    site.script("true")
    site.repository.write("build", "a file\n")
    done = site.run("deploy", *STAGING)
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr
    assert "build" in done.stderr.partition("warning: ")[2]
    assert "api v1.0.0 is live in staging: eu-west, us-east" in done.stdout
    assert "Traceback" not in done.stderr
    assert sorted(stage.statuses()) == [("eu-west", "SUCCESS"), ("us-east", "SUCCESS")]


def test_f106_the_private_folder_can_not_be_made(stage: Stage) -> None:
    site = stage.site
    site.script('echo ran >> "$RECORD_TO"')
    (site.temporary / f"ci-tasks-{os.getuid()}").write_text("a file", encoding="utf-8")
    done = site.run("deploy", *STAGING)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert site.repository.recorded() == []
    assert "refs/tags/api/staging" not in site.repository.remote_refs()


def test_f106_a_script_removes_the_private_folder(stage: Stage) -> None:
    """What the next region needs is gone: that is a failure of the region, and is recorded as one."""
    site = stage.site
    site.script('echo "$DEPLOYMENT_REGION" >> "$RECORD_TO"; rm -rf "$(dirname "$DEPLOYMENT_CONFIG")"')
    done = site.run("deploy", *STAGING)
    assert done.returncode == 7, done.stderr
    assert (
        "us-east | its configuration could not be written down for its scripts: No such file" in done.stderr
    )
    assert stage.statuses() == [("us-east", "FAILED"), ("eu-west", "SUCCESS")]
    assert site.ledger().live() == {"eu-west": "v1.0.0"}
    assert site.repository.recorded() == ["eu-west"]
    stage.check_chain()


def test_side_by_side_one_fails_and_the_other_goes_on(stage: Stage) -> None:
    site = stage.site
    site.script(
        f"""{REMEMBER}; touch "$RECORD_TO.$DEPLOYMENT_REGION"
if [ "$DEPLOYMENT_REGION" = eu-west ]; then {wait_for("us-east")}; exit 3; fi
echo us-east >> "$RECORD_TO"; {wait_for("go")}"""
    )
    deployment = stage.start("deploy", *STAGING, "--parallel")
    until(lambda: ("eu-west", "FAILED") in stage.statuses(), "the record of the failure")
    assert ("us-east", "RUNNING") in stage.statuses()
    stage.go()
    ended = deployment.end()
    assert ended.code == 7, ended.stderr
    assert stage.statuses() == [("us-east", "SUCCESS"), ("eu-west", "FAILED")]
    assert site.ledger().live() == {"eu-west": "None?", "us-east": "v1.0.0"}
    assert site.ledger().header["settled"] is False
    assert [region["status"] for region in report_of(site)["regions"]] == ["FAILED", "SUCCESS"]
    stage.check_chain()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param("seq 100; exit 3", "FAILED with exit status 3", id="F91-exit-3"),
        pytest.param("seq 100; kill -9 $$", "FAILED, ended by signal 9 (Killed)", id="F103-killed"),
    ],
)
def test_a_script_that_fails(stage: Stage, body: str, words: str) -> None:
    site = stage.site
    site.script(body)
    done = site.run("deploy", *STAGING)
    assert done.returncode == 1, done.stderr
    assert f"eu-west | deployment/record: {words} after" in done.stderr
    assert report_of(site)["logs"] == [f"eu-west | record | {line}" for line in range(81, 101)]
    assert stage.statuses() == [("us-east", "CANCELLED"), ("eu-west", "FAILED")]
    assert stage.records()[0]["endedBy"] == "not started: eu-west did not succeed"


@pytest.mark.parametrize(
    ("text", "executable", "words"),
    [
        pytest.param("#!/bin/sh\n# Description: x\ntrue\n", False, "chmod", id="F97-not-executable"),
        pytest.param(
            "#!/usr/bin/env no-such-shell\n# Description: x\n", True, "'no-such-shell'", id="F97-bad-shebang"
        ),
        pytest.param("#!/bin/sh\r\n# Description: x\r\ntrue\r\n", True, "CR LF", id="F97-crlf-shebang"),
    ],
)
def test_a_script_that_can_not_be_started(stage: Stage, text: str, executable: bool, words: str) -> None:  # noqa: FBT001 - a parameter of the test
    site = stage.site
    site.script('echo ran >> "$RECORD_TO"')
    site.repository.write("scripts/deployment/20-ci-smoke.sh", text, executable=executable)
    done = site.run("deploy", *STAGING)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "20-ci-smoke.sh" in done.stderr
    assert site.repository.recorded() == []
    assert "refs/tags/api/staging" not in site.repository.remote_refs()


def test_what_a_script_leaves_running_is_ended(stage: Stage) -> None:
    site = stage.site
    site.script(f"{FAMILY}\nexit 0")
    done = site.run("deploy", *STAGING, *WEST)
    assert done.returncode == 0, done.stderr
    assert "deployment/record: left running and ended:" in done.stderr
    assert len(stage.pids()) == 5
    assert not any(is_alive(pid) for pid in stage.pids())


def test_f95_sigterm_and_a_remote_that_is_slow(stage: Stage, tmp_path: Path) -> None:
    """Scripts that do not hear TERM, and a push that takes its time: both fit before the runner kills us."""
    site = stage.site
    site.script(f"trap '' TERM; {GATED}")
    hook(site.remote, "pre-receive", from_the(2, tmp_path / "pushes", "sleep 0.5"))
    deployment = stage.start("deploy", *STAGING)
    stage.scripts_started()
    began = time.monotonic()
    deployment.signal(signal.SIGTERM)
    ended = deployment.end()
    assert ended.code == 143, ended.stderr
    assert time.monotonic() - began < 30, "7 s are promised; the rest is for a machine with much else to do"
    assert stage.survivors() == []
    assert sorted(stage.statuses()) == [("eu-west", "CANCELLED"), ("us-east", "CANCELLED")]
    stage.check_chain()


def test_f95_sigterm_while_the_remote_does_not_answer(stage: Stage, tmp_path: Path) -> None:
    """A push that hangs is given up in time: the runner would kill us, and nothing would be told."""
    site = stage.site
    entered, release = tmp_path / "entered", tmp_path / "release"
    site.script("true")
    hook(site.remote, "pre-receive", from_the(2, tmp_path / "pushes", holding(entered, release)))
    deployment = stage.start("deploy", *STAGING, "--region", "us-east")
    until(entered.exists, "the push of the result")
    deployment.signal(signal.SIGTERM)
    ended = deployment.end()
    release.touch()
    assert ended.code == 143, ended.stderr
    assert "NOT recorded in api/staging" in ended.stderr
    assert "deploy.settle --env staging --subproject api --deployment" in ended.report
