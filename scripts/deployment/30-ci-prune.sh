#!/bin/sh
# Description: keeps the last releases, as many as keepReleases says, and always the one that is live
# Requires: basename, ls, mv, readlink, rm, sed, tail, tr
# Timeout: 5m
# Idempotent: yes
# Dry-run: supported
#
# Also takes away what an interrupted deployment has left. A release is renamed before it is removed, so that
# no half of one ever looks like a whole one.
set -eu
: "${DEPLOY_TARGET:?set it in env: of environments/config.yml}" "${DEPLOYMENT_VERSION:?inv deploy sets it}"

target="$DEPLOY_TARGET/$DEPLOYMENT_ENVIRONMENT"
target="$target${DEPLOYMENT_REGION:+/$DEPLOYMENT_REGION}${DEPLOYMENT_SUBPROJECT:+/$DEPLOYMENT_SUBPROJECT}"

if [ ! -d "$target/releases" ]; then
    echo "nothing is laid out in $target"
    exit 0
fi
cd "$target/releases"
live=$(basename "$(readlink ../current || echo none)")
[ "${CI_DRY_RUN:-}" = 1 ] || rm -rf .old-* .new-* ../.current-*

# Versions have no blanks in their names; the newest is the one that was laid out last.
for old in $(ls -1t | tail -n "+$((${DEPLOYMENT_KEEP_RELEASES:-5} + 1))"); do
    if [ "$old" = "$live" ]; then
        continue
    elif [ "${CI_DRY_RUN:-}" = 1 ]; then
        echo "would remove $old"
    else
        mv -T "$old" ".old-$old"
        rm -rf ".old-$old"
        echo "removed $old"
    fi
done
echo "releases kept:$(ls -1t | sed 's/^/ /' | tr -d '\n')"
