package xfs

import (
	"bufio"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mapBlock is the unit in which filefrag is asked to count.
const mapBlock = 4096

// extent is a piece of a file, in blocks.
type extent struct{ logical, physical, length int64 }

// parseExtents reads what filefrag -v prints of some files: a line "File size
// of NAME is …" for each, then lines of "n: from.. to: from.. to: length: …".
func parseExtents(text string) (map[string][]extent, error) {
	files := map[string][]extent{}
	name := ""
	in := bufio.NewScanner(strings.NewReader(text))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		if rest, ok := strings.CutPrefix(line, "File size of "); ok {
			end := strings.LastIndex(rest, " is ")
			if end < 0 {
				return nil, fmt.Errorf("no sense in %q", line)
			}
			name = rest[:end]
			files[name] = nil
			continue
		}
		number, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if _, err := strconv.ParseUint(number, 10, 63); !ok || err != nil {
			continue // headings and sums
		}
		if name == "" {
			return nil, fmt.Errorf("blocks of no file: %q", line)
		}
		e, err := parseExtent(rest)
		if err != nil {
			return nil, fmt.Errorf("no sense in %q: %w", line, err)
		}
		if !strings.Contains(rest, "unwritten") && !strings.Contains(rest, "delalloc") {
			files[name] = append(files[name], e)
		}
	}
	return files, in.Err()
}

// parseExtent reads "0..  6:  21406600..  21406606:  7: …".
func parseExtent(text string) (extent, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 3 {
		return extent{}, fmt.Errorf("%d parts", len(parts))
	}
	var from [2]int64
	for i := range from {
		first, _, _ := strings.Cut(parts[i], "..")
		n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
		if err != nil || n < 0 || n > 1<<50 {
			return extent{}, fmt.Errorf("%q is no block", strings.TrimSpace(first))
		}
		from[i] = n
	}
	length, err := strconv.ParseInt(strings.TrimSpace(parts[2]), 10, 64)
	if err != nil || length <= 0 || length > 1<<50 {
		return extent{}, fmt.Errorf("%q is no length", strings.TrimSpace(parts[2]))
	}
	return extent{from[0], from[1], length}, nil
}

// unshared counts the blocks of now that are not in the same physical place
// in before, at the same place of the file.
func unshared(before, now []extent) int64 {
	byPlace := func(a, b extent) int { return cmp.Compare(a.logical, b.logical) }
	slices.SortFunc(before, byPlace)
	slices.SortFunc(now, byPlace)
	var blocks int64
	i := 0
	for _, e := range now {
		blocks += e.length
		for i < len(before) && before[i].logical+before[i].length <= e.logical {
			i++
		}
		for j := i; j < len(before) && before[j].logical < e.logical+e.length; j++ {
			b := before[j]
			if b.physical-b.logical == e.physical-e.logical {
				blocks -= min(b.logical+b.length, e.logical+e.length) - max(b.logical, e.logical)
			}
		}
	}
	return blocks
}
