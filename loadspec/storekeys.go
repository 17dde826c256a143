package loadspec

import (
	"net"
	"net/url"
	"strings"

	"cw/schema"
)

// How a store is asked to encrypt what is written.
const (
	EncryptionS3  = "s3"
	EncryptionKMS = "kms"
)

// storeKeys are the less common keys of SOURCE and SINK about a store.
func storeKeys() []schema.Key {
	return []schema.Key{
		{Name: "ROLE_ARN", Doc: "Role to take with the credentials (sts:AssumeRole).", Example: "arn:aws:iam::123456789012:role/etl"},
		{Name: "EXTERNAL_ID", Doc: "External id that the role asks for.", Example: "partner-7"},
		{Name: "CA_FILE", Doc: "PEM file of the authorities to trust instead of the machine's; S3 and https.", Example: "/etc/cw/store-ca.pem"},
		{Name: "TLS_SERVER_NAME", Doc: "Name in the certificate of ENDPOINT, where that is an address or another name.", Example: "s3.internal"},
		{Name: "SSE_C_KEY_FILE", Doc: "File with the key that the objects are encrypted with (SSE-C): 32 bytes, or their base64. Wants https.", Example: "/etc/cw/objects.key"},
		{Name: "REQUESTER_PAYS", Type: schema.Bool, Default: "false", Doc: "The bucket is one where who reads it pays.", Example: "true"},
	}
}

// sinkKeys are those of SINK alone.
func sinkKeys() []schema.Key {
	return []schema.Key{
		{Name: "SSE", Type: schema.Enum, Enum: []string{EncryptionS3, EncryptionKMS}, Doc: "How the store encrypts what is written; default as the bucket says.", Example: "kms"},
		{Name: "KMS_KEY", Doc: "Key of SSE: kms; default the account's.", Example: "alias/warehouse"},
	}
}

// storeAccess fills what a SOURCE or SINK says about its store beyond the
// common keys.
func (v *validator) storeAccess(path string, f *sourceFile, s *Source) {
	s.CAFile, s.ServerName, s.RoleARN, s.ExternalID = f.CAFile, f.ServerTLS, f.RoleARN, f.External
	s.CustomerKeyFile, s.RequesterPays, s.Encryption, s.KMSKey = f.SSECKey, f.Requester, f.SSE, f.KMSKey
	if f.Anonymous && (f.RoleARN != "" || f.Requester) {
		v.fail(path+".ANONYMOUS", "cannot stand beside ROLE_ARN or REQUESTER_PAYS, which want credentials")
	}
	if f.External != "" && f.RoleARN == "" {
		v.fail(path+".EXTERNAL_ID", "needs ROLE_ARN")
	}
	if f.KMSKey != "" && f.SSE != EncryptionKMS {
		v.fail(path+".KMS_KEY", "needs SSE: kms")
	}
	if f.SSECKey != "" && f.SSE != "" {
		v.fail(path+".SSE", "cannot stand beside SSE_C_KEY_FILE: an object is encrypted with one of the two")
	}
	if f.SSECKey != "" && strings.HasPrefix(f.Endpoint, "http://") && !loopback(f.Endpoint) {
		v.fail(path+".SSE_C_KEY_FILE", "wants an ENDPOINT with https: the key is sent with every request")
	}
	if f.ServerTLS != "" && !strings.HasPrefix(f.Endpoint, "https://") {
		v.fail(path+".TLS_SERVER_NAME", "needs an ENDPOINT with https")
	}
}

// loopback tells a server on this machine.
func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
