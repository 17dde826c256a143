package run

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// hiveNull is the folder of rows whose key is NULL or empty.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// hiveUnsafe are the characters that Hive writes as %XX in folders.
const hiveUnsafe = "\"#%'*/:=?\\\x7f{[]^"

// hiveEscape makes a part of a folder's name.
func hiveEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x20 || strings.IndexByte(hiveUnsafe, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hiveFolder is the folder of a partition's key: the values in hex with dots
// between them, - for NULL.
func hiveFolder(columns []string, key string) (string, error) {
	values := strings.Split(key, ".")
	if len(values) != len(columns) {
		return "", fmt.Errorf("%q is no key of %d partition columns", key, len(columns))
	}
	var b strings.Builder
	for i, v := range values {
		text := hiveNull
		if v != "-" {
			raw, err := hex.DecodeString(v)
			if err != nil || v == "" {
				return "", fmt.Errorf("%q is no key of a partition", key)
			}
			text = hiveEscape(string(raw))
		}
		b.WriteString(hiveEscape(columns[i]) + "=" + text + "/")
	}
	return b.String(), nil
}
