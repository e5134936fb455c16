#!/bin/sh
# Backs a guest's disk up while its layers grow: external snapshots, incremental copies, a pull and a commit at the end.
set -eu

write() { qemu-io -f qcow2 -c "write -P $2 $3 $4" "$1" > /dev/null; }
must_be() { qemu-io -r -f qcow2 -c "read -P $2 $3 $4" "$1" | sed 's/;.*//'; }

mkdir -p guest backup
qemu-img create -f qcow2 guest/disk.qcow2 16M
write guest/disk.qcow2 1 0 4M
qemu-img snapshot -c installed guest/disk.qcow2

current=disk
for day in mon tue wed; do
  qemu-img create -q -f qcow2 -b "$current.qcow2" -F qcow2 "guest/$day.qcow2"
  case $day in
    mon) write guest/mon.qcow2 2 1M 1M ;;
    tue) write guest/tue.qcow2 3 8M 512k; write guest/tue.qcow2 4 1M 64k ;;
    wed) write guest/wed.qcow2 5 15M 1M ;;
  esac
  # What is new since the day before.
  qemu-img convert -U -O qcow2 -B "$current.qcow2" -F qcow2 "guest/$day.qcow2" "guest/copy-$day.qcow2"
  current=$day
done
qemu-img info --backing-chain guest/wed.qcow2 | grep -E '^(image|backing file|virtual size)'
qemu-img convert -c -O qcow2 guest/wed.qcow2 backup/full.qcow2
qemu-img compare guest/wed.qcow2 backup/full.qcow2
must_be guest/wed.qcow2 4 1M 64k

# Tuesday is folded into Monday.
qemu-img commit -d guest/tue.qcow2
qemu-img rebase -u -b mon.qcow2 -F qcow2 guest/wed.qcow2
rm guest/tue.qcow2 guest/copy-wed.qcow2
qemu-img compare guest/wed.qcow2 backup/full.qcow2
qemu-img map guest/wed.qcow2 | awk '{ print $1, $2 }'

# Wednesday stands on its own.
cp guest/wed.qcow2 guest/alone.qcow2
qemu-img rebase -p -b '' guest/alone.qcow2 | tr '\r' '\n' | tail -n 1
qemu-img info guest/alone.qcow2 | grep -c 'backing file' || true
qemu-img compare -s guest/alone.qcow2 backup/full.qcow2 || echo "not the same, to the letter"
qemu-img compare guest/alone.qcow2 backup/full.qcow2

# All goes down to the disk that everything began with.
qemu-img commit -b disk.qcow2 guest/wed.qcow2
qemu-img compare guest/disk.qcow2 backup/full.qcow2
qemu-img check guest/disk.qcow2
qemu-img snapshot -l guest/disk.qcow2 | awk '{ print $1, $2 }'

# And back to the day of its installation.
qemu-img snapshot -a installed guest/disk.qcow2
must_be guest/disk.qcow2 1 1M 1M
qemu-img snapshot -d installed guest/disk.qcow2
qemu-img check -q guest/disk.qcow2
qemu-img compare guest/disk.qcow2 backup/full.qcow2 || echo "the backup is newer"
