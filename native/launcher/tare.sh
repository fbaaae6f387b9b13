#!/bin/sh
# bin/tare of the package `tare`: becomes the launcher of the package for this machine, wherever the package manager put it. npm links to a file of this
# package only, and the launcher is a program per architecture (docs/decisions/0017-packages.md). Nothing is forked in the usual places.
here=${0%/*}
root=
if [ ! -h "$0" ]; then
  root=$here/..
else
  # What npm links: node_modules/.bin/tare, and PREFIX/bin/tare for a global installation.
  for dir in "$here/../tare" "$here/../lib/node_modules/tare"; do
    if [ "$dir/bin/tare" -ef "$0" ]; then root=$dir; break; fi
  done
fi
if [ -z "$root" ]; then
  file=$(PATH=$PATH:/usr/bin:/bin readlink -f -- "$0") || file=$0
  root=${file%/*}/..
fi

# Beside this package or in it, then further up, as Node looks for modules.
launcher=
for modules in "$root/node_modules" "$root/.." "$root/../../.." "$root/../../../../.."; do
  for arch in x64 arm64; do
    program=$modules/@tare/linux-$arch/bin/tare
    [ -x "$program" ] || continue
    if [ -z "$launcher" ]; then launcher=$program; continue; fi
    # Packages of two machines, from `npm install --cpu` or a copied folder.
    case $(PATH=$PATH:/usr/bin:/bin uname -m) in aarch64) launcher=$program ;; esac
  done
  [ -z "$launcher" ] || break
done
if [ -z "$launcher" ]; then
  echo "tare: Cannot start: the package @tare/linux-x64 or @tare/linux-arm64 is not installed; install tare again, without --omit=optional and --no-optional, on Linux with glibc" >&2
  exit 125
fi

name=${0##*/}
if [ "$name" = tare ]; then exec "$launcher" "$@"; fi
TARE_CALLED_AS=$name exec "$launcher" "$@"
