package loadspec

import (
	"strings"
	"testing"
)

func TestShownURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"s3://bucket/key?x=1":                      "s3://bucket/key?x=1",
		"https://h/a/b.csv":                        "https://h/a/b.csv",
		"https://u:secret@h:8443/a%20b.csv#secret": "https://h:8443/a%20b.csv",
		"https://h/a?part=3&token=secret":          "https://h/a?part=3",
		"https://h/a?X-Amz-Signature=secret&x-amz-date=1&X-Amz-Expires=5&versionId=7": "https://h/a?versionId=7",
		"https://h/a?AWSAccessKeyId=secret&Signature=secret&Expires=1":                "https://h/a",
		"https://h/a?sv=1&sr=b&sig=secret&se=2":                                       "https://h/a",
		"https://h/a?sr=b&page=2":                                                     "https://h/a?sr=b&page=2",
		"https://h/a?Policy=secret&Key-Pair-Id=secret":                                "https://h/a",
		"https://h/a?%74oken=secret":                                                  "https://h/a",
		"https://h/a?api%5fkey=secret&y":                                              "https://h/a?y",
		"https://u:secret@[::1":                                                       "https://(not a URL)",
	} {
		got := ShownURL(in)
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if strings.Contains(got, "secret") || IsHTTP(in) && Secretive(in) != (in != got) || ShownURL(got) != got {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func FuzzShownURL(f *testing.F) {
	f.Add("https://u:p@h/a?token=1&b=2#c")
	f.Fuzz(func(t *testing.T, in string) {
		got := ShownURL(in)
		if ShownURL(got) != got && IsHTTP(in) {
			t.Errorf("%q: %q, then %q", in, got, ShownURL(got))
		}
	})
}

func TestSecretsOfURLsAreNotStored(t *testing.T) {
	t.Parallel()
	text := `VERSION: 1.0.0.1
GPLOAD:
  INPUT:
    - SOURCE:
        URL: ["https://u:secret@h/a.csv?x=1", s3://b/k]
        MANIFEST: https://h/m.json?sig=secret&sv=1
        FILE: ["-", x.csv]
    - FORMAT: csv
  OUTPUT: [{TABLE: t}]
`
	kept, err := ForStore([]byte(text), "/dir")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), "secret") || !strings.Contains(string(kept), "/dir/x.csv") {
		t.Errorf("%s", kept)
	}
	stored, err := Parse("stored", kept)
	if err != nil {
		t.Fatalf("%v\n%s", err, kept)
	}
	full, err := Parse("full", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	stored.Unredact(full)
	if got := strings.Join(stored.Sources[0].Locations, " ") + " " + stored.Sources[0].Manifest; got != "https://u:secret@h/a.csv?x=1 s3://b/k - /dir/x.csv https://h/m.json?sig=secret&sv=1" {
		t.Error(got)
	}
}
