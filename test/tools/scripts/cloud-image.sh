#!/bin/sh
# Builds a cloud image: a disk with a partition table and a system in it, shrunk for download, and grown for its first guest.
set -eu

disk=build/disk.raw
name=system-amd64
mkdir -p build out

qemu-img create -q -f raw "$disk" 24M
# A boot sector, and three files where a system would have its own.
printf '\125\252' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
for part in 1 5 11; do
  yes "part $part of the system" | head -c 300000 | dd of="$disk" bs=1M seek="$part" conv=notrunc status=none
done

measured=$(qemu-img measure -f raw -O qcow2 "$disk" | sed -n 's/^required size: //p')
echo "needs at least $measured bytes"

qemu-img convert -f raw -O qcow2 -c -o cluster_size=64k,compat=1.1 "$disk" "out/$name.qcow2"
qemu-img convert -p -m 4 -W -f raw -O qcow2 -o lazy_refcounts=on "$disk" "out/$name-lazy.qcow2" | tr '\r' '\n' | tail -n 1
qemu-img convert -S 0 -f raw -O raw "$disk" "out/$name-full.raw"
qemu-img convert -f raw -O qcow2 -o compat=0.10 "$disk" "out/$name-old.qcow2"

for image in "out/$name.qcow2" "out/$name-lazy.qcow2" "out/$name-old.qcow2"; do
  echo "== $image"
  qemu-img check "$image"
  qemu-img info "$image" | grep -v '^disk size'
  qemu-img compare -f raw -F qcow2 "$disk" "$image"
done
cmp "$disk" "out/$name-full.raw"

# The release: a checksum of what a guest reads, whatever the format.
qemu-img convert -O raw "out/$name.qcow2" build/again.raw
sha256sum < build/again.raw > "out/$name.sha256"
cat "out/$name.sha256"

# The first guest.
cp "out/$name.qcow2" build/guest.qcow2
qemu-img resize build/guest.qcow2 +8M
qemu-img resize build/guest.qcow2 40M
if qemu-img resize build/guest.qcow2 30M; then echo "shrunk without being told to"; fi
qemu-img resize --shrink build/guest.qcow2 36M
qemu-img amend -o compat=1.1,lazy_refcounts=on "out/$name-old.qcow2"
qemu-img info --output=json "out/$name-old.qcow2" | grep -E '"(compat|lazy-refcounts|virtual-size)"'
qemu-img map --output=json build/guest.qcow2 | grep -c '"data": true'
