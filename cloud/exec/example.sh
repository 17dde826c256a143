#!/bin/sh
# A cloud of directories, as an example for --driver exec: what cw asks of a
# program, in its shortest form. Volumes are directories below $CW_CLOUD_DIR,
# snapshots are copies of them, and machines are those of the file
# $CW_CLOUD_DIR/machines: one "ID ADDRESS" per line, taken one after another.
# For a real cloud put its own command line in each case.
set -eu
dir=${CW_CLOUD_DIR:?the folder of the example cloud}
in=$(cat)

# field KEY: a string of the one JSON object on standard input. A real program
# takes jq.
field() { printf '%s' "$in" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
# A name that comes from outside becomes part of a path only when it is plain.
plain() { case $1 in '' | *[!a-zA-Z0-9._-]* | .*) echo "bad name: $1" >&2; exit 1 ;; esac; }
size() { du -sb "$1" | cut -f1; }
fresh() { n=1; while [ -e "$dir/$1-$n" ]; do n=$((n + 1)); done; echo "$1-$n"; }

volume() { # ID
	plain "$1"
	[ -d "$dir/$1" ] || exit 4
	if [ -s "$dir/$1.at" ]; then
		echo '{"id":"'"$1"'","state":"in-use","machine":"'"$(cat "$dir/$1.at")"'","device":"'"$dir/$1"'","size":'"$(size "$dir/$1")"'}'
	else
		echo '{"id":"'"$1"'","state":"available","size":'"$(size "$dir/$1")"'}'
	fi
}

case $1 in
verbs)
	echo '{"verbs":["create","status","delete","restore","volume","attach","detach","delete-volume","launch","machine","stop","delete-machine"]}' ;;
create) # of one volume
	v=$(printf '%s' "$in" | sed -n 's/.*"volumes":\["\([^"]*\)"\].*/\1/p')
	plain "$v"
	s=$(fresh snap)
	cp -a --reflink=auto "$dir/$v" "$dir/$s"
	echo "$v" >"$dir/$s.of"
	echo '{"snapshots":[{"id":"'"$s"'","volume":"'"$v"'","kind":"full","state":"available","size":'"$(size "$dir/$s")"'}]}' ;;
status)
	s=$(field id); plain "$s"
	[ -d "$dir/$s" ] || exit 4
	echo '{"id":"'"$s"'","volume":"'"$(cat "$dir/$s.of" 2>/dev/null || :)"'","kind":"full","state":"available","size":'"$(size "$dir/$s")"'}' ;;
delete | delete-volume)
	v=$(field id); plain "$v"
	[ -d "$dir/$v" ] || exit 4
	if [ -s "$dir/$v.at" ]; then echo "$v is attached" >&2; exit 1; fi
	rm -rf "${dir:?}/$v" "$dir/$v.at" "$dir/$v.of" ;;
restore)
	s=$(field id); plain "$s"
	v=$(fresh vol)
	cp -a --reflink=auto "$dir/$s" "$dir/$v"
	volume "$v" ;;
volume)
	volume "$(field id)" ;;
attach)
	v=$(field volume); plain "$v"
	field machine >"$dir/$v.at"
	volume "$v" ;;
detach)
	v=$(field volume); plain "$v"
	rm -f "$dir/$v.at" ;;
launch)
	while read -r id address; do
		if mkdir "$dir/taken-$id" 2>/dev/null; then
			echo '{"id":"'"$id"'","state":"pending"}'
			exit 0
		fi
	done <"$dir/machines"
	echo "all machines of $dir/machines are taken" >&2
	exit 1 ;;
machine)
	id=$(field id); plain "$id"
	[ -d "$dir/taken-$id" ] || exit 4
	if [ -e "$dir/taken-$id/stopped" ]; then echo '{"id":"'"$id"'","state":"available"}'; exit 0; fi
	address=$(sed -n "s/^$id //p" "$dir/machines")
	echo '{"id":"'"$id"'","state":"in-use","address":"'"$address"'"}' ;;
stop)
	id=$(field id); plain "$id"
	touch "$dir/taken-$id/stopped" ;;
delete-machine)
	id=$(field id); plain "$id"
	[ -d "$dir/taken-$id" ] || exit 4
	for at in "$dir"/*.at; do
		if [ -e "$at" ] && [ "$(cat "$at")" = "$id" ]; then rm "$at"; fi
	done
	rm -rf "$dir/taken-$id" ;;
*)
	exit 3 ;;
esac
