package source

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// samplerScript prints what the kernel counts, for ever; its arguments are the
// seconds in between and the folders whose file systems matter. It is the one
// command that runs on a host for as long as it is watched. All of a sample is
// printed at once, since each piece would be a packet, and the clock comes last
// in it, so that little lies between its reading and its coming here. A df that
// hangs, as on a dead NFS server, is left out for a while and holds nothing
// else up for longer than a second. A folder that is not there, or closed to
// us, stands for the one above it. The kernel lists sockets that listen first:
// the many others are not read.
const samplerScript = `LC_ALL=C; export LC_ALL
echo "cw-host $(grep -c '^cpu[0-9]' /proc/stat)"
every=$1; shift
skip=0
while :; do
  df=
  if [ $skip -gt 0 ]; then skip=$((skip-1)); elif [ $# -gt 0 ]; then
    df=$(
      echo cw-df
      for d in "$@"; do
        while [ "$d" ] && [ ! -e "$d" ]; do d=${d%/*}; done
        set -- "$@" "${d:-/}"; shift
      done
      timeout 1 df -Pk -- "$@" 2>/dev/null
    )
    [ $? -lt 124 ] || skip=30
  fi
  all=$(
    echo cw-sample
    cat /proc/uptime /proc/loadavg
    echo cw-stat
    grep -hE '^(cpu |MemTotal:|MemFree:|MemAvailable:|Buffers:|Cached:|SReclaimable:|SwapTotal:|SwapFree:)' /proc/stat /proc/meminfo
    echo cw-disk
    cat /proc/diskstats
    echo cw-net
    cat /proc/net/dev
    printf '%s\n' "$df"
    echo cw-listen
    for f in /proc/net/tcp /proc/net/tcp6; do
      sed -n '1d; / 0A /!q; s/^ *[0-9]*: [0-9A-F]*:\([0-9A-F]*\) .*/\1/p' $f 2>/dev/null
    done
    echo "cw-clock $(date +%s.%N)"
    echo cw-end
  )
  printf '%s\n' "$all" || exit
  sleep "$every"
done`

const maxSample = 1 << 20 // bytes; one of a host with a thousand disks has 200 kB

// sample is what one turn of the loop printed.
type sample struct {
	uptime float64 // seconds: the far clock that rates are computed with
	load1  float64
	cpu    [8]uint64        // user nice system idle iowait irq softirq steal
	mem    map[string]int64 // bytes, by the kernel's names
	disks  []diskCount
	nics   []nicCount
	mounts []Mount
	noDF   bool // df was left out: its last answer stands
	date   float64
	coarse bool // date has whole seconds only
	// listens are the TCP ports that somebody listens on; nil is not known.
	listens map[int]bool
}

type diskCount struct {
	name        string
	read, write uint64 // sectors of 512 bytes
	busy        uint64 // milliseconds
}

type nicCount struct {
	name   string
	rx, tx uint64 // bytes
}

// sampleReader takes the loop's output apart as it comes.
type sampleReader struct {
	cpus int
	emit func(cpus int, s sample)
	rest []byte
	cur  *sample
	part string
	size int
}

var errSampleSize = errors.New("the host's sample does not end")

// Write implements io.Writer.
func (r *sampleReader) Write(p []byte) (int, error) {
	for rest := p; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			r.rest = append(r.rest, rest...)
			break
		}
		r.rest = append(r.rest, rest[:i]...)
		r.size += len(r.rest) + 1
		if r.size > maxSample {
			return 0, errSampleSize
		}
		r.line(string(r.rest))
		r.rest, rest = r.rest[:0], rest[i+1:]
	}
	if len(r.rest) > maxSample {
		return 0, errSampleSize
	}
	return len(p), nil
}

func (r *sampleReader) line(line string) {
	if word, rest, _ := strings.Cut(line, " "); strings.HasPrefix(word, "cw-") {
		switch word {
		case "cw-host":
			if n, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil && n > 0 {
				r.cpus = n
			}
		case "cw-sample":
			r.cur, r.size = &sample{mem: map[string]int64{}, noDF: true}, 0
		case "cw-clock":
			if r.cur != nil {
				r.cur.wallClock(strings.TrimSpace(rest))
			}
		case "cw-end":
			if r.cur != nil && r.cur.uptime > 0 {
				r.emit(r.cpus, *r.cur)
			}
			r.cur = nil
		case "cw-listen":
			if r.cur != nil {
				r.cur.listens = map[int]bool{}
			}
		case "cw-df":
			if r.cur != nil {
				r.cur.noDF = false
			}
		}
		r.part = word
		return
	}
	if r.cur == nil {
		return
	}
	f := strings.Fields(line)
	switch r.part {
	case "cw-sample":
		r.cur.clock(f)
	case "cw-stat":
		r.cur.stat(f)
	case "cw-disk":
		r.cur.disk(f)
	case "cw-net":
		r.cur.net(line)
	case "cw-df":
		r.cur.df(f)
	case "cw-listen":
		r.cur.listen(f)
	}
}

// clock reads /proc/uptime (two words) and /proc/loadavg (five).
func (s *sample) clock(f []string) {
	switch len(f) {
	case 2:
		s.uptime = number(f[0])
	case 5:
		s.load1 = number(f[0])
	}
}

func (s *sample) stat(f []string) {
	if len(f) == 0 {
		return
	}
	if f[0] == "cpu" {
		for i := range s.cpu {
			if i+1 < len(f) {
				s.cpu[i] = count(f[i+1])
			}
		}
		return
	}
	if len(f) >= 2 {
		s.mem[strings.TrimSuffix(f[0], ":")] = kib(f[1])
	}
}

// disk reads a line of /proc/diskstats (Documentation/admin-guide/iostats.rst
// of the kernel): name is field 3, sectors read 6, written 10, busy time 13.
func (s *sample) disk(f []string) {
	if len(f) < 13 {
		return
	}
	s.disks = append(s.disks, diskCount{name: f[2], read: count(f[5]), write: count(f[9]), busy: count(f[12])})
}

// net reads a line of /proc/net/dev. The name may touch the first number.
func (s *sample) net(line string) {
	name, rest, ok := strings.Cut(line, ":")
	f := strings.Fields(rest)
	if name = strings.TrimSpace(name); !ok || name == "" || strings.Contains(name, "|") || len(f) < 9 {
		return
	}
	s.nics = append(s.nics, nicCount{name: name, rx: count(f[0]), tx: count(f[8])})
}

// df reads a line of df -Pk. The mount point is last and may hold spaces.
func (s *sample) df(f []string) {
	if len(f) < 6 || f[0] == "Filesystem" {
		return
	}
	m := Mount{Path: strings.Join(f[5:], " "), Size: kib(f[1]), Used: kib(f[2])}
	if free := kib(f[3]); free >= 0 && m.Used+free > 0 {
		m.Size = m.Used + free // what is reserved for root cannot be filled
	}
	if m.Size <= 0 {
		return
	}
	for _, known := range s.mounts {
		if known.Path == m.Path {
			return
		}
	}
	s.mounts = append(s.mounts, m)
}

// listen reads a port, in hexadecimal digits.
func (s *sample) listen(f []string) {
	if len(f) != 1 || s.listens == nil {
		return
	}
	if port, err := strconv.ParseUint(f[0], 16, 16); err == nil {
		s.listens[int(port)] = true
	}
}

// number, count and kib read what the kernel prints; what they cannot read is 0.
func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v != v || v < 0 || v > 1e15 {
		return 0
	}
	return v
}

func count(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

func kib(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 || v > 1<<52 {
		return 0
	}
	return v << 10
}
