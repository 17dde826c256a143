package exec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/cloud"
)

// The example does what it is an example of.
func TestExampleScript(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CW_CLOUD_DIR", dir)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "data"), 0o700), os.WriteFile(filepath.Join(dir, "data", "f"), []byte("then"), 0o600),
		os.WriteFile(filepath.Join(dir, "machines"), []byte("m1 192.0.2.1\nm2 192.0.2.2:2222\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Program: "./example.sh"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if a, err := d.Abilities(ctx); err != nil || a != (Abilities{Snapshots: true, Volumes: true, Machines: true}) {
		t.Fatalf("%+v %v", a, err)
	}
	s, err := d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"data"}, Name: "n"})
	if err != nil || s[0].State != cloud.Available || s[0].Volume != "data" || s[0].Size <= 0 {
		t.Fatalf("%+v %v", s, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "f"), []byte("now"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := d.RestoreSnapshot(ctx, s[0].ID, "x")
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.LaunchMachine(ctx, "x")
	if err != nil || m.ID != "m1" {
		t.Fatalf("%+v %v", m, err)
	}
	if m2, err := d.LaunchMachine(ctx, "x"); err != nil || m2.ID != "m2" {
		t.Fatalf("%+v %v", m2, err)
	}
	if _, err := d.LaunchMachine(ctx, "x"); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("%v", err)
	}
	if got, err := d.Machine(ctx, "m2"); err != nil || got.State != cloud.InUse || got.Address != "192.0.2.2:2222" {
		t.Errorf("%+v %v", got, err)
	}
	if v, err = d.AttachVolume(ctx, v.ID, m.ID); err != nil || v.State != cloud.InUse || v.Machine != "m1" {
		t.Errorf("%+v %v", v, err)
	}
	if text, _ := os.ReadFile(filepath.Join(v.Device, "f")); string(text) != "then" {
		t.Errorf("restored %q", text)
	}
	if err := d.DeleteVolume(ctx, v.ID); err == nil {
		t.Error("an attached volume was deleted")
	}
	if err := errors.Join(d.StopMachine(ctx, "m1"), d.DeleteMachine(ctx, "m1"), d.DeleteMachine(ctx, "m2"), d.DetachVolume(ctx, v.ID), d.DeleteVolume(ctx, v.ID), d.DeleteSnapshot(ctx, s[0].ID)); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Snapshot(ctx, s[0].ID); err != nil || got.State != cloud.Gone {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := d.Snapshot(ctx, "../../etc"); err == nil || !strings.Contains(err.Error(), "bad name") {
		t.Errorf("%v", err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 2 {
		t.Errorf("left %v", left)
	}
}
