#!/bin/sh
# compile.sh FOLDER: puts both launchers there. Without a C compiler the shell one does all: slower, else the same.
set -e
here=$(dirname "$0")
cp "$here/launcher.sh" "$1/"
for link in -static ''; do # a static one has fewer pages to copy at each fork
  ! said=$(${CC:-cc} -O2 $link -o "$1/spoold-launcher" "$here/launcher.c" 2>&1) || exit 0
done
rm -f "$1/spoold-launcher"
if command -v ${CC:-cc} >/dev/null; then
  printf '%s\nspoold: the C compiler fails, see above\n' "$said" >&2
else
  echo 'spoold: there is no C compiler' >&2
fi
echo 'spoold: attempts will be started by a shell, which takes about twice the processor time' >&2
