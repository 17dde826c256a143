package qingcloud

import (
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"cw/fault"
)

// Keys are the credentials of the API. They are never printed.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey string
}

// String keeps the secret out of logs.
func (k Keys) String() string { return "keys of " + k.AccessKeyID }

// GoString keeps the secret out of %#v.
func (k Keys) GoString() string { return k.String() }

// KeysFile is where QingCloud's own tools keep the keys, below the home.
const KeysFile = ".qingcloud/config.yaml"

const keysHint = "make it on the console's API key page, and write: qy_access_key_id: '…' and qy_secret_access_key: '…', chmod 600"

// ReadKeys reads the keys of a file as QingCloud's own tools write it; "" is
// theirs in the home folder.
func ReadKeys(path string) (Keys, error) {
	var k Keys
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return k, fault.New(fault.Usage, "--driver-option credentials_file=PATH", "keys of QingCloud: %w", err)
		}
		path = filepath.Join(home, KeysFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return k, fault.New(fault.Usage, keysHint+"; or --driver-option credentials_file=PATH", "keys of QingCloud: %w", err)
	}
	// Whoever else is on this machine must not read what deletes disks.
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return k, fault.New(fault.Usage, "chmod 600 "+path, "keys of QingCloud: others can read %s (mode %04o)", path, info.Mode().Perm())
	}
	var f struct {
		ID       string `yaml:"qy_access_key_id"`
		Secret   string `yaml:"qy_secret_access_key"`
		ShortID  string `yaml:"access_key_id"`
		ShortKey string `yaml:"secret_access_key"`
	}
	if err := yaml.Unmarshal(data, &f); err != nil {
		// The parser's error quotes the line, and the line may be the secret.
		return k, fault.New(fault.Usage, keysHint, "keys of QingCloud: %s is not YAML", path)
	}
	k = Keys{AccessKeyID: f.ID, SecretAccessKey: f.Secret}
	if k.AccessKeyID == "" {
		k.AccessKeyID = f.ShortID
	}
	if k.SecretAccessKey == "" {
		k.SecretAccessKey = f.ShortKey
	}
	if k.AccessKeyID == "" || k.SecretAccessKey == "" {
		return k, fault.New(fault.Usage, keysHint, "keys of QingCloud: %s lacks qy_access_key_id or qy_secret_access_key", path)
	}
	return k, nil
}
