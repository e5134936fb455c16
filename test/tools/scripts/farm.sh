#!/bin/sh
# A farm of guests over golden images: overlays are made, moved to the next release, and thrown away.
set -eu

mkdir -p golden guests
for release in 1 2; do
  qemu-img create -q -f qcow2 "golden/$release.qcow2" 8M
  qemu-io -f qcow2 -c "write -P 9 0 2M" -c "write -P $release 2M 1M" "golden/$release.qcow2" > /dev/null
  chmod a-w "golden/$release.qcow2"
done

for guest in web db mail; do
  qemu-img create -f qcow2 -o backing_file=../golden/1.qcow2,backing_fmt=qcow2 "guests/$guest.qcow2"
  qemu-io -c "write -P 7 3M 64k" -c "write -z 0 64k" -c flush "guests/$guest.qcow2" | grep -v ' ops;'
done
if qemu-img create -f qcow2 -b ../golden/3.qcow2 -F qcow2 guests/none.qcow2; then exit 1; fi
if qemu-img create -f qcow2 -b ../golden/1.qcow2 guests/none.qcow2 2> /dev/null; then exit 1; fi
qemu-img create -q -u -f qcow2 -b ../golden/3.qcow2 -F qcow2 guests/later.qcow2 8M

for guest in guests/*.qcow2; do
  echo "== $guest"
  qemu-img info -U --backing-chain --output=json "$guest" > chain.json || { echo "no chain"; continue; }
  node -p 'JSON.parse(fs.readFileSync("chain.json")).map((image) => [image.filename, image["backing-filename"]].join(" on ")).join("; ")'
done

# The next release: what the guests wrote stays, what they had from the golden image does too.
cp guests/web.qcow2 before.qcow2
qemu-img rebase -f qcow2 -b ../golden/2.qcow2 -F qcow2 guests/web.qcow2
qemu-img rebase -u -f qcow2 -b golden/1.qcow2 -F qcow2 before.qcow2
qemu-img compare before.qcow2 guests/web.qcow2
# Without a look at the content the guest has the new one.
qemu-img rebase -u -f qcow2 -b ../golden/2.qcow2 -F qcow2 guests/db.qcow2
qemu-img compare guests/web.qcow2 guests/db.qcow2 || echo "compare ends with $?"
qemu-io -r -c "read -P 2 2M 1M" guests/db.qcow2 | grep -v ' ops;'

for guest in web db mail; do
  qemu-img check -q "guests/$guest.qcow2" && echo "$guest is sound"
  qemu-img measure -O qcow2 --output=json "guests/$guest.qcow2" | node -p 'JSON.parse(fs.readFileSync(0))["fully-allocated"]'
done
qemu-img convert -O qcow2 guests/mail.qcow2 mail-flat.qcow2
qemu-img compare guests/mail.qcow2 mail-flat.qcow2
rm before.qcow2 chain.json
