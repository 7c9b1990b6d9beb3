#!/usr/bin/env bash
# Writes .env, which docker-compose.yml takes its secrets from: .env.example with a random value for each name. An .env that is there stays.
#
#   docker/write-env.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -e .env ]; then
    echo ".env is there already, and stays; delete it for new secrets (the old volumes then want the old ones: docker compose down --volumes)" >&2
    exit 1
fi
umask 077
while IFS= read -r line; do
    case $line in
    [A-Z]*=) echo "$line$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) echo "$line" ;;
    esac
done <.env.example >.env.part
mv .env.part .env
echo "wrote .env, which only you can read"
