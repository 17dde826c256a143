package object

import (
	"net/http"
	"net/url"
)

// proxied is the proxy that requests go by; "" without.
func proxied(s *store) string {
	scheme := "http"
	if s.secure {
		scheme = "https"
	}
	u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: s.target}})
	if err != nil || u == nil {
		return ""
	}
	return u.Host
}
