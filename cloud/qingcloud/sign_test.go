package qingcloud

import (
	"strings"
	"testing"
	"time"
)

// The documentation's own example: keys, moment, parameters and signature.
func TestSignatureOfTheDocumentation(t *testing.T) {
	t.Parallel()
	params := map[string]string{
		"count": "1", "vxnets.1": "vxnet-0", "zone": "pek1", "instance_type": "small_b", "instance_name": "demo",
		"image_id": "centos64x86a", "login_mode": "passwd", "login_passwd": "QingCloud20130712", "action": "RunInstances",
	}
	const want = "access_key_id=QYACCESSKEYIDEXAMPLE&action=RunInstances&count=1&image_id=centos64x86a&instance_name=demo" +
		"&instance_type=small_b&login_mode=passwd&login_passwd=QingCloud20130712&signature_method=HmacSHA256&signature_version=1" +
		"&time_stamp=2013-08-27T14%3A30%3A10Z&version=1&vxnets.1=vxnet-0&zone=pek1" +
		"&signature=32bseYy39DOlatuewpeuW5vpmW51sD1A%2FJdGynqSpP8%3D"
	at := time.Date(2013, 8, 27, 22, 30, 10, 0, time.FixedZone("CST", 8*3600))
	if got := signedQuery("/iaas/", params, Keys{"QYACCESSKEYIDEXAMPLE", "SECRETACCESSKEY"}, at); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(params) != 9 {
		t.Error("the caller's parameters were changed")
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a b": "a%20b", "a+b": "a%2Bb", "a/b:c": "a%2Fb%3Ac", "~-_.": "~-_.", "备": "%E5%A4%87", "": "", "a*b": "a%2Ab",
	} {
		if got := escape(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a b+c/d")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range escape(s) {
			if r > 126 || strings.ContainsRune(" +&=/?", r) {
				t.Fatalf("%q has %q", s, r)
			}
		}
	})
}
