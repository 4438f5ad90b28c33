#!/bin/sh
# compile.sh FOLDER: puts both launchers there. Without a C compiler the shell one does all: slower, else the same.
set -e
here=$(dirname "$0")
cp "$here/launcher.sh" "$1/"
for link in -static ''; do # a static one has fewer pages to copy at each fork
  ! ${CC:-cc} -O2 $link -o "$1/spoold-launcher" "$here/launcher.c" 2>/dev/null || exit 0
done
rm -f "$1/spoold-launcher"
echo 'spoold: no C compiler: attempts will be started by a shell, which takes about twice the processor time.' >&2
