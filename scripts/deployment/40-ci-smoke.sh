#!/bin/sh
# Description: reads what is live and compares it with the version
# Requires: basename, diff, readlink
# Timeout: 1m
# Idempotent: yes
# Dry-run: supported
set -eu
: "${DEPLOY_TARGET:?set it in env: of environments/config.yml}" "${DEPLOYMENT_VERSION:?inv deploy sets it}"

target="$DEPLOY_TARGET/$DEPLOYMENT_ENVIRONMENT"
target="$target${DEPLOYMENT_REGION:+/$DEPLOYMENT_REGION}${DEPLOYMENT_SUBPROJECT:+/$DEPLOYMENT_SUBPROJECT}"
live=$(basename "$(readlink "$target/current" || echo nothing)")

if [ "${CI_DRY_RUN:-}" = 1 ]; then
    echo "would expect $DEPLOYMENT_VERSION; $live is live now"
    exit 0
fi
if [ "$live" != "$DEPLOYMENT_VERSION" ]; then
    echo "$live is live, not $DEPLOYMENT_VERSION" >&2
    exit 1
fi
if ! diff -rq --no-dereference "$DEPLOYMENT_SOURCE/$DEPLOYMENT_SUBPROJECT" "$target/current/" >&2; then
    echo "what is live is not what $DEPLOYMENT_VERSION holds" >&2
    exit 1
fi
echo "$live is live and whole"
