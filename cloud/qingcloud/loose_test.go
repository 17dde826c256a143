package qingcloud

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cw/fault"
)

func TestLooseTypes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]number{
		`3`: {3, true}, `"3"`: {3, true}, `" 3 "`: {3, true}, `3.0`: {3, true}, `"3.7"`: {3, true}, `true`: {1, true},
		`null`: {}, `""`: {}, `"x"`: {}, `[]`: {}, `{}`: {}, `-1`: {-1, true},
	} {
		var n number
		if err := json.Unmarshal([]byte(in), &n); err != nil || n != want {
			t.Errorf("%s: %v %v, want %v", in, n, err, want)
		}
	}
	for in, want := range map[string][]string{
		`"j-1"`: {"j-1"}, `["j-1"]`: {"j-1"}, `["a","b"]`: {"a", "b"}, `"a b"`: {"a", "b"}, `"a,b"`: {"a", "b"},
		`null`: nil, `""`: nil, `[]`: nil, `[null]`: nil, `7`: {"7"}, `{}`: nil,
	} {
		var s texts
		if err := json.Unmarshal([]byte(in), &s); err != nil || !slices.Equal(s, want) {
			t.Errorf("%s: %q %v, want %q", in, s, err, want)
		}
	}
	for in, want := range map[string]string{
		`{"instance_id":"i-1"}`: "i-1", `[{"instance_id":"i-1"}]`: "i-1", `[]`: "", `""`: "", `null`: "", `{}`: "", `{"instance_id":7}`: "7",
	} {
		var o one[attachment]
		if err := json.Unmarshal([]byte(in), &o); err != nil || string(o.V.ID) != want {
			t.Errorf("%s: %q %v, want %q", in, o.V.ID, err, want)
		}
	}
}

// FuzzAnswers: no answer makes the reading of it fall over.
func FuzzAnswers(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := strings.Cut(string(data), "\n\n")
		f.Add([]byte(body))
	}
	d := &Driver{jobs: map[string]string{}, volumes: map[string]int64{}}
	f.Fuzz(func(_ *testing.T, data []byte) {
		var out struct {
			accepted
			Snapshots []snapshotItem `json:"snapshot_set"`
			Volumes   []volumeItem   `json:"volume_set"`
			Machines  []instanceItem `json:"instance_set"`
			Jobs      []jobItem      `json:"job_set"`
		}
		_ = json.Unmarshal(data, &out)
		for _, s := range out.Snapshots {
			s.Resource.V.ID = "i-none" // asks no further
			d.snapshot(nil, s)         //nolint:staticcheck // nothing is asked
		}
		for _, v := range out.Volumes {
			readVolume(v)
		}
		for _, m := range out.Machines {
			d.readInstance(m)
		}
	})
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	write := func(mode os.FileMode, text string) string {
		p := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, text := range []string{"qy_access_key_id: 'A'\nqy_secret_access_key: 'S'\nzone: pek3\n", `{"access_key_id":"A","secret_access_key":"S"}`} {
		if k, err := ReadKeys(write(0o600, text)); err != nil || k.AccessKeyID != "A" || k.SecretAccessKey != "S" {
			t.Errorf("%s: %v %v", text, k, err)
		}
	}
	for name, path := range map[string]string{
		"readable": write(0o644, "qy_access_key_id: A\nqy_secret_access_key: TOPSECRET"),
		"lacking":  write(0o600, "qy_secret_access_key: TOPSECRET"),
		"broken":   write(0o600, "qy_secret_access_key: [TOPSECRET"),
		"missing":  filepath.Join(t.TempDir(), "none"),
	} {
		k, err := ReadKeys(path)
		if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" || strings.Contains(err.Error()+k.String(), "TOPSECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
