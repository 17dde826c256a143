package loadspec

import (
	"net/url"
	"strings"
)

// Stdin is the location of standard input, under FILE.
const Stdin = "-"

// IsHTTP tells the locations that are fetched over HTTP.
func IsHTTP(location string) bool {
	return strings.HasPrefix(location, "https://") || strings.HasPrefix(location, "http://")
}

// ShownURL is an HTTP URL as it may be shown and kept: without user, password
// and fragment, and without the parameters of its query that let somebody in
// or sign it. They are left out, not masked, so that an object keeps its name
// when it is signed anew. Other locations are returned as they are.
func ShownURL(location string) string {
	if !IsHTTP(location) {
		return location
	}
	u, err := url.Parse(location)
	if err != nil {
		scheme, _, _ := strings.Cut(location, "://")
		return scheme + "://(not a URL)"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	var kept []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if pair != "" && !secretParameter(strings.ToLower(name), u.RawQuery) {
			kept = append(kept, pair)
		}
	}
	u.RawQuery = strings.Join(kept, "&")
	u.ForceQuery = false
	return u.String()
}

// signing are parameters of signed URLs: Amazon's old ones, CloudFront's,
// Google's old ones, Alibaba's.
var signing = map[string]bool{ //nolint:gochecknoglobals // constant table
	"expires": true, "signature": true, "awsaccesskeyid": true, "policy": true, "key-pair-id": true, "googleaccessid": true, "ossaccesskeyid": true,
}

// azure are those of Azure's shared access signatures, which have short names
// that elsewhere mean anything.
var azure = map[string]bool{ //nolint:gochecknoglobals // constant table
	"sv": true, "st": true, "se": true, "sr": true, "sp": true, "sip": true, "spr": true, "si": true, "ss": true, "srt": true,
	"skoid": true, "sktid": true, "skt": true, "ske": true, "sks": true, "skv": true, "sdd": true, "saoid": true, "suoid": true, "scid": true,
}

func secretParameter(name, query string) bool {
	for _, prefix := range []string{"x-amz-", "x-goog-", "x-oss-", "q-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, part := range []string{"token", "secret", "passw", "passwd", "pwd", "auth", "apikey", "api_key", "api-key", "accesskey", "access_key", "credential", "session"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return signing[name] || name == "sig" || name == "key" || name == "code" || azure[name] && strings.Contains("&"+strings.ToLower(query), "&sig=")
}

// Secretive tells that a location has something in it that must not be shown
// or kept.
func Secretive(location string) bool {
	return ShownURL(location) != strings.TrimSuffix(location, "?")
}

// Unredact puts the full URLs of the same objects, as another reading of the
// control file has them, in the place of those that were kept without secrets.
func (s *Spec) Unredact(from *Spec) {
	full := map[string]string{}
	for _, src := range from.Sources {
		for _, l := range append(append([]string{}, src.Locations...), src.Manifest) {
			full[ShownURL(l)] = l
		}
	}
	for i := range s.Sources {
		src := &s.Sources[i]
		for k, l := range src.Locations {
			if f, ok := full[l]; ok {
				src.Locations[k] = f
			}
		}
		if f, ok := full[src.Manifest]; ok {
			src.Manifest = f
		}
	}
}
