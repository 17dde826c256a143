# The far side of every command. remote strips comment lines and joins the
# rest into one line, so every statement ends in ";" and nothing here may hold
# a single quote, an exclamation mark, two backslashes in a row, or anything
# but ASCII: see loginQuote.
#
#   sh -c THIS NONCE STDIN USER DIR [NAME=VALUE ...] -- COMMAND [ARG ...]
#   sh -c THIS NONCE -x FORMAT         the same words, encoded for printf
#
# STDIN is 1 when the command has a standard input, USER a user to change to
# with root rights or "-", DIR a working directory or "-" for home. The
# markers NONCE:S (start), NONCE:E status (end), NONCE:U (no such user) go to
# stdout and stderr, NONCE:K (all killed) and NONCE:H (still here) to stderr.
#
# All redirections are those of an exec in a subshell: with a function dash keeps
# copies of the old descriptors, and a pipe that is kept open never ends.
LC_ALL=C PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;
export LC_ALL PATH;
unset CDPATH;
[ "$1" = -x ] && eval "set -- $(printf "$2")";
cw_i=$1 cw_u=$2 cw_d=$3;
shift 3;
until [ "$1" = -- ]; do export "$1"; shift; done;
shift;
exec 3<&0 5>&2 2>/dev/null;
cw_m() { printf "%s:%s\n" "$0" "$1"; printf "%s:%s\n" "$0" "$1" >&5; };
cw_m S;
# cw_s finds out when this shell was born, so that a recycled process id is
# never taken for it.
cw_s() { cw_l=; read -r cw_l </proc/$$/stat; set -- ${cw_l##*) }; cw_t=${20}; };
# cw_z ends the command: TERM to the process group of each child of this
# shell (the watcher itself left out), KILL to what is left 3 s later.
cw_z() {
 cw_g=; cw_n=0;
 cw_s; [ "$cw_b" ] && [ "$cw_t" = "$cw_b" ] || return;
 for cw_f in /proc/[0-9]*/stat; do
  cw_l=; read -r cw_l <$cw_f;
  cw_p=${cw_l%% *};
  set -- ${cw_l##*) };
  if [ "$2" = $$ ]; then [ "$cw_p" = "$cw_w" ] || cw_g="$cw_g -$cw_p $cw_p"; fi;
 done;
 [ "$cw_g" ] && kill -TERM $cw_g;
 while [ "$cw_g" ] && [ $cw_n -lt 30 ]; do
  cw_a=;
  for cw_p in $cw_g; do kill -0 $cw_p && cw_a=1; done;
  [ "$cw_a" ] || break;
  cw_n=$((cw_n+1)); sleep 0.1;
 done;
 [ "$cw_g" ] && kill -KILL $cw_g;
 printf "%s:K\n" "$0" >&5;
};
# cw_j notes the last background process, whose name csh would not let pass.
cw_j() { eval "cw_v=\$$(printf "\041")"; };
# cw_c SECONDS sleeps; TERM ends it and this shell. One that comes before the
# sleep is known by its number is kept in mind until it is: else it would be
# left behind, and another process be killed in its place.
cw_c() {
 cw_x=; trap "cw_x=1" TERM;
 sleep $1 & cw_j;
 trap "kill -KILL \$cw_v; exit" TERM;
 [ "$cw_x" ] && kill -KILL $cw_v && exit;
 wait $cw_v;
};
# cw_o SECONDS gives up unless it is stopped by TERM within that time.
cw_o() { cw_c $1; cw_z; };
# cw_h gives up when nobody reads our output any more: a watcher that waits for
# a slow command to take its input cannot see the end of the connection.
cw_h() {
 trap "" PIPE;
 while printf "%s:H\n" "$0" >&5; do cw_c 1; done;
 cw_z;
};
# cw_r reads the connection: a number and that many bytes for the command, 0
# for the end of its standard input, tN to give up unless the next line comes
# within N seconds. The end of the connection ends the command.
cw_r() {
 cw_s; cw_b=$cw_t;
 read -r cw_w cw_l </proc/self/stat;
 cw_k=; cw_y=; cw_q=0;
 while read -r cw_n; do
  [ "$cw_k" ] && kill -TERM $cw_k; cw_k=;
  case $cw_n in
  0) exec >/dev/null;;
  t*) ( exec </dev/null >/dev/null; cw_o ${cw_n#t} ) & cw_j; cw_k=$cw_v;;
  *) cw_q=$((cw_q+cw_n));
   if [ $cw_q -gt 60000 ] && [ -z "$cw_y" ]; then ( exec </dev/null >/dev/null; cw_h ) & cw_j; cw_y=$cw_v; fi;
   dd bs=$cw_n count=1 iflag=fullblock;;
  esac;
 done;
 [ "$cw_k$cw_y" ] && kill -TERM $cw_k $cw_y;
 cw_z;
};
if [ "$cw_u" = - ]; then :; else
 eval "cw_f=~$cw_u";
 case $cw_f in "~"*) cw_m U; exit 1;; esac;
 HOME=$cw_f USER=$cw_u LOGNAME=$cw_u; export HOME USER LOGNAME;
 if command -v runuser >/dev/null; then set -- runuser -u "$cw_u" -- "$@";
 elif command -v setpriv >/dev/null; then set -- setpriv --reuid="$cw_u" --regid="$(id -g "$cw_u")" --init-groups -- "$@";
 else set -- su -s /bin/sh -c "exec \"\$0\" \"\$@\"" "$cw_u" -- "$@"; fi;
fi;
if [ "$cw_d" = - ]; then cd "$HOME" || cd /;
else cd -- "$cw_d" 2>&5 || { cw_m "E 125"; exit 125; }; fi;
command -v setsid >/dev/null && set -- setsid "$@";
if [ "$cw_i" = 1 ]; then
 { ( exec <&3 3<&-; cw_r ) | ( exec 3<&- 5>&-; cat; exec cat >/dev/null ) & } | ( exec "$@" 2>&5 3<&- 5>&- );
else
 ( exec <&3 3<&- >/dev/null; cw_r ) &
 ( exec "$@" </dev/null 2>&5 3<&- 5>&- );
fi;
cw_m "E $?";
