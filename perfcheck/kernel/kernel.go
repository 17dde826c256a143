// Package kernel is what the engines of cw perf need of Linux and of no other
// system. Machines that are measured run Linux; cw itself also runs on the
// desk of the one who has them measured, where everything here refuses.
package kernel

// FS is what statfs(2) tells of a filesystem. Sizes are bytes.
type FS struct {
	Size     int64
	Free     int64 // for those who are not root
	Type     int64 // its magic number
	ReadOnly bool
}

// File is what stat(2) tells of a file.
type File struct {
	Dev, Rdev uint64
	Mode      uint32
}
