#!/bin/sh
# Prints testdata/rank.txt: each address with the nodes in the order in which they are to
# announce it, computed by sha256sum and sort alone.
for addr in 192.0.2.1 192.0.2.2 192.0.2.77 2001:db8::1 2001:db8:0:1::a; do
	for node in node-a node-b node-c worker-1.example.com; do
		printf '%s %s\n' "$(printf '%s#%s' "$node" "$addr" | sha256sum | cut -d' ' -f1)" "$node"
	done | LC_ALL=C sort | { printf '%s' "$addr"; while read -r _ node; do printf ' %s' "$node"; done; echo; }
done
