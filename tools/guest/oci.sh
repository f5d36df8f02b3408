#!/usr/bin/env bash
# Writes an OCI image layout (image-spec 1.1) with one uncompressed layer an image.
# usage: oci.sh DIR TAG PATH=FILE… [-- TAG PATH=FILE…]…
set -euo pipefail
layout=$1
shift
blobs=$layout/blobs/sha256
mkdir -p "$blobs"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

# add FILE: moves it among the blobs; prints "digest size".
add() {
  local digest size
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  mv "$1" "$blobs/$digest"
  echo "$digest $size"
}

manifests=()
while [ $# -gt 0 ]; do
  tag=$1
  shift
  stage=$(mktemp -d "$layout/stage.XXXXXX")
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    mkdir -p "$stage/root/$(dirname "${1%%=*}")"
    cp --sparse=always "${1#*=}" "$stage/root/${1%%=*}"
    chmod 0644 "$stage/root/${1%%=*}"
    shift
  done
  [ $# -gt 0 ] && shift
  # KubeVirt's container disks belong to uid 107, qemu.
  tar -C "$stage/root" --sort=name --mtime=@0 --owner=107 --group=107 --numeric-owner -cf "$stage/layer" .
  read -r layer layer_size < <(add "$stage/layer")
  printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$layer" >"$stage/config"
  read -r config config_size < <(add "$stage/config")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
    "$config" "$config_size" "$layer" "$layer_size" >"$stage/manifest"
  read -r manifest manifest_size < <(add "$stage/manifest")
  manifests+=("$(printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"platform":{"architecture":"amd64","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"%s"}}' "$manifest" "$manifest_size" "$tag")")
  rm -rf "$stage"
done
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}\n' "$(IFS=,; echo "${manifests[*]}")" >"$layout/index.json"
