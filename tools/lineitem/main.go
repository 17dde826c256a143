// Command lineitem writes rows like TPC-H's lineitem as CSV: deterministic,
// with quoted commas, doubled quotes and line breaks inside quotes, so that a
// loader that splits files carelessly gets the count wrong. It prints what a
// correct load must find in the table, as JSON.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
)

// truth is what select count(*), sum(l_orderkey), sum(l_extendedprice) and
// sum(octet_length(l_comment)) must give.
type truth struct {
	Rows         int64 `json:"rows"`
	SumOrderKey  int64 `json:"sum_orderkey"`
	SumCents     int64 `json:"sum_extendedprice_cents"`
	CommentBytes int64 `json:"comment_bytes"`
	Bytes        int64 `json:"bytes"`
}

func main() {
	size := flag.Int64("bytes", 300e6, "write at least this many bytes of CSV")
	out := flag.String("out", "", "file to write; - is standard output; .gz is compressed")
	seed := flag.Uint64("seed", 1, "another seed gives other rows")
	first := flag.Int64("first", 1, "first l_orderkey")
	header := flag.Bool("header", false, "begin with the column names")
	flag.Parse()
	t, err := run(*out, *size, *seed, *first, *header)
	if err == nil {
		err = json.NewEncoder(os.Stderr).Encode(t)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lineitem:", err)
		os.Exit(1)
	}
}

func run(out string, size int64, seed uint64, first int64, header bool) (truth, error) {
	f := os.Stdout
	if out != "-" {
		var err error
		if f, err = os.Create(out); err != nil {
			return truth{}, err
		}
		defer f.Close()
	}
	var w io.Writer = f
	var gz *gzip.Writer
	if n := len(out); n > 3 && out[n-3:] == ".gz" {
		gz, _ = gzip.NewWriterLevel(f, gzip.BestSpeed)
		w = gz
	}
	buf := bufio.NewWriterSize(w, 1<<20)
	t := write(buf, size, seed, first, header)
	if err := buf.Flush(); err != nil {
		return t, err
	}
	if gz != nil {
		if err := gz.Close(); err != nil {
			return t, err
		}
	}
	return t, f.Sync()
}

var (
	instruct = []string{"DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"}
	modes    = []string{"REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"}
	words    = []string{"carefully", "final", "deposits", "sleep", "furiously", "regular", "accounts", "quickly", "ironic", "packages", "haggle", "blithely", "express", "foxes", "pending", "theodolites"}
)

func write(w *bufio.Writer, size int64, seed uint64, first int64, header bool) truth {
	r := rand.New(rand.NewPCG(seed, 42))
	var t truth
	if header {
		n, _ := w.WriteString("l_orderkey,l_partkey,l_suppkey,l_linenumber,l_quantity,l_extendedprice,l_discount,l_tax,l_returnflag,l_linestatus,l_shipdate,l_commitdate,l_receiptdate,l_shipinstruct,l_shipmode,l_comment\n")
		t.Bytes += int64(n)
	}
	line := make([]byte, 0, 512)
	for key := first; t.Bytes < size; key++ {
		cents, quantity := r.Int64N(10_000_000), r.Int64N(50)+1
		line = line[:0]
		for _, v := range []int64{key, r.Int64N(200_000) + 1, r.Int64N(10_000) + 1, key%7 + 1, quantity} {
			line = append(strconv.AppendInt(line, v, 10), ',')
		}
		line = append(line, fmt.Sprintf("%d.%02d,0.%02d,0.%02d,%c,%c,", cents/100, cents%100, r.IntN(11), r.IntN(9), "ANR"[r.IntN(3)], "FO"[r.IntN(2)])...)
		for range 3 {
			line = append(line, fmt.Sprintf("199%d-%02d-%02d,", r.IntN(8)+1, r.IntN(12)+1, r.IntN(28)+1)...)
		}
		line = append(append(line, instruct[r.IntN(4)]...), ',')
		line = append(append(line, modes[r.IntN(7)]...), ',')
		line, t.CommentBytes = comment(line, r, t.CommentBytes)
		line = append(line, '\n')
		_, _ = w.Write(line)
		t.Rows++
		t.SumOrderKey += key
		t.SumCents += cents
		t.Bytes += int64(len(line))
	}
	return t
}

// comment appends a comment field; every fifth is quoted and holds what makes
// quoting necessary.
func comment(line []byte, r *rand.Rand, total int64) ([]byte, int64) {
	quoted := r.IntN(5) == 0
	if quoted {
		line = append(line, '"')
	}
	for i := range r.IntN(5) + 2 {
		if i > 0 {
			sep := " "
			if quoted {
				sep = []string{" ", ", ", `""`, "\n"}[r.IntN(4)]
			}
			line = append(line, sep...)
			if sep == `""` {
				total--
			}
			total += int64(len(sep))
		}
		w := words[r.IntN(len(words))]
		line = append(line, w...)
		total += int64(len(w))
	}
	if quoted {
		line = append(line, '"')
	}
	return line, total
}
