"""What a checkout is compared with: refs of every kind, in clones of every kind; real git throughout."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.checkout import Checkout
from ci_tasks.core.errors import UnavailableError, UsageError
from ci_tasks.project.revision import Comparison, compare
from ci_tasks.tag.grammar import Grammar
from ci_tasks.tag.store import TagStore
from tests.repositories import Monorepo, git
from tests.tag.remotes import put_tag, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def compared(clone: Path, since: str) -> Comparison:
    checkout = Checkout.open(clone, {})
    listing = TagStore(checkout.origin, Grammar(checkout.settings.environments)).listing()
    return compare(checkout, listing, since)


def written(monorepo: Monorepo, path: str, text: str = "x") -> str:
    monorepo.write(path, text)
    return monorepo.commit(f"Write {path}")


def cloned(monorepo: Monorepo, folder: Path, *options: str) -> Path:
    """A clone as a CI job has it."""
    where = folder / "job"
    git("clone", "--quiet", "--no-tags", *options, f"file://{monorepo.remote}", str(where), cwd=folder)
    return where


def test_since_a_branch_is_since_they_parted(monorepo: Monorepo) -> None:
    base = monorepo.git("rev-parse", "HEAD")
    monorepo.git("branch", "topic")
    written(monorepo, "web/on-main")
    monorepo.git("checkout", "--quiet", "topic")
    monorepo.write("api/on-topic", "x")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "Topic")
    for since in ("main", "origin/main", "refs/heads/main", base, base[:12], "HEAD~1", "HEAD^", "@~1"):
        found = compared(monorepo.clone, since)
        assert (found.bases, found.files) == ((base,), ("api/on-topic",)), since
    assert compared(monorepo.clone, "HEAD").files == ()


def test_a_rename_counts_for_both_of_its_ends(monorepo: Monorepo) -> None:
    monorepo.git("config", "diff.renames", "copies")
    monorepo.git("mv", "api/main.txt", "web/moved.txt")
    monorepo.commit("Move")
    assert compared(monorepo.clone, "HEAD~1").files == ("api/main.txt", "web/moved.txt")


def test_no_name_of_a_file_is_misread(monorepo: Monorepo) -> None:
    strange = ["a b", "new\nline", "tab\t", "'\"", ":100644", "é", f"{'a' * 40} {'b' * 40}\n:x"]
    for name in strange:
        monorepo.write(f"api/{name}", "x")
    (monorepo.clone / "api").joinpath(b"\xff".decode("utf-8", "surrogateescape")).write_text("x")
    monorepo.commit("Strange names")
    found = compared(monorepo.clone, "HEAD~1").files
    assert found == tuple(sorted([*(f"api/{name}" for name in strange), "api/\udcff"]))


def test_a_file_that_only_its_mode_or_kind_has_changed_counts(monorepo: Monorepo) -> None:
    monorepo.clone.joinpath("api/main.txt").chmod(0o755)
    monorepo.clone.joinpath("web/main.txt").unlink()
    monorepo.clone.joinpath("web/main.txt").symlink_to("nowhere")
    monorepo.commit("Modes")
    assert compared(monorepo.clone, "HEAD~1").files == ("api/main.txt", "web/main.txt")


def test_a_submodule_counts_whatever_the_configuration_ignores(monorepo: Monorepo) -> None:
    monorepo.write(".gitmodules", '[submodule "x"]\n path = api/sub\n url = x\n ignore = all\n')
    monorepo.git("add", ".gitmodules")
    for commit in ("a" * 40, "b" * 40):
        monorepo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},api/sub")
        monorepo.git("commit", "--quiet", "--message", "Submodule")
    assert compared(monorepo.clone, "HEAD~1").files == ("api/sub",)


def test_where_branches_have_crossed_a_difference_to_any_base_counts(monorepo: Monorepo) -> None:
    def commit(path: str) -> None:
        monorepo.write(path, "x")
        monorepo.git("add", "--all")
        monorepo.git("commit", "--quiet", "--message", path)

    monorepo.git("checkout", "--quiet", "-b", "one")
    commit("api/one")
    monorepo.git("checkout", "--quiet", "-b", "two", "main")
    commit("web/two")
    monorepo.git("merge", "--quiet", "--message", "Cross", "one")
    monorepo.git("checkout", "--quiet", "one")
    monorepo.git("merge", "--quiet", "--message", "Cross", "two~1")
    found = compared(monorepo.clone, "two")
    assert len(found.bases) == 2
    assert found.files == ("api/one", "web/two")


def test_a_tag_is_the_remote_s_whatever_this_clone_believes(monorepo: Monorepo) -> None:
    begin = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.0.0", begin)
    head = written(monorepo, "api/new")
    monorepo.git("tag", "--annotate", "--message", "stale", "api/v1.0.0", head)
    for since in ("api/v1.0.0", "tags/api/v1.0.0", "refs/tags/api/v1.0.0"):
        assert compared(monorepo.clone, since).files == ("api/new",), since


NO_COMMITS = (
    "--output=x",
    "-x",
    "main\n",
    "main^{tree}",
    "main:api",
    "no/such",
    "origin/",
    "mai*",
    "main..HEAD",
    "^main",
    "0" * 40,
)


@pytest.mark.parametrize("depth", [[], ["--depth=1"]], ids=["F3-whole", "F3-shallow"])
def test_what_is_no_commit_is_no_ref_to_compare_with(
    monorepo: Monorepo, tmp_path: Path, depth: list[str]
) -> None:
    written(monorepo, "api/new")
    clone = cloned(monorepo, tmp_path, *depth)
    before = snapshot(clone)
    for since in NO_COMMITS:
        with pytest.raises(UsageError):
            pytest.fail(f"{since!r} was taken for {compared(clone, since)}")
    assert snapshot(clone) == before


def test_a_tag_that_leads_to_no_commit(monorepo: Monorepo) -> None:
    blob = git("hash-object", "-w", "--stdin", cwd=monorepo.remote, stdin="x")
    git("update-ref", "refs/tags/file", blob, cwd=monorepo.remote)
    with pytest.raises(UsageError, match="'file' leads to no commit"):
        compared(monorepo.clone, "file")


def test_histories_that_have_nothing_in_common(monorepo: Monorepo) -> None:
    monorepo.git("checkout", "--quiet", "--orphan", "other")
    monorepo.git("commit", "--quiet", "--message", "Other")
    with pytest.raises(UsageError, match="main and what is checked out have no commit in common"):
        compared(monorepo.clone, "main")


def test_f42_before_the_first_commit(monorepo: Monorepo) -> None:
    monorepo.git("checkout", "--quiet", "--orphan", "other")
    with pytest.raises(UsageError, match="There is no commit yet"):
        compared(monorepo.clone, "main")


@pytest.mark.parametrize("depth", [1, 2])
def test_f37_a_shallow_clone_has_its_history_fetched(monorepo: Monorepo, tmp_path: Path, depth: int) -> None:
    base = monorepo.git("rev-parse", "HEAD")
    put_tag(monorepo.remote, "api/v1.0.0", base)
    monorepo.git("checkout", "--quiet", "-b", "topic")
    for name in ("one", "two"):
        monorepo.write(f"api/{name}", "x")
        monorepo.git("add", "--all")
        monorepo.git("commit", "--quiet", "--message", name)
    monorepo.git("push", "--quiet", "origin", "topic")
    monorepo.git("checkout", "--quiet", "main")
    written(monorepo, "web/on-main")
    clone = cloned(monorepo, tmp_path, f"--depth={depth}", "--branch=topic", "--single-branch")
    before = snapshot(clone)
    for since in ("main", "origin/main", "api/v1.0.0", "HEAD~2", "@^^", base):
        found = compared(clone, since)
        assert (found.bases, found.files) == ((base,), ("api/one", "api/two")), since
        shutil.rmtree(clone / ".git/ci-tasks")  # the next one finds nothing that was fetched before
    assert snapshot(clone) == before


def test_f37_a_merge_that_only_the_server_has_made(monorepo: Monorepo, tmp_path: Path) -> None:
    base = monorepo.git("rev-parse", "HEAD")
    monorepo.git("checkout", "--quiet", "-b", "topic")
    monorepo.write("api/topic", "x")
    monorepo.git("add", "--all")
    monorepo.git("commit", "--quiet", "--message", "topic")
    monorepo.git("checkout", "--quiet", "main")
    on_main = written(monorepo, "web/on-main")
    monorepo.git("checkout", "--quiet", "--detach")
    monorepo.git("merge", "--quiet", "--no-ff", "--message", "As the server merges", "topic")
    monorepo.git("push", "--quiet", "origin", "HEAD:refs/pull/1/merge")
    clone = tmp_path / "job"
    git("init", "--quiet", str(clone), cwd=tmp_path)
    git("remote", "add", "origin", f"file://{monorepo.remote}", cwd=clone)
    git("fetch", "--quiet", "--depth=1", "origin", "refs/pull/1/merge", cwd=clone)
    git("checkout", "--quiet", "FETCH_HEAD", cwd=clone)
    found = compared(clone, "origin/main")
    assert (found.bases, found.files) == ((on_main,), ("api/topic",))
    assert compared(clone, base).files == ("api/topic", "web/on-main")


def test_f37_what_is_missing_and_can_not_be_had_is_never_nothing(monorepo: Monorepo, tmp_path: Path) -> None:
    written(monorepo, "api/new")
    clone = cloned(monorepo, tmp_path, "--depth=1")
    with pytest.raises(UnavailableError, match=r"f{12} is not on the remote"):
        compared(clone, "f" * 40)
    git("commit", "--quiet", "--allow-empty", "--message", "Here alone", cwd=clone)
    with pytest.raises(UnavailableError) as caught:
        compared(clone, "origin/main")
    assert caught.value.next_step == "git fetch --unshallow"


def test_f37_a_shallow_repository_without_a_remote(monorepo: Monorepo, tmp_path: Path) -> None:
    written(monorepo, "api/new")
    clone = cloned(monorepo, tmp_path, "--depth=1")
    git("remote", "remove", "origin", cwd=clone)
    with pytest.raises(UnavailableError) as caught:
        compared(clone, "HEAD")
    assert caught.value.next_step == "git fetch --unshallow"


def test_a_clone_that_is_behind_fetches_what_it_does_not_have(monorepo: Monorepo, tmp_path: Path) -> None:
    clone = cloned(monorepo, tmp_path)
    head = git("rev-parse", "HEAD", cwd=clone)
    git("commit", "--quiet", "--allow-empty", "--message", "Here alone", cwd=clone)
    later = written(monorepo, "web/later")
    put_tag(monorepo.remote, "web/v1.0.0", later)
    for since in ("web/v1.0.0", later):
        found = compared(clone, since)
        assert (found.bases, found.files) == ((head,), ()), since
    with pytest.raises(UnavailableError, match=r"e{12} is not on the remote") as caught:
        compared(clone, "e" * 40)
    assert caught.value.next_step == "git fetch"


def test_a_partial_clone_has_what_it_takes(monorepo: Monorepo, tmp_path: Path) -> None:
    git("config", "uploadpack.allowFilter", "true", cwd=monorepo.remote)
    written(monorepo, "api/new")
    clone = cloned(monorepo, tmp_path, "--filter=blob:none")
    assert compared(clone, "HEAD~1").files == ("api/new",)
