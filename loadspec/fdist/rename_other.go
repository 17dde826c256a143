//go:build !linux

package fdist

import (
	"os"
	"syscall"
)

// renameNew renames a file to a name that is not taken.
func renameNew(from, to string) error {
	if err := syscall.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
