package hostprep

// repairScript is a library of functions for root's /bin/sh. It knows nothing
// of what is repaired: a repair is a group's name, a file and its text, the
// user who must still be able to log in, values to keep, and pairs of a live
// value's path and what to write. The variables base, cluster and run are set
// before.
//
// What was there before is kept in $base/GROUP, in a folder that appears
// complete or not at all, before anything is changed: the previous file, the
// folders that had to be made, the live values. reversal is complete when that
// folder is gone. So a host that lost power anywhere in between is in a state
// that both fix and revert go on from.
const repairScript = `umask 077
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
say() { echo "$*" >&2; }

# value FILE prints what is in effect: of a choice the word in brackets.
value() {
  v=$(cat "$1" 2>/dev/null) || return 1
  case $v in *\[*\]*) v=${v#*\[}; v=${v%%\]*};; esac
  set -f
  # shellcheck disable=SC2086
  set -- $v
  set +f
  echo "$*"
}

# put FILE TEXT replaces a file as a whole, with the mode and owner it had.
put() {
  tmp=${1%/*}/.cw-new
  if [ -e "$1" ]; then cp -p "$1" "$tmp"; else (umask 022; : >"$tmp"); fi || return 1
  printf '%s' "$2" >"$tmp" || return 1
  place "$tmp" "$1"
}

# place NEW FILE puts a file in place. One that is a mount of its own, as
# /etc/hosts in containers, cannot be replaced, only rewritten.
place() {
  sync -d "$1" 2>/dev/null || :
  if ! mv -f "$1" "$2" 2>/dev/null; then
    cat "$1" >"$2" || return 1
    rm -f "$1"
  fi
  if command -v restorecon >/dev/null; then restorecon "$2" 2>/dev/null || :; fi
}

# open_base makes the folder for what was there before.
open_base() {
  [ -d "$base" ] || (
    top=${base%/*/*}
    umask 022
    if [ ! -d "$top" ]; then # and it is known whose it is from its first moment on
      rm -rf "$top-prep" && mkdir "$top-prep" && : >"$top-prep/.made-by-prep" && mv -T "$top-prep" "$top"
    fi
    mkdir -p "${base%/*}"
    umask 077
    mkdir "$base"
  )
  if [ -L "$base" ] || [ ! -O "$base" ]; then say "$base is not root's own"; return 1; fi
}

# keep GROUP FILE PATH... notes what a repair is going to change.
keep() {
  g=$base/$1 f=$2; shift 2
  if [ ! -d "$g" ]; then
    n=$base/.new-${g##*/}
    rm -rf "$n"
    mkdir "$n" || return 1
    echo "$run" >"$n/run"
    printf '%s\n' "$f" >"$n/file"
    if [ -n "$f" ]; then
      if [ -e "$f" ]; then cp -p "$f" "$n/previous" || return 1; fi
      d=${f%/*} dirs=
      while [ ! -d "$d" ]; do dirs="$d
$dirs"; d=${d%/*}; done
      printf '%s' "$dirs" >"$n/dirs"
    fi
    : >"$n/live"
    sync "$n"/* 2>/dev/null || :
    mv "$n" "$g" || return 1
  fi
  cp "$g/live" "$g/live.new" || return 1
  for p; do
    grep -q "^$p " "$g/live" || ! [ -r "$p" ] || echo "$p $(value "$p")" >>"$g/live.new"
  done
  if cmp -s "$g/live.new" "$g/live"; then rm "$g/live.new"; return; fi
  sync -d "$g/live.new" 2>/dev/null || :
  mv -f "$g/live.new" "$g/live"
}

# set_live PATH VALUE ... writes values of the running system. Some bound or
# reset each other: a few rounds bring all of them there.
set_live() {
  for round in 1 2 3; do
    wrong=
    set_round "$@"
    [ -n "$wrong" ] || return 0
  done
  say "these cannot be set: $wrong"
  return 1
}

set_round() {
  while [ $# -gt 1 ]; do
    if [ "$(value "$1")" != "$2" ]; then
      { echo "$2" >"$1"; } 2>/dev/null || :
      [ "$(value "$1")" = "$2" ] || wrong="$wrong $1=$2"
    fi
    shift 2
  done
}

block_begin() { echo "# begin: managed by cw for cluster $cluster"; }
block_end() { echo "# end: managed by cw for cluster $cluster"; }

# without_block prints a file without what cw put into it.
without_block() { sed "/^$(block_begin)\$/,/^$(block_end)\$/d" "$1"; }

# same FILE TEXT GROUP says whether the file is as it should be.
same() {
  [ -n "$1" ] || return 0
  [ -e "$1" ] || return 1
  if [ "$3" = hosts ]; then
    [ "$(sed -n "/^$(block_begin)\$/,/^$(block_end)\$/p" "$1"; echo .)" = "$2." ]
  else
    [ "$(cat "$1"; echo .)" = "$2." ]
  fi
}

# counts GROUP says whether the file is what counts in the end.
counts() {
  [ "$1" != sshd ] || [ "$(sshd -T 2>/dev/null | grep -cE '^(maxstartups 10:30:200|maxsessions 200|usedns no)$')" = 3 ]
}

# look prints what is not as it should be, one line each.
look() {
  group=$1 file=$2 text=$3; shift 5
  same "$file" "$text" "$group" || echo "$file is not cw's"
  [ ! -e "$base/$group/pending" ] || echo "$group has not heard of it"
  counts "$group" || echo "$group does not go by it"
  while [ $# -gt 1 ]; do
    [ "$(value "$1")" = "$2" ] || echo "$1 is $(value "$1")"
    shift 2
  done
}

# fix makes everything as it should be.
fix() {
  group=$1 file=$2 text=$3 user=$4 keeps=$5; shift 5
  open_base || return 1
  paths=$(n=0; for p; do n=$((n+1)); [ $((n%2)) = 0 ] || printf '%s ' "$p"; done)
  # shellcheck disable=SC2086
  keep "$group" "$file" $keeps $paths || return 1
  if ! same "$file" "$text" "$group"; then
    (umask 022; mkdir -p "${file%/*}") || return 1
    : >"$base/$group/pending"
    if [ "$group" = hosts ]; then text=$text$(without_block "$file"; echo .); text=${text%.}; fi
    put "$file" "$text" || return 1
  fi
  # What cannot be set is said; what can is set all the same.
  set=0
  set_live "$@" || set=1
  if [ -e "$base/$group/pending" ] || ! counts "$group"; then
    if ! accepted "$group" "$user"; then
      revert "$group"
      return 1
    fi
    tell "$group"
    rm -f "$base/$group/pending"
  fi
  [ -e "$base/$group/through" ] || : >"$base/$group/through"
  return $set
}

# accepted GROUP USER looks whether those who read a file can live with it.
accepted() {
  case $1 in
  sshd)
    if ! e=$(sshd -t 2>&1); then say "sshd does not accept it: $e"; return 1; fi
    if ! counts sshd; then
      say "/etc/ssh/sshd_config does not read /etc/ssh/sshd_config.d, or sets it elsewhere: change the lines there by hand"; return 1
    fi;;
  limits)
    id "$2" >/dev/null 2>&1 || return 0
    command -v sudo >/dev/null || return 0
    e=$(sudo -n -u "$2" true 2>&1 </dev/null) && return 0
    case $e in *sudoers*) su -s /bin/sh -c : "$2" </dev/null && return 0;; esac # root need not be in there
    say "$2 could not log in with these limits: $e"
    return 1;;
  esac
}

# listening PID prints the sockets on which a process takes connections.
listening() {
  ls -l "/proc/$1/fd" 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p' |
    while read -r i; do awk -v i="$i" '$4 == "0A" && $10 == i { print i }' /proc/net/tcp /proc/net/tcp6 2>/dev/null; done
}

# reread PID has sshd read its file. It takes no connections until it has, and
# the next command comes at once: that is waited for.
reread() {
  was=$(listening "$1"); n=0
  kill -HUP "$1" 2>/dev/null || return 0
  while [ -n "$was" ] && [ $n -lt 100 ]; do
    now=$(listening "$1")
    [ -n "$now" ] && [ "$now" != "$was" ] && break
    sleep 0.05; n=$((n + 1))
  done
}

# tell GROUP has a service read its files again. Where that fails it will when
# it starts next.
tell() {
  case $1 in
  sshd)
    if [ -d /run/systemd/system ]; then
      systemctl reload ssh.service 2>/dev/null || systemctl reload sshd.service 2>/dev/null || say "sshd could not be reloaded: it reads its file when it starts next"
    elif [ -s /run/sshd.pid ]; then
      reread "$(cat /run/sshd.pid)"
    elif [ "$(cat /proc/1/comm 2>/dev/null)" = sshd ]; then
      reread 1
    fi;;
  logind)
    [ ! -d /run/systemd/system ] || systemctl kill -s HUP systemd-logind 2>/dev/null || say "logind could not be told: it reads its file at the next boot";;
  disks)
    [ ! -d /run/systemd/system ] || udevadm control --reload 2>/dev/null || :;;
  esac
}

# revert GROUP brings back what was there before the first fix.
revert() {
  g=$base/$1
  [ -d "$g" ] || return 0
  f=$(cat "$g/file")
  if [ "$1" = hosts ]; then
    tmp=${f%/*}/.cw-new
    cp -p "$f" "$tmp" && without_block "$f" >"$tmp" || return 1
    if cmp -s "$tmp" "$g/previous"; then cp -p "$g/previous" "$tmp"; fi
    place "$tmp" "$f" || return 1
  elif [ -n "$f" ] && [ -e "$g/previous" ]; then
    cp -p "$g/previous" "${f%/*}/.cw-new" && place "${f%/*}/.cw-new" "$f" || return 1
  elif [ -n "$f" ]; then
    rm -f "$f" "${f%/*}/.cw-new"
    # Deepest first: the list begins with the topmost.
    deepest=
    while read -r d; do deepest="$d
$deepest"; done <"$g/dirs"
    echo "$deepest" | while read -r d; do [ -z "$d" ] || rmdir "$d" 2>/dev/null || :; done
  fi
  set -- "$1"
  while read -r p v; do
    [ ! -e "$p" ] || set -- "$@" "$p" "$v"
  done <"$g/live"
  group=$1; shift
  backwards "$@"
  set_back || return 1
  tell "$group"
  rm -rf "$base/.gone-$group"
  mv "$g" "$base/.gone-$group" && rm -rf "$base/.gone-$group"
}

# backwards keeps pairs in the opposite order, for set_back.
backwards() {
  pairs=
  while [ $# -gt 1 ]; do
    pairs="$1 $2
$pairs"
    shift 2
  done
}

set_back() {
  set --
  while read -r p v; do
    [ -z "$p" ] || set -- "$@" "$p" "$v"
  done <<END
$pairs
END
  set_live "$@"
}

# kept prints what a reversal would bring back, one line each.
kept() {
  [ -d "$base" ] || return 0
  echo base
  for g in "$base"/*/; do
    [ -d "$g" ] || continue
    f=$(cat "$g/file")
    if [ -z "$f" ]; then :
    elif [ "${g%/}" = "$base/hosts" ]; then echo "file $f	without the block of $cluster"
    elif [ -e "$g/previous" ]; then echo "file $f	as it was"
    else echo "file $f	none"; fi
    while read -r p v; do
      [ "$(value "$p")" = "$v" ] || echo "live $p	$(value "$p")	$v"
    done <"$g/live"
  done
}

# revert_all brings back everything.
revert_all() {
  bad=0
  for each in "$base"/*/; do
    [ ! -d "$each" ] || { each=${each%/}; revert "${each##*/}" || bad=1; }
  done
  close_base
  return $bad
}

# half GROUP says whether this run was the first to change the group, and did
# not get through with it.
half() { [ "$(cat "$base/$1/run" 2>/dev/null)" = "$run" ] && [ ! -e "$base/$1/through" ]; }

# close_base takes the folder away when nothing is kept in it any more, and
# those above that were made for it.
close_base() {
  top=${base%/*/*}
  rm -rf "$top-prep"
  if [ -d "$base" ]; then
    rm -rf "$base"/.new-* "$base"/.gone-*
    rmdir "$base" 2>/dev/null || return 0
  fi
  [ ! -O "${base%/*}" ] || rmdir "${base%/*}" 2>/dev/null || return 0
  if [ "$(ls -A "$top" 2>/dev/null)" = .made-by-prep ]; then mv -T "$top" "$top-prep" && rm -rf "$top-prep"; fi
}
`
