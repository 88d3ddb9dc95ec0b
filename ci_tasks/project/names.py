"""Closed sets of the collection `project`."""

from __future__ import annotations

from enum import Enum


class ReasonKind(Enum):
    """Why a subproject counts as changed; the last five are of `deploy.plan --env` alone."""

    OWN = "OWN"
    DEPENDENCY = "DEPENDENCY"
    SHARED = "SHARED"
    NEVER_DEPLOYED = "NEVER_DEPLOYED"
    UNCERTAIN = "UNCERTAIN"
    UNREADABLE = "UNREADABLE"
    GONE = "GONE"
    NEWER_VERSION = "NEWER_VERSION"
