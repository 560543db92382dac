#!/usr/bin/env bash
# Sets everything up: Debian packages, the virtual environment with LibTorch, the backbone file and
# a build. Idempotent: a step whose inputs have not changed is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: scripts/setup.sh [--cuda | --cpu] [--preset NAME] [--target NAME] [--no-build]

  --cuda         install and link the CUDA part of Torch (default: only where an NVIDIA driver is)
  --cpu          leave the CUDA part out even where a driver is
  --preset NAME  CMake preset to build: release (default), debug, sanitize, ...
  --target NAME  build only this target (default: nagl, the executable; "all" adds the tests)
  --no-build     packages, Torch and the backbone file only
TEXT
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

variant=auto preset=release target=nagl build=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --cuda) variant=cuda ;;
    --cpu) variant=cpu ;;
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --target) target=${2:?--target needs a name}; shift ;;
    --no-build) build=no ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ "$variant" = auto ]; then
  if [ -e /proc/driver/nvidia/version ]; then variant=cuda; else variant=cpu; fi
fi

step() { echo "[setup] $*" >&2; }

install_packages() {
  local wanted=(ca-certificates g++ cmake ninja-build clang-format python3 python3-dev python3-venv
    libopencv-dev libcli11-dev nlohmann-json3-dev libspdlog-dev libssl-dev libtiff-dev
    libniftiio-dev libnifti2-dev libznz-dev zlib1g-dev libdcmtk-dev libgtest-dev
    pkg-config libcpp-httplib-dev libmosquitto-dev dpkg-dev file)
  [ "$target" = all ] && wanted+=(mosquitto)  # a broker, which only a test needs
  local missing=() package
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "run as root once: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  step "installing Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
}

# The environment is remade when its requirements or the variant change; a stamp remembers both.
install_python() {
  local stamp=.venv/.nagl-setup want
  want="$variant $(cat scripts/requirements.txt scripts/requirements-torch*.txt | sha256sum)"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then return; fi
  step "installing Torch ($variant) into .venv"
  rm -f "$stamp"
  local python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  "$python" -m venv --clear .venv
  local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" -r scripts/requirements.txt
  if [ "$variant" = cuda ]; then
    "${pip[@]}" -r scripts/requirements-torch.txt
  else
    "${pip[@]}" -r scripts/requirements-torch-cpu.txt
    "${pip[@]}" --no-deps -r scripts/requirements-torch.txt
  fi
  echo "$want" >"$stamp"
}

fetch_backbone() {
  [ -f weights/dinov2_vits14.safetensors ] && return
  step "fetching the backbone"
  .venv/bin/python scripts/fetch_backbone.py
}

build_target() {
  local cuda=OFF python=()
  [ "$variant" = cuda ] && cuda=ON
  [ "$preset/$target" = release/all ] && python=(-DNAGL_PYTHON_MODULE=ON)
  step "building ($preset, target $target)"
  cmake --preset "$preset" -DNAGL_CUDA=$cuda "${python[@]}" >/dev/null
  cmake --build --preset "$preset" --target "$target"
}

install_packages
install_python
fetch_backbone
[ "$build" = no ] || build_target
