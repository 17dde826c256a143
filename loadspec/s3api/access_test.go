package s3api

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/fault"
)

// fakeStore answers a few requests and remembers them.
type fakeStore struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newFake(t *testing.T, secure bool) *fakeStore {
	t.Helper()
	f := &fakeStore{}
	if secure {
		f.Server = httptest.NewTLSServer(f)
	} else {
		f.Server = httptest.NewServer(f)
	}
	t.Cleanup(f.Close)
	return f
}

func (f *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	f.mu.Lock()
	f.seen = append(f.seen, r)
	f.mu.Unlock()
	w.Header().Set("ETag", `"e"`)
	switch {
	case r.URL.Query().Has("list-type"):
		_, _ = io.WriteString(w, `<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
	case r.Method == http.MethodPost && r.URL.Query().Has("uploadId"):
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>`)
	case r.URL.Query().Has("uploads"):
		_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
	}
}

func (f *fakeStore) last() *http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		return &http.Request{Header: http.Header{}}
	}
	return f.seen[len(f.seen)-1]
}

func (f *fakeStore) key() string {
	m := regexp.MustCompile(`Credential=([^/]*)/`).FindStringSubmatch(f.last().Header.Get("Authorization"))
	if m == nil {
		return ""
	}
	return m[1]
}

func list(t *testing.T, a Access) error {
	t.Helper()
	s := &Store{Access: a}
	c, err := s.Client(t.Context())
	if err != nil {
		return err
	}
	bucket := "b"
	if _, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil {
		_, err = s.Explain("s3://b/k", err)
	}
	return err
}

// noAWS hides the machine's own credentials.
func noAWS(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL_STS", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	} {
		t.Setenv(name, "")
		_ = os.Unsetenv(name)
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_REGION", "us-east-1")
	return dir
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// fakeSTS gives out the credentials of roles; it remembers what was asked.
func fakeSTS(t *testing.T) (url string, asked func() string) {
	t.Helper()
	var mu sync.Mutex
	var form string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		form = string(body)
		mu.Unlock()
		action := regexp.MustCompile(`Action=(\w+)`).FindStringSubmatch(string(body))
		if action == nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>ROLE%[1]s</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
			<SessionToken>t</SessionToken><Expiration>%[2]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action[1], time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() string {
		mu.Lock()
		defer mu.Unlock()
		return form
	}
}

// Credentials come from wherever Amazon's chain has them.
func TestCredentialChain(t *testing.T) {
	dir := noAWS(t)
	store := newFake(t, false)
	a := Access{Endpoint: store.URL, PathStyle: true}
	if err := list(t, a); fault.KindOf(err) != fault.Auth {
		t.Errorf("without any: %v", err)
	}
	t.Run("profile with a program", func(t *testing.T) {
		program := write(t, filepath.Join(dir, "program"), "#!/bin/sh\necho '{\"Version\":1,\"AccessKeyId\":\"PROCESS\",\"SecretAccessKey\":\"s\"}'\n")
		write(t, filepath.Join(dir, "config"), "[profile etl]\nregion = eu-test-7\ncredential_process = "+program+"\n")
		p := a
		p.Profile = "etl"
		t.Setenv("AWS_REGION", "")
		if err := list(t, p); err != nil || store.key() != "PROCESS" || !strings.Contains(store.last().Header.Get("Authorization"), "/eu-test-7/s3/") {
			t.Errorf("%v, key %s, %s", err, store.key(), store.last().Header.Get("Authorization"))
		}
		p.Profile = "none"
		if err := list(t, p); fault.KindOf(err) != fault.Auth || !strings.Contains(err.Error(), "none") {
			t.Errorf("%v", err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "ENV")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
		if err := list(t, a); err != nil || store.key() != "ENV" {
			t.Errorf("%v, key %s", err, store.key())
		}
		anonymous := a
		anonymous.Anonymous = true
		if err := list(t, anonymous); err != nil || store.last().Header.Get("Authorization") != "" {
			t.Errorf("anonymous: %v, %s", err, store.last().Header.Get("Authorization"))
		}
	})
	t.Run("container", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"AccessKeyId":"CONTAINER","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		}))
		defer srv.Close()
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", srv.URL)
		if err := list(t, a); err != nil || store.key() != "CONTAINER" || store.last().Header.Get("X-Amz-Security-Token") != "t" {
			t.Errorf("%v, key %s", err, store.key())
		}
	})
	t.Run("machine", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/api/token"):
				w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
				_, _ = io.WriteString(w, "token")
			case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
				_, _ = io.WriteString(w, "role")
			case strings.HasSuffix(r.URL.Path, "/security-credentials/role"):
				_, _ = fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"MACHINE","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		defer srv.Close()
		t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
		t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", srv.URL)
		if err := list(t, a); err != nil || store.key() != "MACHINE" {
			t.Errorf("%v, key %s", err, store.key())
		}
	})
	t.Run("web identity", func(t *testing.T) {
		sts, asked := fakeSTS(t)
		t.Setenv("AWS_ENDPOINT_URL_STS", sts)
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, filepath.Join(dir, "token"), "jwt"))
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod")
		if err := list(t, a); err != nil || store.key() != "ROLEAssumeRoleWithWebIdentity" || !strings.Contains(asked(), "WebIdentityToken=jwt") {
			t.Errorf("%v, key %s, asked %s", err, store.key(), asked())
		}
	})
	t.Run("role", func(t *testing.T) {
		sts, asked := fakeSTS(t)
		t.Setenv("AWS_ENDPOINT_URL_STS", sts)
		t.Setenv("AWS_ACCESS_KEY_ID", "ENV")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
		r := a
		r.RoleARN, r.ExternalID = "arn:aws:iam::1:role/etl", "partner-7"
		if err := list(t, r); err != nil || store.key() != "ROLEAssumeRole" {
			t.Errorf("%v, key %s", err, store.key())
		}
		if got := asked(); !strings.Contains(got, "ExternalId=partner-7") || !strings.Contains(got, "role%2Fetl") || !strings.Contains(got, "RoleSessionName=cw") {
			t.Errorf("asked %s", got)
		}
	})
}

func TestOwnAuthorityAndServerName(t *testing.T) {
	noAWS(t)
	store := newFake(t, true) // its certificate is for 127.0.0.1 and example.com
	a := Access{Endpoint: strings.Replace(store.URL, "127.0.0.1", "localhost", 1), PathStyle: true, Anonymous: true}
	if err := list(t, a); err == nil || !strings.Contains(fault.HintOf(err), "CA_FILE") {
		t.Errorf("%v; %s", err, fault.HintOf(err))
	}
	a.CAFile = write(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: store.Certificate().Raw})))
	if err := list(t, a); err == nil || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("the name is not the certificate's: %v", err)
	}
	a.ServerName = "example.com"
	if err := list(t, a); err != nil {
		t.Error(err)
	}
	bundle := a.CAFile
	a.CAFile = ""
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if err := list(t, a); err != nil {
		t.Errorf("AWS_CA_BUNDLE: %v", err)
	}
	a.CAFile = write(t, filepath.Join(t.TempDir(), "no.pem"), "x")
	if err := list(t, a); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
}

// Headers go with the requests they are for, and are signed.
func TestHeaders(t *testing.T) {
	noAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "ENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	dir := t.TempDir()
	key := bytes.Repeat([]byte{7}, 32)
	raw := write(t, filepath.Join(dir, "raw"), string(key))
	encoded := write(t, filepath.Join(dir, "encoded"), base64.StdEncoding.EncodeToString(key)+"\n")
	const customer, encryption = "X-Amz-Server-Side-Encryption-Customer-", "X-Amz-Server-Side-Encryption"
	for name, c := range map[string]struct {
		a    Access
		want map[string]map[string]string // request: header: value
	}{
		"plain": {Access{}, map[string]map[string]string{"get": {encryption: "", "X-Amz-Request-Payer": ""}}},
		"payer": {Access{RequesterPays: true}, map[string]map[string]string{
			"list": {"X-Amz-Request-Payer": "requester"}, "get": {"X-Amz-Request-Payer": "requester"}, "head": {"X-Amz-Request-Payer": "requester"},
		}},
		"customer key": {Access{CustomerKeyFile: raw}, map[string]map[string]string{
			"list": {customer + "Key": ""}, "get": {customer + "Algorithm": "AES256", customer + "Key": base64.StdEncoding.EncodeToString(key), customer + "Key-Md5": "y4HAEFCYWuvAXWFTtA1Qpg=="},
			"head": {customer + "Algorithm": "AES256"}, "create": {customer + "Algorithm": "AES256"}, "part": {customer + "Algorithm": "AES256"}, "complete": {customer + "Algorithm": "AES256"},
		}},
		"customer key in base64": {Access{CustomerKeyFile: encoded}, map[string]map[string]string{"get": {customer + "Key": base64.StdEncoding.EncodeToString(key)}}},
		"s3":                     {Access{Encryption: "s3"}, map[string]map[string]string{"create": {encryption: "AES256"}, "get": {encryption: ""}, "part": {encryption: ""}}},
		"kms": {Access{Encryption: "kms", KMSKey: "alias/k"}, map[string]map[string]string{
			"create": {encryption: "aws:kms", encryption + "-Aws-Kms-Key-Id": "alias/k"}, "get": {encryption: ""},
		}},
	} {
		store := newFake(t, false)
		c.a.Endpoint, c.a.PathStyle = store.URL, true
		api, err := (&Store{Access: c.a}).Client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bucket, object, id, part := "b", "k", "u", int32(1)
		for request, headers := range c.want {
			switch request {
			case "list":
				_, err = api.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
			case "get":
				var out *s3.GetObjectOutput
				if out, err = api.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &object}); err == nil {
					err = out.Body.Close()
				}
			case "head":
				_, err = api.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &object})
			case "create":
				_, err = api.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &object})
			case "complete":
				_, err = api.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &object, UploadId: &id})
			case "part":
				_, err = api.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &object, UploadId: &id, PartNumber: &part, Body: strings.NewReader("x")})
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", name, request, err)
			}
			r := store.last()
			for header, value := range headers {
				if got := r.Header.Get(header); got != value {
					t.Errorf("%s: %s: %s is %q, want %q", name, request, header, got, value)
				}
				if value != "" && !strings.Contains(r.Header.Get("Authorization"), strings.ToLower(header)) {
					t.Errorf("%s: %s: %s is not signed: %s", name, request, header, r.Header.Get("Authorization"))
				}
			}
		}
	}
	bad := Access{Endpoint: "http://127.0.0.1:1", CustomerKeyFile: write(t, filepath.Join(dir, "bad"), "short")}
	if err := list(t, bad); fault.KindOf(err) != fault.Usage || strings.Contains(err.Error(), "short\"") || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}
