package report

import "io"

// WriteHTML TODO
func WriteHTML(w io.Writer, r *Report) error { return nil }
