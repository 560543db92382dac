#!/bin/bash
# Makes the Debian packages of a build, and looks at what they hold, say and need.
#   packages_test.sh BUILD_FOLDER CONSUMER_SOURCES
set -euo pipefail
build=$1 consumer=$2
for tool in dpkg-shlibdeps dpkg-deb file; do
  if ! command -v $tool >/dev/null; then
    echo "$tool not found: Debian packages cannot be made here"
    exit 77
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "packages_test: $*" >&2
  exit 1
}

cpack --config "$build/CPackConfig.cmake" -B "$work/packages" >"$work/log" 2>&1 || fail "$(tail -20 "$work/log")"
root=$work/root
for package in nagl libnagl-dev; do
  found=("$work"/packages/"${package}"_*.deb)
  [ -f "${found[0]}" ] || fail "no package $package"
  declare "deb_${package//-/_}=${found[0]}"
  dpkg-deb -x "${found[0]}" "$root"
done
field() { dpkg-deb -f "$@"; }

# Each library that a file of the package is linked to is in the package, or in one that it depends on.
depends=$(field "$deb_nagl" Depends)
depends_on() { tr , '\n' <<<"$depends" | sed 's/^ *//; s/ .*//' | grep -qxF "$1"; }
while read -r object; do
  said=$(env -u LD_LIBRARY_PATH ldd "$object")
  while read -r name _ place; do
    grep -q "NEEDED.*\[$name\]" <(readelf -d "$object") || continue  # not its own need
    place=$(realpath "${place% (*}")
    case $place in
      "$root"/*) continue ;;
    esac
    owner=$(dpkg -S "$place" 2>/dev/null || dpkg -S "${place#/usr}")  # /lib is /usr/lib, which dpkg does not know
    owner=${owner%%:*}
    depends_on "$owner" || fail "${object#"$root"} needs $name of $owner, and Depends is: $depends"
  done < <(grep '=> /' <<<"$said")
  if grep -q 'not found' <<<"$said"; then fail "${object#"$root"}: $said"; fi
done < <(find "$root/usr/bin" "$root/usr/lib/nagl" -type f -exec file {} + | sed -n 's/: *ELF.*dynamically linked.*//p')

# The command runs with Torch of its own package, and knows no other.
"$root/usr/bin/nagl" --version | grep -q '^nagl [0-9]' || fail "nagl --version"
ldd "$root/usr/bin/nagl" | grep -q "libtorch_cpu.so => $root/" || fail "Torch is not that of the package"
runpath=$(readelf -d "$root/usr/bin/nagl" | sed -n 's/.*R\(UN\)\?PATH.*\[\(.*\)\]/\2/p')
[ "$runpath" = "\$ORIGIN/../lib/nagl/torch/lib" ] || fail "RUNPATH is $runpath"

# What completes the options, and the licences.
for place in bash-completion/completions/nagl zsh/vendor-completions/_nagl fish/vendor_completions.d/nagl.fish; do
  grep -q -e false-alarm-rate "$root/usr/share/$place" || fail "$place knows no --false-alarm-rate"
done
head -1 "$root/usr/share/zsh/vendor-completions/_nagl" | grep -qx '#compdef nagl' || fail "zsh passes over _nagl"
for package in nagl libnagl-dev; do
  grep -q NVIDIA "$root/usr/share/doc/$package/copyright" || fail "$package: copyright"
done
[ -z "$(find "$root/usr/lib/nagl/torch" -name 'libtorch_python*')" ] || fail "libraries that nothing needs"

# The other package is of the same version, and needs what its CMake package asks for.
version=$(field "$deb_nagl" Version)
depends=$(field "$deb_libnagl_dev" Depends)
grep -qF "nagl (= $version)" <<<"$depends" || fail "libnagl-dev depends on: $depends"
declare -A packages=([Torch]=nagl [OpenCV]=libopencv-dev [OpenSSL]=libssl-dev [Nifti]=libniftiio-dev
  [DCMTK]=libdcmtk-dev [TIFF]=libtiff-dev [PkgConfig]=pkg-config [HTTPLIB]=libcpp-httplib-dev
  [MOSQUITTO]=libmosquitto-dev [nlohmann_json]=nlohmann-json3-dev [spdlog]=libspdlog-dev)
names=$(awk -F '[( ]+' 'BEGIN { asked = 1 } /^endif/ { asked = 1 } /^if\(/ { asked = /"?(1|ON|TRUE)"?/ }
  asked && /^ *(find_dependency|pkg_check_modules)\(/ { sub(/^ */, ""); sub(/\)$/, ""); print $2 }' \
  "$root"/usr/lib*/cmake/nagl/naglConfig.cmake)
[ "$(wc -w <<<"$names")" -ge 4 ] || fail "naglConfig.cmake asks for: $names"
for name in $names; do
  package=${packages[$name]:-}
  [ -n "$package" ] || fail "no package is known for find_dependency($name)"
  depends_on "$package" || fail "find_dependency($name) without $package, and Depends is: $depends"
done
if grep -rq "$build" "$root"/usr/lib*/cmake "$root"/usr/share; then fail "the build folder is named"; fi

# A project finds the library and the Torch of the packages.
env -u NAGL_TORCH_DIR cmake -S "$consumer" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$root/usr" \
  >"$work/log" 2>&1 || fail "$(tail -20 "$work/log")"
grep -q "TORCH_torch_cpu_LIBRARY:FILEPATH=$root/" "$work/build/CMakeCache.txt" || fail "another Torch was found"
