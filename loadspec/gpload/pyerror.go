package gpload

import (
	"errors"
	"fmt"
	"syscall"
)

// pyOSError words an error of the operating system as Python does.
func pyOSError(err error, path string) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err.Error()
	}
	text := number.Error()
	if text != "" {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return fmt.Sprintf("[Errno %d] %s: '%s'", int(number), text, path)
}
