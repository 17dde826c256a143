package fdist

import "testing"

// A file of transformations is refused or understood; a name is found again.
func FuzzTransforms(f *testing.F) {
	f.Add([]byte("TRANSFORMATIONS:\n  x:\n    TYPE: input\n    COMMAND: /bin/cat %filename%\n    SAFE: ^/data\n"))
	f.Add([]byte("TRANSFORMATIONS:\n  x: {TYPE: output, COMMAND: 'a \"b', CONTENT: paths, STDERR: console}\n"))
	f.Add([]byte("TRANSFORMATIONS: &a {x: *a}"))
	f.Add([]byte("TRANSFORMATIONS:\n  x:\n    SAFE: '('"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseTransforms("f", data)
		if err == nil && got == nil {
			t.Error("neither")
		}
	})
}
