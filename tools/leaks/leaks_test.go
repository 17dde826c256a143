package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A log that is deleted at once is looked at, and one without a secret passes.
func TestLeaks(t *testing.T) {
	t.Parallel()
	known := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(known, []byte("# of tests\nopensesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		script string
		code   int
		want   string
	}{
		"clean":        {`mkdir $TMPDIR/a; echo 'postgres://me:[redacted]@db password=[redacted]' > $TMPDIR/a/cw.log`, 0, "1 logs"},
		"known":        {`mkdir -p $TMPDIR/a/b; echo tried opensesame > $TMPDIR/a/b/cw.log; until ls $TMPDIR/../kept | grep -q log; do :; done; rm -r $TMPDIR/a`, 6, "a/b/cw.log:1: a known secret"},
		"of a file":    {`cd $TMPDIR; echo tr0ub4dor > dw1.pass; echo '{"x":"tr0ub4dor"}' > state.db`, 6, "dw1.pass: "},
		"pgpass":       {`cd $TMPDIR; echo 'h:5432:*:me:tr0ub4dor' > .pgpass; echo me tr0ub4dor > x.html`, 6, ".pgpass: "},
		"no text":      {`cd $TMPDIR; printf 'abcdefgh\0\nabcdefgh\n' > 'Trust Tokens'; echo abcdefgh > cw.log`, 0, "1 files"},
		"url":          {`echo postgres://me:pw@db > $TMPDIR/cw.log`, 6, "looks like"},
		"assigned":     {`echo "host=x password=abcd" > $TMPDIR/cw.log`, 6, "looks like"},
		"key":          {`echo -----BEGIN OPENSSH PRIVATE KEY----- > $TMPDIR/cw.log`, 6, "looks like"},
		"nothing":      {`true`, 1, "0 files"},
		"fails itself": {`echo x > $TMPDIR/cw.log; exit 9`, 9, "1 files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			code, err := run(context.Background(), &out, []string{"-known", known, "-under", t.TempDir(), "--", "sh", "-c", c.script})
			if code != c.code || !strings.Contains(out.String(), c.want) {
				t.Errorf("code %d, want %d; %v\n%s", code, c.code, err, out.String())
			}
		})
	}
}
