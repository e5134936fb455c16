#!/bin/sh
# Looks at every image in the night, mends what can be mended, and tells of the rest.
mkdir -p images
qemu-img create -q -f qcow2 images/sound.qcow2 4M
qemu-io -c 'write -P 1 0 1M' images/sound.qcow2 > /dev/null
qemu-img create -q -f qcow2 images/leaking.qcow2 4M
qemu-io -c 'write -P 3 0 256k' images/leaking.qcow2 > /dev/null
# The L2 entries of two clusters are lost.
printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' | dd of=images/leaking.qcow2 bs=1 seek=262160 conv=notrunc status=none
qemu-img create -q -f qcow2 images/damaged.qcow2 4M
qemu-io -c 'write -P 4 0 256k' images/damaged.qcow2 > /dev/null
# Two clusters of the disk are one of the file, and a refcount is too low.
printf '\200\0\0\0\0\5\0\0' | dd of=images/damaged.qcow2 bs=1 seek=262152 conv=notrunc status=none
qemu-img create -q -f qed images/old.qed 4M
qemu-img create -q -f raw images/plain.raw 1M
head -c 100 /dev/zero | tr '\0' x > images/short.qcow2
printf 'QFI\373\0\0\0\11' | dd of=images/short.qcow2 conv=notrunc status=none

worst=0
for image in images/*; do
  qemu-img check "$image" > report.txt 2> findings.txt
  code=$?
  echo "== ${image#images/}: $code"
  cat report.txt findings.txt
  case $code in
    0) continue ;;
    2) qemu-img check -r all "$image"; echo "repair ends with $?" ;;
    3) qemu-img check -q -r leaks "$image"; echo "repair ends with $?" ;;
    63) echo "nothing to check" ;;
    *) echo "cannot be checked" ;;
  esac
  if [ "$code" -ne 63 ] && ! qemu-img check -q "$image"; then worst=$code; fi
done
echo "worst: $worst"
for image in images/*.qcow2; do
  qemu-img check --output=json "$image" 2> /dev/null | grep -E '"(corruptions|leaks|check-errors)"'
done
rm report.txt findings.txt
