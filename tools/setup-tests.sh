#!/bin/sh
# Installs what the tests need from the system: python3, PostgreSQL, strace and curl from Debian's packages; the AWS CLI and
# boto3 from PyPI, into a virtual environment under node_modules/.cache. Does nothing for what is there already.
set -eu
here=$(cd -- "$(dirname -- "$0")/.." && pwd)
venv=$here/node_modules/.cache/python

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need python3 python3
need curl curl
need strace strace
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb postgresql
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"

if [ -n "$missing" ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "install these first:$missing" >&2
    exit 1
  fi
  echo "installing$missing …" >&2
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if [ ! -x "$venv/bin/aws" ] || ! "$venv/bin/python" -c 'import boto3' >/dev/null 2>&1; then
  echo 'installing the AWS CLI and boto3 …' >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'awscli==1.45.11' 'boto3==1.43.11'
fi
