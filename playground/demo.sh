#!/usr/bin/env bash
# The main job on this machine: three hosts become a PostgreSQL cluster, and
# objects in an S3 store become rows in it at a speed that changes meanwhile.
# `make demo` builds what it needs. DEMO_KEEP=1 keeps everything running;
# DEMO_BYTES is the size of the CSV (default 300 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin
bytes=${DEMO_BYTES:-300000000}
work=$(mktemp -d "${TMPDIR:-/tmp}/cwdemo.XXXXXX")
chmod 755 "$work"
export CW_STORE=$work/state.db
export AWS_ACCESS_KEY_ID=cwdemo AWS_SECRET_ACCESS_KEY=cwdemosecret AWS_REGION=us-east-1
for dir in /usr/pgsql-*/bin /usr/lib/postgresql/*/bin; do
	[ ! -x "$dir/psql" ] || PATH=$dir:$PATH
done
PATH=$bin:$PATH

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }

s3=
cleanup() {
	code=$?
	trap - EXIT
	if [ "${DEMO_KEEP:-}" = 1 ] && [ "$code" = 0 ]; then
		cat <<-END

		Kept. To look around:
		  export CW_STORE=$CW_STORE PATH=$bin:\$PATH
		  cw cluster status demo -o wide
		  psql "host=$host port=$port dbname=$database user=$user"    # password in $play/demo.pass
		To end it:
		  cw cluster delete demo --confirm demo; cw playground down --dir $play; kill $s3; rm -rf $work
		END
		exit 0
	fi
	say "Clean up"
	[ ! -e "$play/cluster.yaml" ] || cw cluster delete demo --confirm demo --progress plain || true
	cw playground down --dir "$play" || true
	[ -z "$s3" ] || kill "$s3" 2>/dev/null || true
	rm -rf "$work"
	[ "$code" = 0 ] && echo "demo: done in ${SECONDS} s, nothing left behind" || echo "demo: failed (exit code $code)" >&2
	exit "$code"
}
play=$work/play host= port= database= user=
trap cleanup EXIT
trap 'exit 130' INT TERM

say "An object store, with lineitem as CSV and gzip"
mkdir -p "$work/data" "$work/s3"
lineitem -bytes "$bytes" -out "$work/data/lineitem.csv" 2>"$work/truth1" &
lineitem -bytes $((bytes / 6)) -out "$work/data/lineitem2.csv.gz" -seed 2 -first 100000000 2>"$work/truth2"
wait $!
s3server -addr 127.0.0.1:0 -dir "$work/s3" -access "$AWS_ACCESS_KEY_ID" -secret "$AWS_SECRET_ACCESS_KEY" >"$work/s3.out" 2>"$work/s3.log" &
s3=$!
for _ in $(seq 100); do
	endpoint=$(sed -n 's/^listening on //p' "$work/s3.out")
	[ -z "$endpoint" ] || break
	kill -0 "$s3" 2>/dev/null || fail "the object store did not start: $(cat "$work/s3.log")"
	sleep 0.1
done
[ -n "$endpoint" ] || fail "the object store did not start: $(cat "$work/s3.log")"
s3put -endpoint "$endpoint" -bucket demo -prefix lineitem/ "$work"/data/*
ls -l "$work/data" | awk 'NR>1 {printf "s3://demo/lineitem/%s  %.1f MB\n", $9, $5/1e6}'
rm -rf "$work/data"

say "Three hosts on this machine, without root or system sshd"
run cw playground up --hosts 3 --dir "$play" --name demo

say "From hosts to a running cluster"
run cw cluster check -f "$play/cluster.yaml"
run cw cluster create -f "$play/cluster.yaml" --yes --progress plain
run cw cluster status demo

json() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2" | head -1; }
cw cluster status demo -o json >"$work/status.json"
sed -n '/"endpoint"/,/}/p' "$work/status.json" >"$work/endpoint.json"
host=$(json host "$work/endpoint.json") port=$(json port "$work/endpoint.json") database=$(json database "$work/endpoint.json")
user=$(sed -n 's/.*admin: *\([a-z_0-9]*\).*/\1/p' "$play/cluster.yaml" | head -1)
(umask 077; printf '*:*:*:%s:%s\n' "$user" "$(cat "$play/demo.pass")" >"$work/pgpass")
export PGPASSFILE=$work/pgpass PGHOST=$host PGPORT=$port PGDATABASE=$database PGUSER=$user
psql -qX -v ON_ERROR_STOP=1 -c "create table lineitem (l_orderkey bigint, l_partkey int, l_suppkey int, l_linenumber int,
	l_quantity numeric, l_extendedprice numeric, l_discount numeric, l_tax numeric, l_returnflag char(1), l_linestatus char(1),
	l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text)"

say "Objects become rows, at a speed that changes while they do"
cat >"$work/lineitem.yaml" <<END
VERSION: 1.0.0.1
GPLOAD:
  INPUT:
    - SOURCE:
        URL: ["s3://demo/lineitem/*"]
        ENDPOINT: $endpoint
        PATH_STYLE: true
    - FORMAT: csv
  OUTPUT: [ {TABLE: public.lineitem} ]
END
run cw load check "$work/lineitem.yaml"
printf '$ cw load run lineitem.yaml --limit 10MB/s\n'
cw load run "$work/lineitem.yaml" --limit 10MB/s --yes --progress plain &
load=$!
job=
for _ in $(seq 100); do
	job=$(cw load list -o csv | awk -F, 'NR==2 {print $1}')
	[ -z "$job" ] || break
	sleep 0.1
done
[ -n "$job" ] || fail "the load did not start"
sleep 4
run cw load list
run cw load limit "$job" 25MB/s
sleep 3
run cw load list
run cw load limit "$job" none
wait "$load" || fail "the load failed"
run cw load show "$job"

say "Exactly the rows of the source"
IFS=, read -r r1 k1 c1 b1 _ <<<"$(sed 's/[{}"a-z_:]//g' "$work/truth1")"
IFS=, read -r r2 k2 c2 b2 _ <<<"$(sed 's/[{}"a-z_:]//g' "$work/truth2")"
want="$((r1 + r2))|$((k1 + k2))|$((c1 + c2))|$((b1 + b2))"
got=$(psql -XAtq -c "select count(*), sum(l_orderkey), sum(l_extendedprice*100)::bigint, sum(octet_length(l_comment)) from lineitem")
echo "rows, sums of keys, of prices, of comment bytes"
echo "source:  $want"
echo "table:   $got"
[ "$want" = "$got" ] || fail "the table does not hold the rows of the source"
run cw cluster status demo

say "What an inspection says"
run cw report demo --section health --section findings --section tables
