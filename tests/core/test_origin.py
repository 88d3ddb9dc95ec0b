"""Reading tags: from remotes, through clones of every kind, and from the repository itself."""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ci_tasks.core.errors import ConflictError, RefusedError, UnavailableError, UsageError
from ci_tasks.core.git.origin import MovedError, RemoteRef, TreeEntry, parse_listing
from ci_tasks.core.git.push import NotApplied, PushResult, RefUpdate
from ci_tasks.core.git.repository import Repository
from ci_tasks.core.git.store import PrivateStore
from tests.core.places import (
    TAG,
    counting_git,
    fill_with_tags,
    origin_of,
    picture,
    tag_content,
    the_ref,
)
from tests.repositories import Monorepo, git, write

if TYPE_CHECKING:
    from pathlib import Path

    from ci_tasks.core.git.origin import Origin

VERSION = "refs/tags/api/v1.0.0"


@pytest.fixture
def tagged(monorepo: Monorepo) -> Monorepo:
    """Two annotated tags, a lightweight one, and a branch; none of the tags in the clone."""
    git("tag", "-a", "-m", "one", "api/v1.0.0", "main", cwd=monorepo.remote)
    first = git("rev-parse", "main", cwd=monorepo.remote)
    monorepo.write("api/main.txt", "second\n")
    monorepo.commit("Second")
    git("tag", "-a", "-m", "live", "api/production", "main", cwd=monorepo.remote)
    git("tag", "light", first, cwd=monorepo.remote)
    return monorepo


@pytest.fixture
def shallow(tagged: Monorepo, tmp_path: Path) -> Path:
    """A clone with one commit and no tag, as workflows make it."""
    git("clone", "--quiet", "--depth=1", "--no-tags", f"file://{tagged.remote}", "shallow", cwd=tmp_path)
    return tmp_path / "shallow"


def store_of(clone: Path) -> Path:
    return clone / ".git" / "ci-tasks" / "store.git"


class TestListing:
    """Names: exact or below a prefix, never by their tails."""

    def test_exact_names_and_prefixes(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        refs = tagged.remote_refs()
        (live,) = origin.refs(TAG)
        assert live == RemoteRef(TAG, refs[TAG], refs["refs/heads/main"])
        assert origin.refs("refs/tags/light") == (RemoteRef("refs/tags/light", refs["refs/tags/light"]),)
        assert [ref.name for ref in origin.refs("refs/tags/api/", "refs/heads/main")] == [
            "refs/heads/main",
            TAG,
            VERSION,
        ]
        assert origin.refs("refs/tags/none", "refs/tags/none/") == ()
        assert origin.refs() == ()

    def test_f49_names_are_never_matched_by_their_tails(self, tagged: Monorepo) -> None:
        for name in (
            "refs/heads/api/production",
            "refs/heads/tags/api/production",
            "refs/tags/x/api/production",
        ):
            git("update-ref", name, "main", cwd=tagged.remote)
        git("update-ref", "refs/tags/api/production-old", "main~1", cwd=tagged.remote)
        origin = origin_of(tagged.clone)
        assert [ref.name for ref in origin.refs(TAG)] == [TAG]
        assert [ref.name for ref in origin.refs("refs/heads/api/production")] == ["refs/heads/api/production"]
        (content,) = origin.objects(origin.refs(TAG)).values()
        assert (content.kind, content.data.endswith(b"\n\nlive\n")) == ("tag", True)
        ours = origin.write_tag(tag_content(origin.refs("refs/heads/main")[0].object_id))
        update = RefUpdate(ref=TAG, new=ours, old=content.object_id)
        before = tagged.remote_refs()
        assert origin.push([update]).result is PushResult.APPLIED
        assert tagged.remote_refs() == {**before, TAG: ours}

    def test_f49_a_branch_that_is_called_like_the_full_name_of_the_tag(self, tagged: Monorepo) -> None:
        """Reading can tell them apart; git refuses to push, before it sends anything."""
        git("update-ref", f"refs/heads/{TAG}", "main~1", cwd=tagged.remote)
        origin = origin_of(tagged.clone)
        (ref,) = origin.refs(TAG)
        (content,) = origin.objects([ref]).values()
        assert content.data.endswith(b"\n\nlive\n")
        outcome = origin.push_until_known([RefUpdate(ref=TAG, new=str(ref.peeled), old=ref.object_id)])
        assert (outcome.result, outcome.reason) == (PushResult.NOT_APPLIED, NotApplied.NAME_CLASH)
        assert f"ends in {TAG}" in outcome.message

    def test_many_names_are_filtered_here(self, tagged: Monorepo) -> None:
        names = [f"refs/tags/n{number}" for number in range(50)]
        assert [ref.name for ref in origin_of(tagged.clone).refs(*names, TAG)] == [TAG]

    def test_an_empty_remote_has_no_refs(self, monorepo: Monorepo, tmp_path: Path) -> None:
        git("init", "--quiet", "--bare", "empty.git", cwd=tmp_path)
        monorepo.git("remote", "set-url", "origin", str(tmp_path / "empty.git"))
        assert origin_of(monorepo.clone).refs("refs/tags/", "refs/heads/") == ()

    def test_a_name_that_looks_like_a_pattern_or_an_option(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        assert origin.refs("refs/tags/*", "--upload-pack=touch ran", "refs/tags/api/p[r]oduction") == ()
        assert not (tagged.clone / "ran").exists()

    def test_a_hundred_thousand_lines(self) -> None:
        lines = "".join(
            f"{number:040x}\trefs/tags/v{number}\n{1:040x}\trefs/tags/v{number}^{{}}\n"
            for number in range(100_000)
        )
        refs = parse_listing(lines.encode(), ["refs/tags/"])
        assert len(refs) == 100_000
        assert refs[-1] == RemoteRef("refs/tags/v99999", f"{99_999:040x}", f"{1:040x}")


class TestObjects:
    """The object that the remote lists is the fact, whatever the clone says."""

    def test_annotated_and_lightweight(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        refs = origin.refs("refs/tags/")
        found = origin.objects(refs)
        assert {ref.name: found[ref.object_id].kind for ref in refs} == {
            TAG: "tag",
            VERSION: "tag",
            "refs/tags/light": "commit",
        }
        for object_id, content in found.items():
            raw = git("cat-file", content.kind, object_id, cwd=tagged.remote)
            assert content.data.decode().removesuffix("\n") == raw.removesuffix("\n")
        assert origin.objects([]) == {}

    def test_f47_stale_local_tag(self, tagged: Monorepo) -> None:
        tagged.git("tag", "-a", "-m", "stale", "api/production", "HEAD~1")
        tagged.git("branch", "refs/tags/api/production", "HEAD~1")
        before = picture(tagged.clone)
        origin = origin_of(tagged.clone)
        (content,) = origin.objects(origin.refs(TAG)).values()
        assert content.data.endswith(b"\n\nlive\n")
        assert picture(tagged.clone) == before

    def test_f48_flattened_local_tag(self, shallow: Path, tagged: Monorepo) -> None:
        """A workflow's checkout of a tag leaves a lightweight tag of the same name behind."""
        git("update-ref", TAG, "HEAD", cwd=shallow)
        before = picture(shallow)
        origin = origin_of(shallow)
        (content,) = origin.objects(origin.refs(TAG)).values()
        assert (content.kind, content.object_id) == ("tag", tagged.remote_refs()[TAG])
        assert picture(shallow) == before

    def test_f52_what_a_tag_leads_to_is_told(self, tagged: Monorepo) -> None:
        git("tag", "-a", "-m", "nested", "nested", "api/production", cwd=tagged.remote)
        git("tag", "blob", "main:api/main.txt", cwd=tagged.remote)
        git("tag", "tree", "main:api", cwd=tagged.remote)
        origin = origin_of(tagged.clone)
        nested = the_ref(origin, "refs/tags/nested")
        (content,) = origin.objects([nested]).values()
        assert b"\ntype tag\n" in content.data
        for name in ("blob", "tree"):
            ref = the_ref(origin, f"refs/tags/{name}")
            assert origin.objects([ref])[ref.object_id].kind == name
            with pytest.raises(RefusedError, match=f"leads to a {name}"):
                origin.ensure_commit(ref)

    def test_f52_a_file_behind_a_tag_is_not_read_into_memory(self, tagged: Monorepo) -> None:
        big = write(tagged.clone / "big.bin", "x" * ((1 << 24) + 1))
        object_id = git("hash-object", "-w", str(big), cwd=tagged.remote)
        git("tag", "big", object_id, cwd=tagged.remote)
        origin = origin_of(tagged.clone)
        with pytest.raises(RefusedError, match="more than"):
            origin.objects(origin.refs("refs/tags/big"))

    @pytest.mark.parametrize("kind", ["moved", "deleted"])
    def test_f55_a_tag_that_moves_between_listing_and_reading(self, tagged: Monorepo, kind: str) -> None:
        origin = origin_of(tagged.clone)
        listed = origin.refs("refs/tags/api/")
        git("tag", "-d", "api/production", cwd=tagged.remote)
        if kind == "moved":
            git("tag", "-a", "-m", "moved", "api/production", "main", cwd=tagged.remote)
        with pytest.raises(MovedError) as caught:
            origin.objects(listed)
        assert caught.value.name == TAG
        assert isinstance(caught.value, ConflictError)
        assert set(origin.objects(origin.refs("refs/tags/api/"))) == {
            r.object_id for r in origin.refs("refs/tags/api/")
        }

    def test_f64_the_number_of_processes_does_not_grow_with_the_tags(
        self, monorepo: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, log = counting_git(tmp_path)
        counts = []
        for number in (3, 2000):
            fill_with_tags(monorepo.remote, [f"n{number}/t{i}" for i in range(number)], "refs/heads/main")
            with monkeypatch.context() as patch:
                patch.setenv("PATH", path)
                log.write_text("", encoding="utf-8")
                origin = origin_of(monorepo.clone)
                refs = origin.refs(f"refs/tags/n{number}/")
                found = origin.objects(refs)
                counts.append(len(log.read_text(encoding="utf-8").splitlines()))
            assert len({found[ref.object_id].data for ref in refs}) == number
        # The first run also makes the store and asks git for its version.
        assert counts[1] <= counts[0] <= 16, counts

    def test_a_second_reading_fetches_nothing(
        self, tagged: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        origin = origin_of(tagged.clone)
        first = origin.objects(origin.refs("refs/tags/"))
        path, log = counting_git(tmp_path)
        monkeypatch.setenv("PATH", path)
        assert origin.objects(origin.refs("refs/tags/")) == first
        assert " fetch " not in log.read_text(encoding="utf-8")


class TestCommits:
    """Files of a commit as they are in it."""

    def test_files_and_their_content(self, tagged: Monorepo) -> None:
        tagged.write("api/ü run.sh", "#!/bin/sh\n", executable=True)
        (tagged.clone / "api/link").symlink_to("main.txt")
        tagged.commit()
        git("tag", "-a", "-m", "two", "api/v2.0.0", "main", cwd=tagged.remote)
        origin = origin_of(tagged.clone)
        commit = origin.ensure_commit(the_ref(origin, "refs/tags/api/v2.0.0"))
        assert commit == tagged.git("rev-parse", "HEAD")
        files = origin.commit_files(commit, under=["api/"])
        assert {(entry.mode, entry.kind, entry.path) for entry in files} == {
            ("120000", "blob", "api/link"),
            ("100644", "blob", "api/main.txt"),
            ("100755", "blob", "api/ü run.sh"),
        }
        assert set(files) < set(origin.commit_files(commit))
        assert origin.commit_files(commit, under=["nowhere"]) == ()
        blobs = list(origin.blobs([entry.object_id for entry in files]))
        assert [blob.object_id for blob in blobs] == [entry.object_id for entry in files]
        assert {blob.data for blob in blobs} == {b"main.txt", b"second\n", b"#!/bin/sh\n"}

    def test_f33_no_filter_and_no_attribute_is_applied(self, tagged: Monorepo, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        tagged.git("config", "filter.evil.smudge", f"touch {ran}; cat")
        tagged.git("config", "diff.evil.textconv", f"touch {ran}; cat")
        tagged.write(".gitattributes", "*.txt filter=evil diff=evil export-ignore text eol=crlf\n")
        tagged.commit()
        origin = origin_of(tagged.clone)
        files = origin.commit_files(origin.ensure_commit(the_ref(origin, "refs/heads/main")), under=["api"])
        assert [blob.data for blob in origin.blobs([entry.object_id for entry in files])] == [b"second\n"]
        assert not ran.exists()

    def test_f39_a_submodule_is_only_told_of(self, tagged: Monorepo) -> None:
        tagged.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},api/sub")
        tagged.git("commit", "--quiet", "-m", "Submodule")
        tagged.git("push", "--quiet", "origin", "main")
        origin = origin_of(tagged.clone)
        files = origin.commit_files(origin.ensure_commit(the_ref(origin, "refs/heads/main")), under=["api"])
        assert TreeEntry("160000", "commit", "1" * 40, "api/sub") in files

    def test_many_and_large_blobs(self, monorepo: Monorepo) -> None:
        for number in range(300):
            monorepo.write(f"many/{number}.txt", f"{number}\n" * 50)
        monorepo.write("many/empty", "")
        (monorepo.clone / "many/large.bin").write_bytes(os.urandom(3_000_000))
        monorepo.commit()
        origin = origin_of(monorepo.clone)
        files = origin.commit_files(origin.ensure_commit(the_ref(origin, "refs/heads/main")), under=["many"])
        for entry, blob in zip(files, origin.blobs([entry.object_id for entry in files]), strict=True):
            assert blob.data == (monorepo.clone / entry.path).read_bytes()

    def test_a_missing_blob_is_an_error(self, monorepo: Monorepo) -> None:
        origin = origin_of(monorepo.clone)
        with pytest.raises(UnavailableError, match="is not here"):
            list(origin.blobs(["1" * 40]))
        with pytest.raises(UsageError, match="not the full id"):
            list(origin.blobs(["HEAD:api/main.txt"]))

    def test_f37_a_commit_that_the_clone_does_not_have(self, shallow: Path, tagged: Monorepo) -> None:
        before = picture(shallow)
        origin = origin_of(shallow)
        commit = origin.ensure_commit(the_ref(origin, VERSION))
        assert commit == git("rev-parse", "main~1", cwd=tagged.remote)
        (entry,) = origin.commit_files(commit, under=["api"])
        assert [blob.data for blob in origin.blobs([entry.object_id])] == [b"api\n"]
        assert picture(shallow) == before

    def test_f38_a_partial_clone(self, tagged: Monorepo, tmp_path: Path) -> None:
        git("config", "uploadpack.allowFilter", "true", cwd=tagged.remote)
        git(
            "clone",
            "--quiet",
            "--filter=blob:none",
            "--no-checkout",
            f"file://{tagged.remote}",
            "partial",
            cwd=tmp_path,
        )
        assert Repository.discover(tmp_path / "partial").is_partial
        before = picture(tmp_path / "partial")
        origin = origin_of(tmp_path / "partial")
        files = origin.commit_files(origin.ensure_commit(the_ref(origin, TAG)), under=["api"])
        assert [blob.data for blob in origin.blobs([entry.object_id for entry in files])] == [b"second\n"]
        assert picture(tmp_path / "partial") == before

    def test_a_clone_that_is_behind(self, tagged: Monorepo, tmp_path: Path) -> None:
        git("clone", "--quiet", str(tagged.remote), "behind", cwd=tmp_path)
        tagged.write("api/main.txt", "third\n")
        tagged.commit()
        git("tag", "-a", "-m", "new", "api/v3.0.0", "main", cwd=tagged.remote)
        before = picture(tmp_path / "behind")
        origin = origin_of(tmp_path / "behind")
        (entry,) = origin.commit_files(
            origin.ensure_commit(the_ref(origin, "refs/tags/api/v3.0.0")), under=["api"]
        )
        assert [blob.data for blob in origin.blobs([entry.object_id])] == [b"third\n"]
        assert picture(tmp_path / "behind") == before


class TestWriting:
    """Tag objects, and where they may point."""

    def test_git_checks_the_tag(self, monorepo: Monorepo) -> None:
        origin = origin_of(monorepo.clone)
        with pytest.raises(UsageError, match="does not accept"):
            origin.write_tag(b"object nothing\n\n")
        with pytest.raises(UnavailableError, match="neither here nor at"):
            origin.write_tag(tag_content("1" * 40))

    @pytest.mark.parametrize("removed", ["", "store.git", "store.git/objects"])
    @pytest.mark.parametrize("cut", [False, True], ids=["whole", "shallow"])
    def test_a_tag_is_written_after_the_store_was_removed(
        self, shallow: Path, tagged: Monorepo, removed: str, *, cut: bool
    ) -> None:
        clone = shallow if cut else tagged.clone
        origin = origin_of(clone)
        commit = origin.ensure_commit(the_ref(origin, VERSION))
        shutil.rmtree(clone / ".git" / "ci-tasks" / removed)
        tag = origin.write_tag(tag_content(commit, name="api/v9.0.0"))
        outcome = origin.push([RefUpdate(ref="refs/tags/api/v9.0.0", new=tag, old=None)])
        assert outcome.result is PushResult.APPLIED, outcome.message

    def test_a_tag_on_a_commit_that_only_the_removed_store_had(
        self, tagged: Monorepo, tmp_path: Path
    ) -> None:
        git("clone", "--quiet", "--no-tags", str(tagged.remote), "behind", cwd=tmp_path)
        tagged.write("api/main.txt", "third\n")
        tagged.commit("Third")
        origin = origin_of(tmp_path / "behind")
        commit = origin.ensure_commit(the_ref(origin, "refs/heads/main"))
        shutil.rmtree(tmp_path / "behind" / ".git" / "ci-tasks")
        assert origin.write_tag(tag_content(commit))

    def test_a_store_that_cannot_be_written_is_not_a_wrong_line(self, monorepo: Monorepo) -> None:
        origin = origin_of(monorepo.clone)
        commit = the_ref(origin, "refs/heads/main").object_id
        shutil.rmtree(monorepo.clone / ".git" / "ci-tasks")
        write(monorepo.clone / ".git" / "ci-tasks", "a file stands in its place")
        with pytest.raises(UnavailableError, match="Can't write to"):
            origin.write_tag(tag_content(commit))

    def test_a_failure_of_git_is_not_a_fault_of_the_tag(self, monorepo: Monorepo) -> None:
        monorepo.git("remote", "remove", "origin")
        with pytest.raises(UnavailableError, match="could not write the tag object"):
            Repository.discover(monorepo.clone).origin("origin").write_tag(tag_content("1" * 40))

    def test_f37_a_tag_on_the_commit_of_a_shallow_clone(self, shallow: Path, tagged: Monorepo) -> None:
        before = picture(shallow)
        head = git("rev-parse", "HEAD", cwd=shallow)
        origin = origin_of(shallow)
        tag = origin.write_tag(tag_content(head, name="api/v9.0.0"))
        outcome = origin.push([RefUpdate(ref="refs/tags/api/v9.0.0", new=tag, old=None)])
        assert outcome.result is PushResult.APPLIED, outcome.message
        assert git("rev-parse", "refs/tags/api/v9.0.0^{commit}", cwd=tagged.remote) == head
        git("fsck", "--strict", cwd=tagged.remote)
        assert not (tagged.remote / "shallow").exists()
        assert picture(shallow) == before

    def test_f37_a_tag_on_an_older_commit_than_the_shallow_clone_has(
        self, shallow: Path, tagged: Monorepo
    ) -> None:
        older = git("rev-parse", "main~1", cwd=tagged.remote)
        origin = origin_of(shallow)
        tag = origin.write_tag(tag_content(older, name="api/v9.0.0"))
        outcome = origin.push([RefUpdate(ref="refs/tags/api/v9.0.0", new=tag, old=None)])
        assert outcome.result is PushResult.APPLIED, outcome.message
        git("fsck", "--strict", cwd=tagged.remote)

    def test_f37_a_tag_on_a_commit_that_only_the_shallow_clone_has(
        self, shallow: Path, tagged: Monorepo
    ) -> None:
        git("commit", "--quiet", "--allow-empty", "-m", "Local", cwd=shallow)
        head = git("rev-parse", "HEAD", cwd=shallow)
        origin = origin_of(shallow)
        tag = origin.write_tag(tag_content(head, name="api/v9.0.0"))
        outcome = origin.push([RefUpdate(ref="refs/tags/api/v9.0.0", new=tag, old=None)])
        assert outcome.result is PushResult.APPLIED, outcome.message
        git("fsck", "--strict", cwd=tagged.remote)
        assert not (tagged.remote / "shallow").exists()

    def test_a_commit_that_is_nowhere(self, shallow: Path) -> None:
        with pytest.raises(UnavailableError, match="neither here nor at"):
            origin_of(shallow).write_tag(tag_content("1" * 40))

    def test_the_users_clone_stays_byte_for_byte(self, tagged: Monorepo) -> None:
        tagged.git("tag", "local")
        tagged.git("pack-refs", "--all")
        tagged.write("api/main.txt", "dirty\n")
        before = picture(tagged.clone)
        origin = origin_of(tagged.clone)
        origin.objects(origin.refs("refs/"))
        tag = origin.write_tag(tag_content(origin.ensure_commit(the_ref(origin, VERSION))))
        origin.push_until_known([RefUpdate(ref=TAG, new=tag, old=tagged.remote_refs()[TAG])])
        origin.is_ancestor(tagged.git("rev-parse", "HEAD"), origin.refs("refs/heads/"))
        assert picture(tagged.clone) == before


class TestAncestry:
    """Never a false "no"."""

    def test_in_a_whole_clone(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        old, new = (git("rev-parse", name, cwd=tagged.remote) for name in ("main~1", "main"))
        git("update-ref", "refs/heads/release", old, cwd=tagged.remote)
        main, release = (the_ref(origin, f"refs/heads/{name}") for name in ("main", "release"))
        assert origin.is_ancestor(old, [main])
        assert origin.is_ancestor(new, [release, main])
        assert not origin.is_ancestor(new, [release])
        assert not origin.is_ancestor("1" * 40, [main])
        assert not origin.is_ancestor(new, [])

    def test_f37_never_a_false_no_in_a_shallow_clone(self, shallow: Path, tagged: Monorepo) -> None:
        before = picture(shallow)
        old = git("rev-parse", "main~1", cwd=tagged.remote)
        side = git("commit-tree", "-m", "Side", "main^{tree}", cwd=tagged.remote)
        git("update-ref", "refs/heads/side", side, cwd=tagged.remote)
        origin = origin_of(shallow)
        main = the_ref(origin, "refs/heads/main")
        origin.objects(origin.refs("refs/tags/"))
        assert origin.is_ancestor(old, [main])
        assert not origin.is_ancestor(side, [main])
        assert picture(shallow) == before

    def test_f37_a_yes_needs_no_history(
        self, shallow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        origin = origin_of(shallow)
        main = the_ref(origin, "refs/heads/main")
        path, log = counting_git(tmp_path)
        monkeypatch.setenv("PATH", path)
        assert origin.is_ancestor(main.object_id, [main])
        assert "--depth=2147483647" not in log.read_text(encoding="utf-8")

    def test_f37_a_remote_without_the_history_can_not_say_no(
        self, shallow: Path, tagged: Monorepo, tmp_path: Path
    ) -> None:
        git("clone", "--quiet", "--depth=1", f"file://{shallow}", "deeper", cwd=tmp_path)
        old = git("rev-parse", "main~1", cwd=tagged.remote)
        origin = origin_of(tmp_path / "deeper")
        with pytest.raises(UnavailableError, match="Can't tell") as caught:
            origin.is_ancestor(old, origin.refs("refs/heads/main"))
        assert caught.value.next_step == "git fetch --unshallow"

    def test_f37_the_history_can_not_be_fetched(self, shallow: Path, tagged: Monorepo) -> None:
        old = git("rev-parse", "main~1", cwd=tagged.remote)
        origin = origin_of(shallow)
        main = origin.refs("refs/heads/main")
        origin.objects(main)
        tagged.remote.rename(tagged.remote.with_name("away.git"))
        with pytest.raises(UnavailableError):
            origin.is_ancestor(old, main)

    def test_f37_a_shallow_clone_without_a_remote(self, shallow: Path, tagged: Monorepo) -> None:
        old = git("rev-parse", "main~1", cwd=tagged.remote)
        git("remote", "remove", "origin", cwd=shallow)
        origin = origin_of(shallow)
        branches = origin.refs("refs/heads/")
        assert origin.is_ancestor(branches[0].object_id, branches)
        with pytest.raises(UnavailableError, match="shallow") as caught:
            origin.is_ancestor(old, branches)
        assert caught.value.next_step == "git fetch --unshallow"

    def test_f63_dates_that_lie(self, monorepo: Monorepo) -> None:
        for seconds in (4_102_444_800, 86_400, 4_102_444_800):  # 2100, 1970, 2100
            tree = git("rev-parse", "main^{tree}", cwd=monorepo.remote)
            parent = git("rev-parse", "main", cwd=monorepo.remote)
            raw = (
                f"tree {tree}\nparent {parent}\nauthor A <a@b> {seconds} +0000\n"
                f"committer A <a@b> {seconds} +0000\n\nx\n"
            )
            commit = git("hash-object", "-w", "-t", "commit", "--stdin", cwd=monorepo.remote, stdin=raw)
            git("update-ref", "refs/heads/main", commit, cwd=monorepo.remote)
        origin = origin_of(monorepo.clone)
        main = origin.refs("refs/heads/main")
        for name in ("main~3", "main~2", "main~1", "main"):
            assert origin.is_ancestor(git("rev-parse", name, cwd=monorepo.remote), main)


class TestStore:
    """The private store: unseen, shared, replaceable."""

    def test_the_namespace_is_empty_afterwards(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        origin.objects(origin.refs("refs/tags/"))
        assert git("for-each-ref", cwd=store_of(tagged.clone)) == ""
        assert not (store_of(tagged.clone) / "FETCH_HEAD").exists()

    def test_f44_what_a_killed_process_left_is_removed_after_a_day(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        origin.refs("refs/tags/")
        store = store_of(tagged.clone)
        now = int(time.time())
        main = git("rev-parse", "main", cwd=tagged.remote)
        for stamp in (now - 90_000, now - 3600):
            git("update-ref", f"refs/ci-tasks/{stamp}-aa/0", main, cwd=store)
        write(store.parent / "spare-new" / "HEAD", "")
        write(store.parent / "spare-old", "")
        origin.objects(origin.refs("refs/tags/"))
        assert git("for-each-ref", "--format=%(refname)", cwd=store) == f"refs/ci-tasks/{now - 3600}-aa/0"
        (store / "HEAD").unlink()
        assert origin_of(tagged.clone).refs("refs/tags/")
        assert sorted(path.name for path in store.parent.iterdir()) == ["lock", "store.git"]

    @pytest.mark.parametrize(
        "harm",
        [
            "no-head",
            "no-objects",
            "no-refs",
            "bad-config",
            "empty-head",
            "bad-alternates",
            "a-file",
            "broken-ref",
        ],
    )
    def test_a_broken_store_is_made_anew(self, tagged: Monorepo, harm: str) -> None:
        store = store_of(tagged.clone)
        origin = origin_of(tagged.clone)
        wanted = origin.objects(origin.refs("refs/tags/"))
        if harm == "no-head":
            (store / "HEAD").unlink()
        elif harm == "no-objects":
            shutil.rmtree(store / "objects")
        elif harm == "no-refs":
            shutil.rmtree(store / "refs")
        elif harm == "bad-config":
            (store / "config").write_text("[[[", encoding="ascii")
        elif harm == "empty-head":
            (store / "HEAD").write_text("", encoding="ascii")
        elif harm == "bad-alternates":
            (store / "objects/info/alternates").write_text("/nowhere\n", encoding="ascii")
        elif harm == "a-file":
            shutil.rmtree(store)
            store.write_text("", encoding="ascii")
        else:
            write(store / "refs/ci-tasks/1-aa/0", "1" * 40 + "\n")
        again = origin_of(tagged.clone)
        assert again.objects(again.refs("refs/tags/")) == wanted

    def test_a_damaged_object_is_fetched_again(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        refs = origin.refs("refs/tags/")
        wanted = origin.objects(refs)
        object_id = tagged.remote_refs()[TAG]
        damaged = store_of(tagged.clone) / "objects" / object_id[:2] / object_id[2:]
        damaged.chmod(0o644)
        for data in (b"", b"nonsense"):
            damaged.write_bytes(data)
            assert origin_of(tagged.clone).objects(refs) == wanted

    def test_a_store_that_another_process_has_made_anew_stays(self, tagged: Monorepo) -> None:
        ours, theirs = (
            PrivateStore(
                tagged.clone / ".git", at=tagged.clone, environment={}, object_format="sha1", lends=True
            )
            for _ in range(2)
        )
        ours.make_ready()
        (ours.git_dir / "HEAD").unlink()
        theirs.make_ready()
        made = ours.git_dir.stat().st_ino
        ours.replace()
        assert ours.git_dir.stat().st_ino == made
        ours.replace()
        assert ours.git_dir.stat().st_ino != made

    def test_several_processes_at_once(self, tagged: Monorepo) -> None:
        found: list[int] = []
        failed: list[BaseException] = []

        def read() -> None:
            try:
                origin = origin_of(tagged.clone)
                found.append(len(origin.objects(origin.refs("refs/tags/"))))
            except BaseException as error:  # noqa: BLE001 - shown by the assertion below
                failed.append(error)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (found, failed) == ([3] * 8, [])

    def test_several_processes_at_once_in_a_shallow_clone(self, shallow: Path) -> None:
        found: list[int] = []

        def read() -> None:
            origin = origin_of(shallow)
            found.append(len(origin.objects(origin.refs("refs/tags/"))))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [3] * 3

    def test_an_old_lock_of_the_store_is_removed(self, shallow: Path) -> None:
        origin_of(shallow).refs("refs/tags/")
        lock = store_of(shallow) / "shallow.lock"
        lock.touch()
        os.utime(lock, (1, 1))
        origin = origin_of(shallow)
        assert len(origin.objects(origin.refs("refs/tags/"))) == 3

    def test_the_users_objects_are_lent_only_if_they_are_complete(
        self, tagged: Monorepo, shallow: Path
    ) -> None:
        for clone in (tagged.clone, shallow):
            origin = origin_of(clone)
            origin.objects(origin.refs("refs/tags/"))
        lent = "objects/info/alternates"
        assert (store_of(tagged.clone) / lent).read_text(encoding="utf-8") == f"{tagged.clone}/.git/objects\n"
        assert not (store_of(shallow) / lent).exists()
        git("fetch", "--quiet", "--unshallow", cwd=shallow)
        origin = origin_of(shallow)
        assert len(origin.objects(origin.refs("refs/tags/"))) == 3
        assert (store_of(shallow) / lent).exists()
        assert not (store_of(shallow) / "shallow").exists()

    def test_many_packs_are_gathered(self, tagged: Monorepo) -> None:
        origin = origin_of(tagged.clone)
        origin.refs("refs/tags/")
        store = store_of(tagged.clone)
        for number in range(52):
            blob = git("hash-object", "-w", "--stdin", cwd=store, stdin=str(number))
            git("update-ref", f"refs/keep/{number}", blob, cwd=store)
            git("pack-objects", "--quiet", "objects/pack/pack", cwd=store, stdin=f"{blob}\n")
        origin.objects(origin.refs("refs/tags/"))
        assert len(list((store / "objects/pack").glob("*.pack"))) <= 2
        assert not list(store.glob("gc.pid"))

    def test_a_folder_that_can_not_be_written(self, tagged: Monorepo) -> None:
        write(tagged.clone / ".git/ci-tasks", "in the way\n")
        with pytest.raises(UnavailableError, match="Can't write to") as caught:
            origin_of(tagged.clone).refs("refs/tags/")
        assert caught.value.next_step == f"ls -ld {tagged.clone}/.git"

    def test_local_tags_are_not_read_for_a_fetch(
        self, tagged: Monorepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, log = counting_git(tmp_path)
        monkeypatch.setenv("PATH", path)
        origin = origin_of(tagged.clone)
        origin.objects(origin.refs("refs/tags/"))
        (fetch,) = [line for line in log.read_text(encoding="utf-8").splitlines() if " fetch " in line]
        assert "core.alternateRefsPrefixes=refs/heads/ refs/remotes/" in fetch


class TestSha256:
    """Object ids of 64 digits."""

    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        git("init", "--quiet", "--bare", "--object-format=sha256", "r.git", cwd=tmp_path)
        git("init", "--quiet", "--object-format=sha256", "c", cwd=tmp_path)
        git("commit", "--quiet", "--allow-empty", "-m", "Begin", cwd=tmp_path / "c")
        git("remote", "add", "origin", str(tmp_path / "r.git"), cwd=tmp_path / "c")
        git("push", "--quiet", "origin", "main", cwd=tmp_path / "c")
        return tmp_path / "c"

    @pytest.mark.parametrize("alone", [False, True], ids=["remote", "itself"])
    def test_reads_and_writes(self, clone: Path, *, alone: bool) -> None:
        if alone:
            git("remote", "remove", "origin", cwd=clone)
        origin = origin_of(clone)
        assert origin.is_self is alone
        head = the_ref(origin, "refs/heads/main").object_id
        assert len(head) == 64
        tag = origin.write_tag(tag_content(head))
        assert origin.push([RefUpdate(ref=TAG, new=tag, old=None)]).result is PushResult.APPLIED
        assert the_ref(origin, TAG) == RemoteRef(TAG, tag, head)
        assert origin.objects(origin.refs(TAG))[tag].data == tag_content(head)
        assert origin.is_ancestor(head, origin.refs("refs/heads/"))


class TestOwnRepository:
    """A repository without a remote reads alike."""

    @pytest.fixture
    def own(self, tagged: Monorepo) -> Origin:
        tagged.git("fetch", "--quiet", "--tags", "origin")
        tagged.git("remote", "remove", "origin")
        return origin_of(tagged.clone)

    def test_reads_the_same(self, own: Origin, tagged: Monorepo) -> None:
        git("remote", "add", "origin", str(tagged.remote), cwd=tagged.clone)
        remote = origin_of(tagged.clone)
        for patterns in (
            ("refs/tags/",),
            (TAG,),
            ("refs/tags/light", "refs/heads/main"),
            ("refs/tags/none",),
            (),
        ):
            assert set(own.refs(*patterns)) == set(remote.refs(*patterns))
        refs = own.refs("refs/tags/")
        assert own.objects(refs) == remote.objects(refs)
        commit = own.ensure_commit(the_ref(own, VERSION))
        assert commit == remote.ensure_commit(the_ref(remote, VERSION))
        assert own.commit_files(commit) == remote.commit_files(commit)

    def test_names_are_exact(self, own: Origin, tagged: Monorepo) -> None:
        tagged.git("update-ref", "refs/heads/refs/tags/api/production", "main")
        assert [ref.name for ref in own.refs(TAG)] == [TAG]
        assert own.refs("refs/tags/api") == ()

    def test_ancestry(self, own: Origin, tagged: Monorepo) -> None:
        (main,) = own.refs("refs/heads/main")
        assert own.is_ancestor(tagged.git("rev-parse", "main~1"), [main])
        assert not own.is_ancestor("1" * 40, [main])
        assert not own.is_ancestor(main.object_id, own.refs("refs/tags/light"))

    def test_no_store_is_made(self, own: Origin, tagged: Monorepo) -> None:
        own.objects(own.refs("refs/tags/"))
        assert not (tagged.clone / ".git/ci-tasks").exists()
