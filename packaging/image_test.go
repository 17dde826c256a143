// Package packaging holds what releases are made of, and the tests that use
// what was made.
package packaging

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// image is a root folder with what the Dockerfile's last stage has, and
// nothing else.
type image struct {
	root       string
	env        []string
	entrypoint string
	uid        uint32
}

// build reads the Dockerfile: its last stage may copy, set the environment,
// the user, the volume and the entry point.
func build(t *testing.T) *image {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, found := strings.Cut(string(text), "\nFROM scratch\n")
	if !found {
		t.Fatal("the last stage is not from scratch")
	}
	im := &image{root: t.TempDir()}
	if err := os.Chmod(im.root, 0o755); err != nil { //nolint:gosec // another user's root
		t.Fatal(err)
	}
	for line := range strings.Lines(last) {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		switch verb {
		case "COPY":
			owner := regexp.MustCompile(`--chown=(\d+):`).FindStringSubmatch(rest)
			im.copy(t, words[len(words)-2], words[len(words)-1], owner != nil)
		case "ENV":
			im.env = append(im.env, words...)
		case "USER":
			if _, err := fmt.Sscanf(rest, "%d:", &im.uid); err != nil || im.uid == 0 {
				t.Fatalf("%s: %v", line, err)
			}
		case "ENTRYPOINT":
			im.entrypoint = strings.Trim(rest, `["]`)
		case "VOLUME", "":
		default:
			t.Fatalf("the test does not know what this does: %s", line)
		}
	}
	return im
}

// copy brings what the build stage has at from.
func (im *image) copy(t *testing.T, from, to string, own bool) {
	t.Helper()
	to = filepath.Join(im.root, to)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // another user's root
		t.Fatal(err)
	}
	switch {
	case from == "/out/cw":
		program(t, to)
	case from == "/out/state" && own:
		if err := errors.Join(os.Mkdir(to, 0o755), os.Chown(to, 65532, 65532)); err != nil { //nolint:gosec // as docker makes it
			t.Fatal(err)
		}
	default:
		if strings.HasPrefix(from, "/usr/local/go/") {
			from = goRoot(t) + strings.TrimPrefix(from, "/usr/local/go")
		}
		data, err := os.ReadFile(from)
		if errors.Is(err, os.ErrNotExist) && strings.Contains(from, "certificates") {
			t.Log("no roots of certificates here: apt-get install ca-certificates")
			return
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o644) //nolint:gosec // another user's root
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func goRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("no go command here to build cw with")
	}
	return strings.TrimSpace(string(out))
}

// program builds cw as the Dockerfile does.
func program(t *testing.T, to string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "..", "build", "OUT="+to)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // the tests are built with it for the race detector
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// run runs cw in the image, with its environment and more.
func (im *image) run(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), im.entrypoint, args...)
	cmd.Dir = "/"
	cmd.Env = append(append([]string{}, im.env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: im.root, Credential: &syscall.Credential{Uid: im.uid, Gid: im.uid, NoSetGroups: false}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// A load of objects is whole in an image that has nothing but the Dockerfile's
// files: no shell, no user's name, no HOME, no /tmp, no /proc. Its speed
// follows a clock of another time zone.
func TestImageLoads(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may change the root folder: the image is not tried")
	}
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make here: apt-get install make")
	}
	im := build(t)
	if out, err := im.run(t, nil, "version", "-o", "json"); err != nil || !strings.Contains(out, `"version"`) {
		t.Fatalf("cw version: %v: %s", err, out)
	}
	pg := pgtest.Start(t)
	store := s3test.Start(t, "bucket")
	pg.Exec(t, "postgres", "create table items (id int primary key, name text)")
	var rows bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&rows, "%d,\"name, %d\"\n", i, i)
	}
	store.Put(t, "bucket", "in/a.csv", rows.Bytes())
	spec := fmt.Sprintf(`VERSION: 1.0.0.1
DATABASE: postgres
USER: cw
HOST: 127.0.0.1
PORT: %d
GPLOAD:
  INPUT:
    - SOURCE:
        URL: [s3://bucket/in/*.csv]
        ENDPOINT: %s
        REGION: us-east-1
        PATH_STYLE: true
    - FORMAT: csv
  OUTPUT:
    - TABLE: public.items
    - MODE: insert
  SPEED:
    SCHEDULE:
      - {FROM: "00:00", TO: "24:00", LIMIT: 500MB/s}
    ZONE: Asia/Tokyo
`, pg.Port, store.Endpoint)
	if err := os.WriteFile(filepath.Join(im.root, "load.yaml"), []byte(spec), 0o644); err != nil { //nolint:gosec // another user reads it
		t.Fatal(err)
	}
	out, err := im.run(t, []string{"PGPASSWORD=cw", "AWS_ACCESS_KEY_ID=" + store.Access, "AWS_SECRET_ACCESS_KEY=" + store.Secret}, "load", "run", "/load.yaml", "--progress", "plain")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var n int
	if err := pg.Connect(t, "postgres").QueryRow(t.Context(), "select count(*) from items").Scan(&n); err != nil || n != 50_000 {
		t.Errorf("%d rows, %v: %s", n, err, out)
	}
	if out, err := im.run(t, nil, "load", "list"); err != nil || !strings.Contains(out, "items") {
		t.Errorf("the job is not in the volume: %v: %s", err, out)
	}
}
