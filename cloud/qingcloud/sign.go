package qingcloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// timeFormat is how the API writes moments, always in UTC.
const timeFormat = "2006-01-02T15:04:05Z"

// escape encodes as the signature wants it: a space is %20, never a plus.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// canonical is the query of the parameters, sorted by name.
func canonical(params map[string]string) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(name) + "=" + escape(params[name]))
	}
	return b.String()
}

// signedQuery adds the common parameters, signs the request for a path and
// returns the query that is sent, byte by byte as it was signed.
func signedQuery(path string, params map[string]string, k Keys, now time.Time) string {
	all := maps.Clone(params)
	all["access_key_id"] = k.AccessKeyID
	all["signature_method"] = "HmacSHA256"
	all["signature_version"] = "1"
	all["time_stamp"] = now.UTC().Format(timeFormat)
	all["version"] = "1"
	query := canonical(all)
	return query + "&signature=" + escape(signature(path, query, k.SecretAccessKey))
}

// signature is that of a GET request for a path with a canonical query.
func signature(path, query, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("GET\n" + path + "\n" + query))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
