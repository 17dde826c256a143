package fault

import "regexp"

// Redacted stands where a secret stood.
const Redacted = "[redacted]"

const secretWord = `(?:\w*passw(?:or)?d|passphrase|token|(?:\w*_)?secret(?:_?access)?(?:_?key)?)`

// The shapes in which secrets stand in free text.
var (
	// urlPassword is the password in scheme://user:password@host.
	urlPassword = regexp.MustCompile(`(://[^/\s:@]*:)[^@\s]+@`)
	// assigned is password=… anywhere, and "password: …" where it is a key of
	// YAML or JSON: in prose it is a sentence.
	assigned = regexp.MustCompile(`(?im)(\b` + secretWord + `['"]?\s*=\s*|(?:^[\s-]*|[{,]\s*)['"]?` + secretWord + `['"]?\s*:\s*)('[^']*'|"[^"]*"|[^\s,;&'"}]+)`)
	// sqlPassword is PASSWORD '…' of SQL.
	sqlPassword = regexp.MustCompile(`(?i)(\b` + secretWord + `\s+)'[^']*'`)
)

// Redact blanks what looks like a secret in free text: passwords in URLs and
// values given to words such as password. Names of files that hold secrets
// stay, since they are what one looks for. What prints or keeps the text of
// an error passes it through here.
func Redact(text string) string {
	text = urlPassword.ReplaceAllString(text, "${1}"+Redacted+"@")
	text = sqlPassword.ReplaceAllString(text, "${1}"+Redacted)
	return assigned.ReplaceAllString(text, "${1}"+Redacted)
}
