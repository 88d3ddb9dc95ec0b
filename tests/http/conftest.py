"""A monorepo whose remote is reached over HTTP alone, through a proxy that can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.deploy.conftest import Site, make_site
from tests.http.proxy import Proxy, proxying
from tests.repositories import git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Inv


@pytest.fixture
def site(tmp_path: Path, inv: Inv) -> Site:
    """A monorepo whose api has the version v1.0.0, on the remote only; the remote takes pushes over HTTP."""
    site = make_site(tmp_path, inv)
    git("config", "http.receivepack", "true", cwd=site.remote)
    return site


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    """The only way to the remote."""
    with proxying(site.remote.parent) as proxy:
        site.repository.git("remote", "set-url", "origin", proxy.url)
        yield proxy
