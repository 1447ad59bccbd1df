#!/bin/sh
# Installs what the tests need from the system: python3, Ruby, a JDK with Maven, Go, Rust, Elixir, PostgreSQL, strace, bubblewrap,
# slirp4netns and curl from Debian's packages; the AWS CLI and boto3 from PyPI, into a virtual environment under node_modules/.cache;
# AWS's libraries for Java from Maven Central, packages of which the tests build container images, unopened, and clients of the Runtime
# API (test/runtimes), beside it. Does nothing for what is there already.
set -eu
here=$(cd -- "$(dirname -- "$0")/.." && pwd)
venv=$here/node_modules/.cache/python

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need python3 python3
need curl curl
need strace strace
need ruby ruby
need javac default-jdk-headless
need mvn maven
need go golang-go
need cargo cargo
need cc gcc
need elixir 'elixir erlang-inets erlang-ssl'
[ -x /usr/bin/python3 ] || missing="$missing python3"
need slirp4netns slirp4netns
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
need bwrap bubblewrap
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

# Where tests look for them: <name>.deb.
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
debs=$here/node_modules/.cache/debian
for package in busybox-static dash libc6; do
  if [ ! -f "$debs/$package.deb" ]; then
    echo "downloading Debian's $package …" >&2
    mkdir -p "$debs/$package"
    (cd "$debs/$package" && { apt-get download -qq "$package" || { $sudo apt-get update -qq && apt-get download -qq "$package"; }; }) 2>/dev/null
    mv "$debs/$package"/*.deb "$debs/$package.deb"
    rmdir "$debs/$package"
  fi
done

# What handlers in Java are compiled against.
java=$here/node_modules/.cache/java
for artifact in com.amazonaws:aws-lambda-java-core:1.2.3 com.amazonaws:aws-lambda-java-events:3.14.0 joda-time:joda-time:2.12.7; do
  jar=$(echo "$artifact" | cut -d: -f2-3 | tr : -).jar
  [ -f "$java/$jar" ] || mvn -q -B dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$java"
done

# The clients of the Runtime API that others wrote. What cannot be built is said here, and fails in its own tests.
node "$here/test/runtimes/build.mjs" || true

# For the machine's own Python, which runs the functions.
debugpy=$here/node_modules/.cache/debugpy
[ -d "$debugpy/debugpy" ] || python3 -m pip install --quiet --disable-pip-version-check --target "$debugpy" 'debugpy==1.8.17'
