"""pre-commit: no plaintext where an encrypted file belongs, judged by what git is about to accept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_tasks.core.encrypted import belongs_encrypted
from ci_tasks.core.errors import RefusedError
from ci_tasks.hook import pre_commit, sops
from tests.repositories import git, write

if TYPE_CHECKING:
    from tests.hook.conftest import Hooked

VECTORS = Path(__file__).parent / "vectors"
ENCRYPTED = sorted(path.name for path in VECTORS.glob("*.sops-*"))
PLAIN = sorted(path.name for path in VECTORS.glob("*.plain.*"))
TOKEN = "AGE-SECRET-KEY-" + "1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2
"""What looks like a key: made here, so that none stands in the tree."""
MAC = "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"


def content(name: str) -> bytes:
    """The bytes of a file that SOPS wrote, or that it was given."""
    return (VECTORS / name).read_bytes()


@pytest.mark.parametrize("name", ENCRYPTED)
def test_what_sops_wrote_is_encrypted(name: str) -> None:
    assert sops.fault_of(content(name), f"secrets.enc.{name.rpartition('.')[2]}") is None


@pytest.mark.parametrize("name", PLAIN)
def test_what_sops_was_given_is_plaintext(name: str) -> None:
    fault = sops.fault_of(content(name), f"secrets.enc.{name.rpartition('.')[2]}")
    assert fault is not None
    # YAML 1.1's words for booleans are not read at all; SOPS quotes them.
    assert "plaintext" in fault or (name, "can't be read" in fault) == ("scalars.plain.yaml", True)


@pytest.mark.parametrize(
    "name", [name for name in ENCRYPTED if name.startswith(("basic", "nested", "scalars"))]
)
def test_every_value_that_is_put_back_in_plaintext_is_found(name: str) -> None:
    """Each encrypted value in turn, comments and metadata aside."""
    lines = content(name).decode().splitlines()
    found = 0
    for number, line in enumerate(lines):
        if "sops" in line.partition("=")[0].partition(":")[0]:
            break
        begin, _, rest = line.partition("ENC[")
        if not rest or "type:comment" in rest:
            continue
        edited = [*lines[:number], f"{begin}hunter2{rest.partition(']')[2]}", *lines[number + 1 :]]
        fault = sops.fault_of("\n".join(edited).encode(), name)
        assert fault is not None, line
        assert "hunter2" not in fault
        found += 1
    assert found > 1


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        ("", "a.enc.yaml", "no block `sops`"),
        ("a: 1\nsops: {}\n", "a.enc.yaml", "no mac"),
        ("a: 1\nsops: x\n", "a.enc.yaml", "no block `sops`"),
        ("a: 1\nsops: {mac: abc}\n", "a.enc.yaml", "no mac"),
        (f"a: 1\nsops: {{mac: '{MAC}'}}\n", "a.enc.yaml", "the value of a is plaintext"),
        (f"a: {{b: [x]}}\nsops: {{mac: '{MAC}'}}\n", "a.enc.yaml", "the value of a.b is plaintext"),
        (f"a: 'x {MAC}'\nsops: {{mac: '{MAC}'}}\n", "a.enc.yaml", "the value of a is plaintext"),
        (f"a_x: 1\nb: 1\nsops: {{mac: '{MAC}', unencrypted_suffix: _x}}\n", "a.enc.yaml", "value of b"),
        (f"a_x: 1\nb: 1\nsops: {{mac: '{MAC}', encrypted_suffix: _x}}\n", "a.enc.yaml", "value of a_x"),
        (f"ax: 1\nb: 1\nsops: {{mac: '{MAC}', unencrypted_regex: ^a}}\n", "a.enc.yaml", "value of b"),
        (f"ax: {{c: 1}}\nb: 1\nsops: {{mac: '{MAC}', encrypted_regex: ^a}}\n", "a.enc.yaml", "value of ax.c"),
        (f"a: 1\nsops: {{mac: '{MAC}', encrypted_regex: '('}}\n", "a.enc.yaml", "no regular expression"),
        (
            f"a: 1\nsops: {{mac: '{MAC}', encrypted_regex: a, encrypted_suffix: b}}\n",
            "a.enc.yaml",
            "in two ways",
        ),
        (f"a: &x 1\nsops: {{mac: '{MAC}'}}\n", "a.enc.yaml", "can't be read: line 1"),
        ("{}", "a.enc", "no block `sops`"),
        ("[]", "a.enc", "plaintext"),
        ("hello", "a.enc.pem", "plaintext"),
        (f'{{"a": "x", "a": "{MAC}", "sops": {{"mac": "{MAC}"}}}}', "a.enc.json", "a key twice"),
        ("[" * 100_000, "a.enc.json", "SOPS writes"),
        ("A=1\n", "a.enc.env", "no mac"),
        (f"A=1\nsops_mac={MAC}\n", "a.enc.env", "the value of A is plaintext"),
        (f"A={MAC}\nA=1\nsops_mac={MAC}\n", "a.enc.env", "a variable twice"),
        (f"A\nsops_mac={MAC}\n", "a.enc.env", "no variable"),
        (b"\xff\xfe", "a.enc.env", "SOPS writes"),
        (b"\xff\xfe", "a.enc", "plaintext"),
        (b"\xc3\x28{}", "a.enc", "SOPS writes"),
        (b"x" * ((1 << 24) + 1), "a.enc", "larger than"),
    ],
)
def test_what_is_not_encrypted(data: str | bytes, name: str, reason: str) -> None:
    fault = sops.fault_of(data.encode() if isinstance(data, str) else data, name)
    assert reason in str(fault)


C = MAC.replace("type:str", "type:comment")
UNDER = f"sops: {{mac: '{MAC}'}}\n"
ONLY = f"sops: {{mac: '{MAC}', encrypted_regex: ^data$}}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"a: {MAC}\n# pw\n{UNDER}", 2),
        (f"a: {MAC} # pw\n{UNDER}", 1),
        (f"a: {MAC} # pw #{C}\n{UNDER}", 1),
        (f"#{C}x\na: {MAC}\n{UNDER}", 1),
        (f"a: {MAC}\n{UNDER}# pw\n", 3),
        (f"a: {MAC}\nsops:\n  # pw\n  mac: {MAC}\n", 3),
        (f"l:\n  - {MAC}\n  # pw\n  - {MAC}\n{UNDER}", 3),
        (f"l:\n  - a: {MAC}\n    # pw\n{UNDER}", 3),
        (f"x_unencrypted:\n  b: 1\n# pw\na: {MAC}\n{UNDER}", 3),
        (f"a: ''#pw\n{UNDER}", 1),
        (f"data:\n  # pw\n  b: {MAC}\n{ONLY}", 2),
        (f"x: 1\ndata:\n  b: {MAC}\n  # pw\n{ONLY}", 4),
        (f"data:\n  b: {MAC} # pw\n{ONLY}", 2),
        (f"#{C}\n#\na: {MAC} #{C}\nb:\n  #{C}\n  c: {MAC}\n{UNDER}", None),
        (f"x_unencrypted:\n  # fine\n  b: 'x # y'\n  c: |\n    # z\n  \"d # e\": 1#2\n{UNDER}", None),
        (f"# fine\nx: 1 # fine\ndata:\n  b: {MAC}\n# fine\n{ONLY}", None),
        (f"x_unencrypted:\n  - b: 1\n    # fine\n{UNDER}", None),
    ],
)
def test_comments_are_encrypted_too(text: str, line: int | None) -> None:
    wanted = line and f"the comment in line {line} is plaintext"
    assert sops.fault_of(text.encode(), "a.enc.yaml") == wanted


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (f"#PASSWORD=hunter2\nsops_mac={MAC}\n", "a.enc.env", "the comment in line 1 is plaintext"),
        (f"A={MAC}\n# x {C}\nsops_mac={MAC}\n", "a.enc.env", "the comment in line 2 is plaintext"),
        (f"sops_password=hunter2\nsops_mac={MAC}\n", "a.enc.env", "has 'password', which SOPS does not"),
        (f"sops: {{mac: '{MAC}', password: hunter2}}\n", "a.enc.yaml", "has 'password', which SOPS does not"),
        (f'{{"sops": {{"mac": "{MAC}", "age__x": [], "x": 1}}}}', "a.enc", "has 'x', which SOPS does not"),
    ],
)
def test_nothing_hides_beside_the_values(text: str, name: str, reason: str) -> None:
    fault = str(sops.fault_of(text.encode(), name))
    assert reason in fault
    assert "hunter2" not in fault


def test_values_that_comments_decide_about_are_left_to_sops() -> None:
    text = f"a: 1\nsops: {{mac: '{MAC}', unencrypted_comment_regex: public}}\n"
    assert sops.fault_of(text.encode(), "a.enc.yaml") is None


@given(st.binary(max_size=300), st.sampled_from(["a.enc", "a.enc.yaml", "a.enc.env", "a.enc.json"]))
def test_no_file_is_too_strange(data: bytes, name: str) -> None:
    assert sops.fault_of(data, name) is not None


@pytest.mark.parametrize(
    ("path", "encrypted", "twin"),
    [
        ("environments/secrets.enc", True, False),
        ("environments/production/us-east/secrets.enc.yaml", True, False),
        ("services/auth/environments/staging/secrets.enc.json", True, False),
        ("environments/production/tls.enc.pem", True, False),
        ("environments/production/KEYS.ENC", True, False),
        ("environments/production/secrets.yaml", False, True),
        ("environments/production/.env", False, True),
        ("api/environments/secrets.env", False, True),
        ("environments/production/config.yml", False, False),
        ("environments/production/.enc", False, False),
        ("environments", False, False),
        ("src/secrets.enc", False, False),
        (".env", False, False),
    ],
)
def test_which_files_are_looked_at(path: str, *, encrypted: bool, twin: bool) -> None:
    assert (belongs_encrypted(path), pre_commit.is_twin(path)) == (encrypted, twin)


class Staged:
    """The clone of this module, put back after each test; looked at in this process."""

    def __init__(self, hooked: Hooked) -> None:
        self.hooked = hooked
        self.clone = hooked.clone

    def add(self, path: str, data: bytes | str) -> None:
        """Write a file and stage it."""
        target = self.clone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())
        self.hooked.repository.git("add", "--force", "--", path)

    def refused(self) -> tuple[str, ...]:
        """What is said of each file; fails the test where nothing is."""
        with pytest.raises(RefusedError) as refused:
            pre_commit.check()
        assert refused.value.unchanged == "Nothing was committed."
        return refused.value.details


@pytest.fixture
def staged(installed: Hooked, monkeypatch: pytest.MonkeyPatch) -> Staged:
    installed.repository.git("reset", "--quiet", "--hard", "origin/main")
    installed.repository.git("clean", "-ffdqx")
    monkeypatch.chdir(installed.clone)
    return Staged(installed)


@pytest.mark.parametrize("name", PLAIN)
def test_staged_plaintext_is_refused(staged: Staged, name: str) -> None:
    staged.add(f"environments/production/secrets.enc.{name.rpartition('.')[2]}", content(name))
    staged.add("environments/production/secrets.enc", content(name))
    details = staged.refused()
    assert [line.partition(":")[0] for line in details] == [
        "environments/production/secrets.enc",
        f"environments/production/secrets.enc.{name.rpartition('.')[2]}",
    ]


@pytest.mark.parametrize("name", ENCRYPTED)
def test_staged_encrypted_files_pass(staged: Staged, name: str) -> None:
    staged.add(f"api/environments/production/secrets.enc.{name.rpartition('.')[2]}", content(name))
    assert pre_commit.check() == 1


def test_what_is_staged_counts_and_not_the_working_tree(staged: Staged) -> None:
    path = "environments/secrets.enc.yaml"
    staged.add(path, content("nested.plain.yaml"))
    (staged.clone / path).write_bytes(content("nested.sops-3.13.2.yaml"))
    assert len(staged.refused()) == 1
    staged.hooked.repository.git("add", path)
    (staged.clone / path).write_bytes(content("nested.plain.yaml"))
    assert pre_commit.check() == 1


def test_twins_are_refused_by_their_name(staged: Staged) -> None:
    staged.add("environments/production/secrets.yaml", "a: hunter2\n")
    staged.add("api/environments/.env", "A=hunter2\n")
    assert staged.refused() == (
        "api/environments/.env: plaintext secrets; encrypt them with sops as secrets.enc.env",
        "environments/production/secrets.yaml: plaintext secrets; encrypt them with sops as secrets.enc.yaml",
    )


def test_a_twin_that_is_encrypted_leaks_nothing(staged: Staged) -> None:
    staged.add("environments/secrets.yaml", content("nested.sops-3.13.2.yaml"))
    assert pre_commit.check() == 1


def test_a_link_is_no_encrypted_file(staged: Staged) -> None:
    (staged.clone / "environments/secrets.enc").symlink_to("/etc/hostname")
    staged.hooked.repository.git("add", "environments/secrets.enc")
    assert staged.refused() == (
        "environments/secrets.enc: it is a symbolic link; an encrypted file belongs here",
    )


@pytest.mark.parametrize(
    "data",
    [
        f"# created\n{TOKEN}\n",
        f"key: '{TOKEN}'",
        TOKEN.replace("KEY-1", "KEY-PQ-1"),
        b"\x00\xff" + TOKEN.encode() + b"\x00",
    ],
)
def test_a_secret_key_is_refused_anywhere(staged: Staged, data: str | bytes) -> None:
    staged.add("docs/a file.txt", data)
    assert staged.refused() == ("docs/a file.txt: an age secret key (AGE-SECRET-KEY-...) is in it",)


def test_what_is_written_about_keys_passes(staged: Staged) -> None:
    staged.add("docs/keys.md", "A key begins with AGE-SECRET-KEY-1 and AGE-SECRET-KEY-1XXXX is none.\n")
    assert pre_commit.check() == 1


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 400))
def test_no_key_hides_between_two_pieces(before: int, after: int, size: int) -> None:
    data = b"x" * before + TOKEN.encode() + b"x" * after
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert pre_commit.has_key(pieces)
    assert not pre_commit.has_key([piece.lower() for piece in pieces])


def test_a_key_in_a_large_file_is_found(staged: Staged) -> None:
    """Larger than what is read whole."""
    staged.add("large.bin", b"x" * 5_000_000 + TOKEN.encode() + b"x" * 5_000_000)
    assert len(staged.refused()) == 1
    staged.add("large.bin", b"x" * 9_000_000)
    assert pre_commit.check() == 1
    staged.add("environments/large.enc", b"x" * 9_000_000)
    assert staged.refused() == ("environments/large.enc: it is too large for an encrypted file",)


def test_deletions_submodules_and_strange_names(staged: Staged) -> None:
    repository = staged.hooked.repository
    repository.git("rm", "--quiet", "web/main.txt")
    repository.git("mv", "api/main.txt", 'api/ä "\n".txt')
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},environments/secrets.enc")
    assert pre_commit.check() == 1


def test_the_first_commit_of_all(staged: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("sha1", "sha256"):
        folder = tmp_path / form
        git("init", "--quiet", f"--object-format={form}", str(folder), cwd=tmp_path)
        write(folder / "environments/secrets.enc", "hello\n")
        git("add", "--all", cwd=folder)
        monkeypatch.chdir(folder)
        assert len(staged.refused()) == 1


def test_real_commits_never_show_the_content(hooked: Hooked) -> None:
    hooked.install()
    hooked.repository.write("environments/secrets.enc.yaml", "password: hunter2\n")
    hooked.repository.write("key.txt", f"{TOKEN}\n")
    hooked.repository.git("add", "--all")
    done = hooked.git("commit", "--message", "feat: a thing")
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert "environments/secrets.enc.yaml: it is plaintext" in done.stderr
    assert "key.txt: an age secret key" in done.stderr
    line = "git restore --staged -- environments/secrets.enc.yaml key.txt"
    assert f"next: {line}\n" in done.stderr
    hooked.repository.git(*line.split()[1:])
    assert "key.txt" not in hooked.repository.git("diff", "--cached", "--name-only")
    hooked.repository.git("add", "--all")
    assert hooked.git("commit", "--no-verify", "--message", "feat: a thing").returncode == 0
    assert hooked.git("commit", "--allow-empty", "--message", "feat: more").returncode == 0


class TestF126:
    """Git names another index than the usual one: that is the one that counts."""

    PATH = "environments/secrets.enc.yaml"

    @pytest.fixture
    def clone(self, hooked: Hooked) -> Hooked:
        """A committed encrypted file, whose content in the working tree is plaintext."""
        hooked.repository.write(self.PATH, content("nested.sops-3.13.2.yaml").decode())
        hooked.repository.write("other.txt", "a\n")
        hooked.repository.commit("feat: begin")
        hooked.install()
        hooked.repository.write(self.PATH, "password: hunter2\n")
        hooked.repository.write("other.txt", "b\n")
        return hooked

    def test_f126_all_that_is_changed(self, clone: Hooked) -> None:
        done = clone.git("commit", "--all", "--message", "feat: a thing")
        assert (done.returncode, self.PATH in done.stderr) == (1, True)

    def test_f126_a_part_with_the_plaintext(self, clone: Hooked) -> None:
        done = clone.git("commit", "--message", "feat: a thing", self.PATH)
        assert (done.returncode, self.PATH in done.stderr) == (1, True)

    def test_f126_a_part_without_it_although_it_is_staged(self, clone: Hooked) -> None:
        clone.repository.git("add", "--all")
        done = clone.git("commit", "--message", "feat: a thing", "other.txt")
        assert done.returncode == 0, done.stderr
        assert clone.repository.git("show", "--format=", "--name-only") == "other.txt"
        assert clone.git("commit", "--message", "feat: the rest").returncode == 1

    def test_f126_a_merge(self, clone: Hooked) -> None:
        clone.repository.git("checkout", "--quiet", "-b", "side")
        clone.repository.git("commit", "--no-verify", "--all", "--message", "feat: bad")
        clone.repository.git("checkout", "--quiet", "main")
        done = clone.git("merge", "--no-ff", "--no-edit", "side")
        # git asks pre-merge-commit for a merge that it finishes itself, and pre-commit for one that you do.
        assert (done.returncode, self.PATH in done.stderr) == (1, True)
        clone.repository.git("merge", "--abort")
        clone.repository.git("merge", "--no-commit", "--no-ff", "side")
        done = clone.git("commit", "--no-edit")
        assert (done.returncode, self.PATH in done.stderr) == (1, True)

    def test_f126_a_linked_worktree(self, clone: Hooked) -> None:
        clone.repository.git("reset", "--quiet", "--hard")
        tree = clone.clone.parent / "tree"
        clone.repository.git("worktree", "add", "--quiet", str(tree))
        write(tree / self.PATH, "password: hunter2\n")
        done = clone.git("commit", "--all", "--message", "feat: a thing", cwd=tree)
        assert (done.returncode, self.PATH in done.stderr) == (1, True)
        write(clone.clone / "other.txt", "c\n")
        assert clone.git("commit", "--all", "--message", "feat: it").returncode == 0

    def test_f126_a_git_folder_elsewhere(self, clone: Hooked) -> None:
        elsewhere = clone.clone.parent / "elsewhere.git"
        (clone.clone / ".git").rename(elsewhere)
        words = [f"--git-dir={elsewhere}", f"--work-tree={clone.clone}"]
        done = clone.git(*words, "commit", "--all", "--message", "feat: a thing")
        assert (done.returncode, self.PATH in done.stderr) == (1, True)

    def test_f126_nothing_else_of_git_is_obeyed(
        self, clone: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What names an editor, a pager or a configuration is not for us."""
        clone.repository.git("add", "--all")
        monkeypatch.chdir(clone.clone)
        mark = tmp_path / "ran"
        monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {mark}")
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {mark}")
        monkeypatch.setenv("GIT_DIFF_OPTS", "--bogus")
        with pytest.raises(RefusedError):
            pre_commit.check()
        monkeypatch.setenv("GIT_INDEX_FILE", os.path.relpath(tmp_path / "index", clone.clone))
        clone.repository.git("read-tree", "HEAD")
        assert pre_commit.check() == 0
        assert not mark.exists()


@pytest.mark.parametrize("inside", ["environments/", ""])
def test_before_the_first_commit_the_line_is_another(
    staged: Staged, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    staged.hooked.repository.git("switch", "--quiet", "--orphan", "anew")
    try:
        staged.add("environments/a b.enc", "hunter2")
        monkeypatch.setenv("GIT_PREFIX", inside)
        with pytest.raises(RefusedError) as refused:
            pre_commit.check()
        name = "a b.enc" if inside else "environments/a b.enc"
        assert refused.value.next_step == f"git rm --cached -- '{name}'"
    finally:
        staged.hooked.repository.git("reset", "--quiet", "--hard")
        staged.hooked.repository.git("switch", "--quiet", "--force", "main")
