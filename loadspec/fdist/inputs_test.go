package fdist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cw/loadspec"
	"cw/loadspec/source"
	"cw/playground/s3test"
)

func gz(t testing.TB, members ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, m := range members {
		w := gzip.NewWriter(&b)
		if _, err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zst(t testing.TB, frames ...[]byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, f := range frames {
		b = w.EncodeAll(f, b)
	}
	return b
}

// next is all blocks of a request, together and one by one.
func openBlocks(t testing.TB, in Inputs, r *Request) (Blocks, error) {
	t.Helper()
	if r.Path == "" {
		r.Path = "x"
	}
	return in.Open(t.Context(), r)
}

func readBlocks(t testing.TB, b Blocks, each func(*Block)) ([]byte, error) {
	t.Helper()
	var all []byte
	for {
		k, err := b.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all, b.Close(true)
		}
		if err != nil {
			_ = b.Close(false)
			return all, err
		}
		if k.region != nil {
			k.Data = make([]byte, k.Len())
			if err := k.region.load(k.Data); err != nil {
				return all, err
			}
		}
		if each != nil {
			each(k)
		}
		all = append(all, k.Data...)
		if k.Release != nil {
			k.Release()
		}
	}
}

func TestFileInputs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, data := range map[string]string{
		"a.csv": "1,a\n2,b\n", "b.csv": "3,c", "c.csv": "4,d\n", "none.csv": "", ".hidden.csv": "9,x\n",
		"h/1.csv": "id,\"na\nme\"\n5,e", "h/2.csv": "id,name\n6,f\n", "h/3.csv": "id,name", "h/.4.csv": "9,9\n",
		"rn.csv": "7,g\r\n8,h", "cr.csv": "9,i\r10,j", "x[1].csv": "11,k\n",
		"backslash.txt": "a\\\nb\\\n", "esc.txt": "a\\\nb\nc", "delim.txt": "1|~2|~3", "many words": "12,l\n",
	} {
		write(t, filepath.Join(dir, name), []byte(data))
	}
	write(t, dir+"/m.gz", gz(t, []byte("1,a\n2"), []byte(",b\n"), []byte("3,c")))
	write(t, dir+"/m.zst", zst(t, []byte("1,a\n2"), []byte(",b\n"), []byte("3,c")))
	write(t, dir+"/unnamed", gz(t, []byte("1,a\n")))
	write(t, dir+"/empty.gz", nil)
	if err := os.Symlink(dir+"/a.csv", dir+"/link.csv"); err != nil {
		t.Fatal(err)
	}
	csv := Request{CSV: true, Quote: '"', Escape: '"'}
	text := Request{Escape: '\\'}
	header := csv
	header.Header = true
	crlf := csv
	crlf.EOL = EOLCRLF
	delim := Request{LineDelim: []byte("|~")}
	for _, c := range []struct {
		path string
		r    Request
		want string
	}{
		{"a.csv", csv, "1,a\n2,b\n"},
		{"/a.csv", csv, "1,a\n2,b\n"},
		{"b.csv c.csv", csv, "3,c\n4,d\n"},
		{"c.csv b.csv none.csv a.csv", csv, "4,d\n3,c\n1,a\n2,b\n"},
		{"?.csv", csv, "1,a\n2,b\n3,c\n4,d\n"},
		{"[!b].csv", csv, "1,a\n2,b\n4,d\n"},
		{"[a-b].csv none.csv", csv, "1,a\n2,b\n3,c\n"},
		{"x[1].csv", csv, "11,k\n"},
		{"h", header, "5,e\n6,f\n"},
		{"h/", header, "5,e\n6,f\n"},
		{"h/*.csv", header, "5,e\n6,f\n"},
		{"*/2.csv", header, "6,f\n"},
		{"none.csv", csv, ""},
		{"none.csv", header, ""},
		{"rn.csv a.csv", csv, "7,g\r\n8,h\r\n1,a\n2,b\n"},
		{"rn.csv", crlf, "7,g\r\n8,h\r\n"},
		{"cr.csv a.csv", csv, "9,i\r10,j\r1,a\n2,b\n"},
		{"esc.txt c.csv", text, "a\\\nb\nc\n4,d\n"},
		{"backslash.txt c.csv", text, "a\\\nb\\\n4,d\n"},
		{"delim.txt", delim, "1|~2|~3"},
		{"m.gz", csv, "1,a\n2,b\n3,c\n"},
		{"m.zst a.csv", csv, "1,a\n2,b\n3,c\n1,a\n2,b\n"},
		{"unnamed m.gz", csv, "1,a\n1,a\n2,b\n3,c\n"},
		{"empty.gz b.csv", csv, "3,c\n"},
		{"link.csv", csv, "1,a\n2,b\n"},
	} {
		r := c.r
		r.Path = cleanPath(c.path)
		b, err := openBlocks(t, &FileInputs{Dir: dir}, &r)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if got, err := readBlocks(t, b, nil); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", c.path, got, err, c.want)
		}
	}
	// A path that the user of the server gave is taken as it is.
	csv.Path = dir + "/a.csv " + dir + "/b.csv"
	b, err := openBlocks(t, &FileInputs{Dir: "/nowhere"}, &csv)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readBlocks(t, b, nil); err != nil || string(got) != "1,a\n2,b\n3,c\n" {
		t.Errorf("forced: %q, %v", got, err)
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	name := write(t, dir+"/x", nil)
	if err := os.Chmod(name, 0); err != nil {
		t.Fatal(err)
	}
	_, err := openBlocks(t, &FileInputs{Dir: dir}, &Request{})
	if err == nil || err.Error() != "file open failure "+name+": Permission denied" {
		t.Error(err)
	}
}

// TestBlocks cuts random files in random formats into blocks of random size
// and looks at each block.
func TestBlocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(7, 7))
	for round := range 150 {
		checkBlocks(t, dir, round, rng)
	}
}

func checkBlocks(t *testing.T, dir string, round int, rng *rand.Rand) {
	t.Helper()
	r := &Request{CSV: rng.IntN(2) == 0, Quote: '"', Escape: '"', EOL: EOLLF, Header: rng.IntN(3) == 0}
	if !r.CSV {
		r.Escape = '\\'
	} else if rng.IntN(3) == 0 {
		r.Escape = '\\'
	}
	size := 64 + rng.IntN(4096)
	d := newDialect(r)
	var want []byte
	var paths []string
	starts := map[string]map[int64]int64{}
	for i := range 1 + rng.IntN(4) {
		var data []byte
		for range rng.IntN(1 + 1<<rng.IntN(13)) {
			line := randomText(rng, rng.IntN(size/8), "abcdefghij,\\x\"")
			if r.CSV {
				line = []byte(fmt.Sprintf("a,%q", strings.ReplaceAll(string(line), "\"", "")))
				if rng.IntN(4) == 0 {
					line = bytes.Replace(line, []byte("a"), []byte("\"\n\""), 1)
				}
			}
			data = append(append(data, line...), '\n')
		}
		ends := plainEnds(&d, data)
		data = data[:append([]int{0}, ends...)[len(ends)]] // not in the middle of anything
		whole := slices.Clone(data)
		if len(data) > 1 && data[len(data)-2] != '\n' && rng.IntN(2) == 0 && !d.open(data[:len(data)-1]) {
			data = data[:len(data)-1]
		}
		name := fmt.Sprintf("%d-%d", round, i)
		full := write(t, filepath.Join(dir, name), data)
		paths = append(paths, name)
		starts[full] = map[int64]int64{}
		start, rows := 0, plainEnds(&d, whole)
		if !r.CSV { // where blocks may begin; escaped row ends count
			raw := d
			raw.escape = 0
			rows = plainEnds(&raw, whole)
		}
		for n, end := range rows {
			starts[full][int64(start)] = int64(n) + 1
			if n > 0 || !r.Header {
				want = append(want, whole[start:end]...)
			}
			start = end
		}
	}
	r.Path = strings.Join(paths, " ")
	b, err := openBlocks(t, &FileInputs{Dir: dir, BlockSize: size}, r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readBlocks(t, b, func(k *Block) {
		if len(k.Data) > size+1 {
			t.Errorf("round %d: block of %d bytes, limit %d", round, len(k.Data), size)
		}
		if line, ok := starts[k.File][k.Offset]; !ok || line != k.Line {
			t.Errorf("round %d: block of %s at %d is line %d, want %d", round, k.File, k.Offset, k.Line, line)
		}
		if end, _ := d.last(k.Data); end != len(k.Data) && d.lastRaw(k.Data) != len(k.Data) {
			t.Errorf("round %d: block ends in the middle of a row", round)
		}
	})
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("round %d, %+v: %d bytes, %v; want %d", round, r, len(got), err, len(want))
	}
}

func TestLongRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	row := bytes.Repeat([]byte("x"), 1<<20-1)
	data := bytes.Join([][]byte{[]byte("1"), row, []byte("2"), row, row, []byte("3"), nil}, []byte("\n"))
	write(t, dir+"/x", data)
	for _, csv := range []bool{true, false} {
		r := &Request{CSV: csv, Quote: '"', Escape: '"'}
		b, err := openBlocks(t, &FileInputs{Dir: dir, BlockSize: 1 << 20}, r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readBlocks(t, b, nil); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		b, err = openBlocks(t, &FileInputs{Dir: dir, BlockSize: 1<<20 - 1}, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readBlocks(t, b, nil); err == nil || err.Error() != "line too long in file "+dir+"/x near (2 bytes)" {
			t.Error(err)
		}
	}
}

// TestRegions reads a text file that is large enough to be sent by the
// kernel, in all ways there are.
func TestRegions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var data []byte
	rng := rand.New(rand.NewPCG(3, 4))
	for n := 0; len(data) < 3*regionLeft; n++ {
		data = fmt.Appendf(data, "%d,%s\n", n, randomText(rng, rng.IntN(200), `abc\`))
		if escapes := len(data) - 1 - len(bytes.TrimRight(data[:len(data)-1], `\`)); escapes&1 == 1 {
			data = append(data, "continued\n"...)
		}
		if n%1000 == 0 {
			data = append(fmt.Appendf(data, "%d,", n+1), append(bytes.Repeat([]byte(`\`), 9000), '\n')...)
			n++
		}
	}
	write(t, dir+"/x", data[:len(data)-1])
	d := newDialect(&Request{Escape: '\\'})
	want := plainEnds(&d, data)
	for _, compress := range []bool{false, true} {
		_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, Compress: compress})
		scan := &Scan{URL: "gpfdist://" + address + "/x", XID: "1", CID: "1", SN: "1", Proto: 1, Escape: '\\', Zstd: compress}
		if whole, err := scanOne(t.Context(), &Scan{URL: scan.URL, Escape: '\\'}); err != nil || !bytes.Equal(whole, data) {
			t.Errorf("proto 0: %d bytes, %v, want %d", len(whole), err, len(data))
		}
		rows := 0
		seen := map[string]bool{}
		for i, s := range scanAll(t.Context(), *scan, 3) {
			if s.err != nil {
				t.Fatal(s.err)
			}
			ends := plainEnds(&d, s.data)
			if len(ends) > 0 && ends[len(ends)-1] != len(s.data) {
				t.Errorf("segment %d ends in the middle of a row", i)
			}
			start := 0
			for _, end := range ends {
				seen[string(s.data[start:end])] = true
				start = end
				rows++
			}
		}
		start := 0
		for _, end := range want {
			if !seen[string(data[start:end])] {
				t.Fatalf("row %.60q is missing", data[start:end])
			}
			start = end
		}
		if rows != len(want) {
			t.Errorf("%d rows, want %d", rows, len(want))
		}
	}
}

func TestRegionsOfAShortenedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := write(t, dir+"/x", bytes.Repeat([]byte("0123456789\n"), 10<<20/11))
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	rows, err := new(Client).Get(t.Context(), &Scan{URL: "gpfdist://" + address + "/x", Proto: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if _, err := io.CopyN(io.Discard, rows, 100_000); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1<<20); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, rows); err == nil {
		t.Errorf("%d bytes and a regular end", n)
	}
}

// TestDamagedCompression: what is cut off or broken is an error, never an end.
func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := csvRows(0, 20_000)
	whole, wholeZ := gz(t, data), zst(t, data)
	broken := slices.Clone(whole)
	broken[len(broken)/2] ^= 0x55
	for name, data := range map[string][]byte{
		"half.gz": whole[:len(whole)/2], "sum.gz": whole[:len(whole)-3], "head.gz": whole[:5], "tiny.gz": whole[:2],
		"second.gz": append(slices.Clone(whole), whole[:5]...), "broken.gz": broken,
		"half.zst": wholeZ[:len(wholeZ)/2], "head.zst": wholeZ[:5], "second.zst": append(slices.Clone(wholeZ), wholeZ[:5]...),
		"text.zst": []byte("1,a\n"), "text.bz2": []byte("1,a\n"), "head.bz2": []byte("BZh9"), "body.bz2": []byte("BZh91AY&SY\x01\x02\x03"),
	} {
		write(t, dir+"/"+name, data)
		for _, path := range []string{name, name + " " + name} {
			b, err := openBlocks(t, &FileInputs{Dir: dir}, &Request{Path: path, CSV: true, Quote: '"', Escape: '"'})
			if err != nil {
				t.Fatal(err)
			}
			_, err = readBlocks(t, b, nil)
			if err == nil || errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "cannot read file - "+dir+"/"+name) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestNamedPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := dir + "/p"
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	in := &FileInputs{Dir: dir}
	want := csvRows(0, 50_000)
	for round := range 3 {
		b, err := openBlocks(t, in, &Request{Path: "p", CSV: true, Quote: '"', Escape: '"'})
		if err != nil {
			t.Fatal(round, err)
		}
		_, err = openBlocks(t, in, &Request{Path: "p"})
		var status *StatusError
		if !errors.As(err, &status) || status.Code != 404 || status.Reason != "Multiple reader to a pipe is forbidden." {
			t.Error("second reader:", err)
		}
		done := make(chan error, 1)
		go func() { done <- os.WriteFile(name, want, 0) }()
		if got, err := readBlocks(t, b, nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// Without a writer, the session's end ends the waiting.
	ctx, cancel := context.WithCancel(t.Context())
	b, err := in.Open(ctx, &Request{Path: "p"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := b.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := b.Close(false); err != nil {
		t.Error(err)
	}
	if b, err = in.Open(t.Context(), &Request{Path: "p"}); err != nil {
		t.Error("not free again:", err)
	} else {
		_ = b.Close(false)
	}
}

// TestPipeRowsComeAtOnce: rows go out when they are there, though the writer
// goes on.
func TestPipeRowsComeAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/p", 0o600); err != nil {
		t.Fatal(err)
	}
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	opened := make(chan *os.File, 1)
	go func() {
		f, err := os.OpenFile(dir+"/p", os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
		}
		opened <- f
	}()
	rows, err := new(Client).Get(t.Context(), csvScan(address, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	w := <-opened
	defer func() { _ = w.Close() }()
	buf := make([]byte, 100)
	for i := range 3 {
		line := fmt.Sprintf("%d,row\n", i)
		if _, err := w.WriteString(line + "unfinished"); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			line = "unfinished" + line
		}
		if _, err := io.ReadFull(rows, buf[:len(line)]); err != nil || string(buf[:len(line)]) != line {
			t.Fatalf("%q, %v", buf[:len(line)], err)
		}
	}
}

func TestSeveralCompressedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []byte
	for i := range 9 {
		data := csvRows(i*3000, 3000)
		want = append(want, data...)
		write(t, fmt.Sprintf("%s/%d.csv.gz", dir, i), gz(t, data))
	}
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	got := scanAll(t.Context(), *csvScan(address, "*.gz"), 4)
	if all := sortedRows(t, got); !bytes.Equal(all, want) {
		t.Errorf("%d bytes, want %d", len(all), len(want))
	}
	// Closing in the middle leaves nothing behind.
	scan := csvScan(address, "*.gz")
	scan.SN = "2"
	rows, err := new(Client).Get(t.Context(), scan)
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	waitFor(t, func() bool { return s.Stats().Open.Load() == 0 })
	for _, i := range s.Sessions() {
		if i.Total == 0 || i.Done > i.Total {
			t.Errorf("%+v", i)
		}
	}
}

func TestS3Mount(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	a, b := csvRows(0, 20_000), csvRows(20_000, 20_000)
	srv.Put(t, "bucket", "in/a.csv", a)
	srv.Put(t, "bucket", "in/b.csv.gz", gz(t, b))
	src := loadspec.Source{Endpoint: srv.Endpoint, PathStyle: true}
	dir := t.TempDir()
	write(t, dir+"/local.csv", csvRows(40_000, 5))
	in := &FileInputs{Dir: dir, Mounts: []Mount{SourceMount("lake", "s3://bucket/in/", src, source.Options{Credentials: srv.Credentials(), RangeSize: 100_000, Attempts: 2})}}
	_, address := serve(t, Options{Inputs: in})
	got := scanAll(t.Context(), *csvScan(address, "lake/*%20local.csv"), 3)
	if all := sortedRows(t, got); !bytes.Equal(all, csvRows(0, 40_005)) {
		t.Errorf("%d bytes", len(all))
	}
	_, err := scanOne(t.Context(), csvScan(address, "lake/zzz*"))
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Code != 404 || !strings.Contains(refused.Reason, "s3://bucket/in/zzz*: no object matches") {
		t.Error(err)
	}
}
