package drivers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/fault"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(keys, []byte("qy_access_key_id: A\nqy_secret_access_key: S\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	qc := func(extra ...string) Spec {
		o := map[string]string{"credentials_file": keys}
		for i := 0; i < len(extra); i += 2 {
			o[extra[i]] = extra[i+1]
		}
		return Spec{Driver: "qingcloud", Options: o}
	}
	for _, c := range []struct {
		spec       Spec
		text, hint string
	}{
		{Spec{Driver: "qingclud"}, `no driver for cloud "qingclud"`, "qingcloud?"},
		{Spec{}, "no driver", "exec"},
		{qc("zoen", "x"), `no option "zoen"`, "zone?"},
		{qc(), "no zone", "zone="},
		{qc("zone", "z", "timeout", "soon"), "timeout", "30s"},
		{qc("zone", "z", "address", "both"), "address", "private|public"},
		{Spec{Driver: "exec"}, "no program", "program="},
	} {
		_, err := Open(t.Context(), c.spec)
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%+v: %v (%s)", c.spec, err, fault.HintOf(err))
		}
	}
	d, err := Open(t.Context(), qc("zone", "pek3a", "vxnets", "a,b"))
	if err != nil || d.Name != "qingcloud" || d.Volumes == nil || d.Machines == nil || d.Addresses == nil || d.CanLaunch() == nil {
		t.Errorf("%+v %v", d, err)
	}
}

func TestParseOptions(t *testing.T) {
	t.Parallel()
	got, err := ParseOptions([]string{"zone=a", "image=x=y", "empty="})
	if err != nil || got["zone"] != "a" || got["image"] != "x=y" || len(got) != 3 {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range [][]string{{"zone"}, {"=x"}, {"a=1", "a=2"}, {"secret_access_key=TOPSECRET"}} {
		if _, err := ParseOptions(bad); fault.KindOf(err) != fault.Usage || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, i := range List() {
		if i.Name == "" || i.Summary == "" || len(i.Options) == 0 {
			t.Errorf("%+v is not described", i)
		}
	}
}

func TestOpenEBS(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	if _, err := Open(t.Context(), Spec{Driver: "ebs"}); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "region=") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
	d, err := Open(t.Context(), Spec{Driver: "ebs", Options: map[string]string{"region": "eu-central-1", "launch_template": "lt-1"}})
	if err != nil || d.Snapshots == nil || d.Volumes == nil || d.Machines == nil || d.Addresses == nil || d.CanLaunch() != nil {
		t.Errorf("%+v %v", d, err)
	}
}

func FuzzParseOptions(f *testing.F) {
	f.Add("zone=pek3a")
	f.Fuzz(func(t *testing.T, pair string) {
		got, err := ParseOptions([]string{pair})
		if err == nil && len(got) != 1 {
			t.Fatalf("%q: %v", pair, got)
		}
	})
}
