#!/bin/sh
# Description: lays the version out as <target>/releases/<version>
# Requires: cp, diff, mv
# Timeout: 5m
# Idempotent: yes
# Dry-run: supported
#
# A release appears whole or not at all: it is copied under another name first, then renamed. One that is
# there already, with the same content, is kept; one with other content is an error, as a version never changes.
set -eu
: "${DEPLOY_TARGET:?set it in env: of environments/config.yml}" "${DEPLOYMENT_VERSION:?inv deploy sets it}"

target="$DEPLOY_TARGET/$DEPLOYMENT_ENVIRONMENT"
target="$target${DEPLOYMENT_REGION:+/$DEPLOYMENT_REGION}${DEPLOYMENT_SUBPROJECT:+/$DEPLOYMENT_SUBPROJECT}"
source="$DEPLOYMENT_SOURCE/$DEPLOYMENT_SUBPROJECT"
release="$target/releases/$DEPLOYMENT_VERSION"
copy="$target/releases/.new-$DEPLOYMENT_ID"

if [ ! -d "$source" ]; then
    echo "$DEPLOYMENT_VERSION has no folder $DEPLOYMENT_SUBPROJECT" >&2
    exit 1
elif [ -d "$release" ]; then
    if ! diff -rq --no-dereference "$source" "$release" >&2; then
        echo "$release is there with other content: move it away and deploy again" >&2
        exit 1
    fi
    echo "kept $release: it is there already"
elif [ "${CI_DRY_RUN:-}" = 1 ]; then
    echo "would lay out $release"
else
    trap 'rm -rf "$copy"' EXIT
    trap 'exit 1' HUP INT TERM
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -RP "$source/." "$copy"
    mv -T "$copy" "$release"
    echo "laid out $release"
fi
