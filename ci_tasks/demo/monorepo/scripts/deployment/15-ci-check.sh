#!/bin/sh
# Description: looks for leftovers of a merge in the release before it goes live
# Requires: grep
# Timeout: 1m
# Idempotent: yes
# Dry-run: supported
#
# It stands before the switch: a release that is not fit to go live never does.
set -eu
: "${DEPLOY_TARGET:?set it in env: of environments/config.yml}" "${DEPLOYMENT_VERSION:?inv deploy sets it}"

target="$DEPLOY_TARGET/$DEPLOYMENT_ENVIRONMENT"
target="$target${DEPLOYMENT_REGION:+/$DEPLOYMENT_REGION}${DEPLOYMENT_SUBPROJECT:+/$DEPLOYMENT_SUBPROJECT}"
release="$target/releases/$DEPLOYMENT_VERSION"

# A dry run has laid nothing out, so it looks at what would be.
[ "${CI_DRY_RUN:-}" != 1 ] || release="$DEPLOYMENT_SOURCE/$DEPLOYMENT_SUBPROJECT"

cd "$release"
found=0
grep -rnIE '^(<{7}|>{7}) ' . || found=$?
case $found in
    0)
        echo "$DEPLOYMENT_VERSION must not go live: the merge above is not finished" >&2
        exit 1
        ;;
    1) echo "$DEPLOYMENT_VERSION has no leftovers of a merge" ;;
    *) exit "$found" ;;
esac
