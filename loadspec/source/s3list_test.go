package source

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cw/loadspec"
)

// Stores that know the first version of listing only: one says so, one takes
// the second for it. Nothing is left out.
func TestListsOldStores(t *testing.T) {
	t.Parallel()
	keys := make([]string, 25)
	for i := range keys {
		keys[i] = fmt.Sprintf("in/%02d.csv", i)
	}
	for _, refuses := range []bool{true, false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("list-type") == "2" && refuses {
				w.WriteHeader(http.StatusNotImplemented)
				_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>no</Message></Error>`)
				return
			}
			var page strings.Builder
			n := 0
			for _, k := range keys {
				if k > q.Get("marker") && strings.HasPrefix(k, q.Get("prefix")) && n < 10 {
					n++
					fmt.Fprintf(&page, `<Contents><Key>%s</Key><ETag>"e"</ETag><Size>5</Size></Contents>`, k)
				}
			}
			_, _ = fmt.Fprintf(w, `<ListBucketResult><IsTruncated>%t</IsTruncated>%s</ListBucketResult>`, n == 10, page.String())
		}))
		set := New([]loadspec.Source{{Endpoint: srv.URL, PathStyle: true, Anonymous: true, Locations: []string{"s3://b/in/*.csv"}}}, Options{Backoff: time.Millisecond})
		all, err := set.List(t.Context())
		if err != nil || len(all) != len(keys) || all[24].URL != "s3://b/in/24.csv" {
			t.Errorf("refuses %v: %d objects, %v", refuses, len(all), err)
		}
		srv.Close()
	}
}
