package guc

import "testing"

func TestCanonicalValues(t *testing.T) {
	t.Parallel()
	kb := Row{Type: "integer", Unit: "kB", Min: "64", Max: "2147483647"}
	pages := Row{Type: "integer", Unit: "8kB", Min: "16", Max: "1073741823"}
	ms := Row{Type: "integer", Unit: "ms", Min: "0", Max: "2147483647"}
	minutes := Row{Type: "integer", Unit: "min", Min: "1", Max: "1440"}
	plain := Row{Type: "integer", Min: "1", Max: "262143"}
	cost := Row{Type: "real", Min: "0", Max: "1.79769e+308"}
	flag := Row{Type: "bool"}
	level := Row{Type: "enum", Enum: []string{"minimal", "replica", "logical"}}
	sync := Row{Type: "enum", Enum: []string{"local", "remote_write", "on", "off"}}
	for _, tt := range []struct {
		g        Row
		in, want string // "" is an error
	}{
		{kb, "64MB", "65536"},
		{kb, "65536", "65536"},
		{kb, " 1.5 GB ", "1572864"},
		{kb, "1kb", ""},
		{kb, "32", ""},
		{kb, "4TB", ""},
		{kb, "5min", ""},
		{kb, "", ""},
		{kb, "MB", ""},
		{kb, "0x100", "256"},
		{pages, "128MB", "16384"},
		{pages, "16384", "16384"},
		{ms, "2min", "120000"},
		{ms, "1d", "86400000"},
		{ms, "1500us", "2"},
		{ms, "3MB", ""},
		{minutes, "1h", "60"},
		{minutes, "30s", ""},
		{plain, "200", "200"},
		{plain, "200MB", ""},
		{plain, "two", ""},
		{plain, "0", ""},
		{plain, "NaN", ""},
		{cost, "1.1", "1.1"},
		{cost, "-1", ""},
		{cost, "1e1", "10"},
		{flag, "TRUE", "on"},
		{flag, "y", "on"},
		{flag, "0", "off"},
		{flag, "of", "off"},
		{flag, "o", ""},
		{flag, "2", ""},
		{level, "Replica", "replica"},
		{level, "on", ""},
		{sync, "true", "on"},
		{sync, "no", "off"},
		{sync, "nope", ""},
		{Row{Type: "string"}, "a, b", "a, b"},
		{Row{Type: "string"}, "a\nb", ""},
	} {
		got, err := tt.g.Canonical(tt.in)
		if (err != nil) != (tt.want == "") || got != tt.want {
			t.Errorf("%s in %q: %q is %q %v, want %q", tt.g.Type, tt.g.Unit, tt.in, got, err, tt.want)
		}
	}
}
