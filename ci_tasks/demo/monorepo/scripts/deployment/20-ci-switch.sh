#!/bin/sh
# Description: makes the release live by pointing <target>/current at it
# Requires: ln, mv
# Timeout: 1m
# Idempotent: yes
# Dry-run: supported
#
# The new link is made under another name and renamed over the old one: whoever reads `current` finds the old
# release or the new one, and never nothing.
set -eu
: "${DEPLOY_TARGET:?set it in env: of environments/config.yml}" "${DEPLOYMENT_VERSION:?inv deploy sets it}"

target="$DEPLOY_TARGET/$DEPLOYMENT_ENVIRONMENT"
target="$target${DEPLOYMENT_REGION:+/$DEPLOYMENT_REGION}${DEPLOYMENT_SUBPROJECT:+/$DEPLOYMENT_SUBPROJECT}"
release="releases/$DEPLOYMENT_VERSION"

if [ "${CI_DRY_RUN:-}" = 1 ]; then
    echo "would point $target/current at $release"
    exit 0
fi
if [ ! -d "$target/$release" ]; then
    echo "there is no $target/$release" >&2
    exit 1
fi
ln -sfn "$release" "$target/.current-$DEPLOYMENT_ID"
mv -T "$target/.current-$DEPLOYMENT_ID" "$target/current"
echo "current -> $release"
