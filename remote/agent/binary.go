package agent

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"cw/fault"
	"cw/remote"
)

// goArch translates uname -m.
func goArch(machine string) string {
	switch machine {
	case "x86_64", "amd64":
		return "amd64"
	case "aarch64", "arm64":
		return "arm64"
	}
	return machine
}

// binaryFor finds the program that runs on the host; done removes what was
// unpacked for it.
func binaryFor(ctx context.Context, h *remote.Host, given string) (file string, done func(), err error) {
	done = func() {}
	facts, err := h.Facts(ctx)
	if err != nil {
		return "", done, err
	}
	arch := goArch(facts.Arch)
	if given == "" {
		exe, err := os.Executable()
		if err != nil {
			return "", done, fmt.Errorf("find cw's own file: %w", err)
		}
		if arch == runtime.GOARCH && runtime.GOOS == "linux" {
			return exe, done, nil
		}
		if given = beside(exe, arch); given == "" {
			return "", done, fault.New(fault.Usage, "put the release archive cw_VERSION_linux_"+arch+".tar.gz or the binary as cw_linux_"+arch+" beside "+exe+" (cw perf takes either by --agent-binary)",
				"host %s is linux/%s, cw here is %s/%s: it cannot run there", h.Name(), arch, runtime.GOOS, runtime.GOARCH)
		}
	}
	if strings.HasSuffix(given, ".tar.gz") || strings.HasSuffix(given, ".tgz") {
		if given, err = unpack(given); err != nil {
			return "", done, err
		}
		done = func() { _ = os.Remove(given) }
	}
	if err := fits(given, arch); err != nil {
		done()
		return "", func() {}, fmt.Errorf("%s: %w", h.Name(), err)
	}
	return given, done, nil
}

// beside looks for the program for another kind of machine where this one
// is: a release archive, or a binary named after its platform.
func beside(exe, arch string) string {
	dir := filepath.Dir(exe)
	for _, pattern := range []string{"cw_linux_" + arch, "cw-linux-" + arch, "cw_*_linux_" + arch + ".tar.gz"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

// fits tells whether a file is a Linux program for the architecture.
func fits(file, arch string) error {
	f, err := elf.Open(file)
	if err != nil {
		return fault.New(fault.Usage, "give the cw of the host's kind", "%s is not a Linux program: %w", file, err)
	}
	defer func() { _ = f.Close() }()
	is := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	if is != arch {
		return fault.New(fault.Usage, "give the cw of the host's kind", "%s is for %s, the host is %s", file, f.Machine, arch)
	}
	return nil
}

// unpack takes cw out of a release archive into a temporary file.
func unpack(archive string) (string, error) {
	f, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", archive, err)
	}
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return "", fault.New(fault.Usage, "give a release archive of cw", "%s has no cw in it", archive)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", archive, err)
		}
		if head.Typeflag != tar.TypeReg || filepath.Base(head.Name) != "cw" {
			continue
		}
		out, err := os.CreateTemp("", "cw-binary.")
		if err != nil {
			return "", err
		}
		if _, err = io.Copy(out, r); err == nil { //nolint:gosec // the operator's own archive
			err = out.Chmod(0o700)
		}
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(out.Name())
			return "", fmt.Errorf("unpack %s: %w", archive, err)
		}
		return out.Name(), nil
	}
}
