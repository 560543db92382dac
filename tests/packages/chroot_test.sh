#!/bin/bash
# Installs the Debian packages of a build into a clean Debian, runs the command there, and builds the
# consumer project against the installed library.
#   chroot_test.sh BUILD_FOLDER CONSUMER_SOURCES [SUITE]
# Needs root, debootstrap and a mirror of Debian; some 3 GB in $TMPDIR.
set -euo pipefail
build=$1 consumer=$2 suite=${3:-bookworm}
mirror=${NAGL_DEBIAN_MIRROR:-}  # empty: as debootstrap has it
skip() {
  echo "$*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can install packages into a clean Debian"
for tool in debootstrap dpkg-shlibdeps file; do
  command -v $tool >/dev/null || skip "$tool not found"
done

work=$(mktemp -d)
root=$work/root
cleanup() {
  mountpoint -q "$root/proc" && umount "$root/proc"
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT

cpack --config "$build/CPackConfig.cmake" -B "$work/packages" >/dev/null
debootstrap --variant=minbase "$suite" "$root" ${mirror:+"$mirror"} >"$work/log" 2>&1 ||
  { tail -5 "$work/log" && skip "debootstrap did not succeed: is a mirror of Debian reachable? NAGL_DEBIAN_MIRROR names another"; }
mount -t proc proc "$root/proc"
inside() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
    chroot "$root" "$@"
}
mv "$work"/packages/*.deb "$root/root/"
cp -r "$consumer" "$root/root/consumer"

# The command alone first: it needs nothing of the development package.
inside sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends /root/nagl_*.deb' >/dev/null
inside nagl --version
for place in bash-completion/completions/nagl zsh/vendor-completions/_nagl fish/vendor_completions.d/nagl.fish; do
  [ -s "$root/usr/share/$place" ] || { echo "no /usr/share/$place" && exit 1; }
done
inside nagl synth --size 128 --train-good 2 --test-good 1 --test-defect 1 --out /root/data >/dev/null
board=/root/data/products/board
query=$board/test/scratch/000.png
backbone=/usr/share/nagl/dinov2_vits14.safetensors
if [ ! -f "$root$backbone" ]; then skip "the package has no backbone file: run scripts/fetch_backbone.py"; fi
expected=$(inside nagl score --normal $board/train/good --augment-references none --out /root/out \
  --no-overlays --json $query | sed 's/.*"image_score":\([0-9.]*\).*/\1/')

inside sh -c 'apt-get install -y -qq --no-install-recommends /root/libnagl-dev_*.deb cmake g++ ninja-build' >/dev/null
inside cmake -S /root/consumer -B /root/build -G Ninja -DCMAKE_BUILD_TYPE=Release
inside cmake --build /root/build
said=$(inside /root/build/consumer $backbone $board/train/good/000.png $board/train/good/001.png $query /root/map.png)
echo "consumer: $said, nagl score: $expected"
cmp "$root/root/map.png" "$root/root/out/maps/000.png"
awk -v a="$said" -v b="$expected" 'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-10) }'

inside sh -c 'apt-get purge -y -qq nagl libnagl-dev' >/dev/null
[ ! -e "$root/usr/lib/nagl" ] && [ ! -e "$root/usr/share/nagl" ] || { echo "files are left after removal" && exit 1; }
