#!/bin/sh
# Takes images of any format in, and hands them on as compressed qcow2 with a report on each.
set -eu

field() { qemu-img info -U --output=json "$1" | node -p "JSON.parse(fs.readFileSync(0))['$2'] ?? ''"; }

mkdir -p in out
qemu-img create -q -f raw in/plain.img 4M
qemu-io -f raw -c 'write -P 17 1M 100k' in/plain.img > /dev/null
qemu-img create -q -f qed in/older.img 5M
qemu-io -f qed -c 'write -P 18 2M 300k' in/older.img > /dev/null
qemu-img create -q -f qcow2 -o compat=0.10,cluster_size=4k in/small.img 6M
qemu-io -f qcow2 -c 'write -P 19 3M 10k' -c 'write -c -P 20 4k 4k' in/small.img > /dev/null
printf 'not a disk at all' > in/text.img
: > in/empty.img
mkdir in/folder.img

for image in in/*.img in/missing.img; do
  name=$(basename "$image" .img)
  if ! format=$(field "$image" format 2> "out/$name.err") || [ -z "$format" ]; then
    echo "$name: $(cat "out/$name.err" | head -n 1 | tr -d '\0')" | sed 's/undefined.*/no answer/'
    continue
  fi
  rm "out/$name.err"
  size=$(field "$image" virtual-size)
  echo "$name: $format, $size bytes"
  case $size in 0 | 512) continue ;; esac
  qemu-img convert -q -f "$format" -O qcow2 -c -o compression_type=zlib,cluster_size=128k "$image" "out/$name.qcow2"
  qemu-img compare -q -f "$format" -F qcow2 "$image" "out/$name.qcow2" && echo "$name: the same"
  qemu-img map --output=json "out/$name.qcow2" | node -p 'JSON.parse(fs.readFileSync(0)).filter((run) => run.data).length + " runs of data"'
  qemu-img check --output=json "out/$name.qcow2" | node -p 'const { "check-errors": errors, "total-clusters": total } = JSON.parse(fs.readFileSync(0)); `${errors} errors, ${total} clusters`'
done

# The parts of a disk, and all of it again.
qemu-img dd -f raw -O raw bs=1M count=2 if=in/plain.img of=out/first.raw
qemu-img dd -f raw -O raw bs=1M skip=2 if=in/plain.img of=out/second.raw
qemu-img convert -f raw -O raw out/first.raw out/second.raw out/joined.raw
cmp in/plain.img out/joined.raw && echo "joined"
qemu-img bitmap --add -g 64k out/plain.qcow2 nightly
qemu-img info out/plain.qcow2 | sed -n '/bitmaps:/,/^[^ ]/p'
rm -f out/*.err
